// Header protection (RFC 9001, section 5.4): one block of AES over the sample, or five bytes of the ChaCha20 stream that
// the sample selects.
#include <nettle/aes.h>
#include <nettle/chacha.h>
#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"
#include "crypto/aead_rows.h"

#define SAMPLE_COUNTER 4  // bytes of the sample that are ChaCha20's block counter; the rest is its nonce

static void free_wiped(void *k, size_t len) {
    if (k == NULL)
        return;
    wipe(k, len);
    free(k);
}

hp_key *hp_aes128_new(const uint8_t *key) {
    struct aes128_ctx *k = malloc(sizeof *k);
    if (k != NULL)
        aes128_set_encrypt_key(k, key);
    return (hp_key *)(void *)k;
}

hp_key *hp_aes256_new(const uint8_t *key) {
    struct aes256_ctx *k = malloc(sizeof *k);
    if (k != NULL)
        aes256_set_encrypt_key(k, key);
    return (hp_key *)(void *)k;
}

hp_key *hp_chacha_new(const uint8_t *key) {
    struct chacha_ctx *k = malloc(sizeof *k);
    if (k != NULL)
        chacha_set_key(k, key);
    return (hp_key *)(void *)k;
}

void hp_aes128_free(hp_key *k) {
    free_wiped(k, sizeof(struct aes128_ctx));
}

void hp_aes256_free(hp_key *k) {
    free_wiped(k, sizeof(struct aes256_ctx));
}

void hp_chacha_free(hp_key *k) {
    free_wiped(k, sizeof(struct chacha_ctx));
}

void hp_aes128_mask(const hp_key *k, const uint8_t sample[HP_SAMPLE], uint8_t mask[HP_MASK]) {
    uint8_t block[AES_BLOCK_SIZE];
    aes128_encrypt((const struct aes128_ctx *)(const void *)k, sizeof block, block, sample);
    memcpy(mask, block, HP_MASK);
}

void hp_aes256_mask(const hp_key *k, const uint8_t sample[HP_SAMPLE], uint8_t mask[HP_MASK]) {
    uint8_t block[AES_BLOCK_SIZE];
    aes256_encrypt((const struct aes256_ctx *)(const void *)k, sizeof block, block, sample);
    memcpy(mask, block, HP_MASK);
}

void hp_chacha_mask(const hp_key *k, const uint8_t sample[HP_SAMPLE], uint8_t mask[HP_MASK]) {
    static const uint8_t zero[HP_MASK];
    struct chacha_ctx copy = *(const struct chacha_ctx *)(const void *)k;
    // Setting the nonce sets the counter to zero, so the counter comes second.
    chacha_set_nonce96(&copy, sample + SAMPLE_COUNTER);
    chacha_set_counter32(&copy, sample);
    chacha_crypt32(&copy, HP_MASK, mask, zero);
}
