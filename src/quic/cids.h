// Connection ids of one path, both directions (RFC 9000, section 5.1).
//
// Ours are issued in order and looked up by the endpoint; the peer's wait in a short queue of which one is in use.
#ifndef QUIC_CIDS_H
#define QUIC_CIDS_H

#include "quic/types.h"

#define CIDS_PEER_MAX 5     // our active_connection_id_limit
#define CIDS_LOCAL_MAX 12   // ids that we keep issued at most
#define CIDS_RETIRE_MAX 24  // retirements of one path id that may wait to be sent or acknowledged

typedef struct quic_local_cid {
    uint8_t bytes[QUIC_LOCAL_CID];
    bool used;  // slot in use
} quic_local_cid;

// Ids that we issued: sequence numbers [base, next), retired ones have used == false.
typedef struct quic_local_cids {
    quic_local_cid items[CIDS_LOCAL_MAX];  // index: seq % CIDS_LOCAL_MAX
    uint64_t base;                         // lowest sequence that may be active
    uint64_t next;                         // sequence of the next id to issue
} quic_local_cids;

void quic_local_cids_init(quic_local_cids *c);
// Whether another one can be issued: sequences that are active span less than CIDS_LOCAL_MAX. A peer that keeps an old id
// while it retires later ones gets no more.
bool quic_local_cids_room(const quic_local_cids *c);
// Puts an id in as sequence `next`; false when there is no room.
bool quic_local_cids_issue(quic_local_cids *c, const uint8_t id[static QUIC_LOCAL_CID], uint64_t *seq);
// The peer retired `seq`: *out gets the id and true is returned; false when it was retired before. Sequences >= next are
// the caller's error to report.
bool quic_local_cids_retire(quic_local_cids *c, uint64_t seq, uint8_t out[static QUIC_LOCAL_CID]);
size_t quic_local_cids_active(const quic_local_cids *c);
const quic_local_cid *quic_local_cids_get(const quic_local_cids *c, uint64_t seq);  // null when retired or unknown

typedef struct quic_peer_cid {
    quic_cid cid;
    uint8_t token[QUIC_RESET_TOKEN];
    bool used, has_token;
    uint64_t seq;
} quic_peer_cid;

typedef struct quic_peer_cids {
    quic_peer_cid items[CIDS_PEER_MAX];
    uint8_t active;                     // index of the one in use
    uint64_t retire_prior_to;           // highest seen
    uint64_t known_base;                // sequences below were seen or count as seen
    uint64_t known;                     // bit i: sequence known_base + i was seen
    uint64_t pending[CIDS_RETIRE_MAX];  // sequences whose RETIRE_CONNECTION_ID waits to be sent
    uint8_t pending_count;
    uint8_t retiring;  // RETIRE_CONNECTION_ID frames on their way
} quic_peer_cids;

// Starts with the peer's first id as sequence 0; null: with none.
void quic_peer_cids_init(quic_peer_cids *c, const quic_cid *first);

// The peer's first id changes during the handshake (Retry, first server packet).
void quic_peer_cids_replace_first(quic_peer_cids *c, const quic_cid *cid);
void quic_peer_cids_set_token(quic_peer_cids *c, const uint8_t token[static QUIC_RESET_TOKEN]);  // of sequence 0

// NEW_CONNECTION_ID. 0 or QUIC_PROTOCOL_VIOLATION (a sequence or an id in another pair than before, retire_prior_to >
// seq), or QUIC_CONNECTION_ID_LIMIT_ERROR (more than CIDS_PEER_MAX active, more than CIDS_RETIRE_MAX to retire). *changed:
// the id in use is another one now. Duplicates are ignored. After an error the connection ends: the queue is usable, but
// nothing is said about what it holds.
int quic_peer_cids_add(quic_peer_cids *c, uint64_t seq, uint64_t retire_prior_to, const quic_cid *cid,
                       const uint8_t token[static QUIC_RESET_TOKEN], bool *changed);

// Moves to the unused id with the lowest sequence and queues the retirement of the old one; false when there is none,
// or too many retirements are under way.
bool quic_peer_cids_rotate(quic_peer_cids *c);

const quic_peer_cid *quic_peer_cids_active(const quic_peer_cids *c);  // null: the peer has given none

// Taken for a RETIRE_CONNECTION_ID frame: the oldest waiting sequence, false when none. Each one taken comes back once:
// the frame was lost (or not written) and it waits again, or it was acknowledged.
bool quic_peer_cids_take_pending(quic_peer_cids *c, uint64_t *seq);
void quic_peer_cids_retire_again(quic_peer_cids *c, uint64_t seq);
void quic_peer_cids_retire_acked(quic_peer_cids *c);

#endif
