// Datagrams of the handshake: up to three coalesced packets, padded as RFC 9000, section 14.1 asks, and copies of the
// client's first flight to all addresses of the peer.
#include "quic/conn_send.h"
#include "quic/endpoint.h"

static bool space_wants(const quic_conn *c, quic_space_id id, uint64_t now) {
    const quic_space *s = &c->hs->spaces[id];
    if (!quic_keys_present(&c->hs->write[id]))
        return false;
    return s->probes > 0 || quic_acks_pending(&s->acks, now) ||
           quic_sendbuf_pending(&c->hs->crypto[id].out, UINT64_MAX);
}

bool quic_conn_handshake_waits(const quic_conn *c, uint64_t now) {
    return c->hs != NULL && (space_wants(c, QUIC_SPACE_INITIAL, now) || space_wants(c, QUIC_SPACE_HANDSHAKE, now));
}

static void fill(quic_conn *c, quic_open_packet *k, quic_space_id id, uint64_t now) {
    quic_space *s = k->space;
    bool probe = s->probes > 0;
    if (probe) {
        quic_conn_probe_frames(c, c->path, id);
        s->probes--;
    }
    bool eliciting = quic_sendbuf_pending(&c->hs->crypto[id].out, UINT64_MAX);
    quic_open_packet_put_ack(c, c->path, s, k, now, eliciting);
    quic_open_packet_put_crypto(k, &c->hs->crypto[id]);
    if (probe && (k->b.flags & SENT_ACK_ELICITING) == 0)
        quic_open_packet_put(k, FRAME_PING);
}

// The next packet of a coalesced datagram; false when this space has nothing to say.
static bool next_packet(quic_conn *c, quic_open_packet *k, quic_space_id id, uint8_t *at, size_t room, uint64_t now) {
    quic_path *p = c->path;
    if (id != QUIC_SPACE_DATA) {
        quic_packet_type type = id == QUIC_SPACE_INITIAL ? QUIC_INITIAL : QUIC_HANDSHAKE;
        if (!space_wants(c, id, now) || !quic_open_packet_begin(c, p, k, type, at, room, now))
            return false;
        bool due = k->space->probes > 0 || quic_acks_pending(&k->space->acks, now);
        fill(c, k, id, now);
        // Without room for CRYPTO there is no progress, and no end of such packets either.
        if (!due && (k->b.flags & SENT_ACK_ELICITING) == 0) {
            quic_open_packet_abandon(k);
            return false;
        }
    } else {
        bool early = !quic_conn_can_send_1rtt(c);
        if (early && !quic_conn_can_send_0rtt(c))
            return false;
        quic_allowance allowed = quic_conn_allowance(c, p, now);
        if (!quic_conn_data_wants(c, p, true, early, allowed, now) ||
            !quic_open_packet_begin(c, p, k, early ? QUIC_0RTT : QUIC_1RTT, at, room, now))
            return false;
        quic_conn_fill_data(c, p, k, true, allowed, now);
    }
    if (writer_len(&k->b.w) > 0)
        return true;
    quic_open_packet_abandon(k);
    return false;
}

static bool must_pad(const quic_conn *c, const quic_open_packet *k) {
    return k->type == QUIC_INITIAL && (c->role == QUIC_CLIENT || (k->b.flags & SENT_ACK_ELICITING) != 0);
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

bool quic_conn_repeat_flight(quic_conn *c, uint8_t *room, quic_transmit *out) {
    quic_handshake *hs = c->hs;
    if (hs == NULL || hs->flight_len == 0 || hs->fanout_next >= hs->remote_count)
        return false;
    memcpy(room, hs->flight, hs->flight_len);
    *out = (quic_transmit){.remote = hs->remotes[hs->fanout_next++], .len = hs->flight_len, .segment = hs->flight_len};
    return true;
}

size_t quic_conn_build_handshake(quic_conn *c, uint8_t *room, uint64_t now) {
    quic_path *p = c->path;
    uint8_t *end = room + QUIC_MIN_INITIAL;
    uint8_t *at = room;
    quic_open_packet last = {0};
    bool pad = false, sent_handshake = false;
    if (quic_path_credit(p) < QUIC_MIN_INITIAL)
        return 0;
    for (int id = QUIC_SPACE_INITIAL; id < QUIC_SPACES; id++) {
        // The packet before is closed only now, so that its tag is where the new one begins.
        uint8_t *next = last.open ? last.b.w.p + AEAD_TAG : at;
        quic_open_packet k;
        if (end - next <= PACKET_ROOM_MIN || !next_packet(c, &k, (quic_space_id)id, next, (size_t)(end - next), now))
            continue;
        if (last.open)
            at += quic_open_packet_finish(c, p, &last, now);
        last = k;
        pad |= must_pad(c, &k);
        sent_handshake |= k.type == QUIC_HANDSHAKE;
    }
    if (!last.open)
        return 0;
    if (pad) {
        last.b.flags |= SENT_IN_FLIGHT;
        quic_open_packet_pad(&last, (size_t)(end - last.start));
    }
    at += quic_open_packet_finish(c, p, &last, now);
    if (sent_handshake && c->role == QUIC_CLIENT && quic_keys_present(&c->hs->write[0]))
        quic_conn_discard_space(c, QUIC_SPACE_INITIAL);
    size_t len = (size_t)(at - room);
    quic_conn_account(c, p, len, true, now);
    remember_flight(c, room, len);
    return len;
}
