// Bytes in, bytes and secrets out: GnuTLS driven one handshake message at a time.
//
// Messages are put together here and not in GnuTLS, so that each is looked at whole, none spans a change of keys, and
// bytes that come one by one cost no more than the message they make.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/bytes.h"
#include "base/hex.h"
#include "base/wipe.h"
#include "tls/gnutls_state.h"

#define INBOX_ROOM_MIN 256
#define RANDOM_LEN 32
#define LABEL_MAX 64

static tls_session *session_of(gnutls_session_t tls) {
    return gnutls_session_get_ptr(tls);
}

// --- What GnuTLS hands out

// What a callback of the user refused ends the handshake.
static int aborted(tls_session *s, int result) {
    if (s->failure == 0) {
        s->failure = result == IROH_ERR_NOMEM ? IROH_ERR_NOMEM : IROH_ERR_HANDSHAKE;
        s->alert = TLS_ALERT_INTERNAL_ERROR;
    }
    return GNUTLS_E_USER_ERROR;
}

// A ticket that is too old is left out of the ClientHello, but the offer of early data that belongs to it is not.
static bool is_stale_offer(const tls_session *s, const uint8_t *body, size_t len) {
    client_hello hello;
    return s->stored != NULL && client_hello_parse(body, len, &hello) == 0 && hello.identities == 0;
}

// lifetime u32, age_add u32, nonce u8.., ticket u16.. (RFC 8446, section 4.6.1)
static void remember_ticket(tls_session *s, const uint8_t *body, size_t len) {
    reader r = reader_of(body, len);
    (void)reader_bytes(&r, 8);
    (void)reader_bytes(&r, reader_u8(&r));
    size_t ticket_len = reader_u16(&r);
    const uint8_t *bytes = reader_bytes(&r, ticket_len);
    ticket_facts facts = {.secret = s->ticket_secret,
                          .peer_key = s->peer_key,
                          .suite = s->suite->id,
                          .alpn = s->alpn,
                          .alpn_len = s->alpn_len};
    // A ticket that is not remembered only will not work.
    if (bytes != NULL)
        (void)tickets_add(&s->context->tickets, bytes, ticket_len, &facts);
}

static int on_send(gnutls_session_t tls, gnutls_record_encryption_level_t level, gnutls_handshake_description_t type,
                   const void *bytes, size_t len) {
    tls_session *s = session_of(tls);
    if (type == GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC || len < HANDSHAKE_HEADER)
        return 0;
    const uint8_t *body = (const uint8_t *)bytes + HANDSHAKE_HEADER;
    if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO && is_stale_offer(s, body, len - HANDSHAKE_HEADER)) {
        s->stale = true;
        return GNUTLS_E_INVALID_SESSION;
    }
    if (type == GNUTLS_HANDSHAKE_NEW_SESSION_TICKET)
        remember_ticket(s, body, len - HANDSHAKE_HEADER);
    int r = s->callbacks.send(s->user, (tls_level)level, bytes, len);
    return r < 0 ? aborted(s, r) : 0;
}

const aead_suite *tls_suite_of(gnutls_cipher_algorithm_t cipher) {
    switch (cipher) {
    case GNUTLS_CIPHER_AES_128_GCM:
        return aead_suite_by_id(0x1301);
    case GNUTLS_CIPHER_AES_256_GCM:
        return aead_suite_by_id(0x1302);
    case GNUTLS_CIPHER_CHACHA20_POLY1305:
        return aead_suite_by_id(0x1303);
    default:
        return NULL;
    }
}

static int give_secret(tls_session *s, tls_level level, bool write, const aead_suite *suite, const void *secret) {
    int r = s->callbacks.secret(s->user, level, write, suite, secret);
    return r < 0 ? aborted(s, r) : 0;
}

// A client with early data under way gets its own handshake secret from GnuTLS only after the server's Finished. QUIC
// needs it at once, to acknowledge what it reads, so it is given together with the server's, out of the key log.
static int give_client_handshake(tls_session *s, const aead_suite *suite, const void *read) {
    int r = give_secret(s, TLS_HANDSHAKE, false, suite, read);
    if (r == 0)
        r = give_secret(s, TLS_HANDSHAKE, true, suite, s->client_handshake);
    wipe(s->client_handshake, sizeof s->client_handshake);
    s->read_level = TLS_HANDSHAKE;
    return r;
}

// A server takes early data once it is plain that the ticket was accepted, for which the key log is the sign, and that no
// HelloRetryRequest comes between.
static int give_early(tls_session *s, const aead_suite *suite) {
    if (!s->has_early || s->hello_retried)
        return 0;
    s->has_early = false;
    if (suite->id != s->ticket->suite)
        return aborted(s, IROH_ERR_INTERNAL);
    s->early_ok = true;
    int r = give_secret(s, TLS_EARLY, false, suite, s->early);
    wipe(s->early, sizeof s->early);
    return r;
}

static int give_secrets(tls_session *s, tls_level level, const aead_suite *suite, const void *read, const void *write) {
    if (s->role == TLS_CLIENT && level == TLS_HANDSHAKE)
        return read != NULL ? give_client_handshake(s, suite, read) : 0;
    // After a HelloRetryRequest GnuTLS brings an early secret again, though there is no early data any more.
    if (level == TLS_EARLY && s->early_given)
        return 0;
    s->early_given = s->early_given || level == TLS_EARLY;
    int r = s->role == TLS_SERVER ? give_early(s, suite) : 0;
    if (r == 0 && write != NULL)
        r = give_secret(s, level, true, suite, write);
    if (r != 0 || read == NULL)
        return r;
    if (level != TLS_EARLY)
        s->read_level = level;
    return give_secret(s, level, false, suite, read);
}

static int on_secret(gnutls_session_t tls, gnutls_record_encryption_level_t gnutls_level, const void *read,
                     const void *write, size_t len) {
    tls_session *s = session_of(tls);
    tls_level level = (tls_level)gnutls_level;
    const aead_suite *suite = tls_suite_of(level == TLS_EARLY ? gnutls_early_cipher_get(tls) : gnutls_cipher_get(tls));
    if (suite == NULL || suite->hash_len != len)
        return aborted(s, IROH_ERR_INTERNAL);
    if (level != TLS_EARLY)
        s->suite = suite;
    s->secrets_level = level;
    return give_secrets(s, level, suite, read, write);
}

// LABEL client-random secret, the last two in hex.
static void write_keylog(const tls_session *s, const char *label, const gnutls_datum_t *secret) {
    char line[LABEL_MAX + 2 + 2 * RANDOM_LEN + 2 * AEAD_HASH_MAX + 1];
    char random[2 * RANDOM_LEN], hex[2 * AEAD_HASH_MAX];
    gnutls_datum_t client, server;
    gnutls_session_get_random(s->tls, &client, &server);
    if (client.size != RANDOM_LEN || secret->size > AEAD_HASH_MAX)
        return;
    hex_encode(client.data, client.size, random);
    hex_encode(secret->data, secret->size, hex);
    (void)snprintf(line, sizeof line, "%.*s %.*s %.*s", LABEL_MAX, label, (int)sizeof random, random,
                   2 * (int)secret->size, hex);
    s->callbacks.keylog(s->user, line);
    wipe(line, sizeof line);
    wipe(hex, sizeof hex);
}

// GnuTLS logs both secrets of a level again when it takes the second of them into use.
static bool was_logged(const tls_session *s, const char *label) {
    if (strstr(label, "_HANDSHAKE_TRAFFIC_SECRET") != NULL)
        return s->secrets_level >= TLS_HANDSHAKE;
    return strstr(label, "_TRAFFIC_SECRET_0") != NULL && s->secrets_level >= TLS_APPLICATION;
}

// The key log is also the only way to secrets that GnuTLS has no function for.
static int on_keylog(gnutls_session_t tls, const char *label, const gnutls_datum_t *secret) {
    tls_session *s = session_of(tls);
    if (secret->size > AEAD_HASH_MAX)
        return aborted(s, IROH_ERR_INTERNAL);
    if (was_logged(s, label))
        return 0;
    if (strcmp(label, "EXPORTER_SECRET") == 0) {
        memcpy(s->exporter, secret->data, secret->size);
        s->has_exporter = true;
    }
    if (strcmp(label, "CLIENT_EARLY_TRAFFIC_SECRET") == 0 && s->want_early) {
        memcpy(s->early, secret->data, secret->size);
        s->has_early = true;
    }
    if (strcmp(label, "CLIENT_HANDSHAKE_TRAFFIC_SECRET") == 0 && s->role == TLS_CLIENT)
        memcpy(s->client_handshake, secret->data, secret->size);
    if (s->callbacks.keylog != NULL)
        write_keylog(s, label, secret);
    return 0;
}

void tls_run_attach(tls_session *s) {
    gnutls_handshake_set_read_function(s->tls, on_send);
    gnutls_handshake_set_secret_function(s->tls, on_secret);
    gnutls_session_set_keylog_function(s->tls, on_keylog);
}

// --- Results

// GnuTLS has no alert for some of its errors about bytes that do not parse.
static uint8_t alert_of(int error) {
    switch (error) {
    case GNUTLS_E_TLS_PACKET_DECODING_ERROR:
    case GNUTLS_E_PARSING_ERROR:
        return TLS_ALERT_DECODE_ERROR;
    case GNUTLS_E_NO_CERTIFICATE_FOUND:  // another message where a certificate must come
    case GNUTLS_E_DECRYPTION_FAILED:     // a message at a level that is over
        return TLS_ALERT_UNEXPECTED_MESSAGE;
    default:
        return (uint8_t)gnutls_error_to_alert(error, NULL);
    }
}

static int failed(tls_session *s, int error) {
    if (s->failure == 0 && error == GNUTLS_E_MEMORY_ERROR)
        s->failure = IROH_ERR_NOMEM;
    return tls_fail(s, alert_of(error));
}

static int run(tls_session *s) {
    int r = gnutls_handshake(s->tls);
    if (r == 0)
        return tls_check_done(s);
    if (r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED)
        return 0;
    return failed(s, r);
}

int tls_start(tls_session *s) {
    if (s->role == TLS_SERVER)
        return 0;
    int r = run(s);
    if (!s->stale)
        return r;
    // Nothing has gone out yet.
    tls_session_drop_stored(s);
    s->stale = false;
    s->failure = 0;
    r = tls_session_open(s);
    return r == 0 ? run(s) : failed(s, r == IROH_ERR_NOMEM ? GNUTLS_E_MEMORY_ERROR : GNUTLS_E_INTERNAL_ERROR);
}

// --- Input

// A client got a session ticket.
static void give_ticket(tls_session *s) {
    if (s->callbacks.ticket == NULL || !tls_has_raw_keys(s))
        return;
    size_t len;
    uint8_t *session = tls_resume_encode(s, &len);
    if (session == NULL)
        return;  // only costs a later resumption
    s->callbacks.ticket(s->user, session, len);
    wipe(session, len);
    free(session);
}

static int on_message(tls_session *s, tls_level level, const uint8_t *message, size_t len) {
    int r = tls_check_message(s, message[0], message + HANDSHAKE_HEADER, len - HANDSHAKE_HEADER);
    if (r != 0)
        return r;
    bool was_done = s->is_done;
    r = gnutls_handshake_write(s->tls, (gnutls_record_encryption_level_t)level, message, len);
    if (r < 0)
        return failed(s, r);
    if (!was_done)
        return run(s);
    give_ticket(s);
    return 0;
}

// Takes the whole messages off the front of `r`.
static int take_messages(tls_session *s, tls_level level, reader *r) {
    while (reader_left(r) >= HANDSHAKE_HEADER) {
        reader at = *r;
        (void)reader_u8(&at);
        size_t body = (size_t)reader_be(&at, 3);
        if (level != s->read_level)
            return tls_fail(s, TLS_ALERT_UNEXPECTED_MESSAGE);
        if (body > HANDSHAKE_BODY_MAX)
            return tls_fail(s, TLS_ALERT_DECODE_ERROR);
        if (reader_left(&at) < body)
            return 0;
        int result = on_message(s, level, r->p, HANDSHAKE_HEADER + body);
        if (result != 0)
            return result;
        (void)reader_bytes(r, HANDSHAKE_HEADER + body);
    }
    return 0;
}

static int inbox_append(tls_session *s, const uint8_t *bytes, size_t len) {
    size_t needed = s->inbox_len + len;
    if (needed > s->inbox_room) {
        size_t room = s->inbox_room > 0 ? s->inbox_room : INBOX_ROOM_MIN;
        while (room < needed)
            room *= 2;
        uint8_t *grown = realloc(s->inbox, room);
        if (grown == NULL) {
            s->failure = IROH_ERR_NOMEM;
            return s->failure;
        }
        s->inbox = grown;
        s->inbox_room = room;
    }
    memcpy(s->inbox + s->inbox_len, bytes, len);
    s->inbox_len = needed;
    return 0;
}

// Bytes that begin a message wait in the inbox; whole messages that come at once never go through it.
static int feed(tls_session *s, tls_level level, const uint8_t *bytes, size_t len) {
    bool waiting = s->inbox_len > 0;
    if (waiting && inbox_append(s, bytes, len) != 0)
        return s->failure;
    reader r = waiting ? reader_of(s->inbox, s->inbox_len) : reader_of(bytes, len);
    int result = take_messages(s, level, &r);
    if (result != 0)
        return result;
    size_t left = reader_left(&r);
    if (left > 0 && level != s->read_level)
        return tls_fail(s, TLS_ALERT_UNEXPECTED_MESSAGE);
    if (!waiting)
        return left > 0 ? inbox_append(s, r.p, left) : 0;
    memmove(s->inbox, r.p, left);
    s->inbox_len = left;
    return 0;
}

int tls_receive(tls_session *s, tls_level level, const uint8_t *bytes, size_t len) {
    if (s->failure != 0)
        return s->failure;
    if (len == 0)
        return 0;
    if (level != s->read_level)
        return tls_fail(s, TLS_ALERT_UNEXPECTED_MESSAGE);
    return feed(s, level, bytes, len);
}

// --- Tickets

int tls_send_ticket(tls_session *s) {
    if (s->failure != 0)
        return s->failure;
    if (s->role != TLS_SERVER || !s->is_done)
        return IROH_ERR_ARG;
    if (s->certificate != NULL)
        return 0;
    int r = gnutls_session_ticket_send(s->tls, 1, 0);
    return r >= 0 ? 0 : failed(s, r);
}
