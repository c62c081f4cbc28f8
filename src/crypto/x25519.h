// X25519 (RFC 7748), on libsodium and, where the processor allows, wide instructions.
#ifndef CRYPTO_X25519_H
#define CRYPTO_X25519_H

#include <stdbool.h>
#include <stdint.h>

#define X25519_SIZE 32

void x25519_public(const uint8_t secret[static X25519_SIZE], uint8_t out[static X25519_SIZE]);

// As every processor can, for comparison.
void x25519_public_library(const uint8_t secret[static X25519_SIZE], uint8_t out[static X25519_SIZE]);

// False: the other's key is of small order, so that the result, all zero, is no secret.
bool x25519_shared(const uint8_t secret[static X25519_SIZE], const uint8_t peer[static X25519_SIZE],
                   uint8_t out[static X25519_SIZE]);

// Both at once, which is cheaper.
bool x25519_exchange(const uint8_t secret[static X25519_SIZE], const uint8_t peer[static X25519_SIZE],
                     uint8_t own[static X25519_SIZE], uint8_t shared[static X25519_SIZE]);

#endif
