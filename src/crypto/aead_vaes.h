// AES-GCM and AES header protection with the VAES and VPCLMULQDQ instructions on 512-bit registers, for aead.c alone.
//
// A processor that lacks them gets the rows of the libraries. Constant time by construction: no table, no branch on
// secret data.
#ifndef CRYPTO_AEAD_VAES_H
#define CRYPTO_AEAD_VAES_H

#include "crypto/aead.h"

bool aead_vaes_supported(void);  // by this processor and operating system; false on other architectures

aead *aead_vaes128_new(const uint8_t *key);
aead *aead_vaes256_new(const uint8_t *key);
void aead_vaes_free(aead *a);
int aead_vaes_seal(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                   size_t len);
int aead_vaes_open(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                   size_t len);

hp_key *hp_vaes128_new(const uint8_t *key);
hp_key *hp_vaes256_new(const uint8_t *key);
void hp_vaes_free(hp_key *k);
void hp_vaes_mask(const hp_key *k, const uint8_t sample[HP_SAMPLE], uint8_t mask[HP_MASK]);

#endif
