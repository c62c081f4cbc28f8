#include "unit/replay_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/clock.h"

#define FIXED_BIT 0x40
#define LONG_FORM 0x80
#define SHORT_MIN 21  // bytes of the smallest stateless reset (RFC 9000, section 10.3)
#define TLS_CLIENT_HELLO 1
#define TLS_SERVER_HELLO 2
#define TLS_ENCRYPTED_EXTENSIONS 8
#define EXTENSION_TRANSPORT_PARAMETERS 57
#define SUITE_AES_128 0x1301
#define SUITE_AES_256 0x1302

static void need(bool ok, const char *what) {
    if (ok)
        return;
    (void)fprintf(stderr, "replay: %s\n", what);
    exit(1);
}

static quic_cid cid_of(const uint8_t *bytes, size_t len) {
    quic_cid cid = {.len = (uint8_t)len};
    need(len <= QUIC_CID_MAX, "connection id too long");
    if (len > 0)
        memcpy(cid.bytes, bytes, len);
    return cid;
}

void replay_init(replay *r, const char *keys) {
    *r = (replay){0};
    key_log_open(&r->keys, keys);
}

static void conn_free(replay_conn *c) {
    for (size_t dir = 0; dir < 2; dir++) {
        quic_keys_dispose(&c->initial[dir]);
        quic_keys_dispose(&c->handshake[dir]);
        quic_key_phases_dispose(&c->app[dir]);
    }
    quic_keys_dispose(&c->early);
    free(c);
}

void replay_dispose(replay *r) {
    for (size_t i = 0; i < r->conn_count; i++)
        conn_free(r->conns[i]);
    key_log_close(&r->keys);
    *r = (replay){0};
}

// --- Connection ids

static replay_cid *find_cid(replay *r, const quic_cid *cid) {
    for (size_t i = 0; i < r->cid_count; i++) {
        if (quic_cid_equal(&r->cids[i].cid, cid))
            return &r->cids[i];
    }
    return NULL;
}

static replay_cid *add_cid(replay *r, const quic_cid *cid, replay_conn *conn, replay_dir dir, uint64_t path) {
    replay_cid *known = find_cid(r, cid);
    if (known != NULL)
        return known;
    need(r->cid_count < REPLAY_CIDS && path < REPLAY_PATHS, "too many connection ids or paths");
    replay_cid *fresh = &r->cids[r->cid_count++];
    *fresh = (replay_cid){.cid = *cid, .conn = conn, .dir = dir, .path = (uint32_t)path};
    return fresh;
}

static void set_token(replay_cid *cid, const uint8_t token[static QUIC_RESET_TOKEN]) {
    memcpy(cid->token, token, QUIC_RESET_TOKEN);
    cid->has_token = true;
}

static replay_conn *find_token(const replay *r, const uint8_t *bytes, size_t len) {
    if (len < SHORT_MIN)
        return NULL;
    for (size_t i = 0; i < r->cid_count; i++) {
        const replay_cid *cid = &r->cids[i];
        if (cid->has_token && memcmp(cid->token, bytes + len - QUIC_RESET_TOKEN, QUIC_RESET_TOKEN) == 0)
            return cid->conn;
    }
    return NULL;
}

// --- Keys

static replay_conn *conn_new(replay *r, const quic_cid *dcid) {
    replay_conn *c = calloc(1, sizeof *c);
    need(c != NULL && r->conn_count < REPLAY_CONNS, "too many connections");
    c->number = r->conn_count;
    c->original_dcid = *dcid;
    r->conns[r->conn_count++] = c;
    memset(c->largest, 0xff, sizeof c->largest);  // QUIC_PN_NONE
    need(quic_keys_initial(dcid, &c->initial[REPLAY_C2S], &c->initial[REPLAY_S2C]) == 0, "no initial keys");
    (void)add_cid(r, dcid, c, REPLAY_C2S, 0);
    return c;
}

// The server chose another connection id with a Retry, and from then on Initial keys follow from that one.
static void take_retry(replay *r, replay_conn *c, const quic_packet *retry) {
    quic_cid scid = cid_of(retry->scid, retry->scid_len);
    quic_keys_dispose(&c->initial[REPLAY_C2S]);
    quic_keys_dispose(&c->initial[REPLAY_S2C]);
    need(quic_keys_initial(&scid, &c->initial[REPLAY_C2S], &c->initial[REPLAY_S2C]) == 0, "no initial keys");
    (void)add_cid(r, &scid, c, REPLAY_C2S, 0);
}

static void load_keys(const replay *r, replay_conn *c, const char *label, quic_keys *k) {
    uint8_t secret[AEAD_HASH_MAX];
    if (quic_keys_present(k) || c->suite == NULL || key_log_find(&r->keys, label, c->random, secret) == 0)
        return;
    need(quic_keys_init(k, c->suite, secret) == 0, "no keys");
}

// The keys of 0-RTT may be needed before the suite is known: then the length of the secret tells.
static void load_early(const replay *r, replay_conn *c) {
    uint8_t secret[AEAD_HASH_MAX];
    size_t len = key_log_find(&r->keys, "CLIENT_EARLY_TRAFFIC_SECRET", c->random, secret);
    if (len == 0 || quic_keys_present(&c->early))
        return;
    const aead_suite *suite = aead_suite_by_id(len == 48 ? SUITE_AES_256 : SUITE_AES_128);
    need(quic_keys_init(&c->early, suite, secret) == 0, "no keys");
}

static void load_app(const replay *r, replay_conn *c, replay_dir dir) {
    uint8_t secret[AEAD_HASH_MAX];
    quic_key_phases *p = &c->app[dir];
    const char *label = dir == REPLAY_C2S ? "CLIENT_TRAFFIC_SECRET_0" : "SERVER_TRAFFIC_SECRET_0";
    if (p->suite != NULL || c->suite == NULL || key_log_find(&r->keys, label, c->random, secret) == 0)
        return;
    p->discard_previous_at = TIME_NEVER;
    bool ok = quic_key_phases_install(p, c->suite, secret, false) == 0 &&
              quic_key_phases_install(p, c->suite, secret, true) == 0;
    need(ok, "no keys");
}

// The key of header protection and, but for 1-RTT, of the packet; null: not known.
static const quic_keys *keys_for(const replay *r, replay_conn *c, quic_packet_type type, replay_dir dir) {
    const quic_keys *k = &c->initial[dir];
    if (c->random_known && type == QUIC_0RTT) {
        load_early(r, c);
        k = &c->early;
    } else if (type == QUIC_HANDSHAKE) {
        load_keys(r, c, dir == REPLAY_C2S ? "CLIENT_HANDSHAKE_TRAFFIC_SECRET" : "SERVER_HANDSHAKE_TRAFFIC_SECRET",
                  &c->handshake[dir]);
        k = &c->handshake[dir];
    } else if (type == QUIC_1RTT) {
        load_app(r, c, dir);
        k = &c->app[dir].read;
    }
    return quic_keys_present(k) ? k : NULL;
}

// --- Packets

static quic_space_id space_of(quic_packet_type type) {
    if (type == QUIC_INITIAL)
        return QUIC_SPACE_INITIAL;
    return type == QUIC_HANDSHAKE ? QUIC_SPACE_HANDSHAKE : QUIC_SPACE_DATA;
}

// What the connection's keys make of the packet: the length of the plaintext, or IROH_ERR_CRYPTO. An update by the peer
// is followed.
static int open_with_phases(replay_packet *p) {
    quic_key_phases *phases = &p->conn->app[p->dir];
    const quic_packet *h = &p->header;
    bool phase = (h->bytes[0] & 0x04) != 0, fresh;
    int n = quic_key_phases_open(phases, h->bytes, h->len, h->pn_offset, p->pn_size, p->path, p->pn, &fresh);
    if (n < 0)
        return n;
    if (fresh)
        need(quic_key_phases_update(phases, 0, TIME_NEVER) == 0, "key update");
    bool previous = phase != phases->phase;
    p->generation = phases->generation - (previous ? 1 : 0);
    p->keys = previous ? &phases->read_previous : &phases->read;
    p->hp = phases->read.hp;
    return n;
}

static int open_packet(replay_packet *p, const quic_keys *k) {
    const quic_packet *h = &p->header;
    if (h->type == QUIC_1RTT)
        return open_with_phases(p);
    p->keys = k;
    p->hp = k->hp;
    return quic_packet_open(k, h->bytes, h->len, h->pn_offset, p->pn_size, p->path, p->pn);
}

// A copy with its last byte changed must not open, and must leave the keys as they were.
static void check_forgery_refused(const replay_packet *p, const quic_keys *k) {
    replay_packet forged = *p;
    uint8_t *copy = malloc(p->header.len);
    need(copy != NULL, "out of memory");
    memcpy(copy, p->header.bytes, p->header.len);
    copy[p->header.len - 1] ^= 1;
    forged.header.bytes = copy;
    need(open_packet(&forged, k) == IROH_ERR_CRYPTO, "a changed packet opened");
    free(copy);
}

static void open_protected(replay *r, replay_packet *p) {
    const quic_packet *h = &p->header;
    const quic_keys *k = keys_for(r, p->conn, h->type, p->dir);
    p->space = space_of(h->type);
    if (k == NULL) {
        p->kind = REPLAY_SEALED;
        return;
    }
    uint64_t truncated, *largest = &p->conn->largest[p->dir][p->space][p->path];
    int pn_size = quic_packet_unprotect(k->hp, h->bytes, h->len, h->pn_offset, &truncated);
    need(pn_size > 0, "packet too short");
    p->pn_size = (size_t)pn_size;
    p->pn = quic_pn_decode(truncated, p->pn_size, *largest);
    check_forgery_refused(p, k);
    int n = open_packet(p, k);
    need(n >= 0, "a packet does not open");
    if (*largest == QUIC_PN_NONE || p->pn > *largest)
        *largest = p->pn;
    p->plain = h->bytes + h->pn_offset + p->pn_size;
    p->plain_len = (size_t)n;
    p->kind = REPLAY_OPENED;
}

// Packets with a clear fixed bit are refused by the parser, and rightly so; the observer still wants to see them.
static int parse(uint8_t *bytes, size_t len, replay_packet *out) {
    out->parsed = quic_packet_parse(bytes, len, &out->header);
    bool clear = (bytes[0] & FIXED_BIT) == 0;
    if (out->parsed != IROH_ERR_SYNTAX || !clear)
        return out->parsed;
    bytes[0] |= FIXED_BIT;
    int n = quic_packet_parse(bytes, len, &out->header);
    bytes[0] = (uint8_t)(bytes[0] & ~FIXED_BIT);
    return n;
}

static void attribute(replay *r, replay_packet *p) {
    const quic_packet *h = &p->header;
    quic_cid dcid = cid_of(h->dcid, h->dcid_len);
    const replay_cid *hit = find_cid(r, &dcid);
    if (hit == NULL && h->type == QUIC_INITIAL) {
        (void)conn_new(r, &dcid);
        hit = find_cid(r, &dcid);
    }
    if (hit == NULL)
        return;
    p->conn = hit->conn;
    p->dir = hit->dir;
    p->path = hit->path;
    if (h->type == QUIC_INITIAL) {
        quic_cid scid = cid_of(h->scid, h->scid_len);
        (void)add_cid(r, &scid, p->conn, p->dir == REPLAY_C2S ? REPLAY_S2C : REPLAY_C2S, 0);
    }
}

size_t replay_next(replay *r, uint8_t *bytes, size_t len, replay_packet *out) {
    *out = (replay_packet){.kind = REPLAY_UNKNOWN};
    if (parse(bytes, len, out) != 0)
        return len;
    quic_packet *h = &out->header;
    if (h->type == QUIC_VERSION_NEGOTIATION) {
        out->kind = REPLAY_CONTROL;
        return len;
    }
    attribute(r, out);
    if (out->conn == NULL) {
        out->conn = (bytes[0] & LONG_FORM) == 0 ? find_token(r, bytes, len) : NULL;
        out->kind = out->conn != NULL ? REPLAY_RESET : REPLAY_UNKNOWN;
        return len;
    }
    if (h->type == QUIC_RETRY) {
        out->kind = REPLAY_CONTROL;
        take_retry(r, out->conn, h);
        return len;
    }
    open_protected(r, out);
    return h->len;
}

// --- TLS

static void take_extensions(replay *r, const replay_packet *p, reader *body) {
    replay_conn *c = p->conn;
    reader list = reader_of(body->p, reader_left(body));
    size_t left = reader_u16(&list);
    need(left == reader_left(&list), "extensions");
    while (reader_left(&list) > 0) {
        uint16_t id = reader_u16(&list);
        size_t len = reader_u16(&list);
        const uint8_t *value = reader_bytes(&list, len);
        need(!list.failed, "extension");
        if (id != EXTENSION_TRANSPORT_PARAMETERS)
            continue;
        quic_role sender = p->dir == REPLAY_C2S ? QUIC_CLIENT : QUIC_SERVER;
        need(quic_params_decode(&c->params[p->dir], sender, value, len) == 0, "transport parameters");
        c->params_known[p->dir] = true;
        if (c->params[p->dir].has_reset_token)
            set_token(add_cid(r, &c->params[p->dir].initial_scid, c, REPLAY_C2S, 0), c->params[p->dir].reset_token);
    }
}

// Version, random and session id, with which both hellos begin.
static void skip_hello_start(reader *b) {
    (void)reader_bytes(b, 2 + CAPTURE_RANDOM);
    (void)reader_bytes(b, reader_u8(b));
}

static void take_message(replay *r, const replay_packet *p, uint8_t type, reader body) {
    replay_conn *c = p->conn;
    if (type == TLS_CLIENT_HELLO) {
        need(reader_left(&body) > 2 + CAPTURE_RANDOM, "ClientHello");
        memcpy(c->random, body.p + 2, CAPTURE_RANDOM);
        c->random_known = true;
        skip_hello_start(&body);
        (void)reader_bytes(&body, reader_u16(&body));  // cipher suites
        (void)reader_bytes(&body, reader_u8(&body));   // compression methods
        take_extensions(r, p, &body);
    } else if (type == TLS_SERVER_HELLO) {
        skip_hello_start(&body);
        c->suite = aead_suite_by_id(reader_u16(&body));
        need(c->suite != NULL, "cipher suite");
    } else if (type == TLS_ENCRYPTED_EXTENSIONS) {
        take_extensions(r, p, &body);
    }
}

static void take_crypto(replay *r, const replay_packet *p, const quic_frame *f) {
    replay_crypto *s = &p->conn->crypto[p->dir][p->space];
    need(f->crypto.offset <= s->len && f->crypto.offset + f->crypto.len <= sizeof s->bytes, "CRYPTO with a gap");
    memcpy(s->bytes + f->crypto.offset, f->crypto.data, f->crypto.len);
    if (s->len < f->crypto.offset + f->crypto.len)
        s->len = (size_t)f->crypto.offset + f->crypto.len;
    for (;;) {
        reader in = reader_of(s->bytes + s->read, s->len - s->read);
        uint8_t type = reader_u8(&in);
        size_t len = (size_t)reader_be(&in, 3);
        const uint8_t *body = reader_bytes(&in, len);
        if (in.failed)
            return;
        take_message(r, p, type, reader_of(body, len));
        s->read += 4 + len;
    }
}

bool replay_frame(replay *r, const replay_packet *p, const quic_frame *f) {
    bool known = p->conn->params_known[p->dir];
    replay_dir back = p->dir == REPLAY_C2S ? REPLAY_S2C : REPLAY_C2S;
    if (f->type == FRAME_NEW_CONNECTION_ID || f->type == FRAME_PATH_NEW_CONNECTION_ID)
        set_token(add_cid(r, &f->new_cid.cid, p->conn, back, f->new_cid.path), f->new_cid.token);
    else if (f->type == FRAME_CRYPTO)
        take_crypto(r, p, f);
    return !known && p->conn->params_known[p->dir];
}
