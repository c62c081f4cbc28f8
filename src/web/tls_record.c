#include "web/tls_record.h"

#include <string.h>

#include <iroh/error.h>

#include "base/bytes.h"
#include "base/wipe.h"
#include "crypto/hkdf.h"

#define HEADER TLS_RECORD_HEADER
#define VERSION_12 0x0303  // on the wire in both versions
#define EXPLICIT_NONCE 8   // TLS 1.2 with AES-GCM: bytes of the nonce that travel with the record
#define SALT 4             // and those that do not
#define ALERT_FATAL 2
#define ALERT_WARNING 1
#define ALERT_USER_CANCELED 90
#define MSG_KEY_UPDATE 24
#define UPDATE_REQUESTED 1
#define CHACHA_ID 0x1303

// --- Keys

static bool has_explicit_nonce(const tls_record *r) {
    return r->old && r->suite->id != CHACHA_ID;
}

static void derive_iv(const tls_record *r, tls_half *h) {
    hkdf_expand_label(r->suite->hash_len, h->secret, "iv", NULL, 0, h->iv, AEAD_NONCE);
}

static void half_init(const tls_record *r, tls_half *h, const tls_record_secret *s) {
    *h = (tls_half){.seq = s->seq};
    memcpy(h->secret, s->secret, sizeof h->secret);
    if (r->old)
        memcpy(h->iv, s->iv, sizeof h->iv);
    else
        derive_iv(r, h);
}

void tls_record_init(tls_record *r, const aead_suite *suite, bool old, const tls_record_secret *read,
                     const tls_record_secret *write) {
    *r = (tls_record){.suite = suite, .old = old};
    half_init(r, &r->read, read);
    half_init(r, &r->write, write);
}

static bool half_rest(const tls_record *r, tls_half *h) {
    bool had = h->key != NULL;
    r->suite->aead_free(h->key);
    h->key = NULL;
    return had;
}

bool tls_record_rest(tls_record *r) {
    bool had = half_rest(r, &r->read);
    return half_rest(r, &r->write) || had;
}

void tls_record_dispose(tls_record *r) {
    (void)tls_record_rest(r);
    wipe(r, sizeof *r);
}

static bool half_wake(const tls_record *r, tls_half *h) {
    uint8_t key[AEAD_KEY_MAX];
    if (h->key != NULL)
        return true;
    if (r->old)
        memcpy(key, h->secret, sizeof key);
    else
        hkdf_expand_label(r->suite->hash_len, h->secret, "key", NULL, 0, key, r->suite->key_len);
    h->key = r->suite->aead_new(key);
    wipe(key, sizeof key);
    return h->key != NULL;
}

// The next generation of a traffic secret (RFC 8446, section 7.2).
static void half_renew(const tls_record *r, tls_half *h) {
    uint8_t next[AEAD_HASH_MAX];
    (void)half_rest(r, h);
    hkdf_expand_label(r->suite->hash_len, h->secret, "traffic upd", NULL, 0, next, r->suite->hash_len);
    memcpy(h->secret, next, r->suite->hash_len);
    wipe(next, sizeof next);
    derive_iv(r, h);
    h->seq = h->sealed = 0;
}

// --- Records

static void make_nonce(const tls_record *r, const tls_half *h, const uint8_t *explicit_part, uint8_t *nonce) {
    memcpy(nonce, h->iv, AEAD_NONCE);
    if (has_explicit_nonce(r)) {
        memcpy(nonce + SALT, explicit_part, EXPLICIT_NONCE);
        return;
    }
    for (unsigned i = 0; i < 8; i++)
        nonce[AEAD_NONCE - 1 - i] ^= (uint8_t)(h->seq >> 8 * i);
}

// What is authenticated beside the content: in TLS 1.3 the header as sent, in 1.2 number, type and length of the content.
static size_t make_aad(const tls_record *r, const tls_half *h, const uint8_t *header, size_t content, uint8_t *aad) {
    writer w = writer_of(aad, 13);
    if (r->old) {
        writer_u64(&w, h->seq);
        writer_bytes(&w, header, 3);
        writer_u16(&w, (uint16_t)content);
    } else {
        writer_bytes(&w, header, HEADER);
    }
    return writer_len(&w);
}

static int fail(tls_record *r, uint8_t alert, int error) {
    r->ended = true;
    r->alert = alert;
    return error;
}

// Opens the protected part in place. *content is set; `len` counts nonce and tag.
static int open_body(tls_record *r, const uint8_t *header, uint8_t *body, size_t len, uint8_t **content,
                     size_t *content_len) {
    uint8_t nonce[AEAD_NONCE], aad[13];
    size_t skip = has_explicit_nonce(r) ? EXPLICIT_NONCE : 0;
    if (len < skip + AEAD_TAG)
        return fail(r, TLS_ALERT_BAD_MAC, IROH_ERR_CRYPTO);
    if (!half_wake(r, &r->read))
        return fail(r, TLS_ALERT_INTERNAL, IROH_ERR_NOMEM);
    *content = body + skip;
    *content_len = len - skip - AEAD_TAG;
    make_nonce(r, &r->read, body, nonce);
    size_t aad_len = make_aad(r, &r->read, header, *content_len, aad);
    if (r->suite->open(r->read.key, nonce, aad, aad_len, *content, len - skip) != 0)
        return fail(r, TLS_ALERT_BAD_MAC, IROH_ERR_CRYPTO);
    r->read.seq++;
    if (*content_len > TLS_RECORD_PLAIN_MAX + (r->old ? 0 : 1))
        return fail(r, TLS_ALERT_OVERFLOW, IROH_ERR_PROTOCOL);
    return 0;
}

// The type of a TLS 1.3 record is its last byte that is not zero. 0: there is none.
static uint8_t take_type(const uint8_t *content, size_t *len) {
    while (*len > 0 && content[*len - 1] == 0)
        --*len;
    return *len > 0 ? content[--*len] : 0;
}

static int on_alert(tls_record *r, const uint8_t *content, size_t len) {
    if (len != 2)
        return fail(r, TLS_ALERT_DECODE, IROH_ERR_PROTOCOL);
    if (content[1] == TLS_ALERT_CLOSE_NOTIFY) {
        r->ended = true;
        return IROH_ERR_FINISHED;
    }
    if (content[1] == ALERT_USER_CANCELED || (r->old && content[0] == ALERT_WARNING))
        return 0;
    // It has hung up: there is nobody to be told.
    return fail(r, TLS_ALERT_CLOSE_NOTIFY, IROH_ERR_PROTOCOL);
}

// Of handshake messages only KeyUpdate may come now. It may arrive in pieces, but ends its record, since what follows has
// another key.
static int on_handshake(tls_record *r, const uint8_t *content, size_t len) {
    static const uint8_t update[4] = {MSG_KEY_UPDATE, 0, 0, 1};
    if (r->old || len == 0 || len > sizeof r->message - r->message_len)
        return fail(r, TLS_ALERT_UNEXPECTED, IROH_ERR_PROTOCOL);
    memcpy(r->message + r->message_len, content, len);
    r->message_len = (uint8_t)(r->message_len + len);
    size_t known = r->message_len < sizeof update ? r->message_len : sizeof update;
    if (memcmp(r->message, update, known) != 0)
        return fail(r, TLS_ALERT_UNEXPECTED, IROH_ERR_PROTOCOL);
    if (r->message_len < sizeof r->message)
        return 0;
    r->message_len = 0;
    if (r->message[4] > UPDATE_REQUESTED)
        return fail(r, TLS_ALERT_ILLEGAL, IROH_ERR_PROTOCOL);
    half_renew(r, &r->read);
    r->update_wanted = r->update_wanted || r->message[4] == UPDATE_REQUESTED;
    return 0;
}

static int take_content(tls_record *r, uint8_t type, uint8_t *content, size_t len) {
    if (type == TLS_RECORD_DATA && r->message_len == 0) {
        r->idle = len > 0 ? 0 : (uint8_t)(r->idle + 1);
        return r->idle <= TLS_RECORD_IDLE_MAX ? 1 : fail(r, TLS_ALERT_UNEXPECTED, IROH_ERR_PROTOCOL);
    }
    if (++r->idle > TLS_RECORD_IDLE_MAX)
        return fail(r, TLS_ALERT_UNEXPECTED, IROH_ERR_PROTOCOL);
    if (type == TLS_RECORD_ALERT)
        return on_alert(r, content, len);
    if (type == TLS_RECORD_HANDSHAKE)
        return on_handshake(r, content, len);
    return fail(r, TLS_ALERT_UNEXPECTED, IROH_ERR_PROTOCOL);
}

// Checks a header as soon as it is there, so that nobody waits for what is no record. The length of the body.
static int check_header(tls_record *r, const uint8_t *header) {
    size_t len = (size_t)header[3] << 8 | header[4];
    bool type_known =
        r->old ? header[0] >= TLS_RECORD_ALERT && header[0] <= TLS_RECORD_DATA : header[0] == TLS_RECORD_DATA;
    if (!type_known || header[1] != VERSION_12 >> 8)
        return fail(r, TLS_ALERT_UNEXPECTED, IROH_ERR_PROTOCOL);
    if (len > TLS_RECORD_MAX - HEADER)
        return fail(r, TLS_ALERT_OVERFLOW, IROH_ERR_PROTOCOL);
    return (int)len;
}

int tls_record_open_any(tls_record *r, uint8_t **bytes, size_t *len, uint8_t *type, uint8_t **data, size_t *data_len) {
    *data_len = 0;
    if (r->ended)
        return IROH_ERR_CLOSED;
    if (*len < HEADER)
        return 0;
    uint8_t *header = *bytes;
    int body = check_header(r, header);
    if (body < 0 || *len - HEADER < (size_t)body)
        return body < 0 ? body : 0;
    *bytes += HEADER + (size_t)body;
    *len -= HEADER + (size_t)body;
    int result = open_body(r, header, header + HEADER, (size_t)body, data, data_len);
    if (result != 0)
        return result;
    *type = r->old ? header[0] : take_type(*data, data_len);
    return 1;
}

int tls_record_open(tls_record *r, uint8_t **bytes, size_t *len, uint8_t **data, size_t *data_len) {
    uint8_t type;
    for (;;) {
        int result = tls_record_open_any(r, bytes, len, &type, data, data_len);
        if (result > 0)
            result = take_content(r, type, *data, *data_len);
        else if (result == 0)
            return 0;
        if (result != 0)
            return result;
    }
}

int tls_record_seal(tls_record *r, uint8_t type, uint8_t *data, size_t len, uint8_t **start) {
    uint8_t nonce[AEAD_NONCE], aad[13];
    tls_half *h = &r->write;
    size_t skip = has_explicit_nonce(r) ? EXPLICIT_NONCE : 0, inner = len;
    if (!half_wake(r, h))
        return IROH_ERR_NOMEM;
    if (!r->old)
        data[inner++] = type;
    *start = data - skip - HEADER;
    writer w = writer_of(*start, HEADER + skip);
    writer_u8(&w, r->old ? type : TLS_RECORD_DATA);
    writer_u16(&w, VERSION_12);
    writer_u16(&w, (uint16_t)(skip + inner + AEAD_TAG));
    if (skip > 0)
        writer_u64(&w, h->seq);
    make_nonce(r, h, data - skip, nonce);
    size_t aad_len = make_aad(r, h, *start, len, aad);
    if (r->suite->seal(h->key, nonce, aad, aad_len, data, inner) != 0)
        return IROH_ERR_CRYPTO;
    h->seq++;
    // In TLS 1.2 there is nothing to renew a key with; its limit is far beyond what such a connection lives to see.
    if (++h->sealed >= r->suite->confidentiality_limit / 2 && !r->old)
        r->update_wanted = true;
    return (int)(HEADER + skip + inner + AEAD_TAG);
}

int tls_record_put_update(tls_record *r, uint8_t room[static TLS_RECORD_SMALL], uint8_t **start) {
    static const uint8_t update[5] = {MSG_KEY_UPDATE, 0, 0, 1, 0};
    memcpy(room + TLS_RECORD_HEAD, update, sizeof update);
    int len = tls_record_seal(r, TLS_RECORD_HANDSHAKE, room + TLS_RECORD_HEAD, sizeof update, start);
    if (len < 0)
        return len;
    half_renew(r, &r->write);
    r->update_wanted = false;
    return len;
}

int tls_record_put_alert(tls_record *r, uint8_t alert, uint8_t room[static TLS_RECORD_SMALL], uint8_t **start) {
    room[TLS_RECORD_HEAD] = alert == TLS_ALERT_CLOSE_NOTIFY ? ALERT_WARNING : ALERT_FATAL;
    room[TLS_RECORD_HEAD + 1] = alert;
    return tls_record_seal(r, TLS_RECORD_ALERT, room + TLS_RECORD_HEAD, 2, start);
}
