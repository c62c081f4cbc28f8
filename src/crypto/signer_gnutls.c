#include <stdlib.h>
#include <string.h>

#include <gnutls/abstract.h>

#include <iroh/error.h>

#include "crypto/signer_rows.h"

struct signer {
    gnutls_privkey_t key;
    const signer_row *row;
};

static gnutls_sign_algorithm_t algorithm_of(uint16_t scheme) {
    static const struct {
        uint16_t scheme;
        gnutls_sign_algorithm_t algorithm;
    } rows[] = {
        {0x0403, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256}, {0x0503, GNUTLS_SIGN_ECDSA_SECP384R1_SHA384},
        {0x0603, GNUTLS_SIGN_ECDSA_SECP521R1_SHA512}, {0x0804, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256},
        {0x0805, GNUTLS_SIGN_RSA_PSS_RSAE_SHA384},    {0x0806, GNUTLS_SIGN_RSA_PSS_RSAE_SHA512},
        {0x0807, GNUTLS_SIGN_EDDSA_ED25519},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].scheme == scheme)
            return rows[i].algorithm;
    }
    return GNUTLS_SIGN_UNKNOWN;
}

static enum signer_kind kind_of_curve(gnutls_privkey_t key) {
    gnutls_ecc_curve_t curve;
    if (gnutls_privkey_export_ecc_raw2(key, &curve, NULL, NULL, NULL, 0) != 0)
        return SIGNER_KINDS;
    switch (curve) {
    case GNUTLS_ECC_CURVE_SECP256R1:
        return SIGNER_P256;
    case GNUTLS_ECC_CURVE_SECP384R1:
        return SIGNER_P384;
    case GNUTLS_ECC_CURVE_SECP521R1:
        return SIGNER_P521;
    default:
        return SIGNER_KINDS;
    }
}

// SIGNER_KINDS: none of them.
static enum signer_kind kind_of(gnutls_privkey_t key) {
    unsigned bits = 0;
    switch (gnutls_privkey_get_pk_algorithm(key, &bits)) {
    case GNUTLS_PK_RSA:
        return bits >= SIGNER_RSA_BITS_MIN && bits <= SIGNER_RSA_BITS_MAX ? SIGNER_RSA : SIGNER_KINDS;
    case GNUTLS_PK_EDDSA_ED25519:
        return SIGNER_ED25519;
    case GNUTLS_PK_ECDSA:
        return kind_of_curve(key);
    default:
        return SIGNER_KINDS;
    }
}

static int load(signer *s, const uint8_t *der, size_t len) {
    // GnuTLS only reads it, though the type of the member does not say so.
    const gnutls_datum_t bytes = {.data = (unsigned char *)(uintptr_t)der, .size = (unsigned)len};
    if (gnutls_privkey_init(&s->key) != 0)
        return IROH_ERR_NOMEM;
    if (gnutls_privkey_import_x509_raw(s->key, &bytes, GNUTLS_X509_FMT_DER, NULL, 0) != 0)
        return IROH_ERR_UNSUPPORTED;
    enum signer_kind kind = kind_of(s->key);
    if (kind == SIGNER_KINDS)
        return IROH_ERR_UNSUPPORTED;
    s->row = &signer_rows[kind];
    return 0;
}

int signer_new(const uint8_t *der, size_t len, signer **out) {
    signer *s = calloc(1, sizeof *s);
    if (s == NULL)
        return IROH_ERR_NOMEM;
    int r = load(s, der, len);
    if (r != 0) {
        signer_free(s);
        return r;
    }
    *out = s;
    return 0;
}

void signer_free(signer *s) {
    if (s == NULL)
        return;
    if (s->key != NULL)
        gnutls_privkey_deinit(s->key);
    free(s);
}

const uint16_t *signer_schemes(const signer *s, size_t *count) {
    *count = s->row->count;
    return s->row->schemes;
}

int signer_sign(const signer *s, uint16_t scheme, const uint8_t *message, size_t len,
                uint8_t out[static SIGNER_SIGNATURE_MAX]) {
    const gnutls_datum_t bytes = {.data = (unsigned char *)(uintptr_t)message, .size = (unsigned)len};
    gnutls_datum_t signature;
    int r = gnutls_privkey_sign_data2(s->key, algorithm_of(scheme), 0, &bytes, &signature);
    if (r != 0)
        return r == GNUTLS_E_MEMORY_ERROR ? IROH_ERR_NOMEM : IROH_ERR_CRYPTO;
    int out_len = signature.size <= SIGNER_SIGNATURE_MAX ? (int)signature.size : IROH_ERR_CRYPTO;
    if (out_len > 0)
        memcpy(out, signature.data, signature.size);
    gnutls_free(signature.data);
    return out_len;
}
