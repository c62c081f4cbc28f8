// NAT traversal: a connection over one path that always works, as over a relay, and a second pair of addresses behind
// NATs and firewalls of several kinds.
#include <iroh/error.h>

#include "scenario_support.h"

#define NAT_FIRST_PORT 20000  // the first that a NAT of the simulator gives

static addr outside(const sim_node *n) {
    const sim_port *p = &n->ports[1];
    if (p->nat == SIM_OPEN || p->nat == SIM_FIREWALL)
        return p->address;
    addr a = p->outside;
    a.port = NAT_FIRST_PORT;
    return a;
}

static bool knows_ids(sim_world *w) {
    const quic_conn *c = transfers[0].conn, *s = server_conn(w);
    if (transfers[0].closed)
        return true;
    if (!transfers[0].connected || s == NULL || !c->confirmed)
        return false;
    const quic_path_cids *last = quic_conn_cids(c, 7);
    return last != NULL && quic_peer_cids_active(&last->peer) != NULL;
}

// Both sides know their own candidates, as they would from observed addresses.
static void behind(sim_world *w, sim_nat_kind client, sim_nat_kind server) {
    sim_link relayed = plain_link(), direct = plain_link();
    relayed.delay = (20 + sim_below(&w->rng, 100)) * NS_PER_MS;
    direct.delay = (1 + sim_below(&w->rng, 60)) * NS_PER_MS;
    relayed.loss = (uint32_t)sim_below(&w->rng, 500);
    pair(w, &relayed);
    sim_node *a = &w->nodes[0], *b = &w->nodes[1];
    (void)sim_add_port(a);
    (void)sim_add_port(b);
    sim_set_path(w, a, 1, b, 1, &direct);
    sim_set_nat(a, 1, client);
    sim_set_nat(b, 1, server);
    sim_transfer_start(&transfers[0], a, b, 2, 100000, NULL, 0, false);
    if (!sim_run(w, knows_ids, 30 * NS_PER_S) || transfers[0].closed) {
        sim_fail(w, "not connected");
        return;
    }
    addr ours = outside(a), theirs = outside(b);
    if (quic_conn_add_candidate(transfers[0].conn, &ours) != 0 || quic_conn_add_candidate(server_conn(w), &theirs) != 0)
        sim_fail(w, "candidate refused");
}

static bool direct_path(sim_world *w) {
    const quic_conn *c = transfers[0].conn, *s = server_conn(w);
    if (transfers[0].closed)
        return true;
    size_t at = c->path_count - 1;
    return s != NULL && at > 0 && c->paths[at]->validated && s->path_count > 1 &&
           s->paths[s->path_count - 1]->validated;
}

static void start_round(sim_world *w) {
    if (!transfers[0].closed && quic_conn_start_round(transfers[0].conn, w->now) != 0)
        sim_fail(w, "no round");
}

static bool knows_candidate(sim_world *w) {
    (void)w;
    return transfers[0].closed || quic_conn_candidates(transfers[0].conn, NULL, 0) > 0;
}

// A path opens, and the data moves there when both sides prefer it.
static void expect_direct(sim_world *w) {
    (void)sim_run(w, knows_candidate, 10 * NS_PER_S);
    start_round(w);
    // The round ends after four seconds; what was proven until then opens a path.
    if (!sim_run(w, direct_path, 12 * NS_PER_S) || transfers[0].closed) {
        sim_fail(w, "no direct path");
        return;
    }
    quic_conn *c = transfers[0].conn, *s = server_conn(w);
    const quic_path *p = c->paths[1];
    if (p->status != PATH_BACKUP)
        sim_fail(w, "the path is not a backup");
    uint32_t id = p->id;
    (void)quic_conn_set_path_status(c, id, PATH_AVAILABLE);
    (void)quic_conn_set_path_status(c, 0, PATH_BACKUP);
    (void)quic_conn_set_path_status(s, id, PATH_AVAILABLE);
    (void)quic_conn_set_path_status(s, 0, PATH_BACKUP);
    (void)sim_run(w, never, 10 * NS_PER_S);
    if (transfers[0].conn == NULL || transfers[0].conn->path->id != id)
        sim_fail(w, "data does not take the direct path");
    // A second round changes nothing: the addresses are in use.
    size_t count = transfers[0].conn != NULL ? transfers[0].conn->path_count : 0;
    start_round(w);
    (void)sim_run(w, never, 10 * NS_PER_S);
    if (transfers[0].conn == NULL || transfers[0].conn->path_count != count)
        sim_fail(w, "another path to the same address");
    run_to_end(w);
}

static void expect_none(sim_world *w) {
    (void)sim_run(w, knows_candidate, 10 * NS_PER_S);
    for (int i = 0; i < 2; i++) {
        start_round(w);
        (void)sim_run(w, never, 6 * NS_PER_S);
    }
    if (transfers[0].conn == NULL || transfers[0].conn->path_count != 1)
        sim_fail(w, "a path through what lets none through");
    run_to_end(w);
}

static void nat_none(sim_world *w) {
    behind(w, SIM_OPEN, SIM_OPEN);
    expect_direct(w);
}

static void nat_firewalls(sim_world *w) {
    behind(w, SIM_FIREWALL, SIM_FIREWALL);
    expect_direct(w);
}

static void nat_easy(sim_world *w) {
    behind(w, SIM_NAT_EASY, SIM_NAT_EASY);
    expect_direct(w);
}

static void nat_mixed(sim_world *w) {
    behind(w, SIM_NAT_EASY, SIM_FIREWALL);
    expect_direct(w);
}

// The server learns the client's real port from the client's probe.
static void nat_hard_client(sim_world *w) {
    behind(w, SIM_NAT_HARD, SIM_OPEN);
    expect_direct(w);
}

// The client learns the server's real port from the server's probe, and answers it with a challenge of its own.
static void nat_hard_server(sim_world *w) {
    behind(w, SIM_OPEN, SIM_NAT_HARD);
    expect_direct(w);
}

static void nat_hard_both(sim_world *w) {
    behind(w, SIM_NAT_HARD, SIM_NAT_HARD);
    expect_none(w);
}

// Candidates come and go while rounds run.
static void nat_candidates_change(sim_world *w) {
    behind(w, SIM_NAT_EASY, SIM_NAT_EASY);
    quic_conn *s = server_conn(w);
    for (uint8_t i = 0; i < 60 && w->failure[0] == '\0' && !transfers[0].closed; i++) {
        addr a = addr_ip4((uint8_t[4]){198, 51, 100, (uint8_t)sim_below(&w->rng, 40)}, 9);
        quic_conn *who = sim_below(&w->rng, 2) == 0 ? s : transfers[0].conn;
        int r = sim_below(&w->rng, 3) > 0 ? quic_conn_add_candidate(who, &a) : quic_conn_remove_candidate(who, &a);
        if (r != 0 && r != IROH_ERR_NOT_FOUND && r != IROH_ERR_LIMIT)
            sim_fail(w, "candidates: %s", iroh_strerror(r));
        if (sim_below(&w->rng, 5) == 0)
            start_round(w);
        (void)sim_run(w, never, sim_below(&w->rng, 300) * NS_PER_MS);
    }
    (void)sim_run(w, never, 6 * NS_PER_S);
    // What the client knows in the end is what the server has.
    addr own[64], known[64];
    size_t have = transfers[0].closed ? 0 : quic_nat_own(s->mp->nat, own, 64);
    size_t knows = transfers[0].closed ? 0 : quic_conn_candidates(transfers[0].conn, known, 64);
    if (have != knows)
        sim_fail(w, "%zu candidates, %zu known", have, knows);
    for (size_t i = 0; i < have && w->failure[0] == '\0'; i++) {
        bool found = false;
        for (size_t k = 0; k < knows; k++)
            found |= addr_equal(&own[i], &known[k]);
        if (!found)
            sim_fail(w, "a candidate is unknown to the client");
    }
    run_to_end(w);
}

// The probes of one round as they leave, counted by a tap: nine to an address that never answers.
#define PROBE_MAX 60  // bytes: less than any other packet of these paths

static uint64_t probes_out[2], probe_times[2][16];

static void count_probes(sim_world *w, sim_node *from, const addr *local, const addr *remote, const uint8_t *bytes,
                         size_t len) {
    (void)local, (void)bytes;
    const sim_port *p = &w->nodes[1 - from->index].ports[1];
    if (!addr_equal(remote, &p->address) || len > PROBE_MAX || probes_out[from->index] == 16)
        return;
    probe_times[from->index][probes_out[from->index]++] = w->now;
}

static void nat_schedule(sim_world *w) {
    static const uint64_t delays[] = {33300000,  33300000,  66600000,   133200000,
                                      266400000, 532800000, 1065600000, 2000000000};
    sim_link relayed = plain_link(), nothing = {.loss = 10000};
    pair(w, &relayed);
    (void)sim_add_port(&w->nodes[0]);
    (void)sim_add_port(&w->nodes[1]);
    sim_set_path(w, &w->nodes[0], 1, &w->nodes[1], 1, &nothing);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 1, 1000, NULL, 0, false);
    if (!sim_run(w, knows_ids, 30 * NS_PER_S) || transfers[0].closed) {
        sim_fail(w, "not connected");
        return;
    }
    addr ours = outside(&w->nodes[0]), theirs = outside(&w->nodes[1]);
    (void)quic_conn_add_candidate(transfers[0].conn, &ours);
    (void)quic_conn_add_candidate(server_conn(w), &theirs);
    (void)sim_run(w, knows_candidate, 10 * NS_PER_S);
    probes_out[0] = probes_out[1] = 0;
    w->tap = count_probes;
    start_round(w);
    (void)sim_run(w, never, 20 * NS_PER_S);
    w->tap = NULL;
    for (size_t side = 0; side < 2; side++) {
        if (probes_out[side] != NAT_TRIES)
            sim_fail(w, "node %zu probed %llu times", side, (unsigned long long)probes_out[side]);
        for (size_t i = 0; i + 1 < NAT_TRIES && w->failure[0] == '\0'; i++) {
            uint64_t delay = probe_times[side][i + 1] - probe_times[side][i];
            if (delay != delays[i])
                sim_fail(w, "probe %zu after %llu ns", i + 1, (unsigned long long)delay);
        }
    }
    run_to_end(w);
}

const sim_scenario sim_scenarios_nat[] = {
    {"nat_none", 50, nat_none},
    {"nat_firewalls", 100, nat_firewalls},
    {"nat_easy", 100, nat_easy},
    {"nat_mixed", 50, nat_mixed},
    {"nat_hard_client", 50, nat_hard_client},
    {"nat_hard_server", 50, nat_hard_server},
    {"nat_hard_both", 50, nat_hard_both},
    {"nat_candidates_change", 100, nat_candidates_change},
    {"nat_schedule", 5, nat_schedule},
    {NULL, 0, NULL},
};
