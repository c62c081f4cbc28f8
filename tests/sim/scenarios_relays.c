// Endpoints that reach each other through a relay alone: its connections break openly or silently, it goes and comes back,
// and what the endpoints say to each other arrives all the same.
#include "relays.h"
#include "scenario_support.h"

#define BREAKS_MAX 4

typedef struct breaking {
    uint64_t at;    // the next break, TIME_NEVER: none
    uint64_t heal;  // when the relay is back, or the node notices; TIME_NEVER: nothing to heal
    const sim_node *node;
    unsigned left;
    int least, kinds;  // of SIM_BREAK_*: from, how many
} breaking;

static sim_relay relay;
static breaking plan;

static void plan_next(sim_world *w) {
    plan.at = plan.left-- > 0 ? w->now + 100 * NS_PER_MS + sim_below(&w->rng, 3 * NS_PER_S) : TIME_NEVER;
    plan.heal = TIME_NEVER;
}

static void heal(sim_world *w) {
    if (relay.away)
        relay.away = false;
    else
        sim_relay_changed(&relay, plan.node);
    plan_next(w);
}

static void break_one(sim_world *w) {
    int how = plan.least + (int)sim_below(&w->rng, (uint64_t)plan.kinds);
    plan.node = &w->nodes[sim_below(&w->rng, w->node_count)];
    sim_relay_break(&relay, plan.node, how);
    plan.at = TIME_NEVER;
    if (how == SIM_BREAK_OPENLY)
        plan_next(w);
    else
        plan.heal = w->now + 200 * NS_PER_MS + sim_below(&w->rng, NS_PER_S);
}

// Steps come often enough while there is traffic.
static bool broken_and_done(sim_world *w) {
    if (plan.at <= w->now)
        break_one(w);
    else if (plan.heal <= w->now)
        heal(w);
    return all_done(w);
}

// Nodes that know nothing but each other's ids; the first one echoes.
static void gather(sim_world *w, size_t clients, uint64_t size) {
    sim_relay_init(&relay, w, NS_PER_MS + sim_below(&w->rng, 60 * NS_PER_MS));
    relay.rate = 150000 + sim_below(&w->rng, 1000000);
    plan = (breaking){.at = TIME_NEVER, .heal = TIME_NEVER};
    sim_echo_server(sim_add_node(w, NULL));
    sim_relay_join(&relay, &w->nodes[0]);
    transfer_count = clients;
    addr where = sim_relay_address(&w->nodes[0]);
    for (size_t i = 0; i < clients; i++) {
        sim_node *n = sim_add_node(w, NULL);
        sim_relay_join(&relay, n);
        sim_transfer_dial(&transfers[i], n, &w->nodes[0], &where, 1, 1 + sim_below(&w->rng, 6), size);
    }
}

static void finish(sim_world *w) {
    (void)sim_run(w, broken_and_done, LIMIT);
    run_to_end(w);
    for (size_t i = 0; i < w->node_count; i++) {
        if (relay.ends[i].ready == 0)
            sim_fail(w, "node %zu was never let in", i);
    }
    sim_relay_dispose(&relay);
}

static void finish_broken(sim_world *w, int least, int kinds) {
    plan.left = 1 + (unsigned)sim_below(&w->rng, BREAKS_MAX);
    plan.least = least;
    plan.kinds = kinds;
    plan_next(w);
    finish(w);
}

static void relay_alone(sim_world *w) {
    gather(w, 1, 200000);
    finish(w);
}

static void relay_of_many(sim_world *w) {
    gather(w, 3, 100000);
    finish(w);
}

static void relay_connections_break(sim_world *w) {
    gather(w, 2, 150000);
    finish_broken(w, SIM_BREAK_OPENLY, 1);
}

// What is left of a connection at the relay has the same id as the new one.
static void relay_connections_fall_silent(sim_world *w) {
    gather(w, 1, 150000);
    finish_broken(w, SIM_BREAK_SILENTLY, 1);
}

static void relay_restarts(sim_world *w) {
    gather(w, 2, 150000);
    finish_broken(w, SIM_BREAK_RESTART, 1);
}

static void relay_breaks_anyhow(sim_world *w) {
    gather(w, 3, 100000);
    finish_broken(w, SIM_BREAK_OPENLY, SIM_BREAKS);
}

const sim_scenario sim_scenarios_relays[] = {
    {"relay_alone", 10, relay_alone},
    {"relay_of_many", 10, relay_of_many},
    {"relay_connections_break", 20, relay_connections_break},
    {"relay_connections_fall_silent", 20, relay_connections_fall_silent},
    {"relay_restarts", 20, relay_restarts},
    {"relay_breaks_anyhow", 30, relay_breaks_anyhow},
    {NULL, 0, NULL},
};
