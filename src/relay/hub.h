// The relay server without input and output: sessions (session.h), routes, forwarding, timers.
//
// A server has a hub for each loop; each is used by one thread only. Between hubs go notices and datagrams, through hooks
// that the shell implements with queues between threads; with a single loop they are never called. The shell calls
// relay_hub_tick at the deadline, and after every batch of calls takes from relay_hub_next what there is to do.
#ifndef RELAY_HUB_H
#define RELAY_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/heap.h"
#include "base/list.h"
#include "relay/access.h"
#include "relay/queue.h"
#include "relay/routes.h"

#define RELAY_HUB_PACKETS 1024      // datagram frames that wait for one client; the original: 512
#define RELAY_HUB_BYTES (1U << 20)  // and their bytes
#define RELAY_HUB_NOTICES 512       // pongs and notices that wait for one client
#define RELAY_HUB_NOTICE_BYTES 16384
#define RELAY_HUB_SHARDS_MAX 256
#define RELAY_SLOW_TIMEOUT (2 * NS_PER_S)        // a client that takes nothing for so long is dropped
#define RELAY_HANDSHAKE_TIMEOUT (10 * NS_PER_S)  // to authenticate
#define RELAY_ACCESS_TIMEOUT (10 * NS_PER_S)     // for the shell to decide

// Counted under the names of the original (relayserver_*), in the order of its documentation.
typedef struct relay_counters {
    uint64_t bytes_sent, bytes_recv;  // payload of datagram frames
    uint64_t send_packets_sent, send_packets_recv;
    uint64_t send_packets_dropped;  // all of them: nobody there, queue full, not fit to forward
    uint64_t got_ping, sent_pong;
    uint64_t bytes_rx_ratelimited, conns_rx_ratelimited;
    uint64_t accepts, disconnects;  // sessions
    uint64_t unique_client_keys;    // ids that came while nobody had them
    uint64_t clients_inactive_added, clients_inactive_removed;
    uint64_t denied, timed_out, slow, failed;  // ends of sessions, beyond the original
} relay_counters;

enum { RELAY_NOTICE_JOIN = 1, RELAY_NOTICE_LEAVE };

typedef struct relay_hub_hooks {
    // Tells every other hub, in order: they call relay_hub_heard.
    void (*announce)(void *user, int notice, const uint8_t id[static RELAY_ID], uint64_t serial);
    // Hands a message (WebSocket header included) to one other hub: it calls relay_hub_deliver. False: dropped.
    bool (*deliver)(void *user, uint32_t shard, const uint8_t id[static RELAY_ID], bool bulk, const uint8_t *message,
                    size_t len);
    void *user;
} relay_hub_hooks;

typedef struct relay_hub_config {
    const entropy *random;  // borrowed
    relay_hub_hooks hooks;  // unused with one shard
    uint32_t shard, shards;
    uint32_t rx_rate,
        rx_burst;   // bytes per second that a client may send, and at once; 0: no limit, a tenth of the rate
    size_t blocks;  // of all queues together (relay_block); 0: RELAY_HUB_BLOCKS
} relay_hub_config;

#define RELAY_HUB_BLOCKS 16384  // 256 MB

typedef struct relay_hub {
    relay_hub_config config;
    relay_routes routes;
    relay_blocks blocks;
    relay_counters counters;
    relay_queue_limits bulk_limits, urgent_limits;
    heap timers;           // relay_session.timer
    list_link blocked;     // relay_session.blocked_link, by time of last progress
    list_link ready;       // relay_session.ready_link
    uint64_t clock;        // of serials
    uint32_t limit_epoch;  // changes with the limits of reading
    size_t sessions;       // open
} relay_hub;

void relay_hub_config_default(relay_hub_config *c);

int relay_hub_init(relay_hub *h, const relay_hub_config *config);  // IROH_ERR_ARG
void relay_hub_dispose(relay_hub *h);                              // all sessions are closed

uint64_t relay_hub_deadline(const relay_hub *h);
void relay_hub_tick(relay_hub *h, uint64_t now);

enum {
    RELAY_WANTS_WRITE = 1,   // blocks can be taken
    RELAY_WANTS_READ = 2,    // reading may go on after a pause
    RELAY_WANTS_ACCESS = 4,  // decide: relay_session_allow or relay_session_deny
    RELAY_WANTS_END = 8,     // write what there is, but wait for nothing; then close the socket and relay_session_close
};

// A session with something to do, and what (a set); null: none. Each is given once until something new happens.
struct relay_session *relay_hub_next(relay_hub *h, unsigned *wants);

// From another hub. A lack of memory loses the notice: IROH_ERR_NOMEM.
int relay_hub_heard(relay_hub *h, int notice, const uint8_t id[static RELAY_ID], uint64_t serial);
void relay_hub_deliver(relay_hub *h, const uint8_t id[static RELAY_ID], bool bulk, const uint8_t *message, size_t len);

// New limits for sessions, running and future; rate 0: none. Running ones start with a full burst.
void relay_hub_set_rx_limit(relay_hub *h, uint32_t rate, uint32_t burst);

#endif
