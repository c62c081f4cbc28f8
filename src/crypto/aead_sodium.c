// ChaCha20-Poly1305 through libsodium. Its key needs no expansion, so a context is the 32 bytes; the calls work in
// place.
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "crypto/aead_rows.h"

#define KEY_LEN crypto_aead_chacha20poly1305_ietf_KEYBYTES

aead *aead_chacha_new(const uint8_t *key) {
    // Picks the implementation for this processor, once per process; the portable one serves if that fails.
    (void)!sodium_init();
    uint8_t *copy = malloc(KEY_LEN);
    if (copy != NULL)
        memcpy(copy, key, KEY_LEN);
    return (aead *)(void *)copy;
}

void aead_chacha_free(aead *a) {
    if (a == NULL)
        return;
    wipe(a, KEY_LEN);
    free(a);
}

int aead_chacha_seal(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                     size_t len) {
    const uint8_t *key = (const uint8_t *)(void *)a;
    int r = crypto_aead_chacha20poly1305_ietf_encrypt(data, NULL, data, len, aad, aad_len, NULL, nonce, key);
    return r == 0 ? 0 : IROH_ERR_CRYPTO;
}

int aead_chacha_open(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                     size_t len) {
    const uint8_t *key = (const uint8_t *)(void *)a;
    int r = crypto_aead_chacha20poly1305_ietf_decrypt(data, NULL, NULL, data, len, aad, aad_len, nonce, key);
    return r == 0 ? 0 : IROH_ERR_CRYPTO;
}
