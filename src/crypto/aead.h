// Packet protection primitives as a table: one row per TLS 1.3 cipher suite, so that a faster implementation is a new
// table and nothing else changes (RFC 9001, section 5.3 and 5.4).
//
// A context holds expanded key material only, for one direction and one key phase. Not thread-safe, no global state.
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_TAG 16
#define AEAD_NONCE 12
#define AEAD_KEY_MAX 32
#define AEAD_HASH_MAX 48
#define HP_SAMPLE 16
#define HP_MASK 5

typedef struct aead aead;      // opaque: an AEAD key, ready for use
typedef struct hp_key hp_key;  // opaque: a header protection key

typedef struct aead_suite {
    const char *name;                // "TLS_AES_128_GCM_SHA256"
    uint16_t id;                     // TLS code point: 0x1301, 0x1302, 0x1303
    uint8_t key_len;                 // of the AEAD and of header protection: 16 or 32
    uint8_t hash_len;                // of the suite's hash: 32 (SHA-256) or 48 (SHA-384)
    uint64_t confidentiality_limit;  // packets that one key may seal (RFC 9001, section 6.6)
    uint64_t integrity_limit;        // failed openings over the life of a connection

    // A key from `key_len` bytes; null when out of memory.
    aead *(*aead_new)(const uint8_t *key);
    void (*aead_free)(aead *a);  // wipes; null is ignored

    // Seals in place: `data` has room for len + AEAD_TAG bytes. 0 or IROH_ERR_CRYPTO.
    int (*seal)(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                size_t len);

    // Opens in place: `len` counts the tag and is at least AEAD_TAG. 0, or IROH_ERR_CRYPTO with `data` undefined.
    int (*open)(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                size_t len);

    hp_key *(*hp_new)(const uint8_t *key);
    void (*hp_free)(hp_key *k);
    void (*hp_mask)(const hp_key *k, const uint8_t sample[HP_SAMPLE], uint8_t mask[HP_MASK]);
} aead_suite;

// The row for a TLS code point, the fastest for this processor; null when unknown.
const aead_suite *aead_suite_by_id(uint16_t id);

// The row of the libraries alone, which every processor has; for comparison.
const aead_suite *aead_suite_library(uint16_t id);

#endif
