// From a datagram to the frames of its packets: which keys, which number, is it new, may it come from there.
#include <iroh/error.h>

#include "quic/conn_state.h"
#include "quic/endpoint.h"

#define LONG_RESERVED 0x0c
#define SHORT_RESERVED 0x18

static const quic_ack_policy at_once = {.threshold = 0, .reordering = 1, .max_delay = 0};

// One datagram on its way through.
typedef struct incoming_datagram {
    const quic_datagram *d;
    uint64_t now;
    quic_path *path;
} incoming_datagram;

static bool same_peer(const quic_path *p, const quic_datagram *d) {
    return addr_equal(&p->remote, &d->remote);
}

// Whether packets may come from this address at all. A client that sent its first flight to several addresses takes
// the server's answer from any of them, until a Handshake packet proves which one it is.
static bool address_allowed(const quic_conn *c, const quic_path *p, const quic_datagram *d) {
    if (same_peer(p, d))
        return true;
    if (c->role == QUIC_CLIENT)
        return c->hs != NULL && !c->hs->handshake_authenticated && c->transport.server_migration;
    return c->confirmed;
}

static void on_version_negotiation(quic_conn *c, const quic_packet *packet, uint64_t now) {
    if (c->role != QUIC_CLIENT || c->hs == NULL || c->hs->authenticated)
        return;
    if (!quic_packet_lists_version(packet, QUIC_VERSION_1))
        quic_conn_end(c, IROH_ERR_VERSION, now);
}

// The first packet that proves to come from the server names its connection id and its address.
static void client_authenticated(quic_conn *c, const quic_packet *packet, const incoming_datagram *in) {
    quic_handshake *hs = c->hs;
    if (!hs->authenticated && packet->type == QUIC_INITIAL) {
        quic_cid scid = {.len = (uint8_t)packet->scid_len};
        memcpy(scid.bytes, packet->scid, packet->scid_len);
        quic_peer_cids_replace_first(&in->path->peer_cids, &scid);
    }
    hs->authenticated = true;
    hs->flight_len = 0;
    if (!hs->handshake_authenticated) {
        in->path->remote = in->d->remote;
        if (in->d->local.kind != ADDR_NONE)
            in->path->local = in->d->local;
    }
    if (packet->type == QUIC_HANDSHAKE)
        hs->handshake_authenticated = true;
}

static void server_authenticated(quic_conn *c, const quic_packet *packet, const incoming_datagram *in) {
    c->hs->authenticated = true;
    if (packet->type != QUIC_HANDSHAKE || c->hs->handshake_authenticated)
        return;
    c->hs->handshake_authenticated = true;
    in->path->validated = true;
    quic_conn_discard_space(c, QUIC_SPACE_INITIAL);
}

static bool long_keys(quic_conn *c, const quic_packet *packet, quic_space_id *space, const quic_keys **keys) {
    if (c->hs == NULL)
        return false;
    switch (packet->type) {
    case QUIC_INITIAL:
        *space = QUIC_SPACE_INITIAL;
        *keys = &c->hs->read[0];
        break;
    case QUIC_HANDSHAKE:
        *space = QUIC_SPACE_HANDSHAKE;
        *keys = &c->hs->read[1];
        break;
    default:
        if (c->role != QUIC_SERVER)
            return false;
        *space = QUIC_SPACE_DATA;
        *keys = &c->hs->early;
        break;
    }
    return quic_keys_present(*keys);
}

// A packet of the next key phase was opened: follow (RFC 9001, section 6.2).
static int follow_key_update(quic_conn *c, quic_path *path, uint64_t now) {
    if (c->keys.generation > 0 && !c->keys.update_acked && path->phase_first_sent != QUIC_PN_NONE)
        return QUIC_KEY_UPDATE_ERROR;
    if (quic_key_phases_update(&c->keys, now, 3 * quic_conn_pto(c, path)) != 0)
        return QUIC_INTERNAL_ERROR;
    path->phase_first_sent = path->data.sent.next;
    c->keys.update_acked = false;
    quic_qlog_key_updated(c->qlog, now, c->keys.generation, true);
    return 0;
}

// The peer uses another address: a NAT rebinding, or a real move (RFC 9000, section 9).
static void maybe_migrate(quic_conn *c, const incoming_datagram *in, const quic_received *r) {
    quic_path *p = in->path;
    if (same_peer(p, in->d)) {
        if (in->d->local.kind != ADDR_NONE && r->pn == p->data.acks.largest)
            p->local = in->d->local;
        return;
    }
    if (c->role != QUIC_SERVER || !c->confirmed || r->probing_only || r->pn != p->data.acks.largest)
        return;
    quic_path_config config = quic_conn_path_config(c);
    uint64_t old_pto = quic_conn_pto(c, p);
    quic_path_move(p, &in->d->remote, &in->d->local, &config, quic_endpoint_random(c->ep), in->now);
    p->received = in->d->len;
    p->validation_ends = in->now + 3 * time_max(quic_conn_pto(c, p), old_pto);
    quic_peer_cid old = *quic_peer_cids_active(&p->peer_cids);
    if (quic_peer_cids_rotate(&p->peer_cids) && quic_conn_peer_cid_changed(c, p, &old) != 0)
        quic_conn_fail(c, QUIC_INTERNAL_ERROR, 0, "", in->now);
    quic_mtud_start(&p->mtud, in->now);
}

// Frames of an opened packet, its acknowledgement, and what its arrival proves.
static void accept_packet(quic_conn *c, const quic_packet *packet, const incoming_datagram *in, quic_space_id space_id,
                          uint64_t pn, const uint8_t *payload, size_t len) {
    quic_received r = {
        .type = packet->type,
        .space = space_id,
        .path = in->path,
        .remote = &in->d->remote,
        .pn = pn,
        .now = in->now,
        .probing_only = true,
    };
    c->packets_received++;
    if (c->hs != NULL && c->role == QUIC_CLIENT)
        client_authenticated(c, packet, in);
    else if (c->hs != NULL)
        server_authenticated(c, packet, in);
    quic_qlog_packet_received(c->qlog, in->now, packet->type, pn, packet->len, payload, len);
    uint64_t frame_type = 0;
    int error = len == 0 ? QUIC_PROTOCOL_VIOLATION : quic_conn_frames(c, &r, payload, len, &frame_type);
    if (error != 0) {
        quic_conn_fail(c, error, frame_type, "", in->now);
        return;
    }
    if (c->state >= CONN_CLOSING)
        return;
    quic_space *space = quic_conn_space(c, in->path, space_id);
    if (space == NULL)
        return;  // the packet itself made its space go away
    const quic_ack_policy *policy = space_id == QUIC_SPACE_DATA ? &c->ack_policy : &at_once;
    if (quic_acks_receive(&space->acks, pn, r.eliciting, in->d->ecn, in->now, policy) != 0) {
        quic_conn_fail(c, QUIC_INTERNAL_ERROR, 0, "", in->now);
        return;
    }
    quic_conn_idle_restart(c, in->now);
    if (space_id == QUIC_SPACE_DATA)
        maybe_migrate(c, in, &r);
}

static void open_failed(quic_conn *c, uint64_t now) {
    c->keys.failed_opens++;
    if (c->keys.suite != NULL && c->keys.failed_opens > c->keys.suite->integrity_limit)
        quic_conn_fail(c, QUIC_AEAD_LIMIT_REACHED, 0, "", now);
}

static void receive_short(quic_conn *c, const quic_packet *packet, const incoming_datagram *in) {
    // Data that overtakes the end of the handshake is not kept: loss recovery brings it again.
    if (!quic_keys_present(&c->keys.read) || c->state == CONN_HANDSHAKING)
        return;
    quic_path *path = in->path;
    uint64_t truncated;
    int pn_size = quic_packet_unprotect(c->keys.read.hp, packet->bytes, packet->len, packet->pn_offset, &truncated);
    if (pn_size < 0)
        return;
    uint64_t pn = quic_pn_decode(truncated, (size_t)pn_size, path->data.acks.largest);
    if (quic_acks_is_duplicate(&path->data.acks, pn))
        return;
    bool new_phase = false;
    int len = quic_key_phases_open(&c->keys, packet->bytes, packet->len, packet->pn_offset, (size_t)pn_size, path->id,
                                   pn, &new_phase);
    if (len < 0) {
        open_failed(c, in->now);
        return;
    }
    int error = (packet->bytes[0] & SHORT_RESERVED) != 0 ? QUIC_PROTOCOL_VIOLATION : 0;
    if (error == 0 && new_phase)
        error = follow_key_update(c, path, in->now);
    if (error != 0) {
        quic_conn_fail(c, error, 0, "", in->now);
        return;
    }
    const uint8_t *payload = packet->bytes + packet->pn_offset + pn_size;
    accept_packet(c, packet, in, QUIC_SPACE_DATA, pn, payload, (size_t)len);
}

static void receive_long(quic_conn *c, const quic_packet *packet, const incoming_datagram *in) {
    quic_space_id space_id;
    const quic_keys *keys;
    if (packet->type == QUIC_VERSION_NEGOTIATION) {
        on_version_negotiation(c, packet, in->now);
        return;
    }
    if (packet->type == QUIC_RETRY) {
        if (quic_conn_retry(c, packet, in->now) != 0)
            quic_conn_end(c, IROH_ERR_NOMEM, in->now);
        return;
    }
    if (!long_keys(c, packet, &space_id, &keys))
        return;
    quic_space *space = quic_conn_space(c, in->path, space_id);
    uint64_t truncated;
    int pn_size = quic_packet_unprotect(keys->hp, packet->bytes, packet->len, packet->pn_offset, &truncated);
    if (pn_size < 0)
        return;
    uint64_t pn = quic_pn_decode(truncated, (size_t)pn_size, space->acks.largest);
    if (quic_acks_is_duplicate(&space->acks, pn))
        return;
    int len = quic_packet_open(keys, packet->bytes, packet->len, packet->pn_offset, (size_t)pn_size, 0, pn);
    if (len < 0) {
        open_failed(c, in->now);
        return;
    }
    if ((packet->bytes[0] & LONG_RESERVED) != 0) {
        quic_conn_fail(c, QUIC_PROTOCOL_VIOLATION, 0, "", in->now);
        return;
    }
    const uint8_t *payload = packet->bytes + packet->pn_offset + pn_size;
    accept_packet(c, packet, in, space_id, pn, payload, (size_t)len);
}

void quic_conn_receive(quic_conn *c, quic_path *path, const quic_datagram *d, uint64_t now) {
    if (c->state >= CONN_DRAINING || !address_allowed(c, path, d))
        return;
    path->bytes_in += d->len;
    path->datagrams_in++;
    if (!path->validated && same_peer(path, d))
        path->received += d->len;
    if (c->state == CONN_CLOSING)
        quic_conn_close_datagram(c);
    incoming_datagram in = {.d = d, .now = now, .path = path};
    uint8_t *at = d->bytes;
    size_t left = d->len;
    quic_packet packet;
    // What does not parse or open ends the datagram without harm: the packets before it counted.
    while (left > 0 && c->state < CONN_DRAINING && quic_packet_parse(at, left, &packet) == 0) {
        if (packet.type == QUIC_1RTT)
            receive_short(c, &packet, &in);
        else
            receive_long(c, &packet, &in);
        at += packet.len;
        left -= packet.len;
    }
    quic_conn_wake(c);
}
