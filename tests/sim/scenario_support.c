#include "scenario_support.h"

#include <iroh/error.h>

#include "quic/endpoint_state.h"

// State of the scenario that runs: a run is single-threaded and scenarios never nest.
sim_transfer transfers[SCENARIO_TRANSFERS];
size_t transfer_count;

bool all_done(sim_world *w) {
    (void)w;
    for (size_t i = 0; i < transfer_count; i++) {
        if (!sim_transfer_done(&transfers[i]))
            return false;
    }
    return true;
}

bool never(sim_world *w) {
    (void)w;
    return false;
}

bool all_gone(sim_world *w) {
    for (size_t i = 0; i < w->node_count; i++) {
        quic_endpoint_stats s;
        quic_endpoint_stats_get(w->nodes[i].ep, &s);
        if (s.connections > 0)
            return false;
    }
    return true;
}

sim_link plain_link(void) {
    return (sim_link){.delay = 10 * NS_PER_MS, .rate = 50 * MBIT, .queue = 200000};
}

// Two nodes, the second one echoes.
void pair(sim_world *w, const sim_link *link) {
    (void)sim_add_node(w, NULL);
    sim_echo_server(sim_add_node(w, NULL));
    sim_set_link(w, 0, 1, link);
    transfer_count = 1;
}

void expect_intact(sim_world *w, const sim_transfer *t) {
    if (t->closed)
        sim_fail(w, "connection closed: %s, code %llu", iroh_strerror(t->error), (unsigned long long)t->code);
}

// Runs the transfers to their end, closes, and expects both sides to forget everything.
void run_to_end(sim_world *w) {
    if (!sim_run(w, all_done, LIMIT))
        sim_fail(w, "not done after %llu s", (unsigned long long)(LIMIT / NS_PER_S));
    for (size_t i = 0; i < transfer_count; i++) {
        expect_intact(w, &transfers[i]);
        sim_transfer_close(&transfers[i]);
    }
    if (!sim_run(w, all_gone, 60 * NS_PER_S))
        sim_fail(w, "connections stay after the close");
    else
        sim_check_empty(w);
    for (size_t i = 0; i < transfer_count; i++)
        sim_transfer_dispose(&transfers[i]);
}

bool all_connected(sim_world *w) {
    (void)w;
    for (size_t i = 0; i < transfer_count; i++) {
        if (!transfers[i].connected && !transfers[i].closed)
            return false;
    }
    return true;
}

quic_conn *server_conn(sim_world *w) {
    list_link *head = &w->nodes[1].ep->conns;
    return list_empty(head) ? NULL : list_entry(head->prev, quic_conn, all_link);
}
