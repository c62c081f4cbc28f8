// What the sessions of one endpoint share.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/abstract.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "tls/gnutls_state.h"

#define PRIORITY_MAX 512
#define DEFAULT_SUITES ":+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"

// TLS 1.3 with raw public keys and nothing else. Compatibility with old middleboxes would add a session id and
// ChangeCipherSpec, which QUIC forbids (RFC 9001, section 8.4). A server goes by its own order of suites.
#define PRIORITY_START "NONE:+VERS-TLS1.3"
#define PRIORITY_REST                                                                                                  \
    ":+AEAD:+GROUP-X25519:+GROUP-SECP256R1:+SIGN-EDDSA-ED25519:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK"                      \
    ":%DISABLE_TLS13_COMPAT_MODE:%SERVER_PRECEDENCE"

// A key of GnuTLS from ours. Null on failure.
static gnutls_privkey_t import_key(const tls_identity *identity) {
    gnutls_privkey_t key;
    if (gnutls_privkey_init(&key) != 0)
        return NULL;
    // GnuTLS only reads them, though the type of the member does not say so.
    gnutls_datum_t seed = {.data = (unsigned char *)(uintptr_t)identity->seed, .size = TLS_KEY};
    gnutls_datum_t public = {.data = (unsigned char *)(uintptr_t)identity->public_key, .size = TLS_KEY};
    if (gnutls_privkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_ED25519, &public, NULL, &seed) == 0)
        return key;
    gnutls_privkey_deinit(key);
    return NULL;
}

// The public half as a certificate without anything around it. 0 or an error of GnuTLS.
static int export_certificate(gnutls_privkey_t key, gnutls_pcert_st *out) {
    gnutls_pubkey_t public;
    int r = gnutls_pubkey_init(&public);
    if (r != 0)
        return r;
    r = gnutls_pubkey_import_privkey(public, key, 0, 0);
    if (r == 0)
        r = gnutls_pcert_import_rawpk(out, public, 0);
    // The certificate holds the public key now.
    if (r != 0)
        gnutls_pubkey_deinit(public);
    return r;
}

static bool set_identity(gnutls_certificate_credentials_t credentials, const tls_identity *identity) {
    gnutls_pcert_st certificate;
    gnutls_privkey_t key = import_key(identity);
    if (key == NULL)
        return false;
    if (export_certificate(key, &certificate) != 0) {
        gnutls_privkey_deinit(key);
        return false;
    }
    // Takes both over, but only when it succeeds.
    if (gnutls_certificate_set_key(credentials, NULL, 0, &certificate, 1, key) == 0)
        return true;
    gnutls_pcert_deinit(&certificate);
    gnutls_privkey_deinit(key);
    return false;
}

tls_context *tls_context_new(const tls_identity *identity, const entropy *random) {
    tls_context *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    tickets_init(&c->tickets, random);
    c->random = *random;
    c->certificate = identity->certificate;
    entropy_fill(random, c->hash_key, sizeof c->hash_key);
    if (gnutls_certificate_allocate_credentials(&c->credentials) == 0 && set_identity(c->credentials, identity) &&
        gnutls_priority_init(&c->priorities, PRIORITY_START DEFAULT_SUITES PRIORITY_REST, NULL) == 0)
        return c;
    tls_context_free(c);
    return NULL;
}

void tls_context_free(tls_context *c) {
    if (c == NULL)
        return;
    tickets_dispose(&c->tickets);
    if (c->priorities != NULL)
        gnutls_priority_deinit(c->priorities);
    if (c->credentials != NULL)
        gnutls_certificate_free_credentials(c->credentials);
    wipe(c, sizeof *c);
    free(c);
}

static const char *priority_word(uint16_t suite) {
    switch (suite) {
    case 0x1301:
        return ":+AES-128-GCM";
    case 0x1302:
        return ":+AES-256-GCM";
    default:
        return ":+CHACHA20-POLY1305";
    }
}

int tls_set_priorities(const tls_context *c, gnutls_session_t tls, const uint16_t *suites, size_t count) {
    char words[PRIORITY_MAX] = "";
    for (size_t i = 0; i < count; i++)
        (void)strncat(words, priority_word(suites[i]), sizeof words - strlen(words) - 1);
    if (strcmp(words, DEFAULT_SUITES) == 0)
        return gnutls_priority_set(tls, c->priorities);
    char text[PRIORITY_MAX];
    (void)snprintf(text, sizeof text, "%s%.128s%s", PRIORITY_START, words, PRIORITY_REST);
    return gnutls_priority_set_direct(tls, text, NULL);
}
