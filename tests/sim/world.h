// A network in one process: endpoints, links and virtual time, all from one seed, so that a run replays exactly.
//
// Nodes are QUIC endpoints with one address or several, each behind a NAT or a firewall or behind nothing. What a node
// transmits becomes datagrams on the link between the two addresses, where they are delayed, queued, lost, reordered,
// duplicated, corrupted or dropped for their size. Time jumps from event to event. After every event each connection's
// books are checked (sim_check).
//
//   world.c    nodes, time
//   network.c  addresses, translation, links
//   relays.c   another way than links
//   check.c    invariants
//   books.c    a second account of what connections count
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "quic/endpoint.h"

#define SIM_NODES_MAX 8
#define SIM_PORTS 3  // addresses of a node at most
#define SIM_ENDS (SIM_NODES_MAX * SIM_PORTS)
#define SIM_MAPPINGS_MAX 64
#define PATH_EVENT_KINDS (PATH_EVENT_CANDIDATES + 1)

typedef struct sim_link {
    uint64_t delay;    // ns, one way
    uint64_t jitter;   // ns, uniform on top; does not reorder by itself
    uint64_t rate;     // bytes per second, 0: infinite
    uint64_t queue;    // bytes that may wait for the rate, 0: unlimited
    uint32_t loss;     // of 10 000 datagrams
    uint32_t reorder;  // of 10 000: takes another delay + 1 ms longer
    uint32_t duplicate;
    uint32_t corrupt;  // one bit flipped
    size_t mtu;        // larger UDP payloads vanish, 0: none do
    bool cut;          // nothing passes, and a node that may choose its address chooses another
} sim_link;

// What stands between an address of a node and the network.
typedef enum sim_nat_kind {
    SIM_OPEN = 0,
    SIM_FIREWALL = 1,  // in comes only what answers: same address, remotes that were sent to
    SIM_NAT_EASY = 2,  // the same, and another address that is the same towards everybody
    SIM_NAT_HARD = 3,  // another port towards each remote
} sim_nat_kind;

typedef struct sim_mapping {
    addr remote;
    uint16_t port;  // towards it
} sim_mapping;

typedef struct sim_port {
    addr address;  // as the node knows it; port 0 of a node: sim_node.address instead
    sim_nat_kind nat;
    addr outside;  // IP of a NAT; its port counts up
    sim_mapping mappings[SIM_MAPPINGS_MAX];
    size_t mapping_count;
    uint16_t next_port;
} sim_port;

typedef struct sim_rng {
    uint64_t state;
} sim_rng;

typedef struct sim_node {
    struct sim_world *world;
    size_t index;
    addr address;  // of port 0; may be changed: a NAT rebinding
    sim_port ports[SIM_PORTS];
    size_t port_count;
    quic_endpoint *ep;
    sim_rng rng;
    void (*on_event)(struct sim_node *node, quic_conn *c, uint32_t events);
    void *app;
    // What was reported about paths: kinds seen, latest of some.
    uint64_t path_events[PATH_EVENT_KINDS];
    addr observed;
    uint64_t abandon_code;
    bool retry;  // incoming connections must come again with a token
    bool hold;   // incoming connections are left to the scenario
    uint64_t retries;
    uint64_t datagrams_in, datagrams_out, bytes_in, bytes_out;
} sim_node;

// A way beside the links, for addresses of its own.
typedef struct sim_way {
    bool (*send)(void *user, sim_node *from, const quic_transmit *t, const uint8_t *bytes);  // false: not for it
    uint64_t (*deadline)(const void *user);
    void (*run)(void *user, bool touched[static SIM_NODES_MAX]);  // touched[i]: node i got something
    void *user;
} sim_way;

typedef struct sim_world {
    uint64_t now;
    sim_rng rng;
    sim_node nodes[SIM_NODES_MAX];
    size_t node_count;
    sim_link links[SIM_ENDS][SIM_ENDS];  // by sim_end
    uint64_t busy_until[SIM_ENDS][SIM_ENDS];
    uint64_t last_arrival[SIM_ENDS][SIM_ENDS];
    // Sees every datagram that leaves, before translation and links. Null: nobody watches.
    void (*tap)(struct sim_world *w, sim_node *from, const addr *local, const addr *remote, const uint8_t *bytes,
                size_t len);
    void *watcher;
    sim_way way;                 // its functions are null: there is none
    struct sim_flight *flights;  // in the air, sorted by arrival
    uint64_t sequence;
    struct sim_book *books;  // of connections
    size_t book_count;
    char failure[256];  // the first broken invariant, empty: none
    uint64_t steps;
} sim_world;

uint64_t sim_random(sim_rng *r);
uint64_t sim_below(sim_rng *r, uint64_t bound);

void sim_world_init(sim_world *w, uint64_t seed);
void sim_world_dispose(sim_world *w);

// A node with address 10.0.0.(index + 1):(1000 + index). `config` may be null; identity, entropy and TLS are set here.
sim_node *sim_add_node(sim_world *w, const quic_endpoint_config *config);
void sim_set_link(sim_world *w, size_t a, size_t b, const sim_link *link);  // ports 0 of two nodes, both directions

// One more address of a node, 10.(number).0.(index + 1) and the node's own port; no link leads there yet. Its number.
size_t sim_add_port(sim_node *n);
static inline size_t sim_end(const sim_node *n, size_t port) {
    return n->index * SIM_PORTS + port;
}
void sim_set_path(sim_world *w, const sim_node *a, size_t a_port, const sim_node *b, size_t b_port,
                  const sim_link *link);  // both directions
const addr *sim_address(const sim_node *n, size_t port);
// From now on the port is behind this. Nobody but the node itself knows its address behind a NAT.
void sim_set_nat(sim_node *n, size_t port, sim_nat_kind kind);
// The NAT or firewall forgets all that it knew.
void sim_forget(sim_node *n, size_t port);
// The node leaves through another address from now on; the old one no longer reaches it.
void sim_rebind(sim_node *n, uint16_t port);
void sim_fail(sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The public key of a node.
const uint8_t *sim_key(const sim_node *n);

// Runs until `done` says so, a failure, or `limit` ns of virtual time from now. True when done.
bool sim_run(sim_world *w, bool (*done)(sim_world *w), uint64_t limit);

// Delivers one hand-made datagram to a node now, from port 0 to port 0.
void sim_inject(sim_world *w, size_t from, size_t to, const uint8_t *bytes, size_t len);

// --- network.c

// Whether something is in the air, and when it arrives.
uint64_t sim_next_arrival(const sim_world *w);
// Puts what a node transmits on its way.
void sim_send(sim_world *w, sim_node *from, const quic_transmit *t, const uint8_t *bytes);
// Delivers what arrives by now; touched[i]: node i got something.
void sim_deliver(sim_world *w, bool touched[static SIM_NODES_MAX]);
void sim_ground(sim_world *w);  // drops all that is in the air

// --- check.c: what breaks is reported by sim_fail

// The invariants of one connection.
void sim_check(sim_world *w, quic_conn *c);
// No connection is left: nothing else is either.
void sim_check_empty(sim_world *w);

// --- books.c

// The connection's statistics are the sums over its paths, gone ones included. To be called after every event.
void sim_check_sums(sim_world *w, const quic_conn *c);
void sim_books_dispose(sim_world *w);

#endif
