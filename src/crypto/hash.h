// SHA-256 and SHA-384 over bytes that come in pieces, as the transcript of a TLS handshake needs them; hash_len (32 or 48)
// chooses. No allocation, no failure; a plain copy of the struct is a copy of the state.
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_LEN_MAX 48

typedef struct hash {
    size_t hash_len;
    _Alignas(uint64_t) unsigned char state[224];  // opaque
} hash;

void hash_init(hash *h, size_t hash_len);
void hash_update(hash *h, const void *bytes, size_t len);

// The hash of everything so far, hash_len bytes; more may follow.
void hash_peek(const hash *h, uint8_t *out);

#endif
