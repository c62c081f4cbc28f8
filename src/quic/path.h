// One path of a connection: a pair of addresses with its own packet number space for 1-RTT packets, connection ids,
// round-trip time, congestion control, MTU and validation state (RFC 9000, section 9; the multipath draft).
//
// Path 0 is the one of the handshake. A change of the peer's address starts a new `generation`: packets sent to the old
// one no longer count for estimates.
#ifndef QUIC_PATH_H
#define QUIC_PATH_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "quic/acks.h"
#include "quic/cc.h"
#include "quic/cids.h"
#include "quic/mtud.h"
#include "quic/pacer.h"
#include "quic/rtt.h"
#include "quic/sent.h"

#define PATH_CHALLENGES 8  // outstanding PATH_CHALLENGE frames that we remember
#define PATH_RESPONSES 4   // PATH_RESPONSE frames to the path's own address that may wait

typedef struct quic_space {
    quic_sent sent;
    quic_acks acks;
    uint8_t probes;  // packets that a probe timeout demands
} quic_space;

// How far a path's ECN marking is trusted (RFC 9000, section 13.4.2).
enum { PATH_ECN_TESTING = 0, PATH_ECN_CAPABLE = 1, PATH_ECN_FAILED = 2 };

// What a path is meant for; each side decides for what it sends.
typedef enum quic_path_status { PATH_AVAILABLE = 0, PATH_BACKUP = 1 } quic_path_status;

struct quic_path;

// The connection ids of one path id, from when both sides allow the id until the path is gone for good: they are
// exchanged before there is a path.
typedef struct quic_path_cids {
    struct quic_conn *conn;
    struct quic_path *path;  // null: not open yet
    uint32_t id;
    uint16_t again;  // bit per slot of `local`: a NEW_CONNECTION_ID must go (again)
    quic_local_cids local;
    quic_peer_cids peer;
} quic_path_cids;

// One outstanding PATH_CHALLENGE.
typedef struct quic_path_probe {
    uint8_t data[8];
    uint64_t time;  // ns, when it was sent
} quic_path_probe;

typedef struct quic_path {
    struct quic_conn *conn;
    quic_path_cids *cids;
    uint32_t id;
    uint32_t generation;
    addr remote, local;
    bool limited;  // by quic_path_credit until validated
    bool validated;
    bool established;         // its validation was reported to the layer above
    bool abandoned;           // nothing is sent on it any more
    uint64_t received, sent;  // bytes, for the amplification limit while not validated
    quic_space data;
    quic_rtt rtt;
    uint64_t rtt_since;  // ns: when its first sample was taken, TIME_NEVER: not yet
    quic_cc cc;
    quic_pacer pacer;
    quic_mtud mtud;
    uint32_t pto_count;
    uint64_t silent_since;      // ns: see quic_path_silent; TIME_NEVER: it is not
    uint64_t pto_base;          // ns: when the client's anti-deadlock probe counts from
    uint64_t pacing_at;         // ns: when sending may go on, TIME_NEVER: not waiting
    uint64_t skip_at;           // packet number to leave out, QUIC_PN_NONE: none
    uint64_t phase_first_sent;  // first number sealed in the current key phase
    uint32_t unelicited;        // packets sent since the last one that elicits an acknowledgement
    quic_path_probe challenges[PATH_CHALLENGES];
    uint8_t challenge_count;  // remembered, newest last
    bool challenge_wanted;    // send one now
    uint32_t challenge_tries;
    uint64_t challenge_at;     // next retry, TIME_NEVER: none
    uint64_t validation_ends;  // give up then, TIME_NEVER: not validating a migration
    addr previous_remote;      // validated address to fall back to, ADDR_NONE: none
    uint8_t responses[PATH_RESPONSES][8];
    uint8_t response_count;
    bool ping_wanted;
    bool hurry_wanted;    // with the PING the peer is asked to acknowledge it at once
    bool app_limited;     // the latest round of sending stopped for lack of data
    uint64_t event_lost;  // packets lost in the latest congestion event and not known to have arrived
    uint8_t ecn_state;
    uint64_t ecn_sent, ecn_ce_seen, ecn_ect0_seen;
    // Multipath.
    quic_path_status status, peer_status;
    uint64_t status_seq, peer_status_seq;  // of the latest PATH_STATUS; peer: + 1, 0: none came
    bool status_wanted;                    // PATH_STATUS must go (again)
    bool abandoned_by_peer;
    uint64_t abandon_code;
    uint64_t drain_at;       // ns: the path is forgotten, TIME_NEVER: not draining
    uint64_t idle_timeout;   // ns, 0: none
    uint64_t received_at;    // ns: the latest packet, or when the path began
    uint64_t idle_at;        // deadline
    uint64_t keep_alive;     // ns, 0: none
    uint64_t keep_alive_at;  // deadline
    bool idle_restarted_by_send;
    // Observed addresses.
    bool observed_wanted;    // the peer should be told its address (again)
    uint64_t observed_next;  // lowest sequence that is news
    addr observed;           // ours, as the peer sees it; ADDR_NONE: unknown
    uint64_t bytes_in, bytes_out, datagrams_in, datagrams_out;
    uint64_t lost_packets, lost_bytes, spurious, mtu_probes, mtu_probes_lost, black_holes;
} quic_path;

typedef struct quic_path_config {
    const quic_cc_ops *congestion;
    uint64_t initial_rtt;
    uint16_t mtu_max;
    bool skip_packet_numbers;
    bool limited;  // server: an address that is not proven gets three times what came from it
} quic_path_config;

// Largest datagram to try on a path there: above MTUD_MAX_DEFAULT over UDP only.
uint16_t quic_path_mtu_max(const quic_path_config *config, const addr *remote);

// A path on its own for the path id of `cids`, which then names it; null when out of memory.
quic_path *quic_path_new(quic_path_cids *cids, const addr *remote, const addr *local, const quic_path_config *config,
                         const entropy *random, uint64_t now);
void quic_path_free(quic_path *p, pool *frames);

// The peer moved: fresh estimates (kept when only the port changed), not validated, new generation.
void quic_path_move(quic_path *p, const addr *remote, const addr *local, const quic_path_config *config,
                    const entropy *random, uint64_t now);

// Bytes that the amplification limit still allows; UINT64_MAX when validated.
uint64_t quic_path_credit(const quic_path *p);

// Draws new challenge data, remembers it and sets the retry timer. Copies it to `out`.
void quic_path_challenge(quic_path *p, const entropy *random, uint64_t now, uint8_t out[static 8]);

// A PATH_RESPONSE came: true when it answers one of ours; then the path is validated. Before the first round-trip
// sample the time that the answer took is the initial estimate.
bool quic_path_responded(quic_path *p, const uint8_t data[static 8], uint64_t now);

// Queues an answer to the path's own address; the oldest is forgotten when too many wait.
void quic_path_queue_response(quic_path *p, const uint8_t data[static 8]);

// The id to send to; null when the peer has given none.
static inline const quic_cid *quic_path_dcid(const quic_path *p) {
    const quic_peer_cid *active = quic_peer_cids_active(&p->cids->peer);
    return active != NULL ? &active->cid : NULL;
}

// What was sent has gone unanswered for a probe timeout, and so has all since: other paths, if there are any, are the
// better choice.
static inline bool quic_path_silent(const quic_path *p) {
    return p->silent_since != TIME_NEVER;
}

// Chooses the next number to leave out, somewhere in [from, 2 * from) (at least 64 wide).
void quic_path_choose_skip(quic_path *p, const entropy *random);

#endif
