// Curve25519 in its Edwards form with the IFMA instructions of AVX-512: the four coordinates of a point are multiplied at
// once. For x25519.c and ed25519.c, which have libsodium for other processors; here both take less than half its time.
#ifndef CRYPTO_CURVE25519_WIDE_H
#define CRYPTO_CURVE25519_WIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Whether this processor has them, and the tables are there, which the first call makes; false on other architectures.
bool curve25519_wide_ready(void);

// The public key of X25519 for a secret. In constant time.
void curve25519_wide_public(const uint8_t secret[static 32], uint8_t out[static 32]);

// As x25519_shared, in constant time.
bool curve25519_wide_shared(const uint8_t secret[static 32], const uint8_t peer[static 32], uint8_t out[static 32]);

// Both at once.
bool curve25519_wide_exchange(const uint8_t secret[static 32], const uint8_t peer[static 32], uint8_t own[static 32],
                              uint8_t shared[static 32]);

// As ed25519_verify. Not in constant time: all that it looks at is public.
bool curve25519_wide_verify(const uint8_t key[static 32], const void *message, size_t len,
                            const uint8_t signature[static 64]);

#endif
