// Ed25519 (RFC 8032) over libsodium, with the rules of the original for what is a key and what is a signature.
#ifndef CRYPTO_ED25519_H
#define CRYPTO_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ED25519_SEED 32
#define ED25519_PUBLIC 32
#define ED25519_SIGNATURE 64

// A fresh seed from the operating system.
void ed25519_generate(uint8_t seed[static ED25519_SEED]);

void ed25519_public(const uint8_t seed[static ED25519_SEED], uint8_t out[static ED25519_PUBLIC]);

// `message` may be null when len is 0.
void ed25519_sign(const uint8_t seed[static ED25519_SEED], const void *message, size_t len,
                  uint8_t out[static ED25519_SIGNATURE]);

// Whether the bytes decompress to a point of the curve: y is taken modulo p, and neither a non-canonical form nor a
// small order is held against it.
bool ed25519_is_point(const uint8_t bytes[static ED25519_PUBLIC]);

// Strict verification: S below the group order; neither R nor the key of small order; R equal, byte for byte, to
// [S]B - [k]A without cofactor. A non-canonical key is refused outright: nobody knows the logarithm of one of the few
// that there are, so no signature of them can be shown.
bool ed25519_verify(const uint8_t key[static ED25519_PUBLIC], const void *message, size_t len,
                    const uint8_t signature[static ED25519_SIGNATURE]);

#endif
