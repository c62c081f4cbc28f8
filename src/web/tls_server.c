#include "web/tls_server.h"

#include <string.h>

#include <iroh/error.h>

#include "base/bytes.h"
#include "base/wipe.h"
#include "crypto/hash.h"
#include "crypto/hkdf.h"
#include "crypto/x25519.h"
#include "web/tls_hello.h"

enum { MSG_SERVER_HELLO = 2, MSG_EXTENSIONS = 8, MSG_CERTIFICATE = 11, MSG_VERIFY = 15, MSG_FINISHED = 20 };

#define VERSION_12 0x0303
#define VERSION_13 0x0304
#define GROUP_X25519 0x001d
#define CERTIFICATES_MAX 0xffff  // bytes of a Certificate message
#define OPENING_MAX 144          // ServerHello and change of cipher, as records
#define RECORD_COST (TLS_RECORD_HEADER + 1 + AEAD_TAG)
#define IGNORED_MAX 32  // changes of cipher that are overlooked

// --- Messages

// Begins a handshake message whose length is filled in by close_message.
static uint8_t *open_message(writer *w, uint8_t type) {
    writer_u8(w, type);
    return writer_room(w, 3);
}

static void close_message(const writer *w, uint8_t *length) {
    if (w->failed)
        return;
    size_t len = (size_t)(w->p - length) - 3;
    length[0] = (uint8_t)(len >> 16);
    length[1] = (uint8_t)(len >> 8);
    length[2] = (uint8_t)len;
}

static void put_u24(writer *w, size_t v) {
    writer_u8(w, (uint8_t)(v >> 16));
    writer_u16(w, (uint16_t)v);
}

int tls_server_put_certificate(const tls_certificate *chain, size_t count, uint8_t *out, size_t room) {
    size_t list = 0;
    for (size_t i = 0; i < count; i++) {
        if (chain[i].len > CERTIFICATES_MAX || (list += 3 + chain[i].len + 2) > CERTIFICATES_MAX)
            return IROH_ERR_TOO_LARGE;
    }
    if (out == NULL)
        return (int)(4 + 1 + 3 + list);
    writer w = writer_of(out, room);
    uint8_t *length = open_message(&w, MSG_CERTIFICATE);
    writer_u8(&w, 0);  // answers no request
    put_u24(&w, list);
    for (size_t i = 0; i < count; i++) {
        put_u24(&w, chain[i].len);
        writer_bytes(&w, chain[i].der, chain[i].len);
        writer_u16(&w, 0);  // no extensions
    }
    close_message(&w, length);
    return w.failed ? IROH_ERR_TOO_LARGE : (int)writer_len(&w);
}

static void put_hello(writer *w, const tls_hello *hello, const uint8_t *random, const uint8_t *share) {
    uint8_t *length = open_message(w, MSG_SERVER_HELLO);
    writer_u16(w, VERSION_12);
    writer_bytes(w, random, 32);
    writer_u8(w, hello->id_len);
    writer_bytes(w, hello->id, hello->id_len);
    writer_u16(w, hello->suite);
    writer_u8(w, 0);        // no compression
    writer_u16(w, 40 + 6);  // extensions
    writer_u16(w, 51);      // key share
    writer_u16(w, 4 + X25519_SIZE);
    writer_u16(w, GROUP_X25519);
    writer_u16(w, X25519_SIZE);
    writer_bytes(w, share, X25519_SIZE);
    writer_u16(w, 43);  // version
    writer_u16(w, 2);
    writer_u16(w, VERSION_13);
    close_message(w, length);
}

// --- The key schedule (RFC 8446, section 7.1)

typedef struct schedule {
    size_t hash_len;
    hash transcript;
    uint8_t current[AEAD_HASH_MAX];                        // the early, handshake or master secret
    uint8_t client[AEAD_HASH_MAX], server[AEAD_HASH_MAX];  // handshake traffic secrets
} schedule;

static void derive(const schedule *k, const char *label, const uint8_t *context, uint8_t *out) {
    hkdf_expand_label(k->hash_len, k->current, label, context, k->hash_len, out, k->hash_len);
}

// From one secret to the next; `input` null: zeros.
static void advance(schedule *k, const uint8_t *input, size_t len) {
    static const uint8_t zeros[AEAD_HASH_MAX] = {0};
    uint8_t nothing[AEAD_HASH_MAX], salt[AEAD_HASH_MAX];
    hash empty;
    hash_init(&empty, k->hash_len);
    hash_peek(&empty, nothing);
    derive(k, "derived", nothing, salt);
    hkdf_extract(k->hash_len, salt, k->hash_len, input != NULL ? input : zeros, input != NULL ? len : k->hash_len,
                 k->current);
    wipe(salt, sizeof salt);
}

static void schedule_init(schedule *k, size_t hash_len, const uint8_t *hello, size_t len) {
    static const uint8_t zeros[AEAD_HASH_MAX] = {0};
    k->hash_len = hash_len;
    hash_init(&k->transcript, hash_len);
    hash_update(&k->transcript, hello, len);
    hkdf_extract(hash_len, zeros, hash_len, zeros, hash_len, k->current);
}

// After the ServerHello.
static void enter_handshake(schedule *k, const uint8_t *shared) {
    uint8_t so_far[AEAD_HASH_MAX];
    advance(k, shared, X25519_SIZE);
    hash_peek(&k->transcript, so_far);
    derive(k, "c hs traffic", so_far, k->client);
    derive(k, "s hs traffic", so_far, k->server);
}

// What a Finished says whose sender has this traffic secret.
static void finished_of(const schedule *k, const uint8_t *secret, uint8_t *out) {
    uint8_t key[AEAD_HASH_MAX], so_far[AEAD_HASH_MAX];
    hkdf_expand_label(k->hash_len, secret, "finished", NULL, 0, key, k->hash_len);
    hash_peek(&k->transcript, so_far);
    hkdf_extract(k->hash_len, key, k->hash_len, so_far, k->hash_len, out);  // one HMAC
    wipe(key, sizeof key);
}

// After the server's Finished.
static void enter_application(schedule *k, tls_server *s) {
    uint8_t so_far[AEAD_HASH_MAX];
    s->expected[0] = MSG_FINISHED;
    s->expected[3] = (uint8_t)k->hash_len;
    finished_of(k, k->client, s->expected + 4);
    advance(k, NULL, 0);
    hash_peek(&k->transcript, so_far);
    derive(k, "c ap traffic", so_far, s->read);
    derive(k, "s ap traffic", so_far, s->write);
    derive(k, "exp master", so_far, s->exporter);
}

// --- The answer

static size_t plain_max(const tls_credential *c) {
    return 6 + c->certificate_len + 8 + SIGNER_SIGNATURE_MAX + 4 + AEAD_HASH_MAX;
}

static size_t records_for(size_t plain) {
    return (plain + TLS_RECORD_PLAIN_MAX - 1) / TLS_RECORD_PLAIN_MAX;
}

size_t tls_server_room(const tls_credential *c) {
    size_t plain = plain_max(c);
    return OPENING_MAX + plain + RECORD_COST * records_for(plain);
}

// Signs the transcript so far (section 4.4.3).
static int put_verify(writer *w, const schedule *k, const signer *key, uint16_t scheme) {
    static const char context[] = "TLS 1.3, server CertificateVerify";  // and its zero
    uint8_t message[64 + sizeof context + AEAD_HASH_MAX], signature[SIGNER_SIGNATURE_MAX];
    memset(message, ' ', 64);
    memcpy(message + 64, context, sizeof context);
    hash_peek(&k->transcript, message + 64 + sizeof context);
    int len = signer_sign(key, scheme, message, 64 + sizeof context + k->hash_len, signature);
    if (len < 0)
        return len;
    uint8_t *length = open_message(w, MSG_VERIFY);
    writer_u16(w, scheme);
    writer_u16(w, (uint16_t)len);
    writer_bytes(w, signature, (size_t)len);
    close_message(w, length);
    return 0;
}

// The messages that go encrypted, into `w`, and with them all secrets.
static int put_proof(writer *w, schedule *k, const tls_credential *c, uint16_t scheme) {
    static const uint8_t no_extensions[] = {MSG_EXTENSIONS, 0, 0, 2, 0, 0};
    uint8_t finished[AEAD_HASH_MAX];
    writer_bytes(w, no_extensions, sizeof no_extensions);
    writer_bytes(w, c->certificate, c->certificate_len);
    hash_update(&k->transcript, w->start, writer_len(w));
    size_t before = writer_len(w);
    int r = put_verify(w, k, c->key, scheme);
    if (r != 0)
        return r;
    hash_update(&k->transcript, w->start + before, writer_len(w) - before);
    before = writer_len(w);
    finished_of(k, k->server, finished);
    uint8_t *length = open_message(w, MSG_FINISHED);
    writer_bytes(w, finished, k->hash_len);
    close_message(w, length);
    hash_update(&k->transcript, w->start + before, writer_len(w) - before);
    return w->failed ? IROH_ERR_TOO_LARGE : 0;
}

// The ServerHello and, for the eyes of middleboxes, a change of cipher (appendix D.4), as records.
static void put_opening(writer *w, schedule *k, const tls_hello *hello, const uint8_t *random, const uint8_t *share) {
    static const uint8_t change[] = {TLS_RECORD_CIPHER_CHANGE, 3, 3, 0, 1, 1};
    writer_u8(w, TLS_RECORD_HANDSHAKE);
    writer_u16(w, VERSION_12);
    writer_u16(w, (uint16_t)(4 + 2 + 32 + 1 + hello->id_len + 2 + 1 + 2 + 46));
    size_t before = writer_len(w);
    put_hello(w, hello, random, share);
    hash_update(&k->transcript, w->start + before, writer_len(w) - before);
    if (hello->id_len > 0)
        writer_bytes(w, change, sizeof change);
}

// Moves plaintext forward from the end of the room, record by record, and seals it there: what is sealed never reaches what
// has yet to be moved. Where the records end, or an error.
static int seal_all(tls_record *record, uint8_t *out, size_t at, const uint8_t *plain, size_t len) {
    while (len > 0) {
        size_t n = len < TLS_RECORD_PLAIN_MAX ? len : TLS_RECORD_PLAIN_MAX;
        uint8_t *start;
        memmove(out + at + TLS_RECORD_HEADER, plain, n);
        int sealed = tls_record_seal(record, TLS_RECORD_HANDSHAKE, out + at + TLS_RECORD_HEADER, n, &start);
        if (sealed < 0)
            return sealed;
        at += (size_t)sealed;
        plain += n;
        len -= n;
    }
    return (int)at;
}

static void record_of(tls_record *out, const aead_suite *suite, const uint8_t *read, const uint8_t *write) {
    tls_record_secret secrets[2] = {{.seq = 0}, {.seq = 0}};
    memcpy(secrets[0].secret, read, suite->hash_len);
    memcpy(secrets[1].secret, write, suite->hash_len);
    tls_record_init(out, suite, false, &secrets[0], &secrets[1]);
    wipe(secrets, sizeof secrets);
}

static int answer(tls_server *s, schedule *k, const tls_credential *c, const tls_server_seed *seed,
                  const tls_hello *hello, uint8_t *out, size_t room) {
    uint8_t share[X25519_SIZE], shared[X25519_SIZE];
    if (!x25519_exchange(seed->secret, hello->share, share, shared))
        return 0;
    writer opening = writer_of(out, room - plain_max(c));
    put_opening(&opening, k, hello, seed->random, share);
    enter_handshake(k, shared);
    wipe(shared, sizeof shared);
    writer proof = writer_of(out + room - plain_max(c), plain_max(c));
    int r = put_proof(&proof, k, c, hello->scheme);
    if (r != 0)
        return r == IROH_ERR_NOMEM ? r : 0;
    record_of(&s->record, s->suite, k->client, k->server);
    enter_application(k, s);
    return seal_all(&s->record, out, writer_len(&opening), proof.start, writer_len(&proof));
}

int tls_server_answer(tls_server *s, const tls_credential *c, const tls_server_seed *seed, const uint8_t *message,
                      size_t len, uint8_t *out, size_t room) {
    tls_hello hello;
    size_t count;
    const uint16_t *schemes = signer_schemes(c->key, &count);
    *s = (tls_server){0};
    if (room < tls_server_room(c) || !tls_hello_read(message, len, schemes, count, &hello))
        return 0;
    s->suite = aead_suite_by_id(hello.suite);
    schedule k;
    schedule_init(&k, s->suite->hash_len, message, len);
    int r = answer(s, &k, c, seed, &hello, out, room);
    wipe(&k, sizeof k);
    return r == IROH_ERR_CRYPTO ? 0 : r;
}

// --- What the client says then

static int fail(tls_server *s, uint8_t alert) {
    s->alert = alert;
    return IROH_ERR_HANDSHAKE;
}

static int take_change(tls_server *s, const uint8_t *record, size_t len) {
    static const uint8_t change[] = {TLS_RECORD_CIPHER_CHANGE, 3, 3, 0, 1, 1};
    if (len != sizeof change || memcmp(record, change, len) != 0 || ++s->ignored > IGNORED_MAX)
        return fail(s, TLS_ALERT_UNEXPECTED);
    return 0;
}

static bool is_same(const uint8_t *a, const uint8_t *b, size_t len) {
    uint8_t difference = 0;
    for (size_t i = 0; i < len; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

// The Finished may come in pieces. Behind it the key changes, so it ends its record.
static int take_finished(tls_server *s, const uint8_t *data, size_t len) {
    size_t whole = 4 + (size_t)s->suite->hash_len, head = s->taken < 4 ? 4 - (size_t)s->taken : 0;
    if (len == 0 || len > whole - s->taken || memcmp(data, s->expected + s->taken, len < head ? len : head) != 0)
        return fail(s, TLS_ALERT_UNEXPECTED);
    if (!is_same(data, s->expected + s->taken, len))
        return fail(s, TLS_ALERT_DECRYPT);
    s->taken = (uint8_t)(s->taken + len);
    s->done = s->taken == whole;
    return s->done;
}

int tls_server_take(tls_server *s, uint8_t *record, size_t len) {
    uint8_t type, *data;
    size_t data_len;
    if (len < TLS_RECORD_HEADER)
        return fail(s, TLS_ALERT_DECODE);
    if (record[0] == TLS_RECORD_CIPHER_CHANGE)
        return take_change(s, record, len);
    // One that could not read our hello says so in the clear. It has hung up: there is nobody to be told.
    if (record[0] == TLS_RECORD_ALERT)
        return fail(s, TLS_ALERT_CLOSE_NOTIFY);
    int r = tls_record_open_any(&s->record, &record, &len, &type, &data, &data_len);
    if (r == IROH_ERR_NOMEM)
        return r;
    if (r <= 0)
        return fail(s, r < 0 ? s->record.alert : TLS_ALERT_DECODE);
    if (type == TLS_RECORD_ALERT)
        return fail(s, TLS_ALERT_CLOSE_NOTIFY);
    return type == TLS_RECORD_HANDSHAKE ? take_finished(s, data, data_len) : fail(s, TLS_ALERT_UNEXPECTED);
}

// The server has changed to the keys of the application with its Finished.
int tls_server_put_alert(const tls_server *s, uint8_t room[static TLS_RECORD_SMALL], uint8_t **start) {
    tls_record record;
    record_of(&record, s->suite, s->read, s->write);
    int len = tls_record_put_alert(&record, s->alert, room, start);
    tls_record_dispose(&record);
    return len;
}

void tls_server_dispose(tls_server *s) {
    if (s->suite != NULL && s->record.suite != NULL)
        tls_record_dispose(&s->record);
    wipe(s, sizeof *s);
}
