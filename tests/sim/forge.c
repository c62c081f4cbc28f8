#include "forge.h"

#include "quic/conn_send.h"

#define PN_SIZE 4
#define SUITE_AES_128 0x1301
#define PARAMS_MAX 512
#define HELLO 1  // message types of the simulator's TLS
#define FINISH 20

typedef struct forged {
    quic_packet_type type;
    const quic_keys *keys;  // what the victim reads with
    const hp_key *hp;
    bool phase;
    const quic_path_cids *cids;
    uint64_t largest;  // that the victim has received, QUIC_PN_NONE: none
} forged;

static bool choose_1rtt(const quic_conn *c, const forge_options *o, forged *f) {
    f->type = QUIC_1RTT;
    f->keys = o->next_phase ? &c->keys.read_next : &c->keys.read;
    f->hp = c->keys.read.hp;
    f->phase = c->keys.phase != o->next_phase;
    f->cids = c->cids_count > 0 ? c->cids[o->path % c->cids_count] : NULL;
    if (f->cids == NULL)
        return false;
    f->largest = f->cids->path != NULL ? f->cids->path->data.acks.largest : QUIC_PN_NONE;
    return quic_keys_present(f->keys) && f->hp != NULL;
}

static bool choose_long(const quic_conn *c, forge_level level, forged *f) {
    const quic_path_cids *first = quic_conn_cids(c, 0);
    if (c->hs == NULL || first == NULL || first->path == NULL)
        return false;
    f->cids = first;
    if (level == FORGE_0RTT) {
        f->type = QUIC_0RTT;
        f->keys = &c->hs->early;
        f->largest = first->path->data.acks.largest;
    } else {
        quic_space_id space = level == FORGE_INITIAL ? QUIC_SPACE_INITIAL : QUIC_SPACE_HANDSHAKE;
        f->type = level == FORGE_INITIAL ? QUIC_INITIAL : QUIC_HANDSHAKE;
        f->keys = &c->hs->read[space];
        f->largest = c->hs->spaces[space].acks.largest;
    }
    f->hp = f->keys->hp;
    return quic_keys_present(f->keys);
}

// The newest id by which the victim is reached on the path; false: none is left.
static bool newest_cid(const quic_path_cids *cids, quic_cid *out) {
    for (uint64_t seq = cids->local.next; seq > cids->local.base; seq--) {
        const quic_local_cid *item = quic_local_cids_get(&cids->local, seq - 1);
        if (item == NULL)
            continue;
        out->len = QUIC_LOCAL_CID;
        memcpy(out->bytes, item->bytes, QUIC_LOCAL_CID);
        return true;
    }
    return false;
}

static quic_cid peer_cid(const quic_conn *c) {
    const quic_path_cids *first = quic_conn_cids(c, 0);
    const quic_peer_cid *active = first != NULL ? quic_peer_cids_active(&first->peer) : NULL;
    return active != NULL ? active->cid : (quic_cid){0};
}

size_t forge_packet(const quic_conn *c, const forge_options *o, const uint8_t *frames, size_t len, uint8_t *out) {
    forged f = {0};
    quic_cid dcid, scid = peer_cid(c);
    if (!(o->level == FORGE_1RTT ? choose_1rtt(c, o, &f) : choose_long(c, o->level, &f)) || !newest_cid(f.cids, &dcid))
        return 0;
    uint64_t pn = f.largest == QUIC_PN_NONE ? o->ahead : f.largest + 1 + o->ahead;
    writer w = writer_of(out, FORGE_PACKET_MAX);
    size_t pn_offset = f.type == QUIC_1RTT ? quic_packet_write_short(&w, &dcid, false, f.phase, pn, PN_SIZE)
                                           : quic_packet_write_long(&w, f.type, &dcid, &scid, NULL, 0, pn, PN_SIZE);
    size_t whole = writer_len(&w) + len + AEAD_TAG;
    writer_bytes(&w, frames, len);
    if (w.failed || writer_left(&w) < AEAD_TAG)
        return 0;
    if (f.type != QUIC_1RTT)
        quic_packet_set_length(out, pn_offset, whole);
    int n = quic_packet_seal(f.keys, f.hp, out, pn_offset, PN_SIZE, len, f.cids->id, pn);
    return n > 0 ? (size_t)n : 0;
}

size_t forge_own(quic_conn *c, const uint8_t *frames, size_t len, uint64_t now, uint8_t *out) {
    quic_open_packet k;
    if (len > FORGE_PACKET_MAX - FORGE_OVERHEAD ||
        !quic_open_packet_begin(c, c->path, &k, QUIC_1RTT, out, FORGE_PACKET_MAX, now))
        return 0;
    writer_bytes(&k.b.w, frames, len);
    k.b.flags |= SENT_ACK_ELICITING;
    return quic_open_packet_finish(c, c->path, &k, now);
}

size_t forge_retry(const quic_conn *c, const uint8_t *token, size_t len, uint8_t *out) {
    const quic_cid scid = {.len = QUIC_LOCAL_CID, .bytes = "retried"};
    if (c->hs == NULL)
        return 0;
    return quic_packet_write_retry(out, FORGE_PACKET_MAX, &c->scid, &scid, &c->hs->original_dcid, token, len, 0);
}

size_t forge_version_negotiation(const quic_conn *c, const uint8_t *list, size_t len, uint8_t *out) {
    quic_cid scid = peer_cid(c);
    writer w = writer_of(out, FORGE_PACKET_MAX);
    writer_u8(&w, 0xc0);
    writer_u32(&w, 0);
    writer_u8(&w, c->scid.len);
    writer_bytes(&w, c->scid.bytes, c->scid.len);
    writer_u8(&w, scid.len);
    writer_bytes(&w, scid.bytes, scid.len);
    writer_bytes(&w, list, len);
    return w.failed ? 0 : writer_len(&w);
}

size_t forge_reset(const quic_conn *c, const uint8_t *noise, size_t len, uint8_t *out) {
    const quic_path_cids *first = quic_conn_cids(c, 0);
    const quic_peer_cid *active = first != NULL ? quic_peer_cids_active(&first->peer) : NULL;
    if (active == NULL)
        return 0;
    writer w = writer_of(out, FORGE_PACKET_MAX);
    writer_u8(&w, 0x40);
    writer_bytes(&w, noise, len);
    writer_bytes(&w, active->token, QUIC_RESET_TOKEN);
    return w.failed ? 0 : writer_len(&w);
}

// --- A client

static size_t hello_message(const uint8_t *params, size_t len, uint8_t *out, size_t room) {
    static const uint8_t zeros[40] = {0};
    writer w = writer_of(out, room);
    size_t body = 32 + 2 + 1 + 8 + 32 + 2 + len + 2 + 4;
    writer_u8(&w, HELLO);
    writer_be(&w, body, 3);
    writer_bytes(&w, zeros, 32);  // random
    writer_u16(&w, SUITE_AES_128);
    writer_u8(&w, 0);             // no session, no 0-RTT
    writer_bytes(&w, zeros, 40);  // the session's key and secret
    writer_u16(&w, (uint16_t)len);
    writer_bytes(&w, params, len);
    writer_u16(&w, 4);
    writer_bytes(&w, "\3sim", 4);
    return w.failed ? 0 : writer_len(&w);
}

size_t forge_hello(uint64_t dcid_number, const uint8_t *params, size_t len, uint8_t *out) {
    uint8_t message[PARAMS_MAX + 128];
    quic_cid dcid = {.len = 8}, scid = {.len = 8, .bytes = "stranger"};
    quic_keys client = {0}, server = {0};
    memcpy(dcid.bytes, &dcid_number, sizeof dcid_number);
    memset(out, FRAME_PADDING, QUIC_MIN_INITIAL);
    quic_frame f = {.type = FRAME_CRYPTO, .crypto = {.data = message}};
    f.crypto.len = hello_message(params, len, message, sizeof message);
    writer w = writer_of(out, QUIC_MIN_INITIAL - AEAD_TAG);
    size_t pn_offset = quic_packet_write_long(&w, QUIC_INITIAL, &dcid, &scid, NULL, 0, 0, PN_SIZE);
    size_t head = writer_len(&w);
    quic_frame_encode(&w, &f);
    if (f.crypto.len == 0 || w.failed || quic_keys_initial(&dcid, &client, &server) != 0)
        return 0;
    quic_packet_set_length(out, pn_offset, QUIC_MIN_INITIAL);
    int n = quic_packet_seal(&client, client.hp, out, pn_offset, PN_SIZE, QUIC_MIN_INITIAL - AEAD_TAG - head, 0, 0);
    quic_keys_dispose(&client);
    quic_keys_dispose(&server);
    return n > 0 ? (size_t)n : 0;
}

void forge_finish(uint8_t out[static FORGE_FINISH]) {
    memset(out, 0, FORGE_FINISH);  // 32 bytes of public key among it
    out[0] = FRAME_CRYPTO;
    out[2] = FORGE_FINISH - 3;
    out[3] = FINISH;
    out[6] = 32;
}
