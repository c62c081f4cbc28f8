// Curve25519 in its Edwards form with the IFMA instructions of AVX-512: the four coordinates of a point are multiplied at
// once. For x25519.c and ed25519.c, which have libsodium for other processors; here both take less than half its time.
#ifndef CRYPTO_CURVE25519_WIDE_H
#define CRYPTO_CURVE25519_WIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct curve25519_wide {
    // As in x25519.h, in constant time.
    void (*public_key)(const uint8_t secret[static 32], uint8_t out[static 32]);
    bool (*shared)(const uint8_t secret[static 32], const uint8_t peer[static 32], uint8_t out[static 32]);
    bool (*exchange)(const uint8_t secret[static 32], const uint8_t peer[static 32], uint8_t own[static 32],
                     uint8_t shared[static 32]);
    // As ed25519_verify. Not in constant time: all that it looks at is public.
    bool (*verify)(const uint8_t key[static 32], const void *message, size_t len, const uint8_t signature[static 64]);
} curve25519_wide;

// Null: this processor has no such instructions, or another thread is making the tables, which the first call does.
const curve25519_wide *curve25519_wide_find(void);

#endif
