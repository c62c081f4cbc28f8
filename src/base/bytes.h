// Two cursors over bytes: `reader` parses what came from outside, `writer` builds what goes out.
//
// Both remember failure instead of reporting it at each step: after the first read past the end (or write past the
// room) every further call does nothing and yields 0, so a codec is a straight list of fields with one check at the
// end. All functions are inline because the packet path goes through them.
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VARINT_MAX ((UINT64_C(1) << 62) - 1)  // RFC 9000, section 16
#define VARINT_SIZE_MAX 8

typedef struct reader {
    const uint8_t *p;    // next byte
    const uint8_t *end;  // one past the last
    bool failed;         // a read went past the end, or a value was refused
} reader;

typedef struct writer {
    uint8_t *p;      // next byte to write
    uint8_t *end;    // one past the room
    uint8_t *start;  // first byte
    bool failed;     // a write did not fit; nothing was written from then on
} writer;

static inline reader reader_of(const void *bytes, size_t len) {
    const uint8_t *p = bytes;
    return (reader){.p = p, .end = len > 0 ? p + len : p, .failed = false};
}

static inline size_t reader_left(const reader *r) {
    return (size_t)(r->end - r->p);
}

static inline bool reader_fail(reader *r) {
    r->failed = true;
    r->p = r->end;
    return false;
}

// The next `len` bytes, borrowed from the input; null when fewer are left.
static inline const uint8_t *reader_bytes(reader *r, size_t len) {
    if (reader_left(r) < len) {
        (void)reader_fail(r);
        return NULL;
    }
    const uint8_t *at = r->p;
    if (len > 0)
        r->p += len;
    return at;
}

// Copies the next `len` bytes to `out`; zeroes when fewer are left.
static inline void reader_copy(reader *r, void *out, size_t len) {
    const uint8_t *at = reader_bytes(r, len);
    if (len == 0)
        return;
    if (at != NULL)
        memcpy(out, at, len);
    else
        memset(out, 0, len);
}

static inline uint64_t reader_be(reader *r, size_t len) {
    const uint8_t *at = reader_bytes(r, len);
    uint64_t v = 0;
    if (at == NULL)
        return 0;
    for (size_t i = 0; i < len; i++)
        v = v << 8 | at[i];
    return v;
}

static inline uint8_t reader_u8(reader *r) {
    return (uint8_t)reader_be(r, 1);
}

static inline uint16_t reader_u16(reader *r) {
    return (uint16_t)reader_be(r, 2);
}

static inline uint32_t reader_u32(reader *r) {
    return (uint32_t)reader_be(r, 4);
}

static inline uint64_t reader_u64(reader *r) {
    return reader_be(r, 8);
}

// A QUIC varint in any of its four sizes, minimal or not (RFC 9000, section 16).
static inline uint64_t reader_varint(reader *r) {
    if (r->p == r->end) {
        (void)reader_fail(r);
        return 0;
    }
    unsigned size = 1U << (*r->p >> 6);
    if (size == 1)
        return *r->p++;
    uint64_t v = reader_be(r, size);
    return v & ((UINT64_C(1) << (8 * size - 2)) - 1);
}

static inline writer writer_of(void *room, size_t len) {
    uint8_t *p = room;
    return (writer){.p = p, .end = len > 0 ? p + len : p, .start = p, .failed = false};
}

static inline size_t writer_left(const writer *w) {
    return (size_t)(w->end - w->p);
}

static inline size_t writer_len(const writer *w) {
    return (size_t)(w->p - w->start);
}

// Room for `len` bytes that the caller fills; null when they do not fit.
static inline uint8_t *writer_room(writer *w, size_t len) {
    if (w->failed || writer_left(w) < len) {
        w->failed = true;
        return NULL;
    }
    uint8_t *at = w->p;
    if (len > 0)
        w->p += len;
    return at;
}

static inline void writer_bytes(writer *w, const void *bytes, size_t len) {
    uint8_t *at = writer_room(w, len);
    if (at != NULL && len > 0)
        memcpy(at, bytes, len);
}

static inline void writer_be(writer *w, uint64_t v, size_t len) {
    uint8_t *at = writer_room(w, len);
    if (at == NULL)
        return;
    for (size_t i = len; i-- > 0; v >>= 8)
        at[i] = (uint8_t)v;
}

static inline void writer_u8(writer *w, uint8_t v) {
    writer_be(w, v, 1);
}

static inline void writer_u16(writer *w, uint16_t v) {
    writer_be(w, v, 2);
}

static inline void writer_u32(writer *w, uint32_t v) {
    writer_be(w, v, 4);
}

static inline void writer_u64(writer *w, uint64_t v) {
    writer_be(w, v, 8);
}

// Bytes of the minimal varint of `v`; `v` <= VARINT_MAX.
static inline size_t varint_size(uint64_t v) {
    if (v < UINT64_C(1) << 6)
        return 1;
    if (v < UINT64_C(1) << 14)
        return 2;
    return v < UINT64_C(1) << 30 ? 4 : 8;
}

// Writes `v` as a varint of `size` bytes (1, 2, 4 or 8); a value too large for it fails the writer.
static inline void writer_varint_sized(writer *w, uint64_t v, size_t size) {
    if (v > VARINT_MAX || varint_size(v) > size) {
        w->failed = true;
        return;
    }
    uint8_t *at = writer_room(w, size);
    if (at == NULL)
        return;
    for (size_t i = size; i-- > 0; v >>= 8)
        at[i] = (uint8_t)v;
    at[0] |= (uint8_t)(size == 1 ? 0x00 : size == 2 ? 0x40 : size == 4 ? 0x80 : 0xc0);
}

static inline void writer_varint(writer *w, uint64_t v) {
    writer_varint_sized(w, v, varint_size(v));
}

#endif
