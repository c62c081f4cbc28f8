#include "tls/web_client.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include <iroh/error.h>

// As the server's (tls/web_server.c), in a client's order. QUIC forbids what makes old middleboxes content (RFC 9001,
// section 8.4).
#define PRIORITIES                                                                                                     \
    "NONE:+VERS-TLS1.3:+AEAD:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+GROUP-X25519:+GROUP-SECP256R1"              \
    ":+GROUP-SECP384R1:+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:-SIGN-DSA-SHA1:+COMP-NULL:+CTYPE-X509"                \
    ":%DISABLE_TLS13_COMPAT_MODE"

struct web_roots {
    atomic_uint references;
    gnutls_certificate_credentials_t credentials;
};

int web_roots_new(const char *ca_file, web_roots **out) {
    web_roots *r = calloc(1, sizeof *r);
    if (r == NULL)
        return IROH_ERR_NOMEM;
    atomic_init(&r->references, 1);
    int found = gnutls_certificate_allocate_credentials(&r->credentials);
    if (found == 0)
        found = ca_file != NULL ? gnutls_certificate_set_x509_trust_file(r->credentials, ca_file, GNUTLS_X509_FMT_PEM)
                                : gnutls_certificate_set_x509_system_trust(r->credentials);
    if (found <= 0) {
        web_roots_unref(r);
        return found == GNUTLS_E_MEMORY_ERROR ? IROH_ERR_NOMEM : IROH_ERR_NOT_FOUND;
    }
    *out = r;
    return 0;
}

web_roots *web_roots_ref(web_roots *r) {
    atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed);
    return r;
}

void web_roots_unref(web_roots *r) {
    if (r == NULL || atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) != 1)
        return;
    if (r->credentials != NULL)
        gnutls_certificate_free_credentials(r->credentials);
    free(r);
}

// Digits and dots alone, or a colon: no such host name exists.
static bool is_address(const char *host) {
    return strchr(host, ':') != NULL || host[strspn(host, "0123456789.")] == '\0';
}

int web_roots_apply(const web_roots *r, const char *host, struct gnutls_session_int *tls) {
    int error = gnutls_priority_set_direct(tls, PRIORITIES, NULL);
    if (error == 0)
        error = gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, r->credentials);
    if (error == 0 && !is_address(host))
        error = gnutls_server_name_set(tls, GNUTLS_NAME_DNS, host, strlen(host));
    gnutls_session_set_verify_cert(tls, host, 0);
    return error;
}
