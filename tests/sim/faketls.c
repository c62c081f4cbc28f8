#include "faketls.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/bytes.h"
#include "base/wipe.h"
#include "crypto/hkdf.h"

#define HASH 32
#define MESSAGE_MAX 4096
#define FLIGHT_PAD 600  // what certificates and signatures would take
#define TICKET_MAGIC 0x51

enum { MSG_CLIENT_HELLO = 1, MSG_SERVER_HELLO = 2, MSG_TICKET = 4, MSG_SERVER_FLIGHT = 8, MSG_CLIENT_FLIGHT = 20 };

struct tls_context {
    tls_identity identity;
    entropy random;
    uint8_t life[8];  // tickets of another life are unknown
};

struct tls_session {
    tls_context *context;
    tls_role role;
    tls_callbacks callbacks;
    void *user;
    const aead_suite *suite;
    uint8_t alpns[1024];
    size_t alpns_len;  // u8 length, name, ...
    uint8_t params[512];
    size_t params_len;
    uint8_t expected[32];
    bool has_expected, offer_early, accept_early, has_session;
    uint8_t session_key[32];  // client: whose session this resumes
    uint8_t secret[HASH];     // master of everything
    uint8_t early_secret[HASH];
    uint8_t inbox[3][MESSAGE_MAX];
    size_t inbox_len[3];
    uint8_t peer_params[512];
    size_t peer_params_len;
    uint8_t peer_key[32];
    uint8_t alpn[256];
    size_t alpn_len;
    uint8_t exporter[HASH];
    bool has_peer_params, has_key, is_done, is_resumed, early_ok, is_client_hello_done;
    uint8_t alert_code;
};

static tls_context *context_new(const tls_identity *identity, const entropy *random) {
    tls_context *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->identity = *identity;
    c->random = *random;
    entropy_fill(random, c->life, sizeof c->life);
    return c;
}

static void context_free(tls_context *c) {
    if (c != NULL)
        wipe(c, sizeof *c);
    free(c);
}

static int fail(tls_session *s, uint8_t alert) {
    s->alert_code = alert;
    return IROH_ERR_HANDSHAKE;
}

static int send_message(tls_session *s, tls_level level, uint8_t type, const writer *body) {
    uint8_t out[MESSAGE_MAX];
    size_t len = writer_len(body);
    writer w = writer_of(out, sizeof out);
    writer_u8(&w, type);
    writer_be(&w, len, 3);
    writer_bytes(&w, body->start, len);
    return w.failed || body->failed ? IROH_ERR_INTERNAL : s->callbacks.send(s->user, level, out, writer_len(&w));
}

static int give_secret(tls_session *s, tls_level level, bool write, const char *label) {
    uint8_t secret[HASH];
    const uint8_t *from = level == TLS_EARLY ? s->early_secret : s->secret;
    hkdf_expand_label(HASH, from, label, NULL, 0, secret, HASH);
    return s->callbacks.secret(s->user, level, write, s->suite, secret);
}

static void copy_alpns(tls_session *s, const tls_config *config) {
    writer w = writer_of(s->alpns, sizeof s->alpns);
    for (size_t i = 0; i < config->alpn_count; i++) {
        writer_u8(&w, config->alpns[i].len);
        writer_bytes(&w, config->alpns[i].name, config->alpns[i].len);
    }
    s->alpns_len = writer_len(&w);
}

static int session_new(tls_context *c, const tls_config *config, tls_session **out) {
    tls_session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return IROH_ERR_NOMEM;
    s->context = c;
    s->role = config->role;
    s->callbacks = *config->callbacks;
    s->user = config->user;
    s->suite = aead_suite_by_id(config->suite_count > 0 ? config->suites[0] : 0x1301);
    if (s->suite->hash_len != HASH)
        s->suite = aead_suite_by_id(0x1301);
    copy_alpns(s, config);
    memcpy(s->params, config->params, config->params_len);
    s->params_len = config->params_len;
    s->accept_early = config->enable_early;
    if (config->expected_key != NULL) {
        memcpy(s->expected, config->expected_key, 32);
        s->has_expected = true;
    }
    if (config->session != NULL && config->session_len == 1 + 8 + 32) {
        s->has_session = true;
        s->offer_early = config->enable_early;
        memcpy(s->early_secret, config->session + 9, 32);
        memcpy(s->session_key, config->session + 1, 8);
    }
    *out = s;
    return 0;
}

static void session_free(tls_session *s) {
    if (s != NULL)
        wipe(s, sizeof *s);
    free(s);
}

static int start(tls_session *s) {
    if (s->role == TLS_SERVER)
        return 0;
    uint8_t body[MESSAGE_MAX], random[HASH];
    entropy_fill(&s->context->random, random, sizeof random);
    memcpy(s->secret, random, HASH);
    writer w = writer_of(body, sizeof body);
    writer_bytes(&w, random, HASH);
    writer_u16(&w, (uint16_t)s->suite->id);
    writer_u8(&w, (uint8_t)(s->has_session | (s->offer_early << 1)));
    writer_bytes(&w, s->session_key, 8);
    writer_bytes(&w, s->early_secret, HASH);
    writer_u16(&w, (uint16_t)s->params_len);
    writer_bytes(&w, s->params, s->params_len);
    writer_u16(&w, (uint16_t)s->alpns_len);
    writer_bytes(&w, s->alpns, s->alpns_len);
    int r = send_message(s, TLS_INITIAL, MSG_CLIENT_HELLO, &w);
    if (r == 0 && s->offer_early)
        r = give_secret(s, TLS_EARLY, true, "early");
    return r;
}

static bool choose_alpn(tls_session *s, reader offered) {
    reader own = reader_of(s->alpns, s->alpns_len);
    while (reader_left(&own) > 0) {
        uint8_t len = reader_u8(&own);
        const uint8_t *name = reader_bytes(&own, len);
        reader r = offered;
        while (reader_left(&r) > 0) {
            uint8_t n = reader_u8(&r);
            const uint8_t *p = reader_bytes(&r, n);
            if (p != NULL && n == len && memcmp(p, name, n) == 0) {
                memcpy(s->alpn, p, n);
                s->alpn_len = n;
                return true;
            }
        }
    }
    return false;
}

static int server_flight(tls_session *s) {
    uint8_t body[MESSAGE_MAX];
    writer w = writer_of(body, sizeof body);
    uint8_t random[HASH];
    entropy_fill(&s->context->random, random, sizeof random);
    writer_bytes(&w, random, HASH);
    int r = send_message(s, TLS_INITIAL, MSG_SERVER_HELLO, &w);
    for (size_t i = 0; i < HASH; i++)
        s->secret[i] ^= random[i];
    if (r == 0)
        r = give_secret(s, TLS_HANDSHAKE, true, "hs server");
    if (r == 0)
        r = give_secret(s, TLS_HANDSHAKE, false, "hs client");
    w = writer_of(body, sizeof body);
    writer_bytes(&w, s->context->identity.public_key, 32);
    writer_u8(&w, (uint8_t)(s->is_resumed | (s->early_ok << 1)));
    writer_u16(&w, (uint16_t)s->params_len);
    writer_bytes(&w, s->params, s->params_len);
    writer_u8(&w, (uint8_t)s->alpn_len);
    writer_bytes(&w, s->alpn, s->alpn_len);
    memset(writer_room(&w, FLIGHT_PAD), 0, FLIGHT_PAD);
    if (r == 0)
        r = send_message(s, TLS_HANDSHAKE, MSG_SERVER_FLIGHT, &w);
    if (r == 0)
        r = give_secret(s, TLS_APPLICATION, true, "app server");
    return r;
}

static int on_client_hello(tls_session *s, reader *r) {
    reader_copy(r, s->secret, HASH);
    uint16_t suite = reader_u16(r);
    uint8_t flags = reader_u8(r);
    uint8_t life[8];
    reader_copy(r, life, sizeof life);
    reader_copy(r, s->early_secret, HASH);
    size_t len = reader_u16(r);
    const uint8_t *params = reader_bytes(r, len);
    if (params == NULL || len > sizeof s->peer_params)
        return fail(s, TLS_ALERT_DECODE_ERROR);
    memcpy(s->peer_params, params, len);
    s->peer_params_len = len;
    s->has_peer_params = true;
    len = reader_u16(r);
    const uint8_t *alpns = reader_bytes(r, len);
    if (alpns == NULL || aead_suite_by_id(suite) == NULL)
        return fail(s, TLS_ALERT_DECODE_ERROR);
    s->suite = aead_suite_by_id(suite);
    if (!choose_alpn(s, reader_of(alpns, len)))
        return fail(s, TLS_ALERT_NO_APPLICATION_PROTOCOL);
    s->is_resumed = (flags & 1) != 0 && memcmp(life, s->context->life, 8) == 0;
    s->early_ok = s->is_resumed && (flags & 2) != 0 && s->accept_early;
    s->is_client_hello_done = true;
    int result = s->early_ok ? give_secret(s, TLS_EARLY, false, "early") : 0;
    return result != 0 ? result : server_flight(s);
}

static int on_server_hello(tls_session *s, reader *r) {
    uint8_t random[HASH];
    reader_copy(r, random, HASH);
    for (size_t i = 0; i < HASH; i++)
        s->secret[i] ^= random[i];
    int result = give_secret(s, TLS_HANDSHAKE, false, "hs server");
    return result != 0 ? result : give_secret(s, TLS_HANDSHAKE, true, "hs client");
}

static void finish(tls_session *s) {
    hkdf_expand_label(HASH, s->secret, "exporter", NULL, 0, s->exporter, HASH);
    s->is_done = true;
}

static int on_server_flight(tls_session *s, reader *r) {
    reader_copy(r, s->peer_key, 32);
    if (s->has_expected && memcmp(s->peer_key, s->expected, 32) != 0)
        return fail(s, TLS_ALERT_UNKNOWN_CA);
    s->has_key = true;
    uint8_t flags = reader_u8(r);
    s->is_resumed = (flags & 1) != 0;
    s->early_ok = (flags & 2) != 0;
    size_t len = reader_u16(r);
    const uint8_t *params = reader_bytes(r, len);
    if (params == NULL || len > sizeof s->peer_params)
        return fail(s, TLS_ALERT_DECODE_ERROR);
    memcpy(s->peer_params, params, len);
    s->peer_params_len = len;
    s->has_peer_params = true;
    s->alpn_len = reader_u8(r);
    reader_copy(r, s->alpn, s->alpn_len);
    uint8_t body[MESSAGE_MAX];
    writer w = writer_of(body, sizeof body);
    writer_bytes(&w, s->context->identity.public_key, 32);
    memset(writer_room(&w, FLIGHT_PAD / 2), 0, FLIGHT_PAD / 2);
    int result = send_message(s, TLS_HANDSHAKE, MSG_CLIENT_FLIGHT, &w);
    if (result == 0)
        result = give_secret(s, TLS_APPLICATION, false, "app server");
    if (result == 0)
        result = give_secret(s, TLS_APPLICATION, true, "app client");
    if (result == 0)
        finish(s);
    return result;
}

static int on_client_flight(tls_session *s, reader *r) {
    reader_copy(r, s->peer_key, 32);
    s->has_key = true;
    finish(s);
    return give_secret(s, TLS_APPLICATION, false, "app client");
}

static int on_message(tls_session *s, tls_level level, uint8_t type, reader *r) {
    if (s->role == TLS_SERVER && level == TLS_INITIAL && type == MSG_CLIENT_HELLO && !s->is_client_hello_done)
        return on_client_hello(s, r);
    if (s->role == TLS_SERVER && level == TLS_HANDSHAKE && type == MSG_CLIENT_FLIGHT && !s->is_done)
        return on_client_flight(s, r);
    if (s->role == TLS_CLIENT && level == TLS_INITIAL && type == MSG_SERVER_HELLO)
        return on_server_hello(s, r);
    if (s->role == TLS_CLIENT && level == TLS_HANDSHAKE && type == MSG_SERVER_FLIGHT && !s->is_done)
        return on_server_flight(s, r);
    if (s->role == TLS_CLIENT && level == TLS_APPLICATION && type == MSG_TICKET && s->is_done) {
        s->callbacks.ticket(s->user, r->p, reader_left(r));
        return 0;
    }
    return fail(s, TLS_ALERT_UNEXPECTED_MESSAGE);
}

static int receive(tls_session *s, tls_level level, const uint8_t *bytes, size_t len) {
    size_t box = level == TLS_INITIAL ? 0 : level == TLS_HANDSHAKE ? 1 : 2;
    if (len > MESSAGE_MAX - s->inbox_len[box])
        return fail(s, TLS_ALERT_DECODE_ERROR);
    memcpy(s->inbox[box] + s->inbox_len[box], bytes, len);
    s->inbox_len[box] += len;
    for (;;) {
        reader r = reader_of(s->inbox[box], s->inbox_len[box]);
        uint8_t type = reader_u8(&r);
        size_t n = (size_t)reader_be(&r, 3);
        const uint8_t *body = reader_bytes(&r, n);
        if (r.failed)
            return 0;
        reader message = reader_of(body, n);
        int result = on_message(s, level, type, &message);
        if (result != 0)
            return result;
        memmove(s->inbox[box], s->inbox[box] + 4 + n, s->inbox_len[box] - 4 - n);
        s->inbox_len[box] -= 4 + n;
    }
}

static bool done(const tls_session *s) {
    return s->is_done;
}

static uint8_t alert(const tls_session *s) {
    return s->alert_code;
}

static bool resumed(const tls_session *s) {
    return s->is_resumed;
}

static bool early_accepted(const tls_session *s) {
    return s->early_ok;
}

static const uint8_t *peer_params(const tls_session *s, size_t *len) {
    *len = s->peer_params_len;
    return s->has_peer_params ? s->peer_params : NULL;
}

static const uint8_t *alpn(const tls_session *s, size_t *len) {
    *len = s->alpn_len;
    return s->alpn_len > 0 ? s->alpn : NULL;
}

static const uint8_t *peer_key(const tls_session *s) {
    return s->has_key ? s->peer_key : NULL;
}

static const uint8_t *exporter_secret(const tls_session *s, size_t *len) {
    *len = HASH;
    return s->is_done ? s->exporter : NULL;
}

static int send_ticket(tls_session *s) {
    uint8_t body[64];
    writer w = writer_of(body, sizeof body);
    writer_u8(&w, TICKET_MAGIC);
    writer_bytes(&w, s->context->life, 8);
    uint8_t secret[HASH];
    entropy_fill(&s->context->random, secret, sizeof secret);
    writer_bytes(&w, secret, HASH);
    return send_message(s, TLS_APPLICATION, MSG_TICKET, &w);
}

const tls_backend sim_faketls = {
    .name = "fake",
    .context_new = context_new,
    .context_free = context_free,
    .session_new = session_new,
    .session_free = session_free,
    .start = start,
    .receive = receive,
    .done = done,
    .alert = alert,
    .resumed = resumed,
    .early_accepted = early_accepted,
    .peer_params = peer_params,
    .alpn = alpn,
    .peer_key = peer_key,
    .exporter_secret = exporter_secret,
    .send_ticket = send_ticket,
};
