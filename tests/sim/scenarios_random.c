// Anything at any time: lists of random operations of both applications and of the network, by two connections at once.
// Whatever they do: the books stay right, no side finds fault with the other, and in the end everything comes to rest.
#include <stdlib.h>

#include <iroh/error.h>

#include "scenario_support.h"

#define OPERATIONS_MAX 100
#define CONNECTIONS 2
#define CHUNK_MAX 10000
#define PORTS 3

typedef struct random_run {
    sim_world *w;
    quic_conn *conns[CONNECTIONS][2];  // [i][role]; null: closed
    bool abandoned_last;               // a side may lose its last path
    bool multipath, nat;
} random_run;

static random_run run;

// --- Applications that read all and keep nothing

static void forget(quic_conn *c) {
    for (size_t i = 0; i < CONNECTIONS; i++) {
        for (size_t role = 0; role < 2; role++) {
            if (run.conns[i][role] == c)
                run.conns[i][role] = NULL;
        }
    }
}

// Only the application's own close, silence or the loss of all paths ends a connection here.
static void check_end(sim_world *w, const quic_conn *c) {
    const quic_close_info *info = quic_conn_close_info(c);
    bool fine = info->application || info->error == IROH_ERR_IDLE || info->error == IROH_ERR_UNREACHABLE ||
                info->error == IROH_ERR_STATELESS ||
                (info->by_peer && (info->code == QUIC_APPLICATION_ERROR || info->code == QUIC_NO_ERROR));
    if (!fine)
        sim_fail(w, "%s %s: %s, code 0x%llx, frame 0x%llx", quic_conn_is_client(c) ? "client" : "server",
                 info->by_peer ? "was closed" : "closed", iroh_strerror(info->error), (unsigned long long)info->code,
                 (unsigned long long)info->frame_type);
}

static void read_all(quic_stream *st) {
    uint8_t bytes[4096];
    while (st->has_recv && quic_stream_read(st, bytes, sizeof bytes) > 0) {}
}

static void random_event(sim_node *n, quic_conn *c, uint32_t events) {
    quic_streams *s = quic_conn_streams(c);
    quic_stream *st;
    quic_path_event event;
    uint8_t what, bytes[2000];
    if ((events & CONN_CLOSED) != 0) {
        check_end(n->world, c);
        forget(c);
        quic_conn_release(c, n->world->now);
        return;
    }
    if ((events & CONN_CONNECTED) != 0 && !quic_conn_is_client(c)) {
        for (size_t i = 0; i < CONNECTIONS; i++) {
            // In the order in which they were dialled, near enough.
            if (run.conns[i][QUIC_SERVER] == NULL) {
                run.conns[i][QUIC_SERVER] = c;
                break;
            }
        }
    }
    while ((st = quic_streams_accept(s, true)) != NULL || (st = quic_streams_accept(s, false)) != NULL)
        read_all(st);
    while ((st = quic_streams_next_event(s, &what)) != NULL)
        read_all(st);
    while (quic_conn_next_path_event(c, &event)) {}
    while (quic_conn_datagram_read(c, bytes, sizeof bytes) >= 0) {}
    quic_conn_wake(c);
}

// --- Operations

static quic_conn *some_conn(sim_world *w) {
    return run.conns[sim_below(&w->rng, CONNECTIONS)][sim_below(&w->rng, 2)];
}

static sim_node *node_of(sim_world *w, const quic_conn *c) {
    return &w->nodes[c->role == QUIC_CLIENT ? 0 : 1];
}

static const addr *some_address(sim_world *w, const sim_node *n) {
    return sim_address(n, sim_below(&w->rng, n->port_count));
}

static uint32_t some_path(sim_world *w, const quic_conn *c) {
    return c->path_count > 0 ? c->paths[sim_below(&w->rng, c->path_count)]->id : 0;
}

static void do_drop(sim_world *w, quic_conn *c) {
    (void)c;
    sim_ground(w);
}

static void do_keys(sim_world *w, quic_conn *c) {
    (void)quic_conn_update_keys(c, w->now);
}

static void do_rebind(sim_world *w, quic_conn *c) {
    (void)c;
    sim_rebind(&w->nodes[0], (uint16_t)(4000 + sim_below(&w->rng, 1000)));
}

static void do_nat_forgets(sim_world *w, quic_conn *c) {
    (void)c;
    sim_forget(&w->nodes[sim_below(&w->rng, 2)], 1 + sim_below(&w->rng, PORTS - 1));
}

static void do_open_path(sim_world *w, quic_conn *c) {
    uint32_t id;
    const addr any = {0};
    (void)quic_conn_open_path(c, some_address(w, &w->nodes[1]), &any, (quic_path_status)sim_below(&w->rng, 2), w->now,
                              &id);
}

static void do_close_path(sim_world *w, quic_conn *c) {
    (void)quic_conn_close_path(c, some_path(w, c), sim_below(&w->rng, 100), w->now);
}

static void do_status(sim_world *w, quic_conn *c) {
    (void)quic_conn_set_path_status(c, some_path(w, c), (quic_path_status)sim_below(&w->rng, 2));
}

static void do_timeouts(sim_world *w, quic_conn *c) {
    (void)quic_conn_set_path_timeouts(c, some_path(w, c), sim_below(&w->rng, 20) * NS_PER_S,
                                      sim_below(&w->rng, 5) * NS_PER_S, w->now);
}

static bool maybe(void *user, const addr *local, const addr *remote) {
    (void)local, (void)remote;
    return sim_below(&((sim_world *)user)->rng, 2) == 0;
}

static void do_network_changed(sim_world *w, quic_conn *c) {
    quic_conn_network_changed(c, sim_below(&w->rng, 3) > 0 ? maybe : NULL, w, w->now);
}

static void do_candidate(sim_world *w, quic_conn *c) {
    const addr *a = some_address(w, node_of(w, c));
    if (sim_below(&w->rng, 4) > 0)
        (void)quic_conn_add_candidate(c, a);
    else
        (void)quic_conn_remove_candidate(c, a);
}

static void do_round(sim_world *w, quic_conn *c) {
    (void)quic_conn_start_round(c, w->now);
}

static void do_stream(sim_world *w, quic_conn *c) {
    static const uint8_t bytes[CHUNK_MAX] = {7};
    quic_stream *st;
    bool bidi = sim_below(&w->rng, 2) == 0;
    if (quic_streams_open(quic_conn_streams(c), bidi, &st) != 0)
        return;
    (void)quic_stream_write(st, bytes, sim_below(&w->rng, sizeof bytes));
    uint64_t then = sim_below(&w->rng, 6);
    if (then == 0)
        (void)quic_stream_reset(st, then);
    else if (then == 1 && bidi)
        (void)quic_stream_stop(st, then);
    else if (then < 5)
        (void)quic_stream_finish(st);
    quic_stream_release(st);
}

static void do_datagram(sim_world *w, quic_conn *c) {
    static const uint8_t bytes[1200] = {8};
    (void)quic_conn_datagram_send(c, bytes, sim_below(&w->rng, sizeof bytes), sim_below(&w->rng, 2) == 0);
}

static void do_close(sim_world *w, quic_conn *c) {
    // Seldom, or nothing else would ever happen.
    if (sim_below(&w->rng, 8) == 0)
        quic_conn_close(c, 5, (const uint8_t *)"bye", 3, w->now);
}

typedef struct operation {
    void (*act)(sim_world *w, quic_conn *c);
    unsigned weight;
} operation;

static const operation operations[] = {
    {do_drop, 2},       {do_keys, 1},     {do_rebind, 1},          {do_nat_forgets, 1}, {do_open_path, 5},
    {do_close_path, 3}, {do_status, 3},   {do_timeouts, 1},        {do_candidate, 3},   {do_round, 2},
    {do_stream, 8},     {do_datagram, 3}, {do_network_changed, 1}, {do_close, 1},
};

static void act(sim_world *w) {
    unsigned total = 0;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        total += operations[i].weight;
    uint64_t at = sim_below(&w->rng, total);
    size_t i = 0;
    while (at >= operations[i].weight)
        at -= operations[i++].weight;
    quic_conn *c = some_conn(w);
    if (c == NULL || quic_conn_closed(c))
        return;
    operations[i].act(w, c);
    quic_conn_wake(c);
}

// --- Worlds

// Each address of one side leads to some of the other's.
static void routes(sim_world *w) {
    for (size_t i = 0; i < PORTS; i++) {
        for (size_t k = 0; k < PORTS; k++) {
            sim_link l = {
                .delay = (1 + sim_below(&w->rng, 80)) * NS_PER_MS,
                .jitter = sim_below(&w->rng, 5) * NS_PER_MS,
                .rate = (2 + sim_below(&w->rng, 50)) * MBIT,
                .queue = 50000,
                .loss = (uint32_t)(sim_below(&w->rng, 3) == 0 ? sim_below(&w->rng, 1500) : 0),
                .reorder = (uint32_t)(sim_below(&w->rng, 3) == 0 ? sim_below(&w->rng, 1500) : 0),
                .duplicate = (uint32_t)(sim_below(&w->rng, 3) == 0 ? sim_below(&w->rng, 1000) : 0),
            };
            l.cut = (i > 0 || k > 0) && sim_below(&w->rng, 3) == 0;
            sim_set_path(w, &w->nodes[0], i, &w->nodes[1], k, &l);
        }
    }
}

static void build(sim_world *w) {
    quic_endpoint_config config;
    quic_endpoint_config_default(&config);
    run = (random_run){.w = w};
    uint64_t kind = sim_below(&w->rng, 8);
    if (kind == 0)
        config.transport.paths = 0;
    if (kind <= 2)
        config.transport.nat_candidates = 0;
    config.transport.send_observed = config.transport.receive_observed = sim_below(&w->rng, 2) == 0;
    for (size_t i = 0; i < 2; i++) {
        sim_node *n = sim_add_node(w, &config);
        n->on_event = random_event;
        for (size_t port = 1; port < PORTS; port++)
            (void)sim_add_port(n);
    }
    routes(w);
    for (size_t i = 0; i < 2 && sim_below(&w->rng, 2) == 0; i++)
        sim_set_nat(&w->nodes[i], 1 + sim_below(&w->rng, PORTS - 1), (sim_nat_kind)sim_below(&w->rng, 4));
}

static void dial(sim_world *w, size_t i) {
    static const tls_alpn alpn = {.name = (const uint8_t *)"sim", .len = 3};
    const quic_connect_config connect = {
        .remotes = &w->nodes[1].address,
        .remote_count = 1,
        .peer_key = sim_key(&w->nodes[1]),
        .alpns = &alpn,
        .alpn_count = 1,
    };
    if (quic_endpoint_connect(w->nodes[0].ep, &connect, w->now, &run.conns[i][QUIC_CLIENT]) != 0)
        sim_fail(w, "connect failed");
}

static void close_all(sim_world *w) {
    for (size_t i = 0; i < CONNECTIONS; i++) {
        for (size_t role = 0; role < 2; role++) {
            if (run.conns[i][role] != NULL)
                quic_conn_close(run.conns[i][role], 1, NULL, 0, w->now);
        }
    }
}

// Nothing moves any more but keep-alives: how many datagrams leave in ten seconds.
static void expect_rest(sim_world *w) {
    (void)sim_run(w, never, 60 * NS_PER_S);
    uint64_t before = w->nodes[0].datagrams_out + w->nodes[1].datagrams_out;
    (void)sim_run(w, never, 10 * NS_PER_S);
    uint64_t after = w->nodes[0].datagrams_out + w->nodes[1].datagrams_out;
    if (after - before > 2000)
        sim_fail(w, "no rest: %llu datagrams in ten seconds", (unsigned long long)(after - before));
}

static void random_operations(sim_world *w) {
    build(w);
    for (size_t i = 0; i < CONNECTIONS; i++)
        dial(w, i);
    (void)sim_run(w, never, sim_below(&w->rng, 2000) * NS_PER_MS);
    uint64_t count = sim_below(&w->rng, OPERATIONS_MAX);
    for (uint64_t i = 0; i < count && w->failure[0] == '\0'; i++) {
        act(w);
        uint64_t pause = sim_below(&w->rng, 20);
        (void)sim_run(w, never, pause < 15 ? pause * 5 * NS_PER_MS : sim_below(&w->rng, 4000) * NS_PER_MS);
    }
    expect_rest(w);
    close_all(w);
    if (!sim_run(w, all_gone, 120 * NS_PER_S))
        sim_fail(w, "connections stay after the close");
    else
        sim_check_empty(w);
}

const sim_scenario sim_scenarios_random[] = {
    {"random_operations", 1000, random_operations},
    {NULL, 0, NULL},
};
