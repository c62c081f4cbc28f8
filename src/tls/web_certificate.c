#include <stdlib.h>

#include <gnutls/x509.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "tls/web_state.h"

// What clients of today speak, and AEAD suites alone, since the record layer knows no others. The server's order of suites
// counts: AES-128-GCM costs least.
#define SUITES ":+AEAD:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+ECDHE-ECDSA:+ECDHE-RSA"
#define GROUPS ":+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"
#define SIGNATURES ":+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:-SIGN-DSA-SHA1"
#define REST SUITES GROUPS SIGNATURES ":+COMP-NULL:+CTYPE-X509:%SERVER_PRECEDENCE"
#define PRIORITIES "NONE:+VERS-TLS1.3:+VERS-TLS1.2" REST
// QUIC forbids what makes old middleboxes content (RFC 9001, section 8.4).
#define QUIC_PRIORITIES "NONE:+VERS-TLS1.3" REST ":%DISABLE_TLS13_COMPAT_MODE"
#define CHAIN_MAX 16  // certificates; with more, the library serves

// --- From files

static int load(web_certificate *c, const void *chain, size_t chain_len, const void *key, size_t key_len) {
    // GnuTLS only reads them, though the type of the member does not say so.
    const gnutls_datum_t chain_pem = {.data = (unsigned char *)(uintptr_t)chain, .size = (unsigned)chain_len};
    const gnutls_datum_t key_pem = {.data = (unsigned char *)(uintptr_t)key, .size = (unsigned)key_len};
    if (gnutls_certificate_allocate_credentials(&c->credentials) != 0 ||
        gnutls_priority_init(&c->priorities, PRIORITIES, NULL) != 0)
        return IROH_ERR_NOMEM;
    int r = gnutls_certificate_set_x509_key_mem(c->credentials, &chain_pem, &key_pem, GNUTLS_X509_FMT_PEM);
    if (r == GNUTLS_E_MEMORY_ERROR)
        return IROH_ERR_NOMEM;
    if (r == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return IROH_ERR_KEY;
    return r >= 0 ? 0 : IROH_ERR_SYNTAX;
}

// --- For the handshake of our own

static int load_key(web_certificate *c) {
    gnutls_x509_privkey_t key;
    gnutls_datum_t der;
    if (gnutls_certificate_get_x509_key(c->credentials, 0, &key) != 0)
        return IROH_ERR_UNSUPPORTED;
    int r = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN, &der);
    gnutls_x509_privkey_deinit(key);
    if (r != 0)
        return r == GNUTLS_E_MEMORY_ERROR ? IROH_ERR_NOMEM : IROH_ERR_UNSUPPORTED;
    r = signer_new(der.data, der.size, &c->key);
    wipe(der.data, der.size);
    gnutls_free(der.data);
    return r;
}

static int load_message(web_certificate *c) {
    tls_certificate chain[CHAIN_MAX];
    size_t count = 0;
    gnutls_datum_t der;
    while (gnutls_certificate_get_crt_raw(c->credentials, 0, (unsigned)count, &der) == 0) {
        if (count == CHAIN_MAX)
            return IROH_ERR_UNSUPPORTED;
        chain[count++] = (tls_certificate){der.data, der.size};
    }
    int len = tls_server_put_certificate(chain, count, NULL, 0);
    if (len < 0)
        return IROH_ERR_UNSUPPORTED;
    c->message = malloc((size_t)len);
    if (c->message == NULL)
        return IROH_ERR_NOMEM;
    len = tls_server_put_certificate(chain, count, c->message, (size_t)len);
    c->credential = (tls_credential){c->key, c->message, (size_t)len};
    return 0;
}

// Where this says IROH_ERR_UNSUPPORTED, the library alone serves.
static int prepare(web_certificate *c) {
    int r = load_key(c);
    if (r == 0)
        r = load_message(c);
    if (r != 0) {
        signer_free(c->key);
        c->key = NULL;
    }
    return r;
}

// ---

static void certificate_free(web_certificate *c) {
    signer_free(c->key);
    free(c->message);
    if (c->credentials != NULL)
        gnutls_certificate_free_credentials(c->credentials);
    if (c->priorities != NULL)
        gnutls_priority_deinit(c->priorities);
    free(c);
}

int web_certificate_new(const void *chain, size_t chain_len, const void *key, size_t key_len, web_certificate **out) {
    web_certificate *c = calloc(1, sizeof *c);
    if (c == NULL)
        return IROH_ERR_NOMEM;
    atomic_init(&c->references, 1);
    int r = load(c, chain, chain_len, key, key_len);
    if (r == 0 && prepare(c) == IROH_ERR_NOMEM)
        r = IROH_ERR_NOMEM;
    if (r != 0) {
        certificate_free(c);
        return r;
    }
    *out = c;
    return 0;
}

web_certificate *web_certificate_ref(web_certificate *c) {
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void web_certificate_unref(web_certificate *c) {
    if (c != NULL && atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) == 1)
        certificate_free(c);
}

int web_certificate_apply(const web_certificate *c, struct gnutls_session_int *tls) {
    int r = gnutls_priority_set_direct(tls, QUIC_PRIORITIES, NULL);
    return r == 0 ? gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, c->credentials) : r;
}
