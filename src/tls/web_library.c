// The handshake by GnuTLS: TLS 1.2, other groups, resumption, whatever clients may say.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "tls/web_state.h"

// --- Bytes in and out

static ssize_t pull(gnutls_transport_ptr_t user, void *out, size_t room) {
    web_handshake *h = user;
    bool held = h->held_at < h->held_len;
    size_t left = held ? h->held_len - h->held_at : h->input_len, n = room < left ? room : left;
    if (left == 0) {
        gnutls_transport_set_errno(h->tls, EAGAIN);
        return -1;
    }
    memcpy(out, held ? h->held + h->held_at : h->input, n);
    if (held) {
        h->held_at += n;
    } else {
        h->input += n;
        h->input_len -= n;
    }
    return (ssize_t)n;
}

static int pull_timeout(gnutls_transport_ptr_t user, unsigned ms) {
    const web_handshake *h = user;
    (void)ms;
    return h->held_at < h->held_len || h->input_len > 0;
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
int web_library_open(web_handshake *h) {
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

void web_library_close(web_handshake *h) {
    if (h->tls != NULL)
        gnutls_deinit(h->tls);
    h->tls = NULL;
}

static int fail(web_handshake *h, int error) {
    if (h->no_memory || error == GNUTLS_E_MEMORY_ERROR)
        return IROH_ERR_NOMEM;
    (void)gnutls_alert_send_appropriate(h->tls, error);
    return IROH_ERR_HANDSHAKE;
}

int web_library_receive(web_handshake *h) {
    int r;
    do {
        r = gnutls_handshake(h->tls);
        // Warnings of the client, of which each takes a record.
    } while (r < 0 && !gnutls_error_is_fatal(r) && (r != GNUTLS_E_AGAIN || pull_timeout(h, 0)));
    if (r == GNUTLS_E_AGAIN)
        return 0;
    return r < 0 ? fail(h, r) : 1;
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

int web_library_secrets(const web_handshake *h, web_secrets *out) {
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

int web_library_export(const web_handshake *h, const char *label, const void *context, size_t context_len, uint8_t *out,
                       size_t len) {
    int r = gnutls_prf_rfc5705(h->tls, strlen(label), label, context_len, context, len, (char *)out);
    return r == 0 ? 0 : IROH_ERR_CRYPTO;
}
