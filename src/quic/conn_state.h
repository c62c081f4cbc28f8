// The inside of a connection, shared by the conn_*.c files and endpoint.c only.
//
// What only the handshake needs lives in `quic_handshake`, which goes away when the handshake is confirmed, so that an
// idle connection is small. Work is split by direction and noun:
//   conn.c            making, freeing, the application's calls, events
//   conn_handshake.c  TLS, CRYPTO, keys, transport parameters, sessions
//   conn_receive.c    datagrams to packets to frames
//   conn_frames.c     what each frame does; conn_path_frames.c: those of multipath and NAT traversal
//   conn_send.c       1-RTT packets and batches; conn_send.h lists the files for the other kinds of packets
//   conn_recovery.c   acknowledgements, loss, probes, congestion
//   conn_cids.c       connection ids of all path ids
//   conn_paths.c      multipath: opening and choosing paths, and what the layer above hears of them
//   conn_abandon.c    how paths end, and their timers
//   conn_nat.c        NAT traversal: candidates, rounds, probes
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
#include "quic/nat.h"
#include "quic/packet.h"
#include "quic/path.h"
#include "quic/protect.h"
#include "quic/token.h"

#define CONN_REMOTES_MAX 16      // addresses that the first flight is sent to
#define CONN_CRYPTO_MAX 16384    // bytes of CRYPTO beyond the read offset
#define CONN_TICKETS 2           // session tickets that a server sends
#define CONN_FLIGHT_MAX 1500     // datagram of the first flight that is repeated to other addresses
#define CONN_PATHS_MAX 16        // paths that are open or draining
#define CONN_OFF_PATH_MAX 32     // answers to challenges from other addresses that may wait
#define CONN_PATH_EVENTS_MAX 64  // reports about paths that the layer above has not taken; the oldest go
#define CONN_ABANDONS_MAX 64     // PATH_ABANDON frames that are not acknowledged
#define CONN_NEW_TOKENS 1        // address-validation tokens that a server gives for later connections
#define CONN_NEW_TOKEN_ROOM (QUIC_TOKEN_MAX + 4)
#define CONN_MIN_ACK_DELAY_US 1000     // the shortest acknowledgement delay that a peer may ask for
#define CONN_ACK_DELAY_MAX_US 1000000  // longer ones are taken as this one

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

// A PATH_ABANDON of ours until it is acknowledged. It may outlive its path.
typedef struct quic_abandon {
    uint32_t id;
    bool wanted;  // must go (again)
    uint64_t code;
} quic_abandon;

// A path that the network took and that could not be opened anew yet.
typedef struct quic_lost_path {
    addr remote;
    quic_path_status status;
} quic_lost_path;

// An answer to a challenge that came from another address than the path's, or a probe of ours to one.
typedef struct quic_off_path {
    list_link link;
    addr to, from;  // from: the local address that the challenge came to
    uint32_t path;  // whose ids and packet numbers are used
    bool has_response, has_challenge;
    uint8_t response[8], challenge[8];
    size_t room;  // bytes that the packet may have at most, and has with an answer
} quic_off_path;

typedef struct quic_path_event_item {
    list_link link;
    quic_path_event event;
} quic_path_event_item;

// What only a connection with multipath has (null otherwise).
typedef struct quic_multipath {
    uint64_t local_max;  // highest path id that we allow
    uint64_t peer_max;   // highest that the peer allows
    uint64_t next_id;    // client: the id of the next path that it opens
    uint64_t ids_begun;  // connection ids were issued for all path ids below
    ranges gone;         // ids that were abandoned
    bool max_path_id_wanted, paths_blocked_wanted;
    uint64_t blocked_at;       // PATHS_BLOCKED: the limit that stood in the way
    bool cids_blocked_wanted;  // PATH_CIDS_BLOCKED for blocked_id
    uint32_t blocked_id;
    quic_abandon *abandons;
    uint8_t abandon_count;
    uint64_t grace_at;     // ns: the last path was abandoned by the peer, and no other came; TIME_NEVER: not so
    quic_nat *nat;         // null: not negotiated
    quic_lost_path *lost;  // client: to be opened as soon as there are ids for them
    uint8_t lost_count;
} quic_multipath;

struct quic_conn {
    quic_endpoint *ep;
    void *user;
    conn_state state;
    quic_role role;
    bool confirmed;  // handshake confirmed (RFC 9001, section 4.1.2)
    bool released;   // by the layer above
    bool handshake_done_wanted;
    uint8_t new_tokens_wanted;  // server: NEW_TOKEN frames to send
    bool params_taken;          // the peer's transport parameters were decoded
    bool peer_params_known;     // ... or are remembered: limits and sizes may be used
    bool resumed, early_attempted, early_accepted;
    bool spin;
    bool counted;          // in the endpoint's number of handshakes in progress
    uint32_t events;       // CONN_*
    list_link event_link;  // in ep->events
    list_link send_link;   // in ep->sending
    list_link all_link;    // in ep->conns
    heap_item timer;
    quic_transport transport;
    quic_handshake *hs;                // null once confirmed
    tls_session *tls;                  // null once no longer needed
    uint64_t tls_until;                // when it is freed at the latest
    uint8_t tickets;                   // client: received
    quic_path *path;                   // the one that data takes now; never null
    quic_path *paths[CONN_PATHS_MAX];  // open and draining ones, ids ascending
    uint8_t path_count;
    quic_path_cids **cids;  // of all path ids in play, ids ascending
    uint16_t cids_count;
    bool cids_wait;      // an entry of `cids` has something to send
    bool control_wait;   // `mp` or a path has a control frame to send
    quic_multipath *mp;  // null: one path only
    list_link off_path;  // of quic_off_path
    uint8_t off_path_count;
    list_link path_events;  // of quic_path_event_item
    uint8_t path_event_count;
    uint64_t observed_seq;  // of the next OBSERVED_ADDRESS that we send
    quic_key_phases keys;   // 1-RTT
    quic_crypto crypto;     // of 1-RTT: session tickets
    quic_cid scid;          // our first connection id
    quic_params peer;       // the peer's transport parameters
    quic_streams streams;
    quic_dgram_queue dgrams_out, dgrams_in;
    quic_ack_policy ack_policy;
    uint64_t ack_frequency_seq;  // lowest sequence of an ACK_FREQUENCY that is news
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
    uint64_t end_at;  // closing or draining ends
    // Closing.
    quic_close_info *close;    // null while open
    uint8_t close_spaces;      // bit per space in which the close is still to be sent, bit 3: 1-RTT
    uint64_t close_received;   // datagrams since
    uint64_t close_answer_at;  // next count that is answered
    quic_qlog *qlog;
    uint64_t packets_sent, packets_received;
    quic_conn_stats *past;  // sums of paths that are gone; null: none, or no memory for them
    uint64_t streams_opened, streams_accepted;
};

// --- endpoint.c
const entropy *quic_endpoint_random(quic_endpoint *ep);
pool *quic_endpoint_frames(quic_endpoint *ep);
const logger *quic_endpoint_logger(quic_endpoint *ep);
const tls_backend *quic_endpoint_tls(quic_endpoint *ep, tls_context **context);
void quic_endpoint_keylog(quic_endpoint *ep, const char *line);
// A new connection id for a path, registered; 0 or IROH_ERR_NOMEM.
int quic_endpoint_issue_cid(quic_endpoint *ep, quic_path_cids *cids, uint8_t out[static QUIC_LOCAL_CID]);
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
void quic_conn_count_past(quic_conn *c, const quic_path *p);  // before a path goes: its counters stay in the statistics
quic_path_config quic_conn_path_config(const quic_conn *c);
int quic_conn_phase_update(quic_conn *c, uint64_t now, bool by_peer);  // 0 or IROH_ERR_*

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
void quic_conn_drop_session(quic_conn *c);  // wipes the TLS session that waits for the application, if there is one
// Borrowed parts of an encoded session; false when malformed.
typedef struct quic_session {
    const uint8_t *tls;
    size_t tls_len;
    quic_params params;
} quic_session;
bool quic_session_decode(const uint8_t *bytes, size_t len, quic_session *out);

// --- conn_receive.c
void quic_conn_receive(quic_conn *c, quic_path_cids *cids, const quic_datagram *d, uint64_t now);

// --- conn_frames.c
typedef struct quic_received {  // the packet whose frames are handled
    quic_packet_type type;
    quic_space_id space;
    quic_path *path;
    const addr *remote, *local;
    size_t datagram_len;
    uint64_t pn;
    uint64_t now;
    bool eliciting, probing_only;
} quic_received;
// Handles all frames. 0 or a transport error code, *frame_type then says which frame.
int quic_conn_frames(quic_conn *c, quic_received *r, const uint8_t *payload, size_t len, uint64_t *frame_type);

typedef int (*quic_frame_handler)(quic_conn *c, quic_received *r, const quic_frame *f);

// --- conn_path_frames.c
// The handler of a frame of an extension; null: none such.
quic_frame_handler quic_conn_path_frame_handler(uint64_t type);
void quic_conn_control_acked(quic_conn *c, const quic_sent_frame *f);
void quic_conn_control_lost(quic_conn *c, const quic_sent_frame *f);

// --- conn_cids.c
quic_path_cids *quic_conn_cids(const quic_conn *c, uint32_t id);  // null: none (yet, or any more)
// Makes the entry for an id; null when out of memory. The peer has given no connection id for it yet.
quic_path_cids *quic_conn_cids_add(quic_conn *c, uint32_t id);
// Ends an id: its connection ids are unknown from now on. Its path must be gone.
void quic_conn_cids_remove(quic_conn *c, quic_path_cids *cids);
void quic_conn_cids_dispose(quic_conn *c);
// Issues ids for every path id that both sides allow, as many as the peer takes. They wait to be sent.
void quic_conn_cids_issue(quic_conn *c);
void quic_conn_cids_forget(quic_conn *c);                             // the endpoint knows none of them any more
void quic_conn_cids_lost(quic_conn *c, uint32_t id, uint64_t seq);    // a NEW_CONNECTION_ID was lost
void quic_conn_retire_lost(quic_conn *c, uint32_t id, uint64_t seq);  // a RETIRE_CONNECTION_ID was lost
void quic_conn_retire_acked(quic_conn *c, uint32_t id);
int quic_conn_on_new_cid(quic_conn *c, quic_received *r, const quic_frame *f);
int quic_conn_on_retire_cid(quic_conn *c, quic_received *r, const quic_frame *f);
// Uses another of the peer's ids for this path from now on; false when there is none.
bool quic_conn_rotate_cid(quic_conn *c, quic_path_cids *cids);

// --- conn_paths.c
quic_path *quic_conn_path(const quic_conn *c, uint32_t id);  // open or draining; null: none such
int quic_conn_multipath_start(quic_conn *c, uint64_t now);   // after the handshake: 0 or a transport error code
void quic_conn_multipath_free(quic_conn *c);
// A path for `cids`, which has none. Null when out of memory or CONN_PATHS_MAX are there.
quic_path *quic_conn_path_add(quic_conn *c, quic_path_cids *cids, const addr *remote, const addr *local, uint64_t now);
void quic_conn_path_remove(quic_conn *c, quic_path *p);  // what is in flight on it counts as lost
void quic_conn_choose_path(quic_conn *c);                // updates c->path
bool quic_conn_path_carries_data(const quic_conn *c, const quic_path *p);
// Otherwise the acknowledgements of what comes on it go along with data elsewhere.
bool quic_conn_path_acks_itself(const quic_path *p);
bool quic_conn_id_gone(const quic_conn *c, uint64_t id);
size_t quic_conn_open_paths(const quic_conn *c);  // not abandoned
void quic_conn_abandon(quic_conn *c, quic_path *p, uint64_t code, bool by_peer, uint64_t now);
int quic_conn_on_abandon(quic_conn *c, uint32_t id, uint64_t code, uint64_t now);
void quic_conn_abandon_acked(quic_conn *c, uint32_t id);
void quic_conn_abandon_lost(quic_conn *c, uint32_t id);
// A path that is to be validated from now on. Null as quic_conn_path_add.
quic_path *quic_conn_path_begin(quic_conn *c, quic_path_cids *cids, const addr *remote, const addr *local,
                                uint64_t now);
void quic_conn_path_established(quic_conn *c, quic_path *p, uint64_t now);
void quic_conn_path_active(quic_conn *c, quic_path *p, uint64_t now);  // restarts its idle and keep-alive timers
void quic_conn_paths_timeout(quic_conn *c, uint64_t now);
uint64_t quic_conn_paths_deadline(const quic_conn *c);
void quic_conn_report_path(quic_conn *c, const quic_path_event *event);
void quic_conn_reopen(quic_conn *c, uint64_t now);  // paths that waited for ids or limits
// Off-path packets that wait. Null when too many do, or out of memory.
quic_off_path *quic_conn_off_path_add(quic_conn *c, uint32_t path, const addr *to, const addr *from);
// The answer that waits for this address, or a new one.
quic_off_path *quic_conn_off_path_answer(quic_conn *c, uint32_t path, const addr *to, const addr *from);
void quic_conn_off_path_drop(quic_conn *c, quic_off_path *o);

// --- conn_nat.c
int quic_conn_on_nat_frame(quic_conn *c, quic_received *r, const quic_frame *f);
bool quic_conn_nat_responded(quic_conn *c, const uint8_t data[static 8], const addr *from, uint64_t now);
void quic_conn_nat_challenged(quic_conn *c, quic_off_path *answer);
void quic_conn_nat_timeout(quic_conn *c, uint64_t now);

// --- conn_send.c
bool quic_conn_transmit(quic_conn *c, uint64_t now, uint8_t *room, size_t room_len, size_t max_segments,
                        quic_transmit *out);

// --- conn_recovery.c
// An acknowledgement of packets on `path` that came on `via`.
int quic_conn_on_ack(quic_conn *c, quic_space_id space, quic_path *path, const quic_ack_frame *ack,
                     const quic_path *via, uint64_t now);
void quic_conn_loss_timeout(quic_conn *c, quic_path *path, uint64_t now);
uint64_t quic_conn_loss_deadline(const quic_conn *c, const quic_path *path, uint64_t now);
uint64_t quic_conn_in_flight(const quic_conn *c, const quic_path *path);
void quic_conn_refresh_pacer(quic_path *path, uint64_t now);  // after window, rate, round trip or MTU have changed
uint64_t quic_conn_pto(const quic_conn *c, const quic_path *path);             // ns, with max_ack_delay, no back-off
quic_space *quic_conn_space(quic_conn *c, quic_path *path, quic_space_id id);  // null: discarded
void quic_conn_frames_lost(quic_conn *c, quic_path *path, quic_space_id id, quic_sent *sent);  // drops all as lost
void quic_conn_probe_frames(quic_conn *c, quic_path *path, quic_space_id id);

// --- conn_timer.c
void quic_conn_timeout(quic_conn *c, uint64_t now);
void quic_conn_update_timer(quic_conn *c, uint64_t now);
void quic_conn_idle_restart(quic_conn *c, uint64_t now);
uint64_t quic_conn_max_pto(const quic_conn *c);  // over all paths, ns

// --- conn_close.c
void quic_conn_fail(quic_conn *c, int transport_code, uint64_t frame_type, const char *reason, uint64_t now);
void quic_conn_peer_closed(quic_conn *c, const quic_frame *f, uint64_t now);
void quic_conn_end(quic_conn *c, int error, uint64_t now);  // silently: idle, reset, version
void quic_conn_close_datagram(quic_conn *c);                // something arrived while closing

#endif
