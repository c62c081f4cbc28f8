// The peer TLS under bytes that no peer would send. The first byte of the input chooses how:
//   0, 1   a client or a server gets the rest as it stands: records of level u8, length u16, bytes
//   2, 3   two sessions shake hands, in full or with a ticket, and the rest says what happens to each message on its way
//          (see tamper); when it ends, the messages that are left go through untouched
// Whatever comes, a session must answer with an error or wait; and two sides that are both done must agree.
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "crypto/ed25519.h"
#include "tls/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define QUEUE_MAX 32
#define MESSAGE_ROOM 2048
#define SESSION_ROOM 4096

typedef struct message {
    tls_level level;
    size_t len;
    uint8_t bytes[MESSAGE_ROOM];
} message;

typedef struct side {
    tls_session *session;
    message queue[QUEUE_MAX];
    size_t count, at;
    uint8_t secret[AEAD_HASH_MAX];  // of the application level, of what the client writes
    size_t secret_len;
    bool write;  // the direction in which that is
} side;

static tls_context *contexts[2];
static tls_identity identities[2];
static side sides[2];
static uint8_t session[SESSION_ROOM];
static size_t session_len;

// Not random at all: a run must depend on its input as far as GnuTLS lets it.
static void fill(void *user, void *out, size_t len) {
    static uint8_t next;
    (void)user;
    memset(out, next++, len);
}

static int on_send(void *user, tls_level level, const uint8_t *bytes, size_t len) {
    side *s = user;
    if (s->count == QUEUE_MAX || len > MESSAGE_ROOM)
        return -1;
    message *m = &s->queue[s->count++];
    m->level = level;
    m->len = len;
    memcpy(m->bytes, bytes, len);
    return 0;
}

static int on_secret(void *user, tls_level level, bool write, const aead_suite *suite, const uint8_t *secret) {
    side *s = user;
    if (level != TLS_APPLICATION || write != s->write)
        return 0;
    memcpy(s->secret, secret, suite->hash_len);
    s->secret_len = suite->hash_len;
    return 0;
}

static void on_ticket(void *user, const uint8_t *bytes, size_t len) {
    (void)user;
    if (len > SESSION_ROOM)
        return;
    memcpy(session, bytes, len);
    session_len = len;
}

static const tls_callbacks callbacks = {.send = on_send, .secret = on_secret, .ticket = on_ticket};

static void set_up(void) {
    const entropy source = {.fill = fill};
    for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
        memset(identities[role].seed, role + 1, sizeof identities[role].seed);
        ed25519_public(identities[role].seed, identities[role].public_key);
        contexts[role] = tls_gnutls.context_new(&identities[role], &source);
        if (contexts[role] == NULL)
            abort();
    }
}

static void open_side(tls_role role, bool resume) {
    // The first is the one of the captured ClientHellos in the corpus.
    static const tls_alpn alpns[] = {{(const uint8_t *)"cap/0", 5}, {(const uint8_t *)"h3", 2}};
    static const uint8_t params[] = {1, 1, 10};
    side *s = &sides[role];
    tls_gnutls.session_free(s->session);
    *s = (side){.write = role == TLS_CLIENT};
    tls_config config = {
        .role = role,
        .alpns = alpns,
        .alpn_count = 2,
        .params = params,
        .params_len = sizeof params,
        .expected_key = role == TLS_CLIENT ? identities[TLS_SERVER].public_key : NULL,
        .session = resume && role == TLS_CLIENT ? session : NULL,
        .session_len = session_len,
        .enable_early = true,
        .callbacks = &callbacks,
        .user = s,
    };
    if (tls_gnutls.session_new(contexts[role], &config, &s->session) != 0 || tls_gnutls.start(s->session) != 0)
        abort();
}

static void open_both(bool resume) {
    open_side(TLS_SERVER, false);
    open_side(TLS_CLIENT, resume);
}

// What a real caller would ask in any state.
static void question(const tls_session *s) {
    size_t len;
    (void)tls_gnutls.alert(s);
    (void)tls_gnutls.resumed(s);
    (void)tls_gnutls.peer_params(s, &len);
    (void)tls_gnutls.alpn(s, &len);
    if (tls_gnutls.done(s) != (tls_gnutls.peer_key(s) != NULL))
        abort();
}

static void feed_raw(tls_role role, reader *r) {
    open_side(role, false);
    tls_session *s = sides[role].session;
    while (reader_left(r) > 0) {
        tls_level level = (tls_level)(reader_u8(r) & 3);
        size_t len = reader_u16(r);
        if (len > reader_left(r))
            len = reader_left(r);
        (void)tls_gnutls.receive(s, level, reader_bytes(r, len), len);
        question(s);
    }
    // Nobody who does not know the keys gets this far.
    if (tls_gnutls.done(s))
        abort();
}

// Four bytes of the input: what, where u16, with what.
static void tamper(message *m, reader *r) {
    uint8_t what = reader_u8(r);
    size_t at = reader_u16(r);
    uint8_t with = reader_u8(r);
    at = m->len > 0 ? at % m->len : 0;
    switch (what & 7) {
    case 1:
        m->bytes[at] ^= with;
        break;
    case 2:
        m->len = at;
        break;
    case 3:
        if (m->len < MESSAGE_ROOM)
            m->bytes[m->len++] = with;
        break;
    case 4:
        m->level = (tls_level)(with & 3);
        break;
    case 5:
        for (size_t i = at; i < m->len && reader_left(r) > 0 && i < at + with; i++)
            m->bytes[i] = reader_u8(r);
        break;
    default:
        break;
    }
}

static void receive(side *s, const message *m) {
    (void)tls_gnutls.receive(s->session, m->level, m->bytes, m->len);
    question(s->session);
}

static void pump(reader *r) {
    bool moved = true;
    while (moved) {
        moved = false;
        for (int from = TLS_CLIENT; from <= TLS_SERVER; from++) {
            while (sides[from].at < sides[from].count) {
                message m = sides[from].queue[sides[from].at++];
                if (r != NULL && reader_left(r) > 0)
                    tamper(&m, r);
                receive(&sides[1 - from], &m);
                moved = true;
            }
        }
    }
}

static void shake(bool resume, reader *r) {
    if (resume) {  // a ticket works once, so each run gets its own
        open_both(false);
        pump(NULL);
        if (tls_gnutls.send_ticket(sides[TLS_SERVER].session) != 0)
            abort();
        pump(NULL);
    }
    open_both(resume);
    pump(r);
    const side *client = &sides[TLS_CLIENT], *server = &sides[TLS_SERVER];
    if (!tls_gnutls.done(client->session) || !tls_gnutls.done(server->session))
        return;
    if (client->secret_len != server->secret_len || memcmp(client->secret, server->secret, client->secret_len) != 0)
        abort();
    if (memcmp(tls_gnutls.peer_key(client->session), identities[TLS_SERVER].public_key, 32) != 0 ||
        memcmp(tls_gnutls.peer_key(server->session), identities[TLS_CLIENT].public_key, 32) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (contexts[0] == NULL)
        set_up();
    reader r = reader_of(data, size);
    uint8_t mode = reader_u8(&r) & 3;
    if (mode < 2)
        feed_raw((tls_role)mode, &r);
    else
        shake(mode == 3, &r);
    tls_alpn names[4];
    (void)tls_client_hello_alpns(data, size, names, 4);
    for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
        tls_gnutls.session_free(sides[role].session);
        sides[role].session = NULL;
    }
    return 0;
}
