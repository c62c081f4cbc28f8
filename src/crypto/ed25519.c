#include "crypto/ed25519.h"

#include <sodium.h>

#include "base/wipe.h"

void ed25519_generate(uint8_t seed[static ED25519_SEED]) {
    (void)!sodium_init();
    randombytes_buf(seed, ED25519_SEED);
}

void ed25519_public(const uint8_t seed[static ED25519_SEED], uint8_t out[static ED25519_PUBLIC]) {
    uint8_t expanded[crypto_sign_SECRETKEYBYTES];
    (void)crypto_sign_seed_keypair(out, expanded, seed);
    wipe(expanded, sizeof expanded);
}

void ed25519_sign(const uint8_t seed[static ED25519_SEED], const void *message, size_t len,
                  uint8_t out[static ED25519_SIGNATURE]) {
    uint8_t expanded[crypto_sign_SECRETKEYBYTES], key[ED25519_PUBLIC];
    (void)crypto_sign_seed_keypair(key, expanded, seed);
    (void)crypto_sign_detached(out, NULL, message, len, expanded);
    wipe(expanded, sizeof expanded);
}

bool ed25519_is_point(const uint8_t bytes[static ED25519_PUBLIC]) {
    // libsodium's test of a point asks for a canonical form and the prime-order subgroup as well, but its addition only
    // decompresses what it adds. So: does it add to the neutral element?
    static const uint8_t neutral[ED25519_PUBLIC] = {1};
    uint8_t sum[ED25519_PUBLIC];
    return crypto_core_ed25519_add(sum, bytes, neutral) == 0;
}

bool ed25519_verify(const uint8_t key[static ED25519_PUBLIC], const void *message, size_t len,
                    const uint8_t signature[static ED25519_SIGNATURE]) {
    return crypto_sign_verify_detached(signature, message, len, key) == 0;
}
