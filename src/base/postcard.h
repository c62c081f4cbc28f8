// Postcard, the compact encoding of Rust's serde, over the cursors of base/bytes.h.
//
// Reading is as lax as the original: an over-long varint is taken up to the most bytes its type can need, and whoever
// reads decides what to make of bytes that are left over. Writing is always minimal.
#ifndef BASE_POSTCARD_H
#define BASE_POSTCARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bytes.h"

// A cursor that also remembers why: after the first failure every read yields 0, and `error` stays.
typedef struct postcard {
    reader in;
    int error;  // 0, IROH_ERR_TRUNCATED, _RANGE (varint too long or large), _SYNTAX, _UTF8, or what the caller set
} postcard;

postcard postcard_of(const void *bytes, size_t len);

// Refuses the rest for a reason of the caller's. The first reason stands.
void postcard_fail(postcard *p, int error);

uint8_t postcard_u8(postcard *p);  // one raw byte
uint16_t postcard_u16(postcard *p);
uint32_t postcard_u32(postcard *p);
uint64_t postcard_u64(postcard *p);  // also the usize of lengths and counts
int64_t postcard_i64(postcard *p);   // zig-zag
bool postcard_bool(postcard *p);     // 0 or 1, else IROH_ERR_SYNTAX; also the tag of an Option

// The index of an enum's variant, below `count`; IROH_ERR_UNSUPPORTED otherwise.
uint32_t postcard_variant(postcard *p, uint32_t count);

void postcard_raw(postcard *p, void *out, size_t len);  // `len` bytes without a length; zeroes on failure

// A byte string and a text, borrowed from the input; null and a length of 0 on failure.
const uint8_t *postcard_bytes(postcard *p, size_t *len);
const char *postcard_str(postcard *p, size_t *len);

addr postcard_socket_addr(postcard *p);  // without scope; of kind ADDR_NONE on failure

// Bytes of the varint of `v`, 1 to 10.
size_t postcard_u64_size(uint64_t v);

// Varints of all widths, and variant indices, are written alike.
void postcard_write_u64(writer *w, uint64_t v);
void postcard_write_i64(writer *w, int64_t v);
void postcard_write_bytes(writer *w, const void *bytes, size_t len);  // also a str
void postcard_write_socket_addr(writer *w, const addr *a);            // an IP address; its scope is not encoded

#endif
