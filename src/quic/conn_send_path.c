// Packets about paths: validation in both directions, reports of observed addresses, MTU probes, and the lone packets to
// addresses that are no path's (answers to challenges from elsewhere, probes of NAT traversal).
#include "quic/conn_send.h"
#include "quic/endpoint.h"

#define PATH_DATA_ROOM (1 + 8)  // PATH_CHALLENGE, PATH_RESPONSE
#define OBSERVED_ROOM (4 + VARINT_SIZE_MAX + 16 + 2)

bool quic_conn_path_frames_wait(const quic_path *p) {
    return p->challenge_wanted || p->response_count > 0 || p->ping_wanted || p->observed_wanted;
}

// We report what we see when we said that we would and the peer that it wants to hear it.
static bool may_report_observed(const quic_conn *c) {
    return c->transport.send_observed && c->peer.has_address_discovery && c->peer.address_discovery != 0;
}

static void put_observed(quic_conn *c, quic_path *p, quic_builder *b) {
    p->observed_wanted = may_report_observed(c) && addr_is_ip(&p->remote);
    if (!p->observed_wanted || writer_left(&b->w) < OBSERVED_ROOM)
        return;
    quic_frame f = {.type = p->remote.kind == ADDR_IP6 ? FRAME_OBSERVED_ADDRESS_V6 : FRAME_OBSERVED_ADDRESS_V4};
    quic_sent_frame *note = quic_builder_note(b, FRAME_OBSERVED_ADDRESS_V4);
    if (note == NULL)
        return;
    p->observed_wanted = false;
    note->id = p->id;
    note->offset = p->generation;
    f.address.seq = c->observed_seq++;
    f.address.address = p->remote;
    quic_frame_encode(&b->w, &f);
}

void quic_conn_put_path_frames(quic_conn *c, quic_path *p, quic_builder *b, uint64_t now) {
    quic_frame f = {.type = FRAME_PATH_CHALLENGE};
    const uint8_t *begin = b->w.p;
    if (p->challenge_wanted && writer_left(&b->w) >= PATH_DATA_ROOM) {
        quic_path_challenge(p, quic_endpoint_random(c->ep), now, f.path_data.data);
        quic_frame_encode(&b->w, &f);
    }
    f.type = FRAME_PATH_RESPONSE;
    while (p->response_count > 0 && writer_left(&b->w) >= PATH_DATA_ROOM) {
        memcpy(f.path_data.data, p->responses[--p->response_count], 8);
        quic_frame_encode(&b->w, &f);
    }
    if (p->ping_wanted && writer_left(&b->w) > 0) {
        writer_u8(&b->w, FRAME_PING);
        p->ping_wanted = false;
        if (p->hurry_wanted && c->peer.has_min_ack_delay && c->params_taken && writer_left(&b->w) > 0)
            writer_u8(&b->w, FRAME_IMMEDIATE_ACK);
        p->hurry_wanted = false;
    }
    bool written = b->w.p != begin;
    if (written)
        b->flags |= SENT_ACK_ELICITING | SENT_IN_FLIGHT;
    if (p->observed_wanted || written)
        put_observed(c, p, b);
}

size_t quic_conn_build_mtu_probe(quic_conn *c, quic_path *p, uint8_t *at, size_t room, uint64_t now) {
    if (!c->confirmed || !p->validated || p->challenge_count > 0)
        return 0;
    size_t size = quic_mtud_next_probe(&p->mtud, now);
    if (size == 0 || size > room || quic_conn_allowance(c, p, now) != ALLOW_ALL || quic_conn_window_left(c, p) < size)
        return 0;
    quic_open_packet k;
    if (!quic_open_packet_begin(c, p, &k, QUIC_1RTT, at, size, now))
        return 0;
    quic_open_packet_put(&k, FRAME_PING);
    quic_open_packet_pad(&k, size);
    k.b.flags |= SENT_MTU_PROBE;
    size_t len = quic_open_packet_finish(c, p, &k, now);
    if (len == 0)
        return 0;
    quic_mtud_probe_sent(&p->mtud, (uint16_t)size);
    p->mtu_probes++;
    quic_conn_account(c, p, len, true, now);
    return len;
}

// Answers are padded, to show that full-sized datagrams pass; probes of their own are not, so that they are cheap.
static size_t build_one(quic_conn *c, quic_path *p, const quic_off_path *o, uint8_t *at, size_t room, uint64_t now) {
    quic_open_packet k;
    if (!quic_open_packet_begin(c, p, &k, QUIC_1RTT, at, room, now))
        return 0;
    quic_frame f = {.type = FRAME_PATH_RESPONSE};
    if (o->has_response && writer_left(&k.b.w) >= PATH_DATA_ROOM) {
        memcpy(f.path_data.data, o->response, 8);
        quic_frame_encode(&k.b.w, &f);
    }
    if (o->has_challenge && writer_left(&k.b.w) >= PATH_DATA_ROOM) {
        f.type = FRAME_PATH_CHALLENGE;
        memcpy(f.path_data.data, o->challenge, 8);
        quic_frame_encode(&k.b.w, &f);
    }
    if (writer_len(&k.b.w) == 0) {
        quic_open_packet_abandon(&k);
        return 0;
    }
    if (o->has_response)
        quic_open_packet_pad(&k, room);
    k.unmarked = true;
    // Not tracked: it says nothing about the path whose number it takes.
    return quic_open_packet_finish(c, p, &k, now);
}

bool quic_conn_build_off_path(quic_conn *c, uint8_t *at, size_t room, uint64_t now, quic_transmit *out) {
    while (!list_empty(&c->off_path) && room >= QUIC_MIN_INITIAL) {
        quic_off_path *o = list_entry(c->off_path.next, quic_off_path, link);
        quic_path *p = quic_conn_path(c, o->path);
        size_t len = p != NULL && !p->abandoned ? build_one(c, p, o, at, o->room, now) : 0;
        *out = (quic_transmit){.remote = o->to, .local = o->from, .len = len, .segment = len};
        quic_conn_off_path_drop(c, o);
        if (len == 0)
            continue;
        p->bytes_out += len;
        p->datagrams_out++;
        return true;
    }
    return false;
}
