// The functions behind the rows of the suite table, for aead.c alone: one group per library that does the work.
#ifndef CRYPTO_AEAD_ROWS_H
#define CRYPTO_AEAD_ROWS_H

#include "crypto/aead.h"

// AES-GCM by GnuTLS: it has the fastest assembly of the libraries at hand (aead_gnutls.c).
aead *aead_aes128_new(const uint8_t *key);
aead *aead_aes256_new(const uint8_t *key);
void aead_aes_free(aead *a);
int aead_aes_seal(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                  size_t len);
int aead_aes_open(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                  size_t len);

// ChaCha20-Poly1305 by libsodium: three to four times as fast as in GnuTLS 3.7 (aead_sodium.c).
aead *aead_chacha_new(const uint8_t *key);
void aead_chacha_free(aead *a);
int aead_chacha_seal(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                     size_t len);
int aead_chacha_open(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                     size_t len);

// Header protection by nettle, where one block costs no more than the cipher itself (hp_nettle.c).
hp_key *hp_aes128_new(const uint8_t *key);
hp_key *hp_aes256_new(const uint8_t *key);
hp_key *hp_chacha_new(const uint8_t *key);
void hp_aes128_free(hp_key *k);
void hp_aes256_free(hp_key *k);
void hp_chacha_free(hp_key *k);
void hp_aes128_mask(const hp_key *k, const uint8_t sample[HP_SAMPLE], uint8_t mask[HP_MASK]);
void hp_aes256_mask(const hp_key *k, const uint8_t sample[HP_SAMPLE], uint8_t mask[HP_MASK]);
void hp_chacha_mask(const hp_key *k, const uint8_t sample[HP_SAMPLE], uint8_t mask[HP_MASK]);

#endif
