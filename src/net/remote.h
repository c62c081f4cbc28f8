// The ways to one peer: which addresses of it are known, which path to it is in use, and the work of finding a better one.
//
// All connections to a peer share this. A client adds to its relayed path a direct one, by rounds of NAT traversal, and
// keeps the relayed one as a backup; it opens and closes paths, a server only says over which one it sends. The choice
// is made anew when a connection comes, and when a path comes or goes (see path_choice.h); it is forgotten with the last
// connection.
//
// A round is begun when there is reason to hope: a connection is new, either side has new candidate addresses, the
// network changed, or once a minute while no direct path is fast enough; without new addresses at most every five
// seconds.
//
// With many connections to one peer the choice is made between the paths of a few of them: what is good for one of them
// is good for all.
//
// Pure state: it acts through remote_ops on whatever a connection is, over the clock that is passed in. docs/paths.md
// tells the rules in short.
#ifndef NET_REMOTE_H
#define NET_REMOTE_H

#include "base/list.h"
#include "net/path_choice.h"
#include "quic/conn.h"

#define REMOTE_ROUND_INTERVAL (5 * NS_PER_S)  // between rounds without new addresses
#define REMOTE_ROUND_RETRY (100 * NS_PER_MS)  // after a round that could not begin
#define REMOTE_OPEN_RETRY (333 * NS_PER_MS)   // after a path that could not be opened
#define REMOTE_UPGRADE_INTERVAL (60 * NS_PER_S)
#define REMOTE_GOOD_RTT (10 * NS_PER_MS)   // a direct path that needs no better one
#define REMOTE_RELAY_IDLE (30 * NS_PER_S)  // of a relayed path: a relay connection may have to be made anew
#define REMOTE_KEEP_ALIVE (5 * NS_PER_S)
#define REMOTE_FORGET (60 * NS_PER_S)  // after the last connection
#define REMOTE_CANDIDATES_MAX 32       // of either side
#define REMOTE_DIRECT_MAX 30           // known direct addresses, then old ones are forgotten
#define REMOTE_DIRECT_DROP 10          // that many at once
#define REMOTE_WEIGHED_MAX 8           // connections whose paths are compared
#define REMOTE_PATHS_MAX 16            // paths looked at of one connection
#define REMOTE_KNOWN_MAX 128           // known addresses of all kinds; more are not taken

// What is done to a connection. The names are those of quic/conn.h, which they are for real connections.
typedef struct remote_ops {
    bool (*is_client)(const void *conn);
    size_t (*paths)(const void *conn, quic_path_info *out, size_t room);
    int (*open_path)(void *conn, const addr *remote, const addr *local, quic_path_status status, uint64_t now,
                     uint32_t *id);
    int (*close_path)(void *conn, uint32_t id, uint64_t code, uint64_t now);
    int (*set_path_status)(void *conn, uint32_t id, quic_path_status status);
    int (*set_path_timeouts)(void *conn, uint32_t id, uint64_t idle, uint64_t keep_alive, uint64_t now);
    int (*add_candidate)(void *conn, const addr *address);
    int (*remove_candidate)(void *conn, const addr *address);
    size_t (*candidates)(const void *conn, addr *out, size_t room);
    int (*start_round)(void *conn, uint64_t now);
} remote_ops;

extern const remote_ops remote_quic_ops;  // `conn` is a quic_conn

// Our own candidate addresses, shared by all remotes of an endpoint.
typedef struct remote_locals {
    addr list[REMOTE_CANDIDATES_MAX];
    size_t count;
} remote_locals;

enum { REMOTE_UNKNOWN = 0, REMOTE_OPEN, REMOTE_INACTIVE };  // a known address: never used, a path is there, was there

typedef struct remote_address {
    addr address;
    uint8_t status;
    uint64_t since;  // ns: when it became inactive
} remote_address;

// A connection to the peer; the caller's memory.
typedef struct remote_conn {
    list_link link;
    void *conn;
} remote_conn;

typedef struct remote_round remote_round;

typedef struct remote {
    list_link link;  // the owner's
    uint8_t id[32];
    const remote_ops *ops;
    const remote_locals *locals;
    list_link conns;  // of remote_conn, oldest first
    remote_address *known;
    size_t known_count, known_room;
    bool has_choice;
    path_ends choice;
    remote_round *round;                                // the latest; null: none yet
    uint64_t rounds;                                    // begun
    uint64_t round_at, open_at, upgrade_at, forget_at;  // ns, TIME_NEVER: not wanted
} remote;

void remote_init(remote *r, const uint8_t id[static 32], const remote_ops *ops, const remote_locals *locals,
                 uint64_t now);
void remote_dispose(remote *r);

// An address of the peer from outside. Unknown kinds and what does not fit are ignored.
void remote_learn(remote *r, const addr *address, uint64_t now);

// Where to send the first packets of a connection: the address in use, if there is one, and those that were never tried;
// else all that are known, relays first. Their number, at most `room`.
size_t remote_dial_addresses(const remote *r, addr *out, size_t room);

// A connection whose handshake is complete; `c->conn` is set.
void remote_add(remote *r, remote_conn *c, uint64_t now);
// One that was added is closed. The choice stays as long as there are others; after the last one no path is in use, all
// addresses stay known, and REMOTE_FORGET begins.
void remote_drop(remote *r, remote_conn *c, uint64_t now);
void remote_on_event(remote *r, remote_conn *c, const quic_path_event *event, uint64_t now);

// Our candidates were those of `before`.
void remote_locals_changed(remote *r, const remote_locals *before, uint64_t now);
void remote_network_changed(remote *r, uint64_t now);  // after it, if both happen

uint64_t remote_deadline(const remote *r);  // of remote_tick, or of being forgotten
void remote_tick(remote *r, uint64_t now);
bool remote_is_forgettable(const remote *r, uint64_t now);  // no connection for REMOTE_FORGET

// Whether this path of the peer's connections is the chosen one.
bool remote_is_chosen(const remote *r, const addr *address, const addr *local);

#endif
