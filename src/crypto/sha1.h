// SHA-1 (FIPS 180-4), for the accept key of WebSocket alone, where nothing depends on its strength.
#ifndef CRYPTO_SHA1_H
#define CRYPTO_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_SIZE 20

// The hash of `a` followed by `b`.
void sha1_of_two(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t out[static SHA1_SIZE]);

#endif
