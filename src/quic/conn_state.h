// The inside of a connection, shared by the conn_*.c files and endpoint.c only.
//
// What only the handshake needs lives in `quic_handshake`, which goes away when the handshake is confirmed, so that an
// idle connection is small. Work is split by direction and noun:
//   conn.c            making, freeing, the application's calls, events
//   conn_handshake.c  TLS, CRYPTO, keys, transport parameters, sessions
//   conn_receive.c    datagrams to packets to frames
//   conn_frames.c     what each frame does
//   conn_send.c       packets and batches
//   conn_recovery.c   acknowledgements, loss, probes, congestion
//   conn_timer.c      deadlines
//   conn_close.c      closing, draining, errors
#ifndef QUIC_CONN_STATE_H
#define QUIC_CONN_STATE_H

#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "quic/conn.h"
#include "quic/dgrams.h"
#include "quic/endpoint.h"
#include "quic/packet.h"
#include "quic/path.h"
#include "quic/protect.h"

#define CONN_REMOTES_MAX 16    // addresses that the first flight is sent to
#define CONN_CRYPTO_MAX 16384  // bytes of CRYPTO beyond the read offset
#define CONN_TICKETS 2         // session tickets that a server sends
#define CONN_FLIGHT_MAX 1500   // datagram of the first flight that is repeated to other addresses

typedef enum conn_state {
    CONN_HANDSHAKING = 0,
    CONN_OPEN = 1,      // handshake complete
    CONN_CLOSING = 2,   // we closed: answer with the close
    CONN_DRAINING = 3,  // the peer closed, or it is over: say nothing
    CONN_DEAD = 4,      // to be freed when released
} conn_state;

// Where Initial and 0-RTT packets with the client's first connection id belong.
typedef struct quic_route {
    quic_cid dcid;
    struct quic_conn *conn;  // exactly one of the two
    struct quic_incoming *incoming;
    bool linked;
} quic_route;

typedef struct quic_crypto {
    quic_sendbuf out;
    quic_recvbuf in;
} quic_crypto;

typedef struct quic_handshake {
    quic_space spaces[2];  // Initial, Handshake
    quic_keys read[2], write[2];
    quic_keys early;  // 0-RTT: client writes, server reads
    quic_crypto crypto[2];
    quic_route route;  // server: the client's first connection id
    quic_cid original_dcid, retry_scid;
    bool retried;
    bool authenticated;              // a packet of the peer was opened
    bool handshake_authenticated;    // ... of the Handshake level
    bool peer_completed_validation;  // client: the server has validated our address
    uint64_t opened;                 // packets opened, for Retry and Version Negotiation rules
    uint8_t *token;                  // client: in every Initial
    size_t token_len;
    addr remotes[CONN_REMOTES_MAX];  // client
    uint8_t remote_count;
    uint8_t fanout_next;  // next remote that gets the copy of the flight
    uint16_t flight_len;  // 0: no copy
    uint8_t flight[CONN_FLIGHT_MAX];
    bool early_attempted, early_rejected;
    bool want_early;         // the application asked for 0-RTT
    quic_params remembered;  // client 0-RTT
} quic_handshake;

struct quic_conn {
    quic_endpoint *ep;
    void *user;
    conn_state state;
    quic_role role;
    bool confirmed;  // handshake confirmed (RFC 9001, section 4.1.2)
    bool released;   // by the layer above
    bool handshake_done_wanted;
    bool params_taken;       // the peer's transport parameters were decoded
    bool peer_params_known;  // ... or are remembered: limits and sizes may be used
    bool resumed, early_attempted, early_accepted;
    bool spin;
    bool ping_wanted;
    bool counted;          // in the endpoint's number of handshakes in progress
    uint32_t events;       // CONN_*
    list_link event_link;  // in ep->events
    list_link send_link;   // in ep->sending
    list_link all_link;    // in ep->conns
    heap_item timer;
    quic_transport transport;
    quic_handshake *hs;    // null once confirmed
    tls_session *tls;      // null once no longer needed
    uint64_t tls_until;    // when it is freed at the latest
    uint8_t tickets;       // client: received
    quic_path *path;       // path 0, in use
    quic_key_phases keys;  // 1-RTT
    quic_crypto crypto;    // of 1-RTT: session tickets
    quic_cid scid;         // our first connection id
    quic_params peer;      // the peer's transport parameters
    quic_streams streams;
    quic_dgram_queue dgrams_out, dgrams_in;
    quic_ack_policy ack_policy;
    uint8_t peer_key[32];
    bool peer_key_known;
    uint8_t *alpn;
    size_t alpn_len;
    uint8_t exporter[AEAD_HASH_MAX];
    uint8_t exporter_len;
    uint8_t *session;  // newest TLS session for the application
    size_t session_len;
    uint8_t *new_token;  // client: newest NEW_TOKEN
    size_t new_token_len;
    uint64_t idle_timeout;        // negotiated, ns
    uint64_t idle_at;             // deadline
    bool idle_restarted_by_send;  // an ack-eliciting packet was sent since the last receive
    uint64_t keep_alive_at;
    uint64_t end_at;     // closing or draining ends
    uint64_t pacing_at;  // when sending may go on, TIME_NEVER: not waiting
    // Closing.
    quic_close_info *close;    // null while open
    uint8_t close_spaces;      // bit per space in which the close is still to be sent, bit 3: 1-RTT
    uint64_t close_received;   // datagrams since
    uint64_t close_answer_at;  // next count that is answered
    quic_qlog *qlog;
    uint64_t packets_sent, packets_received;
    uint64_t streams_opened, streams_accepted;
};

// --- endpoint.c
const entropy *quic_endpoint_random(quic_endpoint *ep);
pool *quic_endpoint_frames(quic_endpoint *ep);
const logger *quic_endpoint_logger(quic_endpoint *ep);
const tls_backend *quic_endpoint_tls(quic_endpoint *ep, tls_context **context);
void quic_endpoint_keylog(quic_endpoint *ep, const char *line);
// A new connection id for a path, registered; 0 or IROH_ERR_NOMEM.
int quic_endpoint_issue_cid(quic_endpoint *ep, quic_path *path, uint8_t out[static QUIC_LOCAL_CID]);
void quic_endpoint_drop_cid(quic_endpoint *ep, const uint8_t cid[static QUIC_LOCAL_CID]);
void quic_endpoint_reset_token_for(quic_endpoint *ep, const uint8_t cid[static QUIC_LOCAL_CID],
                                   uint8_t out[static QUIC_RESET_TOKEN]);
// The peer's token by which a stateless reset for this connection is recognised.
int quic_endpoint_watch_reset(quic_endpoint *ep, quic_conn *c, const uint8_t token[static QUIC_RESET_TOKEN]);
void quic_endpoint_unwatch_reset(quic_endpoint *ep, quic_conn *c, const uint8_t token[static QUIC_RESET_TOKEN]);
void quic_endpoint_drop_route(quic_endpoint *ep, quic_route *route);
void quic_endpoint_schedule(quic_endpoint *ep, quic_conn *c);  // into the sending list
void quic_endpoint_notify(quic_endpoint *ep, quic_conn *c);    // into the event list
void quic_endpoint_set_timer(quic_endpoint *ep, quic_conn *c, uint64_t at);
void quic_endpoint_handshake_over(quic_endpoint *ep, quic_conn *c, bool completed);
// A dead connection: unlinked from everything, and freed at the next safe moment if the layer above has released it.
void quic_endpoint_retire(quic_endpoint *ep, quic_conn *c);
size_t quic_endpoint_make_token(quic_endpoint *ep, const addr *to, uint64_t now, uint8_t *out, size_t room);

// --- conn.c
typedef struct quic_conn_new_config {
    quic_role role;
    const quic_transport *transport;
    addr remote, local;
    const tls_alpn *alpns;
    size_t alpn_count;
    const uint16_t *suites;
    size_t suite_count;
    bool keylog;
    quic_cid odcid;  // the client's first destination connection id
    // Client.
    const quic_connect_config *connect;
    // Server.
    quic_cid peer_scid;
    quic_cid retry_scid;  // with `retried`
    bool retried, validated;
    uint64_t map_seed[2];
} quic_conn_new_config;

int quic_conn_new(quic_endpoint *ep, const quic_conn_new_config *config, uint64_t now, quic_conn **out);
void quic_conn_free(quic_conn *c);  // everything; the endpoint has unlinked it
void quic_conn_event(quic_conn *c, uint32_t events);
void quic_handshake_free(quic_conn *c);
quic_path_config quic_conn_path_config(const quic_conn *c);

// --- conn_handshake.c
int quic_conn_tls_start(quic_conn *c, const quic_conn_new_config *config, uint64_t now);
// Feeds buffered in-order CRYPTO bytes of a level to TLS. 0 or a transport error code.
int quic_conn_crypto_received(quic_conn *c, tls_level level, uint64_t now);
void quic_conn_confirm(quic_conn *c, uint64_t now);
void quic_conn_discard_space(quic_conn *c, quic_space_id id);
int quic_conn_retry(quic_conn *c, const quic_packet *retry, uint64_t now);
void quic_conn_tls_drop(quic_conn *c);
quic_crypto *quic_conn_crypto(quic_conn *c, quic_space_id id);

// --- conn_session.c
uint8_t *quic_session_encode(const quic_conn *c, size_t *len);
// Borrowed parts of an encoded session; false when malformed.
typedef struct quic_session {
    const uint8_t *tls;
    size_t tls_len;
    const uint8_t *token;
    size_t token_len;
    quic_params params;
} quic_session;
bool quic_session_decode(const uint8_t *bytes, size_t len, quic_session *out);

// --- conn_receive.c
void quic_conn_receive(quic_conn *c, quic_path *path, const quic_datagram *d, uint64_t now);

// --- conn_frames.c
typedef struct quic_received {  // the packet whose frames are handled
    quic_packet_type type;
    quic_space_id space;
    quic_path *path;
    const addr *remote;
    uint64_t pn;
    uint64_t now;
    bool eliciting, probing_only;
} quic_received;
// Handles all frames. 0 or a transport error code, *frame_type then says which frame.
int quic_conn_frames(quic_conn *c, quic_received *r, const uint8_t *payload, size_t len, uint64_t *frame_type);
// Another of the peer's ids is in use than `old`: the watch for a stateless reset follows. 0 or QUIC_INTERNAL_ERROR.
int quic_conn_peer_cid_changed(quic_conn *c, quic_path *path, const quic_peer_cid *old);

// --- conn_send.c
bool quic_conn_transmit(quic_conn *c, uint64_t now, uint8_t *room, size_t room_len, size_t max_segments,
                        quic_transmit *out);

// --- conn_recovery.c
int quic_conn_on_ack(quic_conn *c, quic_space_id space, quic_path *path, const quic_ack_frame *ack, uint64_t now);
void quic_conn_loss_timeout(quic_conn *c, quic_path *path, uint64_t now);
uint64_t quic_conn_loss_deadline(const quic_conn *c, const quic_path *path, uint64_t now);
uint64_t quic_conn_in_flight(const quic_conn *c, const quic_path *path);
uint64_t quic_conn_pto(const quic_conn *c, const quic_path *path);             // ns, with max_ack_delay, no back-off
quic_space *quic_conn_space(quic_conn *c, quic_path *path, quic_space_id id);  // null: discarded
void quic_conn_frames_lost(quic_conn *c, quic_path *path, quic_space_id id, quic_sent *sent);  // drops all as lost
void quic_conn_probe_frames(quic_conn *c, quic_path *path, quic_space_id id);

// --- conn_timer.c
void quic_conn_timeout(quic_conn *c, uint64_t now);
void quic_conn_update_timer(quic_conn *c, uint64_t now);
void quic_conn_idle_restart(quic_conn *c, uint64_t now);

// --- conn_close.c
void quic_conn_fail(quic_conn *c, int transport_code, uint64_t frame_type, const char *reason, uint64_t now);
void quic_conn_peer_closed(quic_conn *c, const quic_frame *f, uint64_t now);
void quic_conn_end(quic_conn *c, int error, uint64_t now);  // silently: idle, reset, version
void quic_conn_close_datagram(quic_conn *c);                // something arrived while closing

#endif
