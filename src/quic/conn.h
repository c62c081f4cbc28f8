// One QUIC connection as the layers above see it. How it works inside is in conn_state.h and the conn_*.c files.
//
// A connection belongs to a quic_endpoint, which feeds it datagrams and time and collects what it sends. After every
// call here that may cause sending, the connection is queued for quic_endpoint_transmit by itself.
#ifndef QUIC_CONN_H
#define QUIC_CONN_H

#include "base/addr.h"
#include "base/entropy.h"
#include "quic/cc.h"
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
} quic_transport;

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
    quic_rtt rtt;  // of the path in use
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
int quic_conn_datagram_max(const quic_conn *c);  // largest payload now, or IROH_ERR_UNSUPPORTED

// What a later connection to the same peer can start from: TLS session, remembered parameters, address token. One
// opaque string; the caller frees it with free(). Null when there is none (any more).
uint8_t *quic_conn_take_session(quic_conn *c, size_t *len);

#endif
