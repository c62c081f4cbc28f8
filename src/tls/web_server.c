#include "tls/web_server.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include <iroh/error.h>

#include "base/wipe.h"

// What clients of today speak, and AEAD suites alone, since the record layer knows no others. The server's order of suites
// counts: AES-128-GCM costs least.
#define SUITES ":+AEAD:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+ECDHE-ECDSA:+ECDHE-RSA"
#define GROUPS ":+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"
#define SIGNATURES ":+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:-SIGN-DSA-SHA1"
#define REST SUITES GROUPS SIGNATURES ":+COMP-NULL:+CTYPE-X509:%SERVER_PRECEDENCE"
#define PRIORITIES "NONE:+VERS-TLS1.3:+VERS-TLS1.2" REST
// QUIC forbids what makes old middleboxes content (RFC 9001, section 8.4).
#define QUIC_PRIORITIES "NONE:+VERS-TLS1.3" REST ":%DISABLE_TLS13_COMPAT_MODE"

struct web_certificate {
    atomic_uint references;
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priorities;
};

struct web_handshake {
    web_certificate *certificate;
    gnutls_session_t tls;
    const uint8_t *input;
    size_t input_len;
    uint8_t *output;
    size_t output_len, output_room;
    uint8_t read_secret[AEAD_HASH_MAX], write_secret[AEAD_HASH_MAX];  // TLS 1.3
    size_t secret_len;
    bool is_done, no_memory;
};

// --- Certificates

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

static void certificate_free(web_certificate *c) {
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

// --- Bytes in and out

static ssize_t pull(gnutls_transport_ptr_t user, void *out, size_t room) {
    web_handshake *h = user;
    if (h->input_len == 0) {
        gnutls_transport_set_errno(h->tls, EAGAIN);
        return -1;
    }
    size_t n = room < h->input_len ? room : h->input_len;
    memcpy(out, h->input, n);
    h->input += n;
    h->input_len -= n;
    return (ssize_t)n;
}

static int pull_timeout(gnutls_transport_ptr_t user, unsigned ms) {
    const web_handshake *h = user;
    (void)ms;
    return h->input_len > 0;
}

static ssize_t push(gnutls_transport_ptr_t user, const void *bytes, size_t len) {
    web_handshake *h = user;
    if (h->output_len + len > h->output_room) {
        size_t room = 2 * (h->output_len + len);
        uint8_t *grown = realloc(h->output, room);
        if (grown == NULL) {
            h->no_memory = true;
            gnutls_transport_set_errno(h->tls, ENOMEM);
            return -1;
        }
        h->output = grown;
        h->output_room = room;
    }
    memcpy(h->output + h->output_len, bytes, len);
    h->output_len += len;
    return (ssize_t)len;
}

static int on_secret(gnutls_session_t tls, gnutls_record_encryption_level_t level, const void *read, const void *write,
                     size_t len) {
    web_handshake *h = gnutls_session_get_ptr(tls);
    if (level != GNUTLS_ENCRYPTION_LEVEL_APPLICATION || len > AEAD_HASH_MAX)
        return 0;
    h->secret_len = len;
    if (read != NULL)
        memcpy(h->read_secret, read, len);
    if (write != NULL)
        memcpy(h->write_secret, write, len);
    return 0;
}

// --- The handshake

// Without tickets: clients of a relay keep no sessions, and each ticket would cost a record.
static int open_session(web_handshake *h) {
    if (gnutls_init(&h->tls, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS | GNUTLS_NO_SIGNAL) != 0) {
        h->tls = NULL;
        return IROH_ERR_NOMEM;
    }
    gnutls_session_set_ptr(h->tls, h);
    gnutls_transport_set_ptr(h->tls, h);
    gnutls_transport_set_pull_function(h->tls, pull);
    gnutls_transport_set_pull_timeout_function(h->tls, pull_timeout);
    gnutls_transport_set_push_function(h->tls, push);
    gnutls_handshake_set_timeout(h->tls, 0);
    gnutls_handshake_set_secret_function(h->tls, on_secret);
    if (gnutls_priority_set(h->tls, h->certificate->priorities) != 0 ||
        gnutls_credentials_set(h->tls, GNUTLS_CRD_CERTIFICATE, h->certificate->credentials) != 0)
        return IROH_ERR_CRYPTO;
    return 0;
}

int web_handshake_new(web_certificate *c, web_handshake **out) {
    web_handshake *h = calloc(1, sizeof *h);
    if (h == NULL)
        return IROH_ERR_NOMEM;
    h->certificate = web_certificate_ref(c);
    int r = open_session(h);
    if (r != 0) {
        web_handshake_free(h);
        return r;
    }
    *out = h;
    return 0;
}

void web_handshake_free(web_handshake *h) {
    if (h == NULL)
        return;
    if (h->tls != NULL)
        gnutls_deinit(h->tls);
    web_certificate_unref(h->certificate);
    free(h->output);
    wipe(h, sizeof *h);
    free(h);
}

static int fail(web_handshake *h, int error) {
    if (h->no_memory || error == GNUTLS_E_MEMORY_ERROR)
        return IROH_ERR_NOMEM;
    (void)gnutls_alert_send_appropriate(h->tls, error);
    return IROH_ERR_HANDSHAKE;
}

int web_handshake_receive(web_handshake *h, const uint8_t **bytes, size_t *len) {
    if (h->is_done)
        return 1;
    h->input = *bytes;
    h->input_len = *len;
    int r;
    do {
        r = gnutls_handshake(h->tls);
        // Warnings of the client, of which each takes a record.
    } while (r < 0 && !gnutls_error_is_fatal(r) && (r != GNUTLS_E_AGAIN || h->input_len > 0));
    *bytes = h->input;
    *len = h->input_len;
    if (r == GNUTLS_E_AGAIN)
        return 0;
    if (r < 0)
        return fail(h, r);
    h->is_done = true;
    return 1;
}

const uint8_t *web_handshake_output(web_handshake *h, size_t *len) {
    *len = h->output_len;
    h->output_len = 0;
    return h->output;
}

// --- What is left of it

static const aead_suite *suite_of(gnutls_cipher_algorithm_t cipher) {
    static const struct {
        gnutls_cipher_algorithm_t cipher;
        uint16_t id;
    } rows[] = {
        {GNUTLS_CIPHER_AES_128_GCM, 0x1301},
        {GNUTLS_CIPHER_AES_256_GCM, 0x1302},
        {GNUTLS_CIPHER_CHACHA20_POLY1305, 0x1303},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].cipher == cipher)
            return aead_suite_by_id(rows[i].id);
    }
    return NULL;
}

static uint64_t number_of(const unsigned char seq[8]) {
    uint64_t n = 0;
    for (unsigned i = 0; i < 8; i++)
        n = n << 8 | seq[i];
    return n;
}

static int take_state(const web_handshake *h, bool read, bool old, web_secret *out) {
    gnutls_datum_t mac, iv, key;
    unsigned char seq[8];
    if (gnutls_record_get_state(h->tls, read, &mac, &iv, &key, seq) != 0)
        return IROH_ERR_CRYPTO;
    out->seq = number_of(seq);
    if (!old)
        return 0;
    if (key.size > sizeof out->secret || iv.size > sizeof out->iv)
        return IROH_ERR_UNSUPPORTED;
    memcpy(out->secret, key.data, key.size);
    memcpy(out->iv, iv.data, iv.size);
    return 0;
}

int web_handshake_secrets(const web_handshake *h, web_secrets *out) {
    bool old = gnutls_protocol_get_version(h->tls) != GNUTLS_TLS1_3;
    *out = (web_secrets){.suite = suite_of(gnutls_cipher_get(h->tls)), .old = old};
    if (out->suite == NULL || (!old && h->secret_len != out->suite->hash_len))
        return IROH_ERR_UNSUPPORTED;
    int r = take_state(h, true, old, &out->read);
    if (r == 0)
        r = take_state(h, false, old, &out->write);
    if (r != 0 || old)
        return r;
    memcpy(out->read.secret, h->read_secret, h->secret_len);
    memcpy(out->write.secret, h->write_secret, h->secret_len);
    return 0;
}

int web_handshake_export(const web_handshake *h, const char *label, const void *context, size_t context_len,
                         uint8_t *out, size_t len) {
    int r = gnutls_prf_rfc5705(h->tls, strlen(label), label, context_len, context, len, (char *)out);
    return r == 0 ? 0 : IROH_ERR_CRYPTO;
}
