// What scenarios share. A run is single-threaded and scenarios never nest: their state is global.
#ifndef SIM_SCENARIO_SUPPORT_H
#define SIM_SCENARIO_SUPPORT_H

#include "base/clock.h"
#include "quic/conn_state.h"
#include "scenarios.h"
#include "transfer.h"

#define MBIT UINT64_C(125000)  // bytes per second
#define LIMIT (120 * NS_PER_S)
#define SCENARIO_TRANSFERS 4

extern sim_transfer transfers[SCENARIO_TRANSFERS];
extern size_t transfer_count;

bool all_done(sim_world *w);
bool all_connected(sim_world *w);
bool never(sim_world *w);
bool all_gone(sim_world *w);

sim_link plain_link(void);
// Two nodes, the second one echoes.
void pair(sim_world *w, const sim_link *link);
// The connection of transfer i is open.
void expect_intact(sim_world *w, const sim_transfer *t);
// Runs the transfers to their end, closes, and expects both sides to forget everything.
void run_to_end(sim_world *w);

// The server's side of the only connection between nodes 0 and 1; null: none.
quic_conn *server_conn(sim_world *w);

#endif
