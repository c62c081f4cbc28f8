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
    quic_path_cids *cids;  // of the first packet's connection id: says the path id
    quic_path *path;       // null: a path id that is not open yet
} incoming_datagram;

static bool same_peer(const quic_path *p, const quic_datagram *d) {
    return addr_equal(&p->remote, &d->remote);
}

// The path id is open, or a server's to open: a packet that opens makes the path (the multipath draft).
static bool path_allowed(const quic_conn *c, const quic_path_cids *cids) {
    return cids->path != NULL ||
           (c->role == QUIC_SERVER && c->state == CONN_OPEN && c->mp != NULL && !quic_conn_id_gone(c, cids->id));
}

// Whether packets may come from this address at all. A client that sent its first flight to several addresses takes
// the server's answer from any of them, until a Handshake packet proves which one it is. Later a server is heard from
// elsewhere only for the probes of NAT traversal.
static bool address_allowed(const quic_conn *c, const quic_path *p, const quic_datagram *d) {
    if (p == NULL || same_peer(p, d))
        return true;
    if (c->role == QUIC_SERVER || c->confirmed)
        return c->confirmed && (c->role == QUIC_SERVER || quic_conn_has_nat_traversal(c));
    return c->hs != NULL && !c->hs->handshake_authenticated && c->transport.server_migration;
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
        quic_peer_cids_replace_first(&in->cids->peer, &scid);
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

// A packet of the next key phase was opened: follow (RFC 9001, section 6.2). A second one before we have acknowledged the
// first is more than the peer may do.
static int follow_key_update(quic_conn *c, uint64_t now) {
    if (c->keys.unanswered)
        return QUIC_KEY_UPDATE_ERROR;
    return quic_conn_phase_update(c, now, true) == 0 ? 0 : QUIC_INTERNAL_ERROR;
}

// The peer uses another address: a NAT rebinding, or a real move (RFC 9000, section 9).
static void maybe_migrate(quic_conn *c, const incoming_datagram *in, const quic_received *r) {
    quic_path *p = in->path;
    if (same_peer(p, in->d)) {
        if (in->d->local.kind != ADDR_NONE && r->pn == p->data.acks.largest)
            p->local = in->d->local;
        return;
    }
    if (c->role != QUIC_SERVER || !c->confirmed || r->probing_only || r->pn != p->data.acks.largest || p->abandoned)
        return;
    quic_path_config config = quic_conn_path_config(c);
    uint64_t old_pto = quic_conn_pto(c, p);
    quic_path_move(p, &in->d->remote, &in->d->local, &config, quic_endpoint_random(c->ep), in->now);
    p->received = in->d->len;
    p->validation_ends = in->now + 3 * time_max(quic_conn_pto(c, p), old_pto);
    (void)quic_conn_rotate_cid(c, p->cids);
    p->observed_wanted = c->transport.send_observed;
    quic_conn_choose_path(c);
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
        .local = &in->d->local,
        .datagram_len = in->d->len,
        .pn = pn,
        .now = in->now,
        .probing_only = true,
    };
    c->packets_received++;
    if (c->hs != NULL && c->role == QUIC_CLIENT)
        client_authenticated(c, packet, in);
    else if (c->hs != NULL)
        server_authenticated(c, packet, in);
    quic_qlog_packet_received(c->qlog, in->now, &(quic_qlog_packet){packet->type, in->path->id, pn, packet->len},
                              payload, len);
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
    quic_conn_path_active(c, in->path, in->now);
    in->path->received_at = in->now;
    if (quic_path_silent(in->path))
        quic_conn_choose_path(c);
    // What still comes on a path that ends is acknowledged at once: its space will not live long.
    if (in->path->abandoned)
        quic_acks_force(&in->path->data.acks);
    if (space_id == QUIC_SPACE_DATA)
        maybe_migrate(c, in, &r);
}

static void open_failed(quic_conn *c, const quic_packet *packet, uint32_t path, uint64_t now) {
    const quic_qlog_packet dropped = {packet->type, path, QUIC_PN_NONE, packet->len};
    quic_qlog_packet_dropped(c->qlog, now, &dropped, "payload_decrypt_error");
    c->keys.failed_opens++;
    if (c->keys.suite != NULL && c->keys.failed_opens > c->keys.suite->integrity_limit)
        quic_conn_fail(c, QUIC_AEAD_LIMIT_REACHED, 0, "", now);
}

// A server opens the path that a packet proves its client to have opened.
static bool open_path(quic_conn *c, incoming_datagram *in) {
    in->path = quic_conn_path_begin(c, in->cids, &in->d->remote, &in->d->local, in->now);
    if (in->path == NULL)
        return false;
    in->path->received = in->path->bytes_in = in->d->len;
    in->path->datagrams_in = 1;
    return true;
}

static void receive_short(quic_conn *c, const quic_packet *packet, incoming_datagram *in) {
    // Data that overtakes the end of the handshake is not kept: loss recovery brings it again.
    if (!quic_keys_present(&c->keys.read) || c->state == CONN_HANDSHAKING)
        return;
    const quic_acks *acks = in->path != NULL ? &in->path->data.acks : NULL;
    uint64_t truncated;
    int pn_size = quic_packet_unprotect(c->keys.read.hp, packet->bytes, packet->len, packet->pn_offset, &truncated);
    if (pn_size < 0)
        return;
    uint64_t pn = quic_pn_decode(truncated, (size_t)pn_size, acks != NULL ? acks->largest : QUIC_PN_NONE);
    if (acks != NULL && quic_acks_is_duplicate(acks, pn))
        return;
    bool new_phase = false;
    int len = quic_key_phases_open(&c->keys, packet->bytes, packet->len, packet->pn_offset, (size_t)pn_size,
                                   in->cids->id, pn, &new_phase);
    if (len < 0) {
        open_failed(c, packet, in->cids->id, in->now);
        return;
    }
    if (in->path == NULL && !open_path(c, in))
        return;
    int error = (packet->bytes[0] & SHORT_RESERVED) != 0 ? QUIC_PROTOCOL_VIOLATION : 0;
    if (error == 0 && new_phase)
        error = follow_key_update(c, in->now);
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
    if (in->path == NULL || !long_keys(c, packet, &space_id, &keys))
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
        open_failed(c, packet, 0, in->now);
        return;
    }
    if ((packet->bytes[0] & LONG_RESERVED) != 0) {
        quic_conn_fail(c, QUIC_PROTOCOL_VIOLATION, 0, "", in->now);
        return;
    }
    const uint8_t *payload = packet->bytes + packet->pn_offset + pn_size;
    accept_packet(c, packet, in, space_id, pn, payload, (size_t)len);
}

void quic_conn_receive(quic_conn *c, quic_path_cids *cids, const quic_datagram *d, uint64_t now) {
    quic_path *path = cids->path;
    if (c->state >= CONN_DRAINING || !path_allowed(c, cids) || !address_allowed(c, path, d))
        return;
    if (path != NULL) {
        path->bytes_in += d->len;
        path->datagrams_in++;
        if (!path->validated && same_peer(path, d))
            path->received += d->len;
    }
    if (c->state == CONN_CLOSING)
        quic_conn_close_datagram(c);
    incoming_datagram in = {.d = d, .now = now, .cids = cids, .path = path};
    uint8_t *at = d->bytes;
    size_t left = d->len;
    quic_packet packet;
    c->streams.lender = d->lender;
    // What does not parse or open ends the datagram without harm: the packets before it counted.
    while (left > 0 && c->state < CONN_DRAINING && quic_packet_parse(at, left, &packet) == 0) {
        if (packet.type == QUIC_1RTT)
            receive_short(c, &packet, &in);
        else
            receive_long(c, &packet, &in);
        at += packet.len;
        left -= packet.len;
    }
    c->streams.lender = NULL;
    quic_conn_wake(c);
}
