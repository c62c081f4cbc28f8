#include "crypto/ed25519.h"

#include <sodium.h>

#include "base/wipe.h"
#include "crypto/curve25519_wide.h"
#include "crypto/field25519.h"

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

#if defined(__SIZEOF_INT128__)

bool ed25519_is_point(const uint8_t bytes[static ED25519_PUBLIC]) {
    // libsodium's test of a point asks for a canonical form and the prime-order subgroup as well. So, from the equation of
    // the curve: x^2 = u / v with u = y^2 - 1 and v = d y^2 + 1, which is never 0. There is an x if and only if uv is a
    // square, that is, if (uv)^((p - 1) / 2) is 1 or 0.
    static const field25519 zero = {{0}}, one = {{1}};
    field25519 d = field25519_d(), y = field25519_load(bytes), y2 = field25519_square(&y);
    field25519 u = field25519_sub(&y2, &one), dy2 = field25519_mul(&d, &y2), v = field25519_add(&dy2, &one);
    field25519 uv = field25519_mul(&u, &v), power = field25519_root_power(&uv);
    power = field25519_mul(&power, &power);
    power = field25519_mul(&power, &uv);
    power = field25519_square(&power);  // 2 (2 (p - 5) / 8 + 1) = (p - 1) / 2
    return field25519_equal(&power, &one) || field25519_equal(&power, &zero);
}

#else

bool ed25519_is_point(const uint8_t bytes[static ED25519_PUBLIC]) {
    // Its addition does not ask for that: it only decompresses what it adds.
    static const uint8_t neutral[ED25519_PUBLIC] = {1};
    uint8_t sum[ED25519_PUBLIC];
    return crypto_core_ed25519_add(sum, bytes, neutral) == 0;
}

#endif

bool ed25519_verify(const uint8_t key[static ED25519_PUBLIC], const void *message, size_t len,
                    const uint8_t signature[static ED25519_SIGNATURE]) {
    const curve25519_wide *wide = curve25519_wide_find();
    if (wide != NULL)
        return wide->verify(key, message, len, signature);
    return crypto_sign_verify_detached(signature, message, len, key) == 0;
}
