// One path: loss, reordering, outages, resumption, strangers.
#include <iroh/error.h>

#include "scenario_support.h"

static void transfer_over(sim_world *w, const sim_link *link, size_t streams, uint64_t size) {
    pair(w, link);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], streams, size, NULL, 0, false);
    run_to_end(w);
}

static void clean(sim_world *w) {
    sim_link l = plain_link();
    transfer_over(w, &l, 1 + sim_below(&w->rng, 20), 200000);
}

static void lossy(sim_world *w) {
    sim_link l = plain_link();
    l.loss = (uint32_t)(100 + sim_below(&w->rng, 900));
    transfer_over(w, &l, 1 + sim_below(&w->rng, 8), 60000);
}

static void reordering(sim_world *w) {
    sim_link l = plain_link();
    l.reorder = (uint32_t)sim_below(&w->rng, 1500);
    l.duplicate = (uint32_t)sim_below(&w->rng, 1000);
    l.jitter = 5 * NS_PER_MS;
    transfer_over(w, &l, 1 + sim_below(&w->rng, 8), 60000);
}

static void everything_at_once(sim_world *w) {
    sim_link l = {
        .delay = sim_below(&w->rng, 150 * NS_PER_MS),
        .jitter = sim_below(&w->rng, 20 * NS_PER_MS),
        .rate = MBIT / 2 + sim_below(&w->rng, 100 * MBIT),
        .queue = 20000 + sim_below(&w->rng, 300000),
        .loss = (uint32_t)sim_below(&w->rng, 400),
        .reorder = (uint32_t)sim_below(&w->rng, 400),
        .duplicate = (uint32_t)sim_below(&w->rng, 400),
        .corrupt = (uint32_t)sim_below(&w->rng, 400),
        .mtu = 1200 + sim_below(&w->rng, 300),
    };
    transfer_over(w, &l, 1 + sim_below(&w->rng, 12), 50000);
}

static void corruption(sim_world *w) {
    sim_link l = plain_link();
    l.corrupt = 1000;
    transfer_over(w, &l, 4, 50000);
}

static void small_mtu(sim_world *w) {
    sim_link l = plain_link();
    l.mtu = 1200;
    transfer_over(w, &l, 4, 100000);
}

static void jumbo_pair(sim_world *w, uint16_t client_max, uint16_t server_max, const sim_link *l) {
    quic_endpoint_config config;
    quic_endpoint_config_default(&config);
    config.transport.mtu_max = client_max;
    (void)sim_add_node(w, &config);
    config.transport.mtu_max = server_max;
    sim_echo_server(sim_add_node(w, &config));
    sim_set_link(w, 0, 1, l);
    transfer_count = 1;
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 4, 400000, NULL, 0, false);
}

static void expect_mtu(sim_world *w, uint16_t mtu, uint64_t lost) {
    quic_conn_stats s;
    quic_conn_stats_get(transfers[0].conn, &s);
    if (s.mtu != mtu || s.mtu_probes_lost != lost)
        sim_fail(w, "datagrams of %u bytes, %llu probes lost", s.mtu, (unsigned long long)s.mtu_probes_lost);
}

// Where jumbo frames pass they are found; where they do not, that costs one datagram.
static void jumbo_frames(sim_world *w) {
    sim_link l = {.delay = 5 * NS_PER_MS};
    bool pass = sim_below(&w->rng, 2) == 0;
    l.mtu = pass ? 9000 : 1500;
    jumbo_pair(w, MTUD_MAX_JUMBO, MTUD_MAX_JUMBO, &l);
    if (!sim_run(w, all_done, LIMIT))
        sim_fail(w, "no transfer");
    (void)sim_run(w, never, NS_PER_S);
    expect_mtu(w, pass ? MTUD_MAX_JUMBO : MTUD_MAX_DEFAULT, pass ? 0 : 1);
    run_to_end(w);
}

// A peer with buffers for what Ethernet carries gets no more.
static void jumbo_frames_of_one(sim_world *w) {
    sim_link l = {.delay = 5 * NS_PER_MS};
    jumbo_pair(w, MTUD_MAX_JUMBO, MTUD_MAX_DEFAULT, &l);
    if (!sim_run(w, all_done, LIMIT))
        sim_fail(w, "no transfer");
    expect_mtu(w, MTUD_MAX_DEFAULT, 0);
    run_to_end(w);
}

// The network stops carrying them in the middle of a transfer, which goes on.
static void jumbo_frames_end(sim_world *w) {
    sim_link l = {.delay = 5 * NS_PER_MS, .rate = 20 * MBIT, .queue = 200000};
    jumbo_pair(w, MTUD_MAX_JUMBO, MTUD_MAX_JUMBO, &l);
    (void)sim_run(w, never, (100 + sim_below(&w->rng, 200)) * NS_PER_MS);
    l.mtu = 1500;
    sim_set_link(w, 0, 1, &l);
    run_to_end(w);
}

static void bufferbloat(sim_world *w) {
    sim_link l = {.delay = 20 * NS_PER_MS, .rate = 4 * MBIT, .queue = 2000000};
    transfer_over(w, &l, 4, 300000);
}

// Handshake packets are the ones that hurt: a third of everything is lost until the transfer is small.
static void lossy_handshake(sim_world *w) {
    sim_link l = plain_link();
    l.loss = 3000;
    transfer_over(w, &l, 1, 3000);
}

static void many_clients(sim_world *w) {
    sim_link l = plain_link();
    l.loss = 100;
    sim_echo_server(sim_add_node(w, NULL));
    transfer_count = 4;
    for (size_t i = 0; i < transfer_count; i++) {
        sim_node *n = sim_add_node(w, NULL);
        sim_set_link(w, 0, n->index, &l);
        sim_transfer_start(&transfers[i], n, &w->nodes[0], 5, 40000, NULL, 0, false);
    }
    run_to_end(w);
}

static void nobody_there(sim_world *w) {
    sim_link l = plain_link();
    l.loss = 10000;
    pair(w, &l);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 1, 1000, NULL, 0, false);
    (void)sim_run(w, all_done, LIMIT);
    if (!transfers[0].closed || transfers[0].error != IROH_ERR_IDLE)
        sim_fail(w, "the attempt did not time out");
    sim_transfer_dispose(&transfers[0]);
}

// Connected, then the network dies: both sides give up after the idle timeout, keep-alives or not.
static void cable_cut(sim_world *w) {
    sim_link l = plain_link();
    pair(w, &l);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 1, 1000, NULL, 0, false);
    if (!sim_run(w, all_done, LIMIT))
        sim_fail(w, "no transfer");
    l.loss = 10000;
    sim_set_link(w, 0, 1, &l);
    (void)sim_run(w, all_gone, 200 * NS_PER_S);
    if (!transfers[0].closed || transfers[0].error != IROH_ERR_IDLE)
        sim_fail(w, "no idle timeout");
    sim_transfer_dispose(&transfers[0]);
}

// Keep-alives hold an idle connection for a long time.
static void keep_alive(sim_world *w) {
    sim_link l = plain_link();
    pair(w, &l);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 1, 1000, NULL, 0, false);
    if (!sim_run(w, all_done, LIMIT))
        sim_fail(w, "no transfer");
    (void)sim_run(w, never, 600 * NS_PER_S);
    expect_intact(w, &transfers[0]);
    run_to_end(w);
}

// An outage in mid-transfer, shorter than the idle timeout: data flows again soon after.
static void outage(sim_world *w) {
    sim_link l = plain_link();
    pair(w, &l);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 4, 400000, NULL, 0, false);
    (void)sim_run(w, all_done, 60 * NS_PER_MS);
    sim_link dead = l;
    dead.loss = 10000;
    sim_set_link(w, 0, 1, &dead);
    (void)sim_run(w, all_done, (1 + sim_below(&w->rng, 15)) * NS_PER_S);
    sim_set_link(w, 0, 1, &l);
    run_to_end(w);
}

// The client's NAT forgets it: the same client, another port.
static void rebinding(sim_world *w) {
    sim_link l = plain_link();
    pair(w, &l);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 4, 300000, NULL, 0, false);
    (void)sim_run(w, all_done, (70 + sim_below(&w->rng, 60)) * NS_PER_MS);
    sim_rebind(&w->nodes[0], 5555);
    run_to_end(w);
}

static void resumption(sim_world *w) {
    sim_link l = plain_link();
    l.loss = (uint32_t)sim_below(&w->rng, 300);
    pair(w, &l);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 2, 5000, NULL, 0, false);
    if (!sim_run(w, all_done, LIMIT))
        sim_fail(w, "first transfer not done");
    (void)sim_run(w, never, 2 * NS_PER_S);
    if (transfers[0].session == NULL) {
        sim_fail(w, "no session ticket");
        return;
    }
    transfers[1] = transfers[0];
    sim_transfer_close(&transfers[0]);
    (void)sim_run(w, all_gone, 60 * NS_PER_S);
    bool early = sim_below(&w->rng, 2) == 0;
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 4, 20000, transfers[1].session,
                       transfers[1].session_len, early);
    quic_conn *c = transfers[0].conn;
    if (!sim_run(w, all_done, LIMIT))
        sim_fail(w, "second transfer not done");
    else if (!quic_conn_resumed(c) || (early && quic_conn_early_accepted(c) != 1))
        sim_fail(w, "not resumed");
    run_to_end(w);
    sim_transfer_dispose(&transfers[1]);
}

// The server was restarted: it does not know the ticket, so 0-RTT is rejected and everything is sent again.
static void early_rejected(sim_world *w) {
    sim_link l = plain_link();
    pair(w, &l);
    sim_echo_server(sim_add_node(w, NULL));
    sim_set_link(w, 0, 2, &l);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 2, 5000, NULL, 0, false);
    if (!sim_run(w, all_done, LIMIT))
        sim_fail(w, "first transfer not done");
    (void)sim_run(w, never, NS_PER_S);
    transfers[1] = transfers[0];
    sim_transfer_close(&transfers[0]);
    (void)sim_run(w, all_gone, 60 * NS_PER_S);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[2], 4, 20000, transfers[1].session,
                       transfers[1].session_len, true);
    if (!sim_run(w, all_done, LIMIT))
        sim_fail(w, "second transfer not done");
    if (!transfers[0].early_rejected)
        sim_fail(w, "0-RTT was not rejected");
    run_to_end(w);
    sim_transfer_dispose(&transfers[1]);
}

// Strangers' bytes, in any shape, change nothing for those who are connected.
static void garbage(sim_world *w) {
    sim_link l = plain_link();
    pair(w, &l);
    (void)sim_add_node(w, NULL);
    sim_set_link(w, 2, 1, &l);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 4, 100000, NULL, 0, false);
    for (int i = 0; i < 200 && w->failure[0] == '\0'; i++) {
        uint8_t junk[1500];
        size_t len = 1 + (size_t)sim_below(&w->rng, sizeof junk);
        for (size_t k = 0; k < len; k++)
            junk[k] = (uint8_t)sim_random(&w->rng);
        sim_inject(w, 2, 1, junk, len);
        sim_inject(w, 2, 0, junk, len);
        (void)sim_run(w, all_done, NS_PER_MS);
    }
    run_to_end(w);
}

const sim_scenario sim_scenarios_basic[] = {
    {"clean", 100, clean},
    {"lossy", 200, lossy},
    {"reordering", 200, reordering},
    {"everything_at_once", 400, everything_at_once},
    {"corruption", 100, corruption},
    {"small_mtu", 50, small_mtu},
    {"jumbo_frames", 50, jumbo_frames},
    {"jumbo_frames_of_one", 20, jumbo_frames_of_one},
    {"jumbo_frames_end", 50, jumbo_frames_end},
    {"bufferbloat", 30, bufferbloat},
    {"lossy_handshake", 300, lossy_handshake},
    {"many_clients", 50, many_clients},
    {"nobody_there", 20, nobody_there},
    {"cable_cut", 50, cable_cut},
    {"keep_alive", 20, keep_alive},
    {"outage", 100, outage},
    {"rebinding", 100, rebinding},
    {"resumption", 200, resumption},
    {"early_rejected", 100, early_rejected},
    {"garbage", 50, garbage},
    {NULL, 0, NULL},
};
