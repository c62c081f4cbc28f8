// A relay in the simulator: the server's machine with a client's machine for each node, and between them connections that
// take time, hold only so much, and break.
//
// A node whose number has joined is reached at sim_relay_address, beside its other addresses. A connection breaks openly,
// so that both sides learn of it one delay later, or silently: then nothing passes any more, and each side finds out by
// itself, the server perhaps only after the client has come back.
#ifndef SIM_RELAYS_H
#define SIM_RELAYS_H

#include "relay/client.h"
#include "relay/session.h"
#include "world.h"

#define SIM_RELAY_WINDOW 200000  // bytes in the air of one direction, beyond them the sender waits

enum { SIM_BREAK_OPENLY = 0, SIM_BREAK_SILENTLY, SIM_BREAK_RESTART, SIM_BREAKS };

struct sim_line;  // one connection

typedef struct sim_relay_end {
    sim_node *node;  // null: has not joined
    relay_client client;
    relay_blocks blocks;
    struct sim_line *line;  // of now; null: none
    uint64_t dialled_at;    // when the connection is there or refused; TIME_NEVER: none is being dialled
    uint64_t ready;         // times
} sim_relay_end;

typedef struct sim_relay {
    sim_world *world;
    relay_hub hub;
    sim_relay_end ends[SIM_NODES_MAX];
    struct sim_line *lines;
    entropy random;
    uint64_t delay;  // ns, one way, of every connection
    uint64_t rate;   // bytes per second of each direction of every connection, 0: infinite
    bool away;       // refuses connections
} sim_relay;

// The world's only relay; it must outlive the world's run. Its clients dial at once.
void sim_relay_init(sim_relay *r, sim_world *w, uint64_t delay);
void sim_relay_join(sim_relay *r, sim_node *n);
void sim_relay_dispose(sim_relay *r);

addr sim_relay_address(const sim_node *n);

// Breaks the connection of a node; SIM_BREAK_RESTART: the relay itself goes, with all connections and all it knew, and is
// `away` until that is set to false.
void sim_relay_break(sim_relay *r, const sim_node *n, int how);

// The node is told that its network changed.
void sim_relay_changed(sim_relay *r, const sim_node *n);

#endif
