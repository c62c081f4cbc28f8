// AES-GCM through GnuTLS. Its one-shot AEAD calls work in place and allocate nothing: the handle holds the expanded key.
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <iroh/error.h>

#include "crypto/aead_rows.h"

// A handle of GnuTLS is a pointer of its own, so no struct of ours stands around it.
static inline gnutls_aead_cipher_hd_t handle_of(aead *a) {
    return (gnutls_aead_cipher_hd_t)(void *)a;
}

static aead *new_key(gnutls_cipher_algorithm_t algorithm, const uint8_t *key, unsigned len) {
    gnutls_aead_cipher_hd_t handle;
    // GnuTLS only reads the key, though the type of the member does not say so.
    gnutls_datum_t datum = {.data = (unsigned char *)(uintptr_t)key, .size = len};
    if (gnutls_aead_cipher_init(&handle, algorithm, &datum) != 0)
        return NULL;
    return (aead *)(void *)handle;
}

aead *aead_aes128_new(const uint8_t *key) {
    return new_key(GNUTLS_CIPHER_AES_128_GCM, key, 16);
}

aead *aead_aes256_new(const uint8_t *key) {
    return new_key(GNUTLS_CIPHER_AES_256_GCM, key, 32);
}

// GnuTLS overwrites the expanded key before it gives the memory back.
void aead_aes_free(aead *a) {
    if (a != NULL)
        gnutls_aead_cipher_deinit(handle_of(a));
}

int aead_aes_seal(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                  size_t len) {
    size_t sealed = len + AEAD_TAG;
    int r =
        gnutls_aead_cipher_encrypt(handle_of(a), nonce, AEAD_NONCE, aad, aad_len, AEAD_TAG, data, len, data, &sealed);
    return r == 0 ? 0 : IROH_ERR_CRYPTO;
}

int aead_aes_open(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                  size_t len) {
    size_t opened = len - AEAD_TAG;
    int r =
        gnutls_aead_cipher_decrypt(handle_of(a), nonce, AEAD_NONCE, aad, aad_len, AEAD_TAG, data, len, data, &opened);
    return r == 0 ? 0 : IROH_ERR_CRYPTO;
}
