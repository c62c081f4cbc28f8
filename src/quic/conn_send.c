// From what waits to be sent to datagrams: coalesced ones while the handshake runs, batches of equal full ones after it.
//
// A packet stays open until it is known whether another follows in the datagram, because padding belongs into the last
// one. Frames are written straight into the caller's buffer and sealed in place.
#include <iroh/error.h>

#include "quic/conn_state.h"
#include "quic/endpoint.h"

#define PACKET_ROOM_MIN 87            // no further packet is begun in a datagram with less room
#define UNELICITED_MAX 32             // acknowledgement-only packets before one asks for an acknowledgement itself
#define CRYPTO_HEAD_MAX 13            // type, offset and length of a CRYPTO frame
#define SENT_MAX (UINT64_C(1) << 18)  // unacknowledged numbers of a space beyond which only probes leave
#define UPDATE_MARGIN 10000           // packets before the confidentiality limit at which keys are updated

typedef struct open_packet {
    quic_packet_type type;
    quic_space *space;
    uint8_t *start;
    size_t pn_offset, pn_size;
    uint64_t pn;
    const quic_keys *keys;
    const hp_key *hp;
    quic_builder b;
    bool open;
} open_packet;

// --- One packet

static void maybe_update_keys(quic_conn *c, quic_path *p, uint64_t now) {
    quic_key_phases *k = &c->keys;
    if (k->sealed < k->update_after || !c->confirmed || (k->generation > 0 && !k->update_acked))
        return;
    if (quic_key_phases_update(k, now, 3 * quic_conn_pto(c, p)) != 0)
        return;
    p->phase_first_sent = p->data.sent.next;
    k->update_acked = false;
    uint64_t limit = k->suite->confidentiality_limit;
    k->update_after = limit > UPDATE_MARGIN ? limit - UPDATE_MARGIN : limit;
    quic_qlog_key_updated(c->qlog, now, k->generation, false);
}

static bool choose_keys(quic_conn *c, open_packet *k) {
    switch (k->type) {
    case QUIC_INITIAL:
        k->keys = &c->hs->write[0];
        break;
    case QUIC_HANDSHAKE:
        k->keys = &c->hs->write[1];
        break;
    case QUIC_0RTT:
        k->keys = &c->hs->early;
        break;
    default:
        k->keys = &c->keys.write;
        break;
    }
    k->hp = k->keys->hp;
    return quic_keys_present(k->keys);
}

static void write_header(quic_conn *c, quic_path *p, open_packet *k, writer *w) {
    const quic_cid *dcid = &quic_peer_cids_active(&p->peer_cids)->cid;
    if (k->type == QUIC_1RTT) {
        k->pn_offset = quic_packet_write_short(w, dcid, c->spin, c->keys.phase, k->pn, k->pn_size);
        return;
    }
    bool token = k->type == QUIC_INITIAL && c->role == QUIC_CLIENT;
    k->pn_offset = quic_packet_write_long(w, k->type, dcid, &c->scid, token ? c->hs->token : NULL,
                                          token ? c->hs->token_len : 0, k->pn, k->pn_size);
}

// Begins a packet at `at`; false when there is no room, no key or no memory.
static bool packet_begin(quic_conn *c, quic_path *p, open_packet *k, quic_packet_type type, uint8_t *at, size_t room,
                         uint64_t now) {
    *k = (open_packet){.type = type, .start = at};
    quic_space_id id = type == QUIC_INITIAL     ? QUIC_SPACE_INITIAL
                       : type == QUIC_HANDSHAKE ? QUIC_SPACE_HANDSHAKE
                                                : QUIC_SPACE_DATA;
    k->space = quic_conn_space(c, p, id);
    if (type == QUIC_1RTT)
        maybe_update_keys(c, p, now);
    if (k->space == NULL || !choose_keys(c, k))
        return false;
    // Congestion control does not hold back acknowledgements; a peer that never acknowledges them must not fill memory.
    if (k->space->probes == 0 && c->state < CONN_CLOSING && quic_sent_full(&k->space->sent, SENT_MAX))
        return false;
    if (quic_sent_reserve(&k->space->sent) != 0)
        return false;
    if (id == QUIC_SPACE_DATA && p->skip_at == k->space->sent.next) {
        if (quic_sent_skip(&k->space->sent) != 0 || quic_sent_reserve(&k->space->sent) != 0)
            return false;
        quic_path_choose_skip(p, quic_endpoint_random(c->ep));
    }
    k->pn = k->space->sent.next;
    k->pn_size = quic_pn_size(k->pn, k->space->sent.largest_acked);
    writer w = writer_of(at, room);
    write_header(c, p, k, &w);
    if (w.failed || writer_left(&w) < AEAD_TAG + 4)
        return false;
    k->b = (quic_builder){
        .w = writer_of(w.p, writer_left(&w) - AEAD_TAG),
        .pool = quic_endpoint_frames(c->ep),
    };
    k->open = true;
    return true;
}

static void pad_to(quic_builder *b, size_t payload) {
    size_t now = writer_len(&b->w);
    if (payload <= now)
        return;
    uint8_t *at = writer_room(&b->w, payload - now);
    if (at != NULL)
        memset(at, FRAME_PADDING, payload - now);
}

static uint64_t in_flight_limit_left(const quic_conn *c, const quic_path *p) {
    uint64_t flying = quic_conn_in_flight(c, p);
    return p->cc.window > flying ? p->cc.window - flying : 0;
}

// Seals the packet and records it as sent. Returns its length, 0 on a failure of the cipher (then nothing is sent).
static size_t packet_finish(quic_conn *c, quic_path *p, open_packet *k, uint64_t now) {
    size_t payload = writer_len(&k->b.w);
    if (payload + k->pn_size < 4) {
        pad_to(&k->b, 4 - k->pn_size);
        payload = writer_len(&k->b.w);
    }
    size_t len = k->pn_offset + k->pn_size + payload + AEAD_TAG;
    if (k->type != QUIC_1RTT)
        quic_packet_set_length(k->start, k->pn_offset, len);
    quic_qlog_packet_sent(c->qlog, now, k->type, k->pn, len, k->b.w.start, payload);
    int r = quic_packet_seal(k->keys, k->hp, k->start, k->pn_offset, k->pn_size, payload, p->id, k->pn);
    if (r < 0)
        return 0;
    if (k->type == QUIC_1RTT)
        c->keys.sealed++;
    if (p->ecn_state != PATH_ECN_FAILED)
        k->b.flags |= SENT_ECT;
    quic_sent_add(&k->space->sent, now, (uint16_t)len, k->b.flags, p->generation, k->b.frames);
    k->open = false;
    c->packets_sent++;
    if ((k->b.flags & SENT_ACK_ELICITING) != 0) {
        p->unelicited = 0;
        if (!c->idle_restarted_by_send) {
            c->idle_restarted_by_send = true;
            quic_conn_idle_restart(c, now);
            c->idle_restarted_by_send = true;
        }
    } else {
        p->unelicited++;
    }
    if ((k->b.flags & SENT_IN_FLIGHT) != 0 && p->cc.ops->on_sent != NULL)
        p->cc.ops->on_sent(&p->cc, now, len, quic_conn_in_flight(c, p));
    return len;
}

// Gives notes back when a packet turns out to be empty or cannot be sent. Only frames that were never written have none.
static void packet_abandon(quic_conn *c, open_packet *k) {
    while (k->b.frames != NULL)
        quic_builder_unnote(&k->b);
    k->open = false;
    (void)c;
}

// --- Frames

static void put_simple(quic_builder *b, uint64_t type) {
    if (writer_left(&b->w) < 1)
        return;
    writer_u8(&b->w, (uint8_t)type);
    b->flags |= SENT_ACK_ELICITING | SENT_IN_FLIGHT;
}

static void put_ack(open_packet *k, uint64_t now, bool eliciting_follows) {
    quic_acks *acks = &k->space->acks;
    if (acks->largest == QUIC_PN_NONE)
        return;
    uint64_t largest = acks->largest;
    if (!quic_acks_write(acks, &k->b.w, now, 3, false, 0) || !eliciting_follows)
        return;
    // Noted without asking for an acknowledgement by itself.
    quic_sent_frame *f = pool_take(k->b.pool);
    if (f == NULL)
        return;
    *f = (quic_sent_frame){.next = k->b.frames, .type = FRAME_ACK, .id = largest};
    k->b.frames = f;
}

static void put_crypto(quic_crypto *crypto, quic_builder *b) {
    uint64_t offset;
    while (!b->full && writer_left(&b->w) > CRYPTO_HEAD_MAX) {
        size_t n = quic_sendbuf_next(&crypto->out, writer_left(&b->w) - CRYPTO_HEAD_MAX, UINT64_MAX, &offset);
        if (n == 0)
            return;
        quic_sent_frame *note = quic_builder_note(b, FRAME_CRYPTO);
        if (note == NULL)
            return;
        note->offset = offset;
        note->len = (uint32_t)n;
        writer_u8(&b->w, FRAME_CRYPTO);
        writer_varint(&b->w, offset);
        writer_varint(&b->w, n);
        quic_sendbuf_copy(&crypto->out, offset, writer_room(&b->w, n), n);
        quic_sendbuf_sent(&crypto->out, offset, n);
    }
}

static void put_handshake_done(quic_conn *c, quic_builder *b) {
    if (!c->handshake_done_wanted || quic_builder_note(b, FRAME_HANDSHAKE_DONE) == NULL)
        return;
    writer_u8(&b->w, FRAME_HANDSHAKE_DONE);
    c->handshake_done_wanted = false;
}

static void put_path_frames(quic_conn *c, quic_path *p, quic_builder *b, uint64_t now) {
    quic_frame f = {.type = FRAME_PATH_CHALLENGE};
    if (p->challenge_wanted) {
        quic_path_challenge(p, quic_endpoint_random(c->ep), now, f.path_data.data);
        quic_frame_encode(&b->w, &f);
        b->flags |= SENT_ACK_ELICITING | SENT_IN_FLIGHT;
    }
    f.type = FRAME_PATH_RESPONSE;
    while (p->response_count > 0 && addr_equal(&p->responses[p->response_count - 1].to, &p->remote)) {
        memcpy(f.path_data.data, p->responses[p->response_count - 1].data, 8);
        quic_frame_encode(&b->w, &f);
        p->response_count--;
        b->flags |= SENT_ACK_ELICITING | SENT_IN_FLIGHT;
    }
}

static size_t cids_allowed(const quic_conn *c) {
    uint64_t limit = c->peer.active_connection_id_limit;
    return limit < CIDS_LOCAL_MAX ? (size_t)limit : CIDS_LOCAL_MAX;
}

static bool cids_owed(const quic_conn *c, const quic_path *p) {
    return quic_local_cids_active(&p->local_cids) < cids_allowed(c) && quic_local_cids_room(&p->local_cids);
}

// Until the peer has as many ids as it takes, new ones are issued; they wait for sending as bits.
static void issue_cids(quic_conn *c, quic_path *p) {
    uint8_t id[QUIC_LOCAL_CID];
    while (cids_owed(c, p)) {
        uint64_t seq = p->local_cids.next;
        if (quic_endpoint_issue_cid(c->ep, p, id) != 0)
            return;
        p->cids_again |= (uint16_t)(1U << (seq % CIDS_LOCAL_MAX));
    }
}

static bool put_new_cid(quic_conn *c, quic_path *p, quic_builder *b, uint64_t seq) {
    const quic_local_cid *cid = quic_local_cids_get(&p->local_cids, seq);
    if (cid == NULL)
        return true;
    quic_frame f = {.type = FRAME_NEW_CONNECTION_ID};
    f.new_cid.seq = seq;
    f.new_cid.cid.len = QUIC_LOCAL_CID;
    memcpy(f.new_cid.cid.bytes, cid->bytes, QUIC_LOCAL_CID);
    quic_endpoint_reset_token_for(c->ep, cid->bytes, f.new_cid.token);
    if (writer_left(&b->w) < 1 + 2 * VARINT_SIZE_MAX + 1 + QUIC_LOCAL_CID + QUIC_RESET_TOKEN)
        return false;
    quic_sent_frame *note = quic_builder_note(b, FRAME_NEW_CONNECTION_ID);
    if (note == NULL)
        return false;
    note->id = seq;
    quic_frame_encode(&b->w, &f);
    return true;
}

static void put_cids(quic_conn *c, quic_path *p, quic_builder *b) {
    issue_cids(c, p);
    for (uint64_t seq = p->local_cids.base; p->cids_again != 0 && seq < p->local_cids.next; seq++) {
        uint16_t bit = (uint16_t)(1U << (seq % CIDS_LOCAL_MAX));
        if ((p->cids_again & bit) == 0)
            continue;
        if (!put_new_cid(c, p, b, seq))
            return;
        p->cids_again &= (uint16_t)~bit;
    }
    p->cids_again = 0;  // what is left was lost after the peer had retired it
    uint64_t retired;
    while (writer_left(&b->w) > 1 + VARINT_SIZE_MAX && quic_peer_cids_take_pending(&p->peer_cids, &retired)) {
        quic_sent_frame *note = quic_builder_note(b, FRAME_RETIRE_CONNECTION_ID);
        if (note == NULL) {
            quic_peer_cids_retire_again(&p->peer_cids, retired);
            return;
        }
        note->id = retired;
        quic_frame f = {.type = FRAME_RETIRE_CONNECTION_ID, .retire_cid = {.seq = retired}};
        quic_frame_encode(&b->w, &f);
    }
}

// --- What waits

static bool handshake_wants(const quic_conn *c, quic_space_id id, uint64_t now) {
    const quic_space *s = &c->hs->spaces[id];
    if (!quic_keys_present(&c->hs->write[id]))
        return false;
    return s->probes > 0 || quic_acks_pending(&s->acks, now) ||
           quic_sendbuf_pending(&c->hs->crypto[id].out, UINT64_MAX);
}

static bool can_send_1rtt(const quic_conn *c) {
    return quic_keys_present(&c->keys.write) && (c->role == QUIC_SERVER || c->state == CONN_OPEN);
}

static bool can_send_0rtt(const quic_conn *c) {
    return c->state == CONN_HANDSHAKING && quic_conn_can_send_early(c) && c->early_attempted;
}

static bool cids_wait(const quic_conn *c, const quic_path *p) {
    return c->state == CONN_OPEN && (p->cids_again != 0 || p->peer_cids.pending_count > 0 || cids_owed(c, p));
}

// Frames that wait for their turn within congestion control.
static bool data_waits(const quic_conn *c, const quic_path *p) {
    return quic_streams_want_send(&c->streams) || !quic_dgrams_empty(&c->dgrams_out) || c->handshake_done_wanted ||
           quic_sendbuf_pending(&c->crypto.out, UINT64_MAX) || cids_wait(c, p) || c->ping_wanted;
}

static bool path_frames_wait(const quic_path *p) {
    return p->challenge_wanted ||
           (p->response_count > 0 && addr_equal(&p->responses[p->response_count - 1].to, &p->remote));
}

// Why sending new data is allowed, or not.
typedef enum allowance { ALLOW_NOTHING, ALLOW_ACKS, ALLOW_ALL } allowance;

// Congestion window and pacing; probes and path validation pass regardless.
static allowance congestion_allows(quic_conn *c, quic_path *p, uint64_t now) {
    if (p->data.probes > 0)
        return ALLOW_ALL;
    if (in_flight_limit_left(c, p) < p->mtud.current) {
        p->app_limited = false;
        return ALLOW_ACKS;
    }
    if (quic_pacer_budget(&p->pacer, now) < p->mtud.current) {
        c->pacing_at = quic_pacer_ready_at(&p->pacer);
        p->app_limited = false;
        return ALLOW_ACKS;
    }
    return ALLOW_ALL;
}

// --- 1-RTT (and 0-RTT) packets

static void fill_data(quic_conn *c, quic_path *p, open_packet *k, allowance allowed, uint64_t now) {
    quic_builder *b = &k->b;
    bool early = k->type == QUIC_0RTT;
    if (p->data.probes > 0) {
        quic_conn_probe_frames(c, p, QUIC_SPACE_DATA);
        put_simple(b, FRAME_PING);
        p->data.probes--;
    }
    bool eliciting = allowed == ALLOW_ALL && data_waits(c, p);
    if (!early && (quic_acks_pending(&p->data.acks, now) || (eliciting && quic_acks_useful(&p->data.acks))))
        put_ack(k, now, eliciting);
    if (!early && c->state == CONN_OPEN)
        put_path_frames(c, p, b, now);
    if (allowed == ALLOW_ALL) {
        if (c->ping_wanted || (p->unelicited >= UNELICITED_MAX && !eliciting))
            put_simple(b, FRAME_PING);
        c->ping_wanted = false;
        put_handshake_done(c, b);
        if (!early)
            put_crypto(&c->crypto, b);
        if (!early && c->state == CONN_OPEN)
            put_cids(c, p, b);
        quic_streams_write_control(&c->streams, b);
        int max = quic_conn_datagram_max(c);
        if (max > 0 && !quic_dgrams_empty(&c->dgrams_out)) {
            quic_dgrams_write(&c->dgrams_out, b, (size_t)max);
            quic_conn_event(c, CONN_DATAGRAM_ROOM);
        }
        quic_streams_write_data(&c->streams, b);
    }
}

static bool data_wants(quic_conn *c, quic_path *p, bool early, allowance allowed, uint64_t now) {
    if (p->data.probes > 0)
        return true;
    if (!early && (quic_acks_pending(&p->data.acks, now) || path_frames_wait(p)))
        return true;
    return allowed == ALLOW_ALL && data_waits(c, p);
}

// Everything that leaves costs pacing budget and, while the address is unproven, credit.
static void account(quic_conn *c, quic_path *p, size_t len, bool paced, uint64_t now) {
    p->bytes_out += len;
    p->datagrams_out++;
    if (!p->validated)
        p->sent += len;
    if (paced)
        quic_pacer_spend(&p->pacer, len);
    if (c->transport.keep_alive != 0 && c->state == CONN_OPEN)
        c->keep_alive_at = now + c->transport.keep_alive;
}

// One datagram with one 1-RTT or 0-RTT packet, at most `limit` bytes. 0: nothing (more) to send.
static size_t build_data(quic_conn *c, quic_path *p, uint8_t *at, size_t limit, uint64_t now) {
    bool early = !can_send_1rtt(c);
    allowance allowed = congestion_allows(c, p, now);
    if (!data_wants(c, p, early, allowed, now))
        return 0;
    if (quic_path_credit(p) < limit)
        return 0;
    open_packet k;
    if (!packet_begin(c, p, &k, early ? QUIC_0RTT : QUIC_1RTT, at, limit, now))
        return 0;
    bool validation = p->challenge_wanted || p->response_count > 0;
    fill_data(c, p, &k, allowed, now);
    if (writer_len(&k.b.w) == 0) {
        packet_abandon(c, &k);
        return 0;
    }
    // Path validation must show that full-sized datagrams pass (RFC 9000, section 8.2.1).
    if (validation && limit >= QUIC_MIN_INITIAL)
        pad_to(&k.b, QUIC_MIN_INITIAL - k.pn_offset - k.pn_size - AEAD_TAG);
    bool paced = (k.b.flags & SENT_IN_FLIGHT) != 0;
    size_t len = packet_finish(c, p, &k, now);
    if (len > 0)
        account(c, p, len, paced, now);
    return len;
}

static size_t build_mtu_probe(quic_conn *c, quic_path *p, uint8_t *at, size_t room, uint64_t now) {
    if (!c->confirmed || !p->validated)
        return 0;
    size_t size = quic_mtud_next_probe(&p->mtud, now);
    if (size == 0 || size > room || congestion_allows(c, p, now) != ALLOW_ALL || in_flight_limit_left(c, p) < size)
        return 0;
    open_packet k;
    if (!packet_begin(c, p, &k, QUIC_1RTT, at, size, now))
        return 0;
    put_simple(&k.b, FRAME_PING);
    pad_to(&k.b, size - k.pn_offset - k.pn_size - AEAD_TAG);
    k.b.flags |= SENT_MTU_PROBE;
    size_t len = packet_finish(c, p, &k, now);
    if (len == 0)
        return 0;
    quic_mtud_probe_sent(&p->mtud, (uint16_t)size);
    p->mtu_probes++;
    account(c, p, len, true, now);
    return len;
}

// An answer to a challenge that came from another address than the path's: alone, padded, back to where it came from.
static size_t build_off_path_response(quic_conn *c, quic_path *p, uint8_t *at, size_t room, uint64_t now, addr *to) {
    if (p->response_count == 0 || c->state != CONN_OPEN || room < QUIC_MIN_INITIAL)
        return 0;
    quic_path_response *r = &p->responses[p->response_count - 1];
    open_packet k;
    if (addr_equal(&r->to, &p->remote) || !packet_begin(c, p, &k, QUIC_1RTT, at, QUIC_MIN_INITIAL, now))
        return 0;
    quic_frame f = {.type = FRAME_PATH_RESPONSE};
    memcpy(f.path_data.data, r->data, 8);
    *to = r->to;
    p->response_count--;
    quic_frame_encode(&k.b.w, &f);
    pad_to(&k.b, QUIC_MIN_INITIAL - k.pn_offset - k.pn_size - AEAD_TAG);
    k.b.flags |= SENT_ACK_ELICITING;
    size_t len = packet_finish(c, p, &k, now);
    p->bytes_out += len;
    p->datagrams_out++;
    return len;
}

// --- Handshake datagrams

static void fill_handshake(quic_conn *c, open_packet *k, quic_space_id id, uint64_t now) {
    quic_space *s = k->space;
    bool probe = s->probes > 0;
    if (probe) {
        quic_conn_probe_frames(c, c->path, id);
        s->probes--;
    }
    bool eliciting = quic_sendbuf_pending(&c->hs->crypto[id].out, UINT64_MAX);
    put_ack(k, now, eliciting);
    put_crypto(&c->hs->crypto[id], &k->b);
    if (probe && (k->b.flags & SENT_ACK_ELICITING) == 0)
        put_simple(&k->b, FRAME_PING);
}

// The next packet of a coalesced datagram; false when this space has nothing to say.
static bool handshake_packet(quic_conn *c, open_packet *k, quic_space_id id, uint8_t *at, size_t room, uint64_t now) {
    quic_path *p = c->path;
    if (id != QUIC_SPACE_DATA) {
        if (!handshake_wants(c, id, now) ||
            !packet_begin(c, p, k, id == QUIC_SPACE_INITIAL ? QUIC_INITIAL : QUIC_HANDSHAKE, at, room, now))
            return false;
        fill_handshake(c, k, id, now);
    } else {
        bool early = !can_send_1rtt(c);
        if (early && !can_send_0rtt(c))
            return false;
        allowance allowed = congestion_allows(c, p, now);
        if (!data_wants(c, p, early, allowed, now) ||
            !packet_begin(c, p, k, early ? QUIC_0RTT : QUIC_1RTT, at, room, now))
            return false;
        fill_data(c, p, k, allowed, now);
    }
    if (writer_len(&k->b.w) > 0)
        return true;
    packet_abandon(c, k);
    return false;
}

static bool must_pad(const quic_conn *c, const open_packet *k) {
    return k->type == QUIC_INITIAL && (c->role == QUIC_CLIENT || (k->b.flags & SENT_ACK_ELICITING) != 0);
}

// A datagram of up to three coalesced packets. 0: nothing to send, or no credit.
static size_t build_handshake(quic_conn *c, uint8_t *room, uint64_t now) {
    quic_path *p = c->path;
    uint8_t *end = room + QUIC_MIN_INITIAL;
    uint8_t *at = room;
    open_packet last = {0};
    bool pad = false, sent_handshake = false;
    if (quic_path_credit(p) < QUIC_MIN_INITIAL)
        return 0;
    for (int id = QUIC_SPACE_INITIAL; id < QUIC_SPACES && end - at > PACKET_ROOM_MIN; id++) {
        // The packet before is closed only now, so that its tag is where the new one begins.
        uint8_t *next = last.open ? last.b.w.p + AEAD_TAG : at;
        open_packet k;
        if (end - next <= PACKET_ROOM_MIN ||
            !handshake_packet(c, &k, (quic_space_id)id, next, (size_t)(end - next), now))
            continue;
        if (last.open)
            at += packet_finish(c, p, &last, now);
        last = k;
        pad |= must_pad(c, &k);
        sent_handshake |= k.type == QUIC_HANDSHAKE;
    }
    if (!last.open)
        return 0;
    if (pad) {
        last.b.flags |= SENT_IN_FLIGHT;
        pad_to(&last.b, (size_t)(end - AEAD_TAG - last.b.w.start));
    }
    at += packet_finish(c, p, &last, now);
    if (sent_handshake && c->role == QUIC_CLIENT && quic_keys_present(&c->hs->write[0]))
        quic_conn_discard_space(c, QUIC_SPACE_INITIAL);
    size_t len = (size_t)(at - room);
    account(c, p, len, true, now);
    return len;
}

// While nobody has answered, the client's datagrams go to all addresses of the peer.
static void remember_flight(quic_conn *c, const uint8_t *datagram, size_t len) {
    quic_handshake *hs = c->hs;
    if (hs == NULL || c->role != QUIC_CLIENT || hs->authenticated || hs->remote_count < 2 || len > CONN_FLIGHT_MAX)
        return;
    memcpy(hs->flight, datagram, len);
    hs->flight_len = (uint16_t)len;
    hs->fanout_next = 1;
}

static bool repeat_flight(quic_conn *c, uint8_t *room, quic_transmit *out) {
    quic_handshake *hs = c->hs;
    if (hs == NULL || hs->flight_len == 0 || hs->fanout_next >= hs->remote_count)
        return false;
    memcpy(room, hs->flight, hs->flight_len);
    *out = (quic_transmit){.remote = hs->remotes[hs->fanout_next++], .len = hs->flight_len, .segment = hs->flight_len};
    return true;
}

// --- Closing

static bool put_close(quic_conn *c, open_packet *k) {
    const quic_close_info *info = c->close;
    quic_frame f = {.type = info->application ? FRAME_APPLICATION_CLOSE : FRAME_CONNECTION_CLOSE};
    f.close.code = info->code;
    f.close.frame_type = info->frame_type;
    f.close.reason = info->reason;
    f.close.reason_len = info->reason_len;
    bool early = k->type != QUIC_1RTT;
    if (early && info->application) {
        // The application's code and reason are not for those who can read the handshake (RFC 9000, section 10.2.3).
        f = (quic_frame){.type = FRAME_CONNECTION_CLOSE, .close = {.code = QUIC_APPLICATION_ERROR}};
    }
    if (c->state == CONN_DRAINING)
        f = (quic_frame){.type = FRAME_CONNECTION_CLOSE};
    size_t head = 1 + 3 * VARINT_SIZE_MAX;
    if (writer_left(&k->b.w) < head)
        return false;
    if (f.close.reason_len > writer_left(&k->b.w) - head)
        f.close.reason_len = writer_left(&k->b.w) - head;
    quic_frame_encode(&k->b.w, &f);
    return !k->b.w.failed;
}

static bool close_packet(quic_conn *c, open_packet *k, quic_space_id id, uint8_t *at, size_t room, uint64_t now) {
    static const quic_packet_type types[QUIC_SPACES] = {QUIC_INITIAL, QUIC_HANDSHAKE, QUIC_1RTT};
    if ((c->close_spaces & (1 << id)) == 0 || (id != QUIC_SPACE_DATA && c->hs == NULL))
        return false;
    if (!packet_begin(c, c->path, k, types[id], at, room, now))
        return false;
    if (quic_acks_pending(&k->space->acks, now))
        put_ack(k, now, false);
    if (put_close(c, k))
        return true;
    packet_abandon(c, k);
    return false;
}

static size_t build_close(quic_conn *c, uint8_t *room, uint64_t now) {
    uint8_t *end = room + QUIC_MIN_INITIAL;
    uint8_t *at = room;
    open_packet last = {0};
    bool pad = false;
    if (quic_path_credit(c->path) < QUIC_MIN_INITIAL) {
        c->close_spaces = 0;
        return 0;
    }
    for (int id = QUIC_SPACE_INITIAL; id < QUIC_SPACES; id++) {
        uint8_t *next = last.open ? last.b.w.p + AEAD_TAG : at;
        open_packet k;
        if (end - next <= PACKET_ROOM_MIN || !close_packet(c, &k, (quic_space_id)id, next, (size_t)(end - next), now))
            continue;
        if (last.open)
            at += packet_finish(c, c->path, &last, now);
        last = k;
        pad |= k.type == QUIC_INITIAL && c->role == QUIC_CLIENT;
    }
    c->close_spaces = 0;
    if (!last.open)
        return 0;
    if (pad)
        pad_to(&last.b, (size_t)(end - AEAD_TAG - last.b.w.start));
    at += packet_finish(c, c->path, &last, now);
    account(c, c->path, (size_t)(at - room), false, now);
    return (size_t)(at - room);
}

// --- Batches

static size_t build_batch(quic_conn *c, quic_path *p, uint8_t *room, size_t room_len, size_t max_segments, uint64_t now,
                          size_t *segment) {
    size_t total = 0;
    size_t mtu = p->mtud.current;
    *segment = 0;
    for (size_t i = 0; i < max_segments && room_len - total >= mtu; i++) {
        size_t n = build_data(c, p, room + total, mtu, now);
        if (n == 0)
            break;
        total += n;
        if (*segment == 0)
            *segment = n;
        // Datagrams of a batch have one size; only the last may be shorter.
        if (n < mtu)
            break;
    }
    return total;
}

static bool handshake_waits(const quic_conn *c, uint64_t now) {
    return c->hs != NULL &&
           (handshake_wants(c, QUIC_SPACE_INITIAL, now) || handshake_wants(c, QUIC_SPACE_HANDSHAKE, now));
}

static uint8_t ecn_mark(quic_path *p, size_t datagrams) {
    if (p->ecn_state == PATH_ECN_FAILED)
        return QUIC_ECN_NONE;
    p->ecn_sent += datagrams;
    return QUIC_ECN_ECT0;
}

bool quic_conn_transmit(quic_conn *c, uint64_t now, uint8_t *room, size_t room_len, size_t max_segments,
                        quic_transmit *out) {
    quic_path *p = c->path;
    addr to = p->remote;
    size_t segment = 0, total = 0;
    c->pacing_at = TIME_NEVER;
    if (c->state >= CONN_CLOSING) {
        total = c->close_spaces != 0 ? build_close(c, room, now) : 0;
    } else if (repeat_flight(c, room, out)) {
        return true;
    } else {
        if (handshake_waits(c, now) ||
            (c->hs != NULL && !can_send_1rtt(c) && can_send_0rtt(c) && !c->hs->authenticated))
            total = build_handshake(c, room, now);
        if (total > 0)
            remember_flight(c, room, total);
        if (total == 0)
            total = build_off_path_response(c, p, room, room_len, now, &to);
        if (total == 0 && (can_send_1rtt(c) || can_send_0rtt(c)))
            total = build_batch(c, p, room, room_len, max_segments, now, &segment);
        if (total == 0 && c->state == CONN_OPEN)
            total = build_mtu_probe(c, p, room, room_len, now);
        if (total == 0 && c->pacing_at == TIME_NEVER && in_flight_limit_left(c, p) >= p->mtud.current)
            p->app_limited = true;
    }
    if (total == 0)
        return false;
    if (segment == 0)
        segment = total;
    *out = (quic_transmit){.remote = to, .local = p->local, .len = total, .segment = segment};
    out->ecn = ecn_mark(p, (total + segment - 1) / segment);
    return true;
}
