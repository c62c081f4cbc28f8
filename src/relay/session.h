// One client of a relay server, from the 101 on: authentication, access, frames in and out, keep-alive, limits.
//
// The shell embeds the struct in its connection. It feeds bytes as they are read, in place: a datagram is turned into
// what its receiver gets inside the read buffer and goes from there into the receiver's queue.
#ifndef RELAY_SESSION_H
#define RELAY_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bucket.h"
#include "relay/hub.h"
#include "relay/pinger.h"
#include "web/websocket.h"

enum {
    RELAY_SESSION_NEW = 0,
    RELAY_SESSION_CHALLENGED,
    RELAY_SESSION_DECIDING,  // on access
    RELAY_SESSION_OPEN,
    RELAY_SESSION_ENDED,  // nothing is read any more; `error` says why
};

typedef struct relay_session {
    relay_hub *hub;
    void *user;  // the shell's
    uint8_t state;
    uint8_t version;
    bool throttled;        // not to be read before read_at
    bool limit_told;       // the rate limit was hit once
    unsigned wants;        // RELAY_WANTS_*, not yet given out
    int error;             // why it ended: 0 closed by the peer, IROH_ERR_*
    uint8_t id[RELAY_ID];  // proven, from RELAY_SESSION_DECIDING on
    uint64_t serial;
    relay_route *route;  // own; null before it is open
    ws_decoder decoder;
    relay_queue queue;
    relay_pinger ping;
    bucket limit;
    uint32_t limit_epoch;  // of the hub's limits that `limit` is made of
    heap_item timer;
    list_link ready_link, blocked_link;
    uint64_t heard;       // ns, last frame
    uint64_t ping_after;  // ns of silence
    uint64_t phase_by;    // ns, deadline of handshake or access decision
    uint64_t read_at;     // ns
    uint64_t progress;    // ns, last time that output moved while it was blocked
    union {
        uint8_t challenge[RELAY_CHALLENGE];
        struct {  // the destination of the last datagram
            relay_route *route;
            uint64_t generation;
            bool counted;  // in the peers of the own route
        } to;
    };
} relay_session;

// Before the first other call; allocates nothing.
void relay_session_init(relay_session *s, relay_hub *hub, void *user);

// The 101 is on its way. `proven` is the id of a verified claim, null: it is challenged. IROH_ERR_NOMEM ends it.
int relay_session_start(relay_session *s, int version, const uint8_t *proven, uint64_t now);

// Feeds bytes as read (decrypted); the buffer is changed. 0; anything else: it ended, as RELAY_WANTS_END says too, and
// later bytes are ignored. Bytes given in while throttled are handled all the same.
int relay_session_receive(relay_session *s, uint8_t *bytes, size_t len, uint64_t now);

// The peer closed its side.
void relay_session_eof(relay_session *s, uint64_t now);

// Whether the shell should read now; if not, RELAY_WANTS_READ comes.
bool relay_session_reads(const relay_session *s);

// The answers to RELAY_WANTS_ACCESS, at any time after it; without effect in another state. `reason` is UTF-8 of at most
// 127 bytes, longer ones are cut; null: RELAY_DENIED.
void relay_session_allow(relay_session *s, uint64_t now);
void relay_session_deny(relay_session *s, const char *reason, uint64_t now);

// Blocks to write: relay_queue_take and relay_queue_done on &s->queue. After each attempt to write: whether everything
// was taken, and whether any byte was. A session that takes nothing for RELAY_SLOW_TIMEOUT ends.
void relay_session_wrote(relay_session *s, bool all, bool progress, uint64_t now);

// Ends it from this side, with a notice that the server restarts if `reconnect_in` or `try_for` (ms) is not 0.
void relay_session_shutdown(relay_session *s, uint32_t reconnect_in, uint32_t try_for, uint64_t now);

// Leaves the hub and frees what it holds; blocks that were taken must be done before. Idempotent.
void relay_session_close(relay_session *s, uint64_t now);

#endif
