#include "crypto/x25519.h"

#include <sodium.h>

#include "base/wipe.h"
#include "crypto/curve25519_wide.h"
#include "crypto/field25519.h"

#if defined(__SIZEOF_INT128__)

void x25519_public_library(const uint8_t secret[static X25519_SIZE], uint8_t out[static X25519_SIZE]) {
    // The same multiple of the base point on the curve of Ed25519, where libsodium has a table for it, brought over by
    // u = (1 + y) / (1 - y) (RFC 7748, section 4.1): a third less work than the ladder. Only the neutral element has
    // y = 1, and a clamped scalar never leads there.
    static const field25519 one = {{1}};
    uint8_t point[crypto_scalarmult_ed25519_BYTES];
    if (crypto_scalarmult_ed25519_base(point, secret) != 0) {
        (void)crypto_scalarmult_curve25519_base(out, secret);
        return;
    }
    field25519 y = field25519_load(point), above = field25519_add(&one, &y), below = field25519_sub(&one, &y);
    below = field25519_invert(&below);
    above = field25519_mul(&above, &below);
    field25519_store(&above, out);
}

#else

void x25519_public_library(const uint8_t secret[static X25519_SIZE], uint8_t out[static X25519_SIZE]) {
    (void)crypto_scalarmult_curve25519_base(out, secret);
}

#endif

void x25519_public(const uint8_t secret[static X25519_SIZE], uint8_t out[static X25519_SIZE]) {
    const curve25519_wide *wide = curve25519_wide_find();
    if (wide != NULL)
        wide->public_key(secret, out);
    else
        x25519_public_library(secret, out);
}

bool x25519_shared(const uint8_t secret[static X25519_SIZE], const uint8_t peer[static X25519_SIZE],
                   uint8_t out[static X25519_SIZE]) {
    const curve25519_wide *wide = curve25519_wide_find();
    if (wide != NULL)
        return wide->shared(secret, peer, out);
    if (crypto_scalarmult_curve25519(out, secret, peer) == 0)
        return true;
    wipe(out, X25519_SIZE);
    return false;
}

bool x25519_exchange(const uint8_t secret[static X25519_SIZE], const uint8_t peer[static X25519_SIZE],
                     uint8_t own[static X25519_SIZE], uint8_t shared[static X25519_SIZE]) {
    const curve25519_wide *wide = curve25519_wide_find();
    if (wide != NULL)
        return wide->exchange(secret, peer, own, shared);
    x25519_public(secret, own);
    return x25519_shared(secret, peer, shared);
}
