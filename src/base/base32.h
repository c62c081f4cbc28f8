// Base32 without padding, most significant bit first: of RFC 4648 (section 6), and z-base-32.
//
// Strict: a text whose length no number of bytes gives, or whose bits past the last byte are not zero, is refused, so
// that every value has one text (but for the case of letters in the RFC's alphabet).
#ifndef BASE_BASE32_H
#define BASE_BASE32_H

#include <stddef.h>
#include <stdint.h>

typedef enum base32_kind {
    BASE32_RFC4648,  // written in lower case, read in any
    BASE32_Z,        // ybndrfg8ejkmcpqxot1uwisza345h769, lower case only
} base32_kind;

// Characters for `len` bytes; len <= SIZE_MAX / 8.
static inline size_t base32_text_size(size_t len) {
    return (len * 8 + 4) / 5;
}

// Bytes of a text of `len` characters.
static inline size_t base32_bytes_size(size_t len) {
    return len / 8 * 5 + len % 8 * 5 / 8;
}

// Writes base32_text_size(len) characters, without a terminator.
void base32_encode(base32_kind kind, const void *bytes, size_t len, char *out);

// Writes base32_bytes_size(len) bytes. 0, IROH_ERR_LENGTH (impossible length), IROH_ERR_SYNTAX (a character outside the
// alphabet, or bits set past the end); `out` is then undefined.
int base32_decode(base32_kind kind, const char *text, size_t len, uint8_t *out);

#endif
