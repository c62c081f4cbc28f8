// Which connection a datagram belongs to, and what to say when it belongs to none: Version Negotiation (RFC 9000,
// section 6) or a stateless reset (section 10.3).
#include <iroh/error.h>

#include "crypto/hkdf.h"
#include "quic/endpoint_state.h"

#define RESET_MIN_TRIGGER 22  // shorter datagrams are not answered: the answer must be shorter still
#define RESET_MIN 21          // bytes of the shortest reset
#define RESET_PAD_MAX 25      // unpredictable bytes in ours

static uint64_t first_bytes(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

// Strangers choose these ids, so the key is a keyed hash of the whole.
uint64_t quic_endpoint_route_key(const quic_endpoint *ep, const uint8_t *dcid, size_t len) {
    uint8_t hash[32];
    hmac_sha256(ep->reset_key, sizeof ep->reset_key, dcid, len, hash);
    return first_bytes(hash);
}

int quic_endpoint_add_route(quic_endpoint *ep, quic_route *route) {
    int r = map_put(&ep->routes, quic_endpoint_route_key(ep, route->dcid.bytes, route->dcid.len), route);
    route->linked = r == 0;
    return r;
}

void quic_endpoint_drop_route(quic_endpoint *ep, quic_route *route) {
    (void)map_remove(&ep->routes, quic_endpoint_route_key(ep, route->dcid.bytes, route->dcid.len));
    route->linked = false;
}

static quic_path_cids *cids_of(const quic_endpoint *ep, const quic_packet *packet) {
    return packet->dcid_len == QUIC_LOCAL_CID ? map_get(&ep->cids, first_bytes(packet->dcid)) : NULL;
}

static quic_route *route_of(const quic_endpoint *ep, const quic_packet *packet) {
    if (packet->dcid_len > QUIC_CID_MAX)
        return NULL;
    quic_route *route = map_get(&ep->routes, quic_endpoint_route_key(ep, packet->dcid, packet->dcid_len));
    if (route == NULL || route->dcid.len != packet->dcid_len ||
        memcmp(route->dcid.bytes, packet->dcid, packet->dcid_len) != 0)
        return NULL;
    return route;
}

static bool same_token(const uint8_t *a, const uint8_t *b) {
    uint8_t diff = 0;
    for (size_t i = 0; i < QUIC_RESET_TOKEN; i++)
        diff |= (uint8_t)(a[i] ^ b[i]);
    return diff == 0;
}

// The last 16 bytes may be the token of a peer that forgot us.
static bool take_reset(quic_endpoint *ep, const quic_datagram *d, uint64_t now) {
    if (d->len < RESET_MIN)
        return false;
    const uint8_t *token = d->bytes + d->len - QUIC_RESET_TOKEN;
    quic_conn *c = map_get(&ep->resets, first_bytes(token));
    if (c == NULL)
        return false;
    for (size_t i = 0; i < c->cids_count; i++) {
        const quic_path_cids *cids = c->cids[i];
        const quic_peer_cid *active = quic_peer_cids_active(&cids->peer);
        if (active == NULL || !active->has_token || !same_token(active->token, token))
            continue;
        // The peer may have forgotten a path that is being abandoned before we have: that ends nothing else.
        if (cids->path != NULL && cids->path->abandoned && c->path_count > 1)
            return true;
        quic_conn_end(c, IROH_ERR_STATELESS, now);
        return true;
    }
    return false;
}

static void send_reset(quic_endpoint *ep, const quic_packet *packet, const quic_datagram *d, uint64_t now) {
    if (d->len < RESET_MIN_TRIGGER || now < ep->next_reset)
        return;
    quic_reply *r = quic_endpoint_reply(ep, d);
    if (r == NULL)
        return;
    ep->next_reset = now + RESET_INTERVAL;
    size_t pad = d->len - 1 - QUIC_RESET_TOKEN;
    if (pad > RESET_PAD_MAX)
        pad = RESET_PAD_MAX;
    entropy_fill(&ep->config.random, r->bytes, pad);
    r->bytes[0] = (uint8_t)(0x40 | (r->bytes[0] & 0x3f));
    quic_endpoint_reset_token_for(ep, packet->dcid, r->bytes + pad);
    r->len = (uint16_t)(pad + QUIC_RESET_TOKEN);
}

static void send_version_negotiation(quic_endpoint *ep, const quic_packet *packet, const quic_datagram *d) {
    quic_reply *r = quic_endpoint_reply(ep, d);
    if (r == NULL)
        return;
    uint8_t random;
    entropy_fill(&ep->config.random, &random, 1);
    r->len = (uint16_t)quic_packet_write_version_negotiation(r->bytes, sizeof r->bytes, packet, random);
    if (r->len == 0)
        quic_endpoint_reply_drop(ep, r);
}

static void unrouted_long(quic_endpoint *ep, const quic_packet *packet, const quic_datagram *d, uint64_t now) {
    quic_route *route = route_of(ep, packet);
    if (route != NULL && route->conn != NULL)
        quic_conn_receive(route->conn, route->conn->path->cids, d, now);
    else if (route != NULL)
        quic_incoming_add(route->incoming, d);
    else if (packet->type == QUIC_INITIAL && !take_reset(ep, d, now))
        quic_endpoint_new_incoming(ep, packet, d, now);
    else
        ep->stats.datagrams_dropped++;
}

void quic_endpoint_receive(quic_endpoint *ep, const quic_datagram *d, uint64_t now) {
    ep->now = now;
    quic_endpoint_reap(ep);
    ep->stats.datagrams_received++;
    ep->stats.bytes_received += d->len;
    quic_packet packet;
    int r = quic_packet_parse(d->bytes, d->len, &packet);
    if (r == IROH_ERR_UNSUPPORTED) {
        // A small datagram gets no answer: it would be amplified.
        if (d->len >= QUIC_MIN_INITIAL || packet.dcid_len + packet.scid_len + 60 < 3 * d->len)
            send_version_negotiation(ep, &packet, d);
        return;
    }
    if (r != 0) {
        if (!take_reset(ep, d, now))
            ep->stats.datagrams_dropped++;
        return;
    }
    quic_path_cids *cids = cids_of(ep, &packet);
    if (cids != NULL) {
        quic_conn_receive(cids->conn, cids, d, now);
        return;
    }
    if (packet.type != QUIC_1RTT) {
        unrouted_long(ep, &packet, d, now);
        return;
    }
    if (take_reset(ep, d, now))
        return;
    ep->stats.datagrams_dropped++;
    send_reset(ep, &packet, d, now);
}
