// The inside of the QUIC endpoint, shared by the endpoint_*.c files only.
//   endpoint.c           making, timers, events, sending, what connections need
//   endpoint_route.c     which connection a datagram belongs to; Version Negotiation, stateless reset
//   endpoint_incoming.c  attempts to connect until they are decided on; Retry
#ifndef QUIC_ENDPOINT_STATE_H
#define QUIC_ENDPOINT_STATE_H

#include "base/map.h"
#include "quic/conn_state.h"
#include "quic/endpoint.h"
#include "quic/token.h"

#define INCOMING_DATAGRAMS 4             // datagrams kept for an attempt until it is accepted
#define INCOMING_REPLY_MAX 512           // bytes of a packet that is sent without a connection
#define ENDPOINT_REPLIES_MAX 64          // such packets that may wait; more are dropped
#define RESET_INTERVAL (20 * NS_PER_MS)  // at most one stateless reset in this time
#define RETRY_HANDSHAKES 512             // handshakes in progress beyond which addresses must be proven

// A packet that belongs to no connection.
typedef struct quic_reply {
    list_link link;
    addr remote, local;
    uint16_t len;
    uint8_t bytes[INCOMING_REPLY_MAX];
} quic_reply;

struct quic_incoming {
    quic_endpoint *ep;
    list_link link;  // in ep->incoming, or alone once taken
    quic_route route;
    quic_cid scid;        // the client's
    quic_cid odcid;       // the first destination id: differs from route.dcid after a Retry
    quic_cid retry_scid;  // after a Retry: what the client uses now
    bool retried, validated, taken;
    addr remote, local;
    uint8_t ecn;
    uint64_t arrived;
    uint8_t count;
    struct {
        uint8_t *bytes;
        size_t len;
    } datagrams[INCOMING_DATAGRAMS];
    uint8_t *hello;  // CRYPTO bytes of the first packet, for a look at the ALPNs
    size_t hello_len;
};

struct quic_endpoint {
    quic_endpoint_config config;
    tls_context *tls;
    tls_alpn *alpns;
    size_t alpn_count;
    uint16_t *suites;
    quic_token_key token_key;
    uint8_t reset_key[32];
    uint64_t map_seed[2];
    map cids;    // our 8-byte connection ids -> quic_path
    map routes;  // hash of a client's first connection id -> quic_route
    map resets;  // first 8 bytes of a peer's reset token -> quic_conn
    heap timers;
    pool frames;
    list_link conns, sending, events, incoming, replies, graveyard;
    size_t conn_count, errand_count, incoming_count, reply_count, handshakes;
    uint64_t next_reset;  // ns
    uint64_t now;         // latest time seen
    bool closing;
    quic_endpoint_stats stats;
};

// --- endpoint.c
void quic_endpoint_reap(quic_endpoint *ep);
quic_reply *quic_endpoint_reply(quic_endpoint *ep, const quic_datagram *d);  // null: too many wait
void quic_endpoint_reply_drop(quic_endpoint *ep, quic_reply *r);
int quic_endpoint_add_conn(quic_endpoint *ep, quic_conn *c);
quic_conn_new_config quic_endpoint_conn_config(const quic_endpoint *ep, quic_role role);

// --- endpoint_route.c
uint64_t quic_endpoint_route_key(const quic_endpoint *ep, const uint8_t *dcid, size_t len);
int quic_endpoint_add_route(quic_endpoint *ep, quic_route *route);

// --- endpoint_incoming.c
void quic_endpoint_new_incoming(quic_endpoint *ep, const quic_packet *packet, const quic_datagram *d, uint64_t now);
void quic_incoming_add(quic_incoming *in, const quic_datagram *d);
void quic_incoming_free(quic_incoming *in);
uint64_t quic_endpoint_incoming_deadline(const quic_endpoint *ep);  // of quic_endpoint_expire_incoming
void quic_endpoint_expire_incoming(quic_endpoint *ep, uint64_t now);

#endif
