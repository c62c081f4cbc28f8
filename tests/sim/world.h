// A network in one process: endpoints, links and virtual time, all from one seed, so that a run replays exactly.
//
// Nodes are QUIC endpoints with an address each. What a node transmits becomes datagrams on the link to their
// destination, where they are delayed, queued, lost, reordered, duplicated, corrupted or dropped for their size. Time
// jumps from event to event. After every event each connection's books are checked (sim_check).
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "quic/endpoint.h"

#define SIM_NODES_MAX 8

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
} sim_link;

typedef struct sim_rng {
    uint64_t state;
} sim_rng;

typedef struct sim_node {
    struct sim_world *world;
    size_t index;
    addr address;      // may be changed: a NAT rebinding
    addr old_address;  // still delivers to this node after a rebinding
    quic_endpoint *ep;
    sim_rng rng;
    void (*on_event)(struct sim_node *node, quic_conn *c, uint32_t events);
    void *app;
    uint64_t datagrams_in, datagrams_out;
} sim_node;

typedef struct sim_world {
    uint64_t now;
    sim_rng rng;
    sim_node nodes[SIM_NODES_MAX];
    size_t node_count;
    sim_link links[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t busy_until[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t last_arrival[SIM_NODES_MAX][SIM_NODES_MAX];
    struct sim_flight *flights;  // in the air, sorted by arrival
    uint64_t sequence;
    char failure[256];  // the first broken invariant, empty: none
    uint64_t steps;
} sim_world;

uint64_t sim_random(sim_rng *r);
uint64_t sim_below(sim_rng *r, uint64_t bound);

void sim_world_init(sim_world *w, uint64_t seed);
void sim_world_dispose(sim_world *w);

// A node with address 10.0.0.(index + 1):(1000 + index). `config` may be null; identity, entropy and TLS are set here.
sim_node *sim_add_node(sim_world *w, const quic_endpoint_config *config);
void sim_set_link(sim_world *w, size_t a, size_t b, const sim_link *link);  // both directions
// The node leaves through another address from now on; the old one no longer reaches it.
void sim_rebind(sim_node *n, uint16_t port);
void sim_fail(sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The public key of a node.
const uint8_t *sim_key(const sim_node *n);

// Runs until `done` says so, a failure, or `limit` ns of virtual time from now. True when done.
bool sim_run(sim_world *w, bool (*done)(sim_world *w), uint64_t limit);

// Delivers one hand-made datagram to a node now.
void sim_inject(sim_world *w, size_t from, size_t to, const uint8_t *bytes, size_t len);

// The invariants of one connection; what breaks is reported by sim_fail.
void sim_check(sim_world *w, quic_conn *c);

#endif
