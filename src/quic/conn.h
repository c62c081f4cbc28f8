// One QUIC connection as the layers above see it. How it works inside is in conn_state.h and the conn_*.c files.
//
// A connection belongs to a quic_endpoint, which feeds it datagrams and time and collects what it sends. After every
// call here that may cause sending, the connection is queued for quic_endpoint_transmit by itself.
#ifndef QUIC_CONN_H
#define QUIC_CONN_H

#include "base/addr.h"
#include "base/entropy.h"
#include "quic/cc.h"
#include "quic/path.h"
#include "quic/qlog.h"
#include "quic/streams.h"
#include "tls/tls.h"

typedef struct quic_endpoint quic_endpoint;
typedef struct quic_conn quic_conn;

// Settings of connections; copied when a connection is made.
typedef struct quic_transport {
    uint64_t idle_timeout;                // ns, 0: none
    uint64_t keep_alive;                  // ns, 0: none
    uint64_t streams_bidi, streams_uni;   // concurrent streams allowed to the peer
    uint64_t stream_window, conn_window;  // bytes
    uint64_t send_buffer;                 // bytes
    uint64_t initial_rtt;                 // ns
    uint16_t mtu_max;                     // largest datagram to try
    const quic_cc_ops *congestion;
    bool datagrams;             // accept DATAGRAM
    bool skip_packet_numbers;   // leave numbers out against optimistic acknowledgements
    bool server_migration;      // client: accept the server's first flight from another address
    uint64_t key_update_after;  // packets until our first key update; 0: random in 10..999
    uint32_t ack_threshold;     // ack-eliciting packets that may go unacknowledged
    // Multipath, n0's NAT traversal and observed addresses (extensions; each works when the peer offers it too).
    uint32_t paths;                        // open at once, 2..CONN_PATHS_OPEN_MAX; below 2: no multipath
    uint64_t path_idle_timeout;            // ns after which a silent path is abandoned, 0: never
    uint64_t path_keep_alive;              // ns, 0: none
    uint8_t nat_candidates;                // of the peer that we store; 0: no NAT traversal
    bool send_observed, receive_observed;  // reports of observed addresses
    bool send_new_tokens;                  // server: address-validation tokens for later connections
    // A connection of the endpoint itself and not of its user: it is not counted, and nobody waits until the peer knows of
    // its end.
    bool errand;
} quic_transport;

#define CONN_PATHS_OPEN_MAX 8

void quic_transport_default(quic_transport *t);

enum {
    CONN_CONNECTED = 1,      // the handshake is complete
    CONN_CLOSED = 2,         // see quic_conn_close_info; no further calls have effect
    CONN_INCOMING_BIDI = 4,  // a peer stream waits in quic_streams_accept
    CONN_INCOMING_UNI = 8,
    CONN_STREAMS = 16,         // quic_streams_next_event has something
    CONN_OPENABLE = 32,        // the peer raised a stream limit
    CONN_DATAGRAM = 64,        // a datagram can be read
    CONN_DATAGRAM_ROOM = 128,  // the send queue took something off
    CONN_SESSION = 256,        // quic_conn_take_session has a session for later resumption
    CONN_EARLY_REJECTED = 512,
    CONN_PATH = 1024,   // quic_conn_next_path_event has something
    CONN_TOKEN = 2048,  // quic_conn_take_token has one for a later connection
};

typedef struct quic_close_info {
    int error;  // IROH_ERR_*, 0: open
    bool by_peer;
    bool application;  // `code` is an application code
    uint64_t code;
    uint64_t frame_type;
    uint8_t reason[1024];
    size_t reason_len;
} quic_close_info;

typedef struct quic_conn_stats {
    // Of the path in use: rtt, window, in_flight, mtu. Everything else is summed over all paths, gone ones included.
    quic_rtt rtt;
    uint64_t window, in_flight;
    uint64_t congestion_events, lost_packets, lost_bytes, spurious;
    uint64_t packets_sent, packets_received, bytes_sent, bytes_received, datagrams_sent, datagrams_received;
    uint64_t key_updates, mtu_probes, mtu_probes_lost, black_holes;
    uint64_t streams_opened, streams_accepted;
    uint16_t mtu;
    uint16_t suite;
} quic_conn_stats;

// The application's pointer, free for the layer above. Null at first.
void quic_conn_set_user(quic_conn *c, void *user);
void *quic_conn_user(const quic_conn *c);

// The layer above is done: no further events; an open connection is closed with code 0. The memory goes once closing
// and draining are over. The pointer is dead afterwards.
void quic_conn_release(quic_conn *c, uint64_t now);

// Streams: use quic_streams_* and quic_stream_* on it, then quic_conn_wake.
quic_streams *quic_conn_streams(quic_conn *c);
quic_conn *quic_conn_of_stream(const quic_stream *st);

// Something to send was queued from above: the endpoint will ask this connection.
void quic_conn_wake(quic_conn *c);

// Application close. Later calls have no effect. The reason is cut at 1024 bytes.
void quic_conn_close(quic_conn *c, uint64_t code, const uint8_t *reason, size_t reason_len, uint64_t now);

bool quic_conn_is_client(const quic_conn *c);
bool quic_conn_connected(const quic_conn *c);  // handshake complete, now or before a close
bool quic_conn_closed(const quic_conn *c);
const quic_close_info *quic_conn_close_info(const quic_conn *c);
const uint8_t *quic_conn_peer_key(const quic_conn *c);           // 32 bytes, null: not known yet
const uint8_t *quic_conn_alpn(const quic_conn *c, size_t *len);  // null: not known yet
addr quic_conn_remote(const quic_conn *c);                       // of the path in use
void quic_conn_stats_get(const quic_conn *c, quic_conn_stats *out);
int quic_conn_export(const quic_conn *c, const void *label, size_t label_len, const void *context, size_t context_len,
                     uint8_t *out, size_t len);         // 0, IROH_ERR_AGAIN before the handshake, IROH_ERR_RANGE
int quic_conn_update_keys(quic_conn *c, uint64_t now);  // 0, IROH_ERR_AGAIN
void quic_conn_set_max_streams(quic_conn *c, bool bidi, uint64_t count);

bool quic_conn_resumed(const quic_conn *c);
bool quic_conn_can_send_early(const quic_conn *c);  // client: 0-RTT keys are there, or were
int quic_conn_early_accepted(const quic_conn *c);   // 1, 0, IROH_ERR_AGAIN, IROH_ERR_ARG: not attempted

// Datagrams. Results as quic_dgrams_push and quic_dgrams_pop; IROH_ERR_UNSUPPORTED when the peer takes none.
int quic_conn_datagram_send(quic_conn *c, const uint8_t *data, size_t len, bool drop_oldest);
int quic_conn_datagram_read(quic_conn *c, uint8_t *out, size_t room);
bool quic_conn_datagram_waits(const quic_conn *c);  // one can be read
int quic_conn_datagram_max(const quic_conn *c);     // largest payload now, or IROH_ERR_UNSUPPORTED

// --- Paths (the multipath draft; spelled out in docs/quic.md). Path 0 is that of the handshake.

// Error codes of PATH_ABANDON.
enum {
    PATH_CODE_APPLICATION = 0x3e,
    PATH_CODE_RESOURCE_LIMIT = 0x3e75,
    PATH_CODE_UNSTABLE_OR_POOR = 0x3e76,
    PATH_CODE_NO_CID = 0x3e77,
};

typedef enum quic_path_event_kind {
    PATH_EVENT_ESTABLISHED = 0,  // both ways proven: `address` is the peer's
    PATH_EVENT_ABANDONED = 1,    // by `by_peer` with `code`
    PATH_EVENT_GONE = 2,         // drained: the id is never used again
    PATH_EVENT_STATUS = 3,       // the peer's `status` for it
    PATH_EVENT_OBSERVED = 4,     // `address`: ours, as the peer sees it on this path
    PATH_EVENT_CANDIDATES = 5,   // the peer's candidate addresses changed
} quic_path_event_kind;

typedef struct quic_path_event {
    quic_path_event_kind kind;
    uint32_t path;
    bool by_peer;
    quic_path_status status;
    uint64_t code;
    addr address;
} quic_path_event;

// The oldest report, removed; false: none. At most 64 wait, the oldest are lost.
bool quic_conn_next_path_event(quic_conn *c, quic_path_event *out);

// Both sides offered it and the handshake is complete.
bool quic_conn_has_multipath(const quic_conn *c);
bool quic_conn_has_nat_traversal(const quic_conn *c);

// Client: opens a path to `remote` (from `local`, kind ADDR_NONE: any) and begins to validate it. *id is its path id. If
// a path with the same addresses is open, that is the result. IROH_ERR_UNSUPPORTED (no multipath, or a server),
// IROH_ERR_AGAIN (no path id or connection id left now: the peer is told), IROH_ERR_LIMIT, IROH_ERR_CLOSED,
// IROH_ERR_NOMEM.
int quic_conn_open_path(quic_conn *c, const addr *remote, const addr *local, quic_path_status status, uint64_t now,
                        uint32_t *id);

// Abandons a path. IROH_ERR_NOT_FOUND, IROH_ERR_ARG: the last one cannot be.
int quic_conn_close_path(quic_conn *c, uint32_t id, uint64_t code, uint64_t now);

// What we send over it, and tell the peer. IROH_ERR_NOT_FOUND.
int quic_conn_set_path_status(quic_conn *c, uint32_t id, quic_path_status status);

// Times of one path instead of those of quic_transport. IROH_ERR_NOT_FOUND.
int quic_conn_set_path_timeouts(quic_conn *c, uint32_t id, uint64_t idle, uint64_t keep_alive, uint64_t now);

typedef struct quic_path_info {
    uint32_t id;
    addr remote, local;
    bool validated, abandoned, in_use;
    quic_path_status status, peer_status;
    quic_rtt rtt;
    uint64_t window, in_flight;
    uint64_t bytes_sent, bytes_received, datagrams_sent, datagrams_received, lost_packets, lost_bytes;
    uint16_t mtu;
    addr observed;  // ours, as the peer sees it; ADDR_NONE: unknown
} quic_path_info;

// Open and draining paths by id: their number, at most `room` of them stored.
size_t quic_conn_paths(const quic_conn *c, quic_path_info *out, size_t room);

// The machine's network changed. `recoverable` says for each path whether its addresses still make sense: then the path
// is kept, moves to a fresh connection id and probes at once; otherwise it is abandoned and a client opens another to
// the same address. Null: clients treat all paths as lost, servers none.
void quic_conn_network_changed(quic_conn *c, bool (*recoverable)(void *user, const addr *local, const addr *remote),
                               void *user, uint64_t now);

// NAT traversal: our candidate addresses, and those of the peer. IROH_ERR_UNSUPPORTED, IROH_ERR_LIMIT,
// IROH_ERR_NOT_FOUND, IROH_ERR_NOMEM.
int quic_conn_add_candidate(quic_conn *c, const addr *address);
int quic_conn_remove_candidate(quic_conn *c, const addr *address);
size_t quic_conn_candidates(const quic_conn *c, addr *out, size_t room);  // of the peer
// Client: both sides probe each other's candidates now; paths open to those that answer, as backups.
int quic_conn_start_round(quic_conn *c, uint64_t now);

// What a later connection to the same peer can start from: TLS session and remembered parameters. One opaque string with
// a secret in it; the caller wipes it and frees it with free(). Null when there is none (any more).
uint8_t *quic_conn_take_session(quic_conn *c, size_t *len);

// Client: the newest token with which the server will believe our address at once in a later connection, each used once
// (RFC 9000, section 8.1.3). It may come at any time and goes with any session or none. The caller frees it with free().
// Null when there is none (any more).
uint8_t *quic_conn_take_token(quic_conn *c, size_t *len);

#endif
