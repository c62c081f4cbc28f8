// What each handshake message must say for us: GnuTLS knows TLS, but not who the peer must be, how QUIC and iroh narrow
// TLS down (RFC 9001, section 8; RFC 7250), nor which tickets are good.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/bytes.h"
#include "crypto/hkdf.h"
#include "tls/gnutls_state.h"

#define CERTIFICATE_RAW_KEY 2  // the certificate type of RFC 7250
#define PSK_DHE_KE 1
#define EXT_ALPN 16
#define EXT_CLIENT_CERTIFICATE_TYPE 19
#define EXT_SERVER_CERTIFICATE_TYPE 20
#define EXT_EARLY_DATA 42
#define EXT_QUIC_PARAMS 57
#define ILLEGAL_PARAMETER ((uint8_t)GNUTLS_A_ILLEGAL_PARAMETER)

#define SPKI_LEN 44
#define SPKI_PREFIX 12

// SubjectPublicKeyInfo of an Ed25519 key (RFC 8410), up to the key.
static const uint8_t spki_prefix[SPKI_PREFIX] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

// --- The peer's key

// The y coordinates of the points of small order, as far as they differ modulo the sign bit. For such a key anyone can
// make signatures, so it proves nobody's identity.
static const uint8_t small_order[][TLS_KEY] = {
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    // p - 1, p and p + 1
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

static bool is_small_order(const uint8_t key[static TLS_KEY]) {
    uint8_t y[TLS_KEY];
    memcpy(y, key, sizeof y);
    y[TLS_KEY - 1] &= 0x7f;
    for (size_t i = 0; i < sizeof small_order / sizeof small_order[0]; i++)
        if (memcmp(y, small_order[i], sizeof y) == 0)
            return true;
    return false;
}

// The alert for a certificate; 0 when it is one, and *key is then in it.
static uint8_t judge_certificate(const tls_session *s, const uint8_t *spki, size_t len, const uint8_t **key) {
    bool is_key = len == SPKI_LEN && memcmp(spki, spki_prefix, SPKI_PREFIX) == 0;
    *key = spki + SPKI_PREFIX;
    if (s->role == TLS_CLIENT && (!is_key || memcmp(*key, s->expected_key, TLS_KEY) != 0))
        return TLS_ALERT_UNKNOWN_CA;
    if (!is_key)
        return TLS_ALERT_BAD_CERTIFICATE;
    return is_small_order(*key) ? TLS_ALERT_DECRYPT_ERROR : 0;
}

// context u8.. (empty) | list u24.. of: certificate u24.., extensions u16.. (RFC 8446, section 4.4.2)
static int on_certificate(tls_session *s, const uint8_t *body, size_t len) {
    reader r = reader_of(body, len);
    uint8_t context_len = reader_u8(&r);
    size_t list_len = (size_t)reader_be(&r, 3);
    if (r.failed || context_len != 0 || list_len != reader_left(&r))
        return tls_fail(s, TLS_ALERT_DECODE_ERROR);
    if (list_len == 0)
        return tls_fail(s, s->role == TLS_SERVER ? TLS_ALERT_CERTIFICATE_REQUIRED : TLS_ALERT_DECODE_ERROR);
    size_t spki_len = (size_t)reader_be(&r, 3);
    const uint8_t *spki = reader_bytes(&r, spki_len);
    (void)reader_bytes(&r, reader_u16(&r));
    if (r.failed)
        return tls_fail(s, TLS_ALERT_DECODE_ERROR);
    if (reader_left(&r) > 0)
        return tls_fail(s, TLS_ALERT_BAD_CERTIFICATE);
    const uint8_t *key;
    uint8_t alert = judge_certificate(s, spki, spki_len, &key);
    if (alert != 0)
        return tls_fail(s, alert);
    memcpy(s->peer_key, key, TLS_KEY);
    return 0;
}

// --- What both hellos say

static int keep_params(tls_session *s, const uint8_t *bytes, size_t len) {
    s->peer_params = malloc(len > 0 ? len : 1);
    if (s->peer_params == NULL) {
        s->failure = IROH_ERR_NOMEM;
        return s->failure;
    }
    memcpy(s->peer_params, bytes, len);
    s->peer_params_len = len;
    s->params_known = true;
    return 0;
}

static bool keep_alpn(tls_session *s, const uint8_t *name, size_t len) {
    if (name == NULL || len == 0 || len > sizeof s->alpn)
        return false;
    memcpy(s->alpn, name, len);
    s->alpn_len = (uint8_t)len;
    return true;
}

// Finds a name in a list of names with their lengths in front.
static bool list_has(reader list, const uint8_t *name, size_t len) {
    while (reader_left(&list) > 0) {
        size_t n = reader_u8(&list);
        const uint8_t *p = reader_bytes(&list, n);
        if (p != NULL && n == len && memcmp(p, name, len) == 0)
            return true;
    }
    return false;
}

// --- Server: ClientHello

// By our own order, as iroh's servers do. GnuTLS is told the one name that was chosen.
static bool choose_alpn(tls_session *s, const hello_span *offered) {
    reader own = reader_of(s->alpns, s->alpns_len);
    while (reader_left(&own) > 0) {
        size_t len = reader_u8(&own);
        const uint8_t *name = reader_bytes(&own, len);
        if (!list_has(reader_of(offered->p, offered->len), name, len))
            continue;
        gnutls_datum_t datum = {.data = (unsigned char *)(uintptr_t)name, .size = (unsigned)len};
        return keep_alpn(s, name, len) && gnutls_alpn_set_protocols(s->tls, &datum, 1, GNUTLS_ALPN_MANDATORY) == 0;
    }
    return false;
}

// The suite that will be chosen; null when there is none in common.
static const aead_suite *suite_to_be(const tls_session *s, const hello_span *offered) {
    for (size_t i = 0; i < s->suite_count; i++) {
        reader r = reader_of(offered->p, offered->len);
        while (reader_left(&r) > 0)
            if (reader_u16(&r) == s->suites[i])
                return aead_suite_by_id(s->suites[i]);
    }
    return NULL;
}

// Whether the ticket of a ClientHello is one of ours, unused and of use: a ticket also brings back a hash, so there must
// be a suite of that hash. More than one ticket is never looked at, since GnuTLS might then take another than the one
// that was found good.
static bool find_ticket(tls_session *s, const client_hello *hello) {
    if (hello->identities != 1 || !hello_span_has(&hello->psk_modes, PSK_DHE_KE))
        return false;
    s->ticket = tickets_take(&s->context->tickets, hello->ticket.p, hello->ticket.len);
    const aead_suite *now = suite_to_be(s, &hello->suites);
    return s->ticket != NULL && now != NULL && now->hash_len == aead_suite_by_id(s->ticket->suite)->hash_len;
}

// Early data is taken only for what it was meant for (RFC 8446, section 4.2.10).
static bool may_take_early(const tls_session *s, const client_hello *hello) {
    return s->enable_early && suite_to_be(s, &hello->suites)->id == s->ticket->suite &&
           s->alpn_len == s->ticket->alpn_len && memcmp(s->alpn, s->ticket->alpn, s->alpn_len) == 0;
}

// GnuTLS opens any ticket that its secret fits, as often as it comes. So it gets the secret of a ticket only together
// with that ticket, and otherwise a new one, which fits none that there is.
static int use_ticket(tls_session *s, const client_hello *hello) {
    bool good = find_ticket(s, hello);
    if (good)
        memcpy(s->ticket_secret, s->ticket->secret, sizeof s->ticket_secret);
    else
        entropy_fill(&s->context->random, s->ticket_secret, sizeof s->ticket_secret);
    gnutls_datum_t secret = {.data = s->ticket_secret, .size = sizeof s->ticket_secret};
    if (gnutls_session_ticket_enable_server(s->tls, &secret) != 0)
        return tls_fail(s, TLS_ALERT_INTERNAL_ERROR);
    s->want_early = good && hello->early && may_take_early(s, hello);
    return 0;
}

// After a HelloRetryRequest these must come again as they were (RFC 8446, section 4.1.2).
static void hash_hello(const tls_session *s, const client_hello *hello, uint8_t out[static 32]) {
    const hello_span *parts[] = {&hello->suites, &hello->alpns, &hello->params, &hello->psk_modes, &hello->ticket};
    const uint8_t *key = s->context->hash_key;
    uint8_t chain[64] = {(uint8_t)hello->identities};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        hmac_sha256(key, sizeof s->context->hash_key, parts[i]->p, parts[i]->len, chain + 32);
        hmac_sha256(key, sizeof s->context->hash_key, chain, sizeof chain, chain);
    }
    memcpy(out, chain, 32);
}

static int on_second_hello(tls_session *s, const client_hello *hello) {
    s->hello_retried = true;
    uint8_t hash[sizeof s->hello_hash];
    hash_hello(s, hello, hash);
    return memcmp(hash, s->hello_hash, sizeof hash) == 0 ? 0 : tls_fail(s, ILLEGAL_PARAMETER);
}

static int on_client_hello(tls_session *s, const uint8_t *body, size_t len) {
    client_hello hello;
    if (client_hello_parse(body, len, &hello) != 0)
        return tls_fail(s, TLS_ALERT_DECODE_ERROR);
    if (s->hello_seen)
        return on_second_hello(s, &hello);
    s->hello_seen = true;
    hash_hello(s, &hello, s->hello_hash);
    bool raw_keys = hello_span_has(&hello.client_types, CERTIFICATE_RAW_KEY) &&
                    hello_span_has(&hello.server_types, CERTIFICATE_RAW_KEY);
    if (!raw_keys && s->certificate == NULL)
        return tls_fail(s, TLS_ALERT_HANDSHAKE_FAILURE);
    if (!choose_alpn(s, &hello.alpns))
        return tls_fail(s, TLS_ALERT_NO_APPLICATION_PROTOCOL);
    if (hello.params.p == NULL)
        return tls_fail(s, TLS_ALERT_MISSING_EXTENSION);
    int r = keep_params(s, hello.params.p, hello.params.len);
    return r == 0 && s->certificate == NULL ? use_ticket(s, &hello) : r;
}

// --- Client: EncryptedExtensions and tickets

typedef struct extension {
    uint16_t type;
    const uint8_t *data;
    size_t len;
} extension;

static bool next_extension(reader *r, extension *out) {
    out->type = reader_u16(r);
    out->len = reader_u16(r);
    out->data = reader_bytes(r, out->len);
    return !r->failed;
}

// One name, in a list of one.
static uint8_t take_alpn(tls_session *s, const extension *e) {
    reader r = reader_of(e->data, e->len);
    size_t list = reader_u16(&r), len = reader_u8(&r);
    const uint8_t *name = reader_bytes(&r, len);
    if (r.failed || reader_left(&r) > 0 || list != len + 1 || len == 0)
        return TLS_ALERT_DECODE_ERROR;
    return list_has(reader_of(s->alpns, s->alpns_len), name, len) && keep_alpn(s, name, len) ? 0 : ILLEGAL_PARAMETER;
}

// 0 or an alert; what else there may be is for GnuTLS to judge.
static uint8_t take_extension(tls_session *s, const extension *e, unsigned *raw_keys) {
    switch (e->type) {
    case EXT_ALPN:
        return s->alpn_len > 0 ? ILLEGAL_PARAMETER : take_alpn(s, e);
    case EXT_QUIC_PARAMS:
        if (s->params_known)
            return ILLEGAL_PARAMETER;
        return keep_params(s, e->data, e->len) == 0 ? 0 : TLS_ALERT_INTERNAL_ERROR;
    case EXT_CLIENT_CERTIFICATE_TYPE:
    case EXT_SERVER_CERTIFICATE_TYPE:
        if (e->len == 1 && e->data[0] == CERTIFICATE_RAW_KEY)
            *raw_keys |= 1U << (e->type - EXT_CLIENT_CERTIFICATE_TYPE);
        return 0;
    default:
        return 0;
    }
}

static int on_encrypted_extensions(tls_session *s, const uint8_t *body, size_t len) {
    reader r = reader_of(body, len);
    unsigned raw_keys = 0;
    size_t list_len = reader_u16(&r);
    if (r.failed || list_len != reader_left(&r))
        return tls_fail(s, TLS_ALERT_DECODE_ERROR);
    while (reader_left(&r) > 0) {
        extension e;
        if (!next_extension(&r, &e))
            return tls_fail(s, TLS_ALERT_DECODE_ERROR);
        uint8_t alert = take_extension(s, &e, &raw_keys);
        if (alert != 0)
            return tls_fail(s, alert);
    }
    // A resumed handshake has no certificates, so their types need not be said.
    if (tls_has_raw_keys(s) && raw_keys != 3 && !gnutls_session_is_resumed(s->tls))
        return tls_fail(s, TLS_ALERT_HANDSHAKE_FAILURE);
    if (s->alpn_len == 0)
        return tls_fail(s, TLS_ALERT_NO_APPLICATION_PROTOCOL);
    return s->params_known ? 0 : tls_fail(s, TLS_ALERT_MISSING_EXTENSION);
}

// lifetime u32, age_add u32, nonce u8.., ticket u16.., extensions u16.. (RFC 8446, section 4.6.1)
static int on_new_session_ticket(tls_session *s, const uint8_t *body, size_t len) {
    reader r = reader_of(body, len);
    (void)reader_bytes(&r, 8);
    (void)reader_bytes(&r, reader_u8(&r));
    (void)reader_bytes(&r, reader_u16(&r));
    size_t list_len = reader_u16(&r);
    if (r.failed || list_len != reader_left(&r))
        return tls_fail(s, TLS_ALERT_DECODE_ERROR);
    s->ticket_early = false;
    while (reader_left(&r) > 0) {
        extension e;
        if (!next_extension(&r, &e))
            return tls_fail(s, TLS_ALERT_DECODE_ERROR);
        if (e.type != EXT_EARLY_DATA)
            continue;
        reader limit = reader_of(e.data, e.len);
        if (reader_u32(&limit) != TLS_EARLY_DATA_ANY || limit.failed || reader_left(&limit) > 0)
            return tls_fail(s, ILLEGAL_PARAMETER);
        s->ticket_early = true;
    }
    return 0;
}

// --- All

static int check_as_server(tls_session *s, uint8_t type, const uint8_t *body, size_t len) {
    if (!s->is_done && type == MSG_CLIENT_HELLO)
        return on_client_hello(s, body, len);
    if (!s->is_done && type == MSG_FINISHED)
        return 0;
    if (!s->is_done && s->certificate == NULL && type == MSG_CERTIFICATE)
        return on_certificate(s, body, len);
    if (!s->is_done && s->certificate == NULL && type == MSG_CERTIFICATE_VERIFY)
        return 0;
    return tls_fail(s, TLS_ALERT_UNEXPECTED_MESSAGE);
}

static int check_as_client(tls_session *s, uint8_t type, const uint8_t *body, size_t len) {
    // Nothing but tickets comes after the handshake: QUIC updates keys by itself (RFC 9001, section 6).
    if (s->is_done)
        return type == MSG_NEW_SESSION_TICKET ? on_new_session_ticket(s, body, len)
                                              : tls_fail(s, TLS_ALERT_UNEXPECTED_MESSAGE);
    switch (type) {
    case MSG_ENCRYPTED_EXTENSIONS:
        return on_encrypted_extensions(s, body, len);
    case MSG_CERTIFICATE:
        return tls_has_raw_keys(s) ? on_certificate(s, body, len) : 0;
    case MSG_SERVER_HELLO:
    case MSG_CERTIFICATE_REQUEST:
    case MSG_CERTIFICATE_VERIFY:
    case MSG_FINISHED:
        return 0;
    default:
        return tls_fail(s, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

int tls_check_message(tls_session *s, uint8_t type, const uint8_t *body, size_t len) {
    return s->role == TLS_SERVER ? check_as_server(s, type, body, len) : check_as_client(s, type, body, len);
}

// Whether the key that we know is the one that GnuTLS has checked, or has kept since it did.
static bool key_is_proven(const tls_session *s) {
    unsigned count = 0;
    const gnutls_datum_t *certificate = gnutls_certificate_get_peers(s->tls, &count);
    return certificate != NULL && count == 1 && certificate->size == SPKI_LEN &&
           memcmp(certificate->data, spki_prefix, SPKI_PREFIX) == 0 &&
           memcmp(certificate->data + SPKI_PREFIX, s->peer_key, TLS_KEY) == 0;
}

int tls_check_done(tls_session *s) {
    bool resumed = gnutls_session_is_resumed(s->tls) != 0;
    bool early = s->early_ok;
    if (s->role == TLS_CLIENT)
        early = (gnutls_session_get_flags(s->tls) & GNUTLS_SFLAGS_EARLY_DATA) != 0;
    if (resumed) {
        const uint8_t *key = s->role == TLS_CLIENT ? s->resume.peer_key
                             : s->ticket != NULL   ? s->ticket->peer_key
                                                   : NULL;
        if (key == NULL)
            return tls_fail(s, TLS_ALERT_INTERNAL_ERROR);
        memcpy(s->peer_key, key, TLS_KEY);
    }
    if ((tls_has_raw_keys(s) && !key_is_proven(s)) || !s->params_known || s->alpn_len == 0 || !s->has_exporter ||
        s->suite == NULL)
        return tls_fail(s, TLS_ALERT_INTERNAL_ERROR);
    // A server that takes early data must stay with what it was sent under.
    if (s->role == TLS_CLIENT && early &&
        (!resumed || s->suite->id != s->resume.suite || s->alpn_len != s->resume.alpn_len ||
         memcmp(s->alpn, s->resume.alpn, s->alpn_len) != 0))
        return tls_fail(s, ILLEGAL_PARAMETER);
    s->is_resumed = resumed;
    s->early_ok = early;
    s->is_done = true;
    return 0;
}
