// The QUIC endpoint: routes datagrams to connections by connection id, answers what belongs to none, and collects what
// all of them want to send. No sockets, no clock, no threads.
//
// The driver's loop: feed datagrams with quic_endpoint_receive; call quic_endpoint_timeout when quic_endpoint_deadline
// has come; drain events; then call quic_endpoint_transmit until it gives nothing.
#ifndef QUIC_ENDPOINT_H
#define QUIC_ENDPOINT_H

#include "base/log.h"
#include "quic/conn.h"

typedef struct quic_endpoint_config {
    const tls_backend *tls;
    tls_identity identity;
    entropy random;
    const logger *log;  // may be null; borrowed
    quic_transport transport;
    const tls_alpn *alpns;  // accepted, in order of preference; copied
    size_t alpn_count;
    const uint16_t *suites;  // as tls_config; copied
    size_t suite_count;
    uint64_t incoming_max;                         // attempts that wait for a decision
    uint64_t wall_clock;                           // unix time in ns at monotonic time 0, for tokens
    void (*keylog)(void *user, const char *line);  // null: none
    void *keylog_user;
    // Called when a connection starts: a qlog writer for it or null. The connection frees it with quic_qlog_free.
    quic_qlog *(*qlog)(void *user, quic_role role, const quic_cid *odcid);
    void *qlog_user;
} quic_endpoint_config;

void quic_endpoint_config_default(quic_endpoint_config *c);

// 0, IROH_ERR_NOMEM, IROH_ERR_ARG, IROH_ERR_CRYPTO.
int quic_endpoint_new(const quic_endpoint_config *config, quic_endpoint **out);

// Frees everything at once, without a word to the peers. Null is ignored.
void quic_endpoint_free(quic_endpoint *ep);

int quic_endpoint_set_alpns(quic_endpoint *ep, const tls_alpn *alpns, size_t count);

typedef struct quic_datagram {
    uint8_t *bytes;  // is changed: packets are opened in place
    size_t len;
    addr remote;                // canonical
    addr local;                 // kind ADDR_NONE when unknown
    uint8_t ecn;                // QUIC_ECN_*
    const quic_lender *lender;  // null: `bytes` are only there for the call
} quic_datagram;

void quic_endpoint_receive(quic_endpoint *ep, const quic_datagram *d, uint64_t now);

typedef struct quic_transmit {
    addr remote;
    addr local;      // ADDR_NONE: any
    size_t len;      // bytes in the room
    size_t segment;  // size of each datagram in it; the last may be shorter
    uint8_t ecn;
} quic_transmit;

// Fills `room` with one datagram or a batch of equal ones for one destination, at most `max_segments`. False: nothing to
// send now. `room_len` >= 1500 (more lets batches grow; 64 KiB is useful).
bool quic_endpoint_transmit(quic_endpoint *ep, uint64_t now, uint8_t *room, size_t room_len, size_t max_segments,
                            quic_transmit *out);

// When quic_endpoint_timeout must be called, ns; TIME_NEVER: no need. May be in the past.
uint64_t quic_endpoint_deadline(const quic_endpoint *ep);
void quic_endpoint_timeout(quic_endpoint *ep, uint64_t now);

// Dialling.
typedef struct quic_connect_config {
    const addr *remotes;  // the first flight goes to all of them; the first that answers is used; 1..16
    size_t remote_count;
    const uint8_t *peer_key;  // 32 bytes; null: roots and server_name of tls_config instead
    struct web_roots *roots;
    const char *server_name;
    const quic_transport *transport;  // null: the endpoint's
    const tls_alpn *alpns;            // offered, in order; at least one
    size_t alpn_count;
    const uint8_t *session;  // of quic_conn_take_session; null: none
    size_t session_len;
    bool early;            // send 0-RTT data if the session allows it
    const uint8_t *token;  // of quic_conn_take_token; null: none
    size_t token_len;
} quic_connect_config;

int quic_endpoint_connect(quic_endpoint *ep, const quic_connect_config *config, uint64_t now, quic_conn **out);

// Attempts to connect that wait for a decision. The endpoint owns them until one of accept, refuse, retry or ignore,
// which end them. They are dropped by themselves after the idle timeout unless taken (quic_endpoint_next_incoming).
typedef struct quic_incoming quic_incoming;
quic_incoming *quic_endpoint_next_incoming(quic_endpoint *ep);  // takes the oldest; null: none
bool quic_endpoint_has_incoming(const quic_endpoint *ep);       // whether there is one to take
int quic_incoming_accept(quic_incoming *in, uint64_t now, quic_conn **out);
void quic_incoming_refuse(quic_incoming *in, uint64_t now);
int quic_incoming_retry(quic_incoming *in,
                        uint64_t now);  // IROH_ERR_ARG when the address is validated: nothing was done
void quic_incoming_ignore(quic_incoming *in);
addr quic_incoming_remote(const quic_incoming *in);
bool quic_incoming_validated(const quic_incoming *in);
int quic_incoming_alpns(const quic_incoming *in, tls_alpn *out, size_t room);  // as tls_client_hello_alpns

// Connections with events: one at a time with its CONN_* bits, cleared. Null: none.
quic_conn *quic_endpoint_next_event(quic_endpoint *ep, uint32_t *events);

// Closes every connection with code 0 and refuses new ones from now on.
void quic_endpoint_close(quic_endpoint *ep, uint64_t code, const uint8_t *reason, size_t reason_len, uint64_t now);
// Connections that still have something to say to their peers: open or closing. Draining ones are not counted, nor those that
// close before their peer has said anything.
size_t quic_endpoint_unfinished(const quic_endpoint *ep);

typedef struct quic_endpoint_stats {
    uint64_t datagrams_received, datagrams_dropped, bytes_received, datagrams_sent, bytes_sent;
    uint64_t handshakes;
    uint64_t connections;
} quic_endpoint_stats;

void quic_endpoint_stats_get(const quic_endpoint *ep, quic_endpoint_stats *out);

#endif
