#include "crypto/hash.h"

#include <assert.h>
#include <nettle/sha2.h>

typedef union state {
    struct sha256_ctx sha256;
    struct sha384_ctx sha384;
} state;

static_assert(sizeof(state) <= sizeof((hash){0}.state), "the state of either hash fits");
static_assert(_Alignof(state) <= _Alignof(uint64_t), "and so does its alignment");

static state *state_of(hash *h) {
    return (state *)(void *)h->state;
}

void hash_init(hash *h, size_t hash_len) {
    h->hash_len = hash_len;
    if (hash_len == SHA384_DIGEST_SIZE)
        sha384_init(&state_of(h)->sha384);
    else
        sha256_init(&state_of(h)->sha256);
}

void hash_update(hash *h, const void *bytes, size_t len) {
    if (h->hash_len == SHA384_DIGEST_SIZE)
        sha384_update(&state_of(h)->sha384, len, bytes);
    else
        sha256_update(&state_of(h)->sha256, len, bytes);
}

void hash_peek(const hash *h, uint8_t *out) {
    hash copy = *h;
    if (h->hash_len == SHA384_DIGEST_SIZE)
        sha384_digest(&state_of(&copy)->sha384, SHA384_DIGEST_SIZE, out);
    else
        sha256_digest(&state_of(&copy)->sha256, SHA256_DIGEST_SIZE, out);
}
