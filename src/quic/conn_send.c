// 1-RTT (and 0-RTT) packets: batches of equal full datagrams, and which path sends next.
#include <iroh/error.h>

#include "quic/conn_send.h"
#include "quic/endpoint.h"

#define LARGE_PROBES 2     // timeouts in a row whose probes have the usual size
#define UNELICITED_MAX 32  // acknowledgement-only packets before one asks for an acknowledgement itself

// --- What waits, and what is allowed

uint64_t quic_conn_window_left(const quic_conn *c, const quic_path *p) {
    uint64_t flying = quic_conn_in_flight(c, p);
    return p->cc.window > flying ? p->cc.window - flying : 0;
}

bool quic_conn_can_send_1rtt(const quic_conn *c) {
    return quic_keys_present(&c->keys.write) && (c->role == QUIC_SERVER || c->state == CONN_OPEN);
}

bool quic_conn_can_send_0rtt(const quic_conn *c) {
    return c->state == CONN_HANDSHAKING && quic_conn_can_send_early(c) && c->early_attempted;
}

// Frames that wait for their turn within congestion control.
static bool data_waits(const quic_conn *c) {
    return quic_streams_want_send(&c->streams) || !quic_dgrams_empty(&c->dgrams_out) || c->handshake_done_wanted ||
           quic_sendbuf_pending(&c->crypto.out, UINT64_MAX) ||
           (c->state == CONN_OPEN && (c->cids_wait || c->control_wait || c->new_tokens_wanted > 0));
}

// A server may say where it sees the client while the handshake still runs.
static bool path_frames_wait(const quic_conn *c, const quic_path *p) {
    bool heard = c->state == CONN_HANDSHAKING && c->role == QUIC_SERVER && c->params_taken;
    return (c->state == CONN_OPEN || heard) && quic_conn_path_frames_wait(p);
}

static bool acks_wait(const quic_conn *c, const quic_path *p, bool carries, uint64_t now) {
    if (!carries)
        return quic_conn_path_acks_itself(p) && quic_acks_pending(&p->data.acks, now);
    for (size_t i = 0; i < c->path_count; i++) {
        const quic_path *q = c->paths[i];
        if ((q == p || !quic_conn_path_acks_itself(q)) && quic_acks_pending(&q->data.acks, now))
            return true;
    }
    return false;
}

quic_allowance quic_conn_allowance(quic_conn *c, quic_path *p, uint64_t now) {
    if (p->data.probes > 0)
        return ALLOW_ALL;
    if (quic_conn_window_left(c, p) < p->mtud.current) {
        p->app_limited = false;
        return ALLOW_ACKS;
    }
    if (quic_pacer_budget(&p->pacer, now) < p->mtud.current) {
        p->pacing_at = quic_pacer_ready_at(&p->pacer);
        p->app_limited = false;
        return ALLOW_ACKS;
    }
    return ALLOW_ALL;
}

bool quic_conn_data_wants(quic_conn *c, quic_path *p, bool carries, bool early, quic_allowance allowed, uint64_t now) {
    if (p->data.probes > 0)
        return true;
    if (!early && (acks_wait(c, p, carries, now) || path_frames_wait(c, p)))
        return true;
    return carries && allowed == ALLOW_ALL && data_waits(c);
}

// --- Packets

// Those of paths that cannot speak for themselves go along on the one that carries data.
static void put_acks(quic_conn *c, quic_path *p, quic_open_packet *k, bool carries, bool eliciting, uint64_t now) {
    for (size_t i = 0; i < c->path_count; i++) {
        quic_path *q = c->paths[i];
        if (carries ? q != p && quic_conn_path_acks_itself(q) : q != p || !quic_conn_path_acks_itself(p))
            continue;
        const quic_acks *a = &q->data.acks;
        if (quic_acks_pending(a, now) || (eliciting && quic_acks_useful(a)))
            quic_open_packet_put_ack(c, q, &q->data, k, now, eliciting);
    }
}

static void put_handshake_done(quic_conn *c, quic_builder *b) {
    if (!c->handshake_done_wanted || writer_left(&b->w) < 1 || quic_builder_note(b, FRAME_HANDSHAKE_DONE) == NULL)
        return;
    writer_u8(&b->w, FRAME_HANDSHAKE_DONE);
    c->handshake_done_wanted = false;
}

// Address-validation tokens for the client's next connections; a lost one is made anew.
static void put_new_tokens(quic_conn *c, quic_builder *b, uint64_t now) {
    while (c->new_tokens_wanted > 0 && writer_left(&b->w) > CONN_NEW_TOKEN_ROOM) {
        uint8_t token[CONN_NEW_TOKEN_ROOM];
        size_t len = quic_endpoint_make_token(c->ep, &c->path->remote, now, token, sizeof token - 4);
        c->new_tokens_wanted--;
        if (len == 0 || quic_builder_note(b, FRAME_NEW_TOKEN) == NULL)
            return;
        quic_frame f = {.type = FRAME_NEW_TOKEN, .new_token = {.token = token, .len = len}};
        quic_frame_encode(&b->w, &f);
    }
}

static void put_datagrams(quic_conn *c, quic_builder *b) {
    if (quic_dgrams_empty(&c->dgrams_out))
        return;
    int max = quic_conn_datagram_max(c);
    if (max <= 0)
        return;
    size_t held = c->dgrams_out.held;
    quic_dgrams_write(&c->dgrams_out, b, (size_t)max);
    if (c->dgrams_out.held < held)
        quic_conn_event(c, CONN_DATAGRAM_ROOM);
}

static void put_data(quic_conn *c, quic_path *p, quic_open_packet *k, bool early, uint64_t now) {
    quic_builder *b = &k->b;
    if (p->abandoned) {
        quic_conn_put_control(c, p, b);
        return;
    }
    put_handshake_done(c, b);
    if (!early)
        quic_open_packet_put_crypto(k, &c->crypto);
    if (!early && c->state == CONN_OPEN) {
        put_new_tokens(c, b, now);
        quic_conn_put_control(c, p, b);
        quic_conn_put_cids(c, b);
    }
    quic_streams_write_control(&c->streams, b);
    put_datagrams(c, b);
    quic_streams_write_data(&c->streams, b);
}

void quic_conn_fill_data(quic_conn *c, quic_path *p, quic_open_packet *k, bool carries, quic_allowance allowed,
                         uint64_t now) {
    bool early = k->type == QUIC_0RTT;
    if (p->data.probes > 0) {
        quic_conn_probe_frames(c, p, QUIC_SPACE_DATA);
        quic_open_packet_put(k, FRAME_PING);
        // The answer should not wait for the peer's acknowledgement timer.
        if (!early && c->peer.has_min_ack_delay && c->params_taken)
            quic_open_packet_put(k, FRAME_IMMEDIATE_ACK);
        p->data.probes--;
    }
    bool data = carries && allowed == ALLOW_ALL;
    bool eliciting = data && data_waits(c);
    if (!early)
        put_acks(c, p, k, carries, eliciting, now);
    if (!early && path_frames_wait(c, p))
        quic_conn_put_path_frames(c, p, &k->b, now);
    if (data)
        put_data(c, p, k, early, now);
    // Now and then an acknowledgement must be acknowledged itself, so that old ones can be forgotten.
    if (p->unelicited >= UNELICITED_MAX && allowed == ALLOW_ALL && (k->b.flags & SENT_ACK_ELICITING) == 0)
        quic_open_packet_put(k, FRAME_PING);
}

// One datagram with one 1-RTT or 0-RTT packet, at most `limit` bytes. 0: nothing (more) to send.
static size_t build_data(quic_conn *c, quic_path *p, bool carries, uint8_t *at, size_t limit, uint64_t now) {
    bool early = !quic_conn_can_send_1rtt(c);
    quic_allowance allowed = quic_conn_allowance(c, p, now);
    if (!quic_conn_data_wants(c, p, carries, early, allowed, now))
        return 0;
    // To an address that is not proven yet, a smaller datagram than usual is better than none: a peer that moved and
    // said little could otherwise never be challenged.
    uint64_t credit = quic_path_credit(p);
    if (credit < limit)
        limit = early || c->state != CONN_OPEN ? 0 : (size_t)credit;
    if (limit == 0)
        return 0;
    quic_open_packet k;
    if (!quic_open_packet_begin(c, p, &k, early ? QUIC_0RTT : QUIC_1RTT, at, limit, now))
        return 0;
    bool validation = p->challenge_wanted || p->response_count > 0;
    quic_conn_fill_data(c, p, &k, carries, allowed, now);
    if (writer_len(&k.b.w) == 0) {
        quic_open_packet_abandon(&k);
        return 0;
    }
    // Path validation must show that full-sized datagrams pass (RFC 9000, section 8.2.1).
    if (validation)
        quic_open_packet_pad(&k, limit < QUIC_MIN_INITIAL ? limit : QUIC_MIN_INITIAL);
    bool paced = (k.b.flags & SENT_IN_FLIGHT) != 0;
    size_t len = quic_open_packet_finish(c, p, &k, now);
    if (len > 0)
        quic_conn_account(c, p, len, paced, now);
    return len;
}

// Probes that nobody answers may have become too large for the path: then no acknowledgement comes that would show the
// losses, and only small ones find out.
static size_t datagram_size(const quic_path *p) {
    return p->data.probes > 0 && p->pto_count >= LARGE_PROBES ? MTUD_MIN : p->mtud.current;
}

// --- Batches

static size_t build_batch(quic_conn *c, quic_path *p, bool carries, uint8_t *room, size_t room_len, size_t max_segments,
                          uint64_t now, size_t *segment) {
    size_t total = 0;
    size_t mtu = datagram_size(p);
    *segment = 0;
    for (size_t i = 0; i < max_segments && room_len - total >= mtu; i++) {
        size_t n = build_data(c, p, carries, room + total, mtu, now);
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

static uint8_t ecn_mark(quic_path *p, size_t datagrams) {
    if (p->ecn_state == PATH_ECN_FAILED)
        return QUIC_ECN_NONE;
    p->ecn_sent += datagrams;
    return QUIC_ECN_ECT0;
}

static bool finish_batch(quic_path *p, size_t total, size_t segment, quic_transmit *out) {
    if (total == 0)
        return false;
    *out = (quic_transmit){.remote = p->remote, .local = p->local, .len = total, .segment = segment};
    out->ecn = ecn_mark(p, (total + segment - 1) / segment);
    return true;
}

// An abandoned path says only that, and only when no other can.
static bool may_send(const quic_conn *c, const quic_path *p) {
    if (!p->abandoned)
        return true;
    if (c->mp == NULL || c->mp->abandon_count == 0 || !c->control_wait)
        return false;
    for (size_t i = 0; i < c->path_count; i++) {
        if (!c->paths[i]->abandoned && c->paths[i]->validated)
            return false;
    }
    return p->validated;
}

static void note_app_limited(quic_conn *c, quic_path *p) {
    p->app_limited = true;
    if (p->cc.ops->on_app_limited != NULL)
        p->cc.ops->on_app_limited(&p->cc, quic_conn_in_flight(c, p));
}

static bool transmit_path(quic_conn *c, quic_path *p, uint64_t now, uint8_t *room, size_t room_len, size_t max_segments,
                          quic_transmit *out) {
    size_t segment = 0, total = 0;
    p->pacing_at = TIME_NEVER;
    if (!may_send(c, p))
        return false;
    bool carries = c->path_count == 1 || p->abandoned || quic_conn_path_carries_data(c, p);
    // Before data: a transfer that always has some would never find out about larger datagrams.
    if (c->state == CONN_OPEN && !p->abandoned)
        segment = total = quic_conn_build_mtu_probe(c, p, room, room_len, now);
    if (total == 0 && (quic_conn_can_send_1rtt(c) || quic_conn_can_send_0rtt(c)))
        total = build_batch(c, p, carries, room, room_len, max_segments, now, &segment);
    bool wanted = carries && data_waits(c);
    if (total == 0 && (p->pacing_at == TIME_NEVER || !wanted) && quic_conn_window_left(c, p) >= p->mtud.current)
        note_app_limited(c, p);
    return finish_batch(p, total, segment, out);
}

// The path on which a close goes: the one in use, else whatever still reaches the peer.
static bool transmit_close(quic_conn *c, uint64_t now, uint8_t *room, quic_transmit *out) {
    size_t len = c->close_spaces != 0 ? quic_conn_build_close(c, c->path, room, now) : 0;
    return finish_batch(c->path, len, len, out);
}

static bool transmit_handshake(quic_conn *c, uint64_t now, uint8_t *room, quic_transmit *out) {
    if (!quic_conn_handshake_waits(c, now) &&
        !(c->hs != NULL && !quic_conn_can_send_1rtt(c) && quic_conn_can_send_0rtt(c) && !c->hs->authenticated))
        return false;
    size_t len = quic_conn_build_handshake(c, room, now);
    return finish_batch(c->path, len, len, out);
}

bool quic_conn_transmit(quic_conn *c, uint64_t now, uint8_t *room, size_t room_len, size_t max_segments,
                        quic_transmit *out) {
    if (c->state >= CONN_CLOSING)
        return transmit_close(c, now, room, out);
    if (c->hs != NULL && (quic_conn_repeat_flight(c, room, out) || transmit_handshake(c, now, room, out)))
        return true;
    if (c->off_path_count > 0 && quic_conn_build_off_path(c, room, room_len, now, out))
        return true;
    for (size_t i = 0; i < c->path_count; i++) {
        if (transmit_path(c, c->paths[i], now, room, room_len, max_segments, out))
            return true;
    }
    return false;
}
