// The client's end of a relay connection, over and over: dial, upgrade, authenticate, exchange datagrams, and after a loss
// wait and dial again.
//
// The shell dials, moves bytes and calls `tick` at the deadline. It looks at relay_client_state after each call:
//   RELAY_CLIENT_DIAL     dial now (TCP, proxy, TLS), after relay_client_dialling; a socket of before is to be closed
//   RELAY_CLIENT_WAIT     no socket: close what there is; the deadline says when to dial
//   RELAY_CLIENT_CLOSING  write what is queued, then close the socket, then relay_client_lost
//   RELAY_CLIENT_CLOSED   over
// In all others there is a socket: write what the queue gives out, feed what arrives.
//
// A relay that is not the home relay is left when nothing was sent for RELAY_CLIENT_IDLE; then the state is
// RELAY_CLIENT_WAIT without a deadline, and the next datagram dials again.
//
// Datagrams may be queued while the connection comes up; those that wait too long are dropped, since whoever sends them
// sends again.
#ifndef RELAY_CLIENT_H
#define RELAY_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/entropy.h"
#include "relay/auth.h"
#include "relay/backoff.h"
#include "relay/frame.h"
#include "relay/pinger.h"
#include "relay/queue.h"
#include "relay/upgrade.h"
#include "web/http_head.h"
#include "web/websocket.h"

#define RELAY_CONNECT_TIMEOUT (10 * NS_PER_S)  // from dialling to ready
#define RELAY_CLIENT_PING (15 * NS_PER_S)      // of silence, then a ping
#define RELAY_CLIENT_IDLE (60 * NS_PER_S)      // without sending, then a relay that is not home is left
#define RELAY_CLIENT_STALE (3 * NS_PER_S)      // datagrams that wait for a connection are dropped this often
#define RELAY_WRITE_TIMEOUT (15 * NS_PER_S)    // without progress of a write
#define RELAY_CLIENT_QUEUE 64                  // datagram frames
#define RELAY_CLIENT_QUEUE_BYTES (4U << 20)
#define RELAY_DENIAL_MAX 256                // bytes of the server's reason that are kept, terminator included
#define RELAY_CLOSE_TIMEOUT (3 * NS_PER_S)  // to write the rest at the end
#define RELAY_KNOWN_IDS 16                  // senders that need no second check

enum {
    RELAY_CLIENT_WAIT = 0,
    RELAY_CLIENT_DIAL,
    RELAY_CLIENT_DIALLING,
    RELAY_CLIENT_UPGRADING,
    RELAY_CLIENT_AUTHENTICATING,
    RELAY_CLIENT_READY,
    RELAY_CLIENT_CLOSING,
    RELAY_CLIENT_CLOSED,
};

enum {
    RELAY_EVENT_READY = 1,   // authenticated: `version`
    RELAY_EVENT_DATAGRAM,    // frame.id, ecn, segment, data, len: one datagram if segment is 0, else a batch
    RELAY_EVENT_GONE,        // frame.id is not reachable here any more
    RELAY_EVENT_STATUS,      // frame.code, known or not
    RELAY_EVENT_HEALTH,      // frame.data: a text of version 1, any bytes
    RELAY_EVENT_RESTARTING,  // frame.reconnect_in, try_for; the next wait respects it
};

typedef struct relay_client_event {
    int kind;
    relay_frame frame;  // borrows from the bytes that were given in; valid until the next call
} relay_client_event;

typedef struct relay_client_config {
    const char *url;  // in normal form; copied
    size_t url_len;
    const char *token;  // bearer token, copied; null: none
    uint8_t seed[32];   // the secret key
    const entropy *random;
    relay_blocks *blocks;
} relay_client_config;

typedef struct relay_client_stats {
    uint64_t successes;     // connections that became ready
    uint64_t failures;      // attempts that did not
    uint64_t closed;        // ready connections that ended
    uint64_t rate_limited;  // connections on which the relay said so
    uint64_t dropped;       // datagram frames that did not fit or waited too long
    uint64_t frames_sent, frames_received, bytes_sent, bytes_received;  // datagram frames and their payload
} relay_client_stats;

typedef struct relay_client {
    int state;
    int version;  // RELAY_V*, when ready
    int error;    // why the last attempt or connection ended; 0: no failure yet
    bool denied;  // the last attempt ended with the server's denial, for `denial`
    bool home;
    bool final;     // closing for good, not for idleness
    bool worked;    // a pong came on this connection
    bool answered;  // the challenge was answered
    bool limited;   // a rate limit notice came on this connection
    bool blocked;   // the last write did not take everything
    char denial[RELAY_DENIAL_MAX];
    char *url, *token;
    size_t token_len;
    relay_target target;
    uint8_t seed[32], id[RELAY_ID];
    const entropy *random;
    char key[WS_KEY_SIZE];
    char *head;  // the response head so far; null: none
    size_t head_len, head_room;
    http_scan scan;
    ws_decoder decoder;
    relay_queue queue;
    relay_pinger ping;
    relay_backoff backoff;
    uint64_t wait_until, connect_by, ping_at, sent, stale_at, written;  // ns
    uint8_t masks[64];  // random bytes for masks, used up from `mask_at` on
    unsigned mask_at;
    uint64_t restart_wait;  // ns that the relay asked for; 0: none
    uint8_t known[RELAY_KNOWN_IDS][RELAY_ID];
    unsigned known_count, known_next;
    relay_client_stats stats;
} relay_client;

// Starts in RELAY_CLIENT_DIAL. IROH_ERR_SYNTAX (URL), IROH_ERR_ARG (a token that is not header text), IROH_ERR_NOMEM.
int relay_client_init(relay_client *c, const relay_client_config *config, uint64_t now);
void relay_client_dispose(relay_client *c);  // blocks that were taken must be done before

static inline int relay_client_state(const relay_client *c) {
    return c->state;
}

void relay_client_dialling(relay_client *c, uint64_t now);

// The way to the relay is open. `exported` is the keying material (RELAY_EXPORT bytes, own id as context) of the TLS
// session, null without TLS or without an exporter.
void relay_client_connected(relay_client *c, const uint8_t *exported, uint64_t now);

// Dialling failed, or the socket ended; `error` is why.
void relay_client_lost(relay_client *c, int error, uint64_t now);

// Feeds bytes that arrived, *len of them, and advances past those that were used. 1: an event; call again. 0: all were
// used. Negative: the connection is over, the state says what next.
int relay_client_receive(relay_client *c, uint8_t **bytes, size_t *len, uint64_t now, relay_client_event *event);

// Queues one datagram (segment 0) or a batch (1 <= segment < len) for `id`. IROH_ERR_LIMIT: the queue is full, dropped.
// IROH_ERR_TOO_LARGE, IROH_ERR_ARG (empty), IROH_ERR_NOMEM, IROH_ERR_CLOSED. Starts a dial when there is none.
int relay_client_send(relay_client *c, const uint8_t id[static RELAY_ID], uint8_t ecn, uint16_t segment,
                      const uint8_t *data, size_t len, uint64_t now);

// Blocks to write: relay_queue_take and relay_queue_done on &c->queue. After each attempt to write: whether everything
// was taken, and whether any byte was.
void relay_client_wrote(relay_client *c, bool all, bool progress, uint64_t now);

uint64_t relay_client_deadline(const relay_client *c);  // TIME_NEVER: none
void relay_client_tick(relay_client *c, uint64_t now);

// Whether this relay is the home relay, which is kept however idle.
void relay_client_set_home(relay_client *c, bool home, uint64_t now);

// The network changed: makes sure within moments that the connection still works, or dials at once if it waits.
void relay_client_network_changed(relay_client *c, uint64_t now);

// Orderly end: a close frame, if there is a connection. Final.
void relay_client_close(relay_client *c, uint64_t now);

#endif
