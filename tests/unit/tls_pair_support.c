#include "unit/tls_pair_support.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/ed25519.h"
#include "crypto/hkdf.h"

const uint8_t pair_params[2][8] = {{1, 1, 10, 2, 1, 11, 3, 0}, {1, 1, 20, 2, 1, 21, 3, 0}};

static const pair_config plain;

// A counter that is hashed: not random, but never the same twice in a program.
static void fill(void *user, void *out, size_t len) {
    static uint64_t counter;
    (void)user;
    for (uint8_t *p = out; len > 0;) {
        uint8_t block[32];
        counter++;
        hmac_sha256((const uint8_t *)"pair", 4, (const uint8_t *)&counter, sizeof counter, block);
        size_t n = len < sizeof block ? len : sizeof block;
        memcpy(p, block, n);
        p += n;
        len -= n;
    }
}

static const entropy source = {.fill = fill};

static int on_send(void *user, tls_level level, const uint8_t *bytes, size_t len) {
    pair_side *side = user;
    assert_true(side->sent_count < PAIR_MESSAGES_MAX);
    assert_true(len <= PAIR_MESSAGE_ROOM);
    pair_message *m = &side->sent[side->sent_count++];
    m->level = level;
    m->len = len;
    memcpy(m->bytes, bytes, len);
    return side->send_result;
}

static int on_secret(void *user, tls_level level, bool write, const aead_suite *suite, const uint8_t *secret) {
    pair_side *side = user;
    pair_secret *s = &side->secrets[level][write];
    assert_int_not_equal(level, TLS_INITIAL);
    assert_false(s->given);
    s->given = true;
    s->suite = suite;
    memcpy(s->bytes, secret, suite->hash_len);
    return 0;
}

static void on_ticket(void *user, const uint8_t *session, size_t len) {
    pair_side *side = user;
    assert_true(side->session_count < PAIR_SESSIONS_MAX);
    uint8_t *copy = malloc(len);
    assert_non_null(copy);
    memcpy(copy, session, len);
    side->sessions[side->session_count] = copy;
    side->session_lens[side->session_count++] = len;
}

static void on_keylog(void *user, const char *line) {
    pair_side *side = user;
    assert_true(side->log_count < PAIR_LOG_MAX);
    int n = snprintf(side->log[side->log_count++], sizeof side->log[0], "%s", line);
    assert_true(n > 0 && (size_t)n < sizeof side->log[0]);
}

static const tls_callbacks callbacks = {.send = on_send, .secret = on_secret, .ticket = on_ticket, .keylog = on_keylog};
static const tls_callbacks callbacks_quiet = {.send = on_send, .secret = on_secret, .ticket = on_ticket};

void pair_restart(pair *p, tls_role role) {
    if (p->contexts[role] != NULL)
        tls_gnutls.context_free(p->contexts[role]);
    p->contexts[role] = tls_gnutls.context_new(&p->identities[role], &source);
    assert_non_null(p->contexts[role]);
}

void pair_init(pair *p) {
    *p = (pair){0};
    for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
        memset(p->identities[role].seed, role + 1, 32);
        ed25519_public(p->identities[role].seed, p->identities[role].public_key);
        pair_restart(p, (tls_role)role);
        p->sides[role].sent = calloc(PAIR_MESSAGES_MAX, sizeof(pair_message));
        assert_non_null(p->sides[role].sent);
    }
}

void pair_forget_sessions(pair *p) {
    pair_side *client = &p->sides[TLS_CLIENT];
    for (size_t i = 0; i < client->session_count; i++)
        free(client->sessions[i]);
    client->session_count = 0;
}

void pair_dispose(pair *p) {
    pair_forget_sessions(p);
    for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
        tls_gnutls.session_free(p->sides[role].session);
        tls_gnutls.context_free(p->contexts[role]);
        free(p->sides[role].sent);
    }
}

int pair_set_up(void **state) {
    pair *p = malloc(sizeof *p);
    assert_non_null(p);
    pair_init(p);
    *state = p;
    return 0;
}

int pair_tear_down(void **state) {
    pair_dispose(*state);
    free(*state);
    return 0;
}

static size_t split_alpns(const char *words, tls_alpn out[static PAIR_ALPNS_MAX]) {
    size_t count = 0;
    for (const char *at = words != NULL ? words : "test"; *at != '\0';) {
        size_t len = strcspn(at, " ");
        assert_true(count < PAIR_ALPNS_MAX);
        out[count++] = (tls_alpn){.name = (const uint8_t *)at, .len = (uint8_t)len};
        at += len + strspn(at + len, " ");
    }
    return count;
}

static void open_side(pair *p, tls_role role, const pair_config *config, const uint8_t *session, size_t len) {
    pair_side *side = &p->sides[role];
    tls_gnutls.session_free(side->session);
    side->session = NULL;
    side->sent_count = side->delivered = side->log_count = 0;
    memset(side->secrets, 0, sizeof side->secrets);
    p->results[role] = 0;
    tls_alpn alpns[PAIR_ALPNS_MAX];
    tls_config tls = {
        .role = role,
        .alpns = alpns,
        .alpn_count = split_alpns(config->alpns, alpns),
        .params = pair_params[role],
        .params_len = sizeof pair_params[role],
        .session = session,
        .session_len = len,
        .enable_early = !config->no_early,
        .suites = config->suites,
        .suite_count = config->suite_count,
        .callbacks = config->no_keylog ? &callbacks_quiet : &callbacks,
        .user = side,
    };
    tls.roots = config->roots;
    tls.server_name = config->server_name;
    if (role == TLS_CLIENT && config->roots == NULL)
        tls.expected_key = p->expected_key != NULL ? p->expected_key : p->identities[TLS_SERVER].public_key;
    assert_int_equal(tls_gnutls.session_new(p->contexts[role], &tls, &side->session), 0);
}

void pair_open(pair *p, const pair_config *client, const pair_config *server, const uint8_t *session, size_t len) {
    open_side(p, TLS_SERVER, server != NULL ? server : &plain, NULL, 0);
    open_side(p, TLS_CLIENT, client != NULL ? client : &plain, session, len);
    assert_int_equal(tls_gnutls.start(p->sides[TLS_SERVER].session), 0);
    p->results[TLS_CLIENT] = tls_gnutls.start(p->sides[TLS_CLIENT].session);
}

static int deliver(const pair *p, tls_session *to, const pair_message *m) {
    size_t chunk = p->chunk > 0 ? p->chunk : m->len;
    for (size_t at = 0; at < m->len; at += chunk) {
        size_t n = m->len - at < chunk ? m->len - at : chunk;
        int r = tls_gnutls.receive(to, m->level, m->bytes + at, n);
        if (r != 0)
            return r;
    }
    return 0;
}

void pair_pump(pair *p) {
    for (bool moved = true; moved;) {
        moved = false;
        for (int from = TLS_CLIENT; from <= TLS_SERVER; from++) {
            pair_side *side = &p->sides[from];
            int to = 1 - from;
            while (side->delivered < side->sent_count) {
                pair_message *m = &side->sent[side->delivered++];
                if (p->filter != NULL)
                    p->filter(p, (tls_role)from, m);
                p->results[to] = deliver(p, p->sides[to].session, m);
                if (p->results[to] != 0)
                    return;
                moved = true;
            }
        }
    }
}

void pair_shake(pair *p, const pair_config *client, const pair_config *server, const uint8_t *session, size_t len) {
    pair_open(p, client, server, session, len);
    pair_pump(p);
}

void pair_tickets(pair *p, size_t count) {
    for (size_t i = 0; i < count; i++)
        assert_int_equal(tls_gnutls.send_ticket(p->sides[TLS_SERVER].session), 0);
    pair_pump(p);
    assert_int_equal(p->results[TLS_CLIENT], 0);
}

static void assert_same_secret(const pair_side *writer, const pair_side *reader, tls_level level) {
    const pair_secret *w = &writer->secrets[level][1], *r = &reader->secrets[level][0];
    assert_true(w->given && r->given);
    assert_ptr_equal(w->suite, r->suite);
    assert_memory_equal(w->bytes, r->bytes, w->suite->hash_len);
}

static void assert_same_alpn(tls_session *a, tls_session *b) {
    size_t a_len, b_len;
    const uint8_t *a_name = tls_gnutls.alpn(a, &a_len), *b_name = tls_gnutls.alpn(b, &b_len);
    assert_non_null(a_name);
    assert_int_equal(a_len, b_len);
    assert_memory_equal(a_name, b_name, a_len);
}

static void assert_same_exporter(const pair *p, tls_session *a, tls_session *b) {
    size_t a_len, b_len;
    const uint8_t *a_secret = tls_gnutls.exporter_secret(a, &a_len), *b_secret = tls_gnutls.exporter_secret(b, &b_len);
    assert_non_null(a_secret);
    assert_int_equal(a_len, p->sides[TLS_CLIENT].secrets[TLS_APPLICATION][1].suite->hash_len);
    assert_int_equal(a_len, b_len);
    uint8_t out[2][48];
    assert_int_equal(hkdf_tls_export(a_len, a_secret, "label", 5, pair_params[0], 8, out[0], sizeof out[0]), 0);
    assert_int_equal(hkdf_tls_export(b_len, b_secret, "label", 5, pair_params[0], 8, out[1], sizeof out[1]), 0);
    assert_memory_equal(out[0], out[1], sizeof out[0]);
}

void pair_assert_done(pair *p) {
    for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
        tls_session *s = p->sides[role].session;
        assert_int_equal(p->results[role], 0);
        assert_true(tls_gnutls.done(s));
        assert_non_null(tls_gnutls.peer_key(s));
        assert_memory_equal(tls_gnutls.peer_key(s), p->identities[1 - role].public_key, 32);
        size_t len;
        const uint8_t *params = tls_gnutls.peer_params(s, &len);
        assert_int_equal(len, sizeof pair_params[0]);
        assert_memory_equal(params, pair_params[1 - role], len);
    }
    pair_side *client = &p->sides[TLS_CLIENT], *server = &p->sides[TLS_SERVER];
    for (tls_level level = TLS_HANDSHAKE; level <= TLS_APPLICATION; level++) {
        assert_same_secret(client, server, level);
        assert_same_secret(server, client, level);
    }
    assert_same_alpn(client->session, server->session);
    assert_same_exporter(p, client->session, server->session);
    bool early = tls_gnutls.early_accepted(client->session);
    assert_int_equal(early, tls_gnutls.early_accepted(server->session));
    assert_int_equal(tls_gnutls.resumed(client->session), tls_gnutls.resumed(server->session));
    assert_int_equal(early, server->secrets[TLS_EARLY][0].given);
    if (early)
        assert_same_secret(client, server, TLS_EARLY);
}

void pair_assert_alert(pair *p, tls_role role, uint8_t alert) {
    tls_session *s = p->sides[role].session;
    assert_int_equal(p->results[role], IROH_ERR_HANDSHAKE);
    assert_int_equal(tls_gnutls.alert(s), alert);
    assert_false(tls_gnutls.done(s));
    assert_null(tls_gnutls.peer_key(s));
    // It stays dead.
    const uint8_t more[] = {20, 0, 0, 0};
    assert_int_equal(tls_gnutls.receive(s, TLS_HANDSHAKE, more, sizeof more), IROH_ERR_HANDSHAKE);
    assert_int_equal(tls_gnutls.alert(s), alert);
}
