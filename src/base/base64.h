// Base64 (RFC 4648) in the two forms that HTTP headers of the relay use: the standard alphabet with padding, and the URL
// alphabet without. Strict: what one direction writes is all that the other reads (no white space, no spare bits).
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

enum { BASE64_PADDED = 0, BASE64_URL = 1 };

#define BASE64_PADDED_LEN(n) (((n) + 2) / 3 * 4)
#define BASE64_URL_LEN(n) (((n)*8 + 5) / 6)

// Writes the text without a terminator: BASE64_PADDED_LEN or BASE64_URL_LEN characters.
void base64_encode(int form, const void *bytes, size_t len, char *out);

// The number of bytes stored, or IROH_ERR_SYNTAX; IROH_ERR_TOO_LARGE when they exceed `room`. `out` is undefined then.
int base64_decode(int form, const char *text, size_t len, uint8_t *out, size_t room);

#endif
