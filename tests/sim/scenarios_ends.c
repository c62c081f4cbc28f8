// How connections and paths begin and end around one another: races of first flights, Retry and tokens, moves, changes of
// the network, the last path, resets, 0-RTT before multipath.
#include <stdlib.h>

#include <iroh/error.h>

#include "quic/endpoint_state.h"
#include "scenario_support.h"

static void two_ports(sim_world *w, const sim_link *first, const sim_link *second) {
    pair(w, first);
    (void)sim_add_port(&w->nodes[0]);
    (void)sim_add_port(&w->nodes[1]);
    sim_set_path(w, &w->nodes[0], 1, &w->nodes[1], 1, second);
}

static bool ready(sim_world *w) {
    const quic_conn *c = transfers[0].conn, *s = server_conn(w);
    if (transfers[0].closed)
        return true;
    if (!transfers[0].connected || s == NULL || !c->confirmed || c->cids_count < 2)
        return false;
    return quic_peer_cids_active(&c->cids[c->cids_count - 1]->peer) != NULL;
}

static void start(sim_world *w, size_t streams, uint64_t size) {
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], streams, size, NULL, 0, false);
    if (!sim_run(w, ready, 30 * NS_PER_S) || transfers[0].closed)
        sim_fail(w, "not connected");
}

static bool second_validated(sim_world *w) {
    const quic_conn *c = transfers[0].conn, *s = server_conn(w);
    return transfers[0].closed ||
           (s != NULL && c->path_count > 1 && c->paths[1]->validated && s->path_count > 1 && s->paths[1]->validated);
}

static void open_second(sim_world *w, quic_path_status status) {
    uint32_t id;
    if (w->failure[0] != '\0')
        return;
    if (quic_conn_open_path(transfers[0].conn, sim_address(&w->nodes[1], 1), sim_address(&w->nodes[0], 1), status,
                            w->now, &id) != 0)
        sim_fail(w, "open_path");
    else if (!sim_run(w, second_validated, 30 * NS_PER_S) || transfers[0].closed)
        sim_fail(w, "no second path");
}

// --- The last path

static void abandon_all(sim_world *w, quic_conn *c) {
    for (size_t i = 0; i < c->path_count; i++) {
        if (!c->paths[i]->abandoned)
            quic_conn_abandon(c, c->paths[i], PATH_CODE_APPLICATION, false, w->now);
    }
}

static bool both_ended(sim_world *w) {
    return transfers[0].closed && server_conn(w) == NULL;
}

// A peer that does what ours does not: it abandons its last path. Nobody opens another, and both ends go in silence.
static void last_path(sim_world *w) {
    sim_link l = plain_link();
    pair(w, &l);
    start(w, 1, 1000);
    if (w->failure[0] != '\0')
        return;
    abandon_all(w, sim_below(&w->rng, 2) == 0 ? transfers[0].conn : server_conn(w));
    uint64_t begin = w->now;
    if (!sim_run(w, both_ended, 60 * NS_PER_S))
        sim_fail(w, "the connection lives without a path");
    // Three probe timeouts of a path that has not been measured.
    if (w->now - begin < 3 * NS_PER_S || w->now - begin > 5 * NS_PER_S)
        sim_fail(w, "ended after %llu ms", (unsigned long long)((w->now - begin) / NS_PER_MS));
    if (transfers[0].error != IROH_ERR_UNREACHABLE)
        sim_fail(w, "error %s", iroh_strerror(transfers[0].error));
    if (sim_run(w, all_gone, 60 * NS_PER_S))
        sim_check_empty(w);
    sim_transfer_dispose(&transfers[0]);
}

// The same, but the client opens another path in time.
static void last_path_replaced(sim_world *w) {
    sim_link a = plain_link(), b = plain_link();
    two_ports(w, &a, &b);
    start(w, 4, 200000);
    if (w->failure[0] != '\0')
        return;
    abandon_all(w, server_conn(w));
    (void)sim_run(w, never, sim_below(&w->rng, 2500) * NS_PER_MS);
    uint32_t id;
    if (transfers[0].closed || quic_conn_open_path(transfers[0].conn, sim_address(&w->nodes[1], 1),
                                                   sim_address(&w->nodes[0], 1), PATH_AVAILABLE, w->now, &id) != 0)
        sim_fail(w, "no path in time");
    run_to_end(w);
}

// --- Changes of the network

static bool keep(void *user, const addr *local, const addr *remote) {
    (void)local;
    return (*(const unsigned *)user >> (remote->bytes[1] & 1)) & 1;  // port 0 of a node is in 10.0, port 1 in 10.1
}

// All hints for two paths, or none, at either side, in the middle of a transfer.
static void network_changes(sim_world *w) {
    sim_link a = plain_link(), b = plain_link();
    a.loss = b.loss = (uint32_t)sim_below(&w->rng, 200);
    two_ports(w, &a, &b);
    start(w, 4, 300000);
    bool second = sim_below(&w->rng, 3) > 0;
    if (second)
        open_second(w, (quic_path_status)sim_below(&w->rng, 2));
    if (w->failure[0] != '\0')
        return;
    (void)sim_run(w, all_done, sim_below(&w->rng, 100) * NS_PER_MS);
    unsigned hints = (unsigned)sim_below(&w->rng, 5);  // a bit for each path; 4: no hints
    quic_conn *who = sim_below(&w->rng, 2) == 0 ? transfers[0].conn : server_conn(w);
    bool client = who == transfers[0].conn;
    quic_conn_network_changed(who, hints < 4 ? keep : NULL, &hints, w->now);
    size_t open = 0, lost = 0;
    for (size_t i = 0; i < who->path_count; i++) {
        open += !who->paths[i]->abandoned;
        lost += who->paths[i]->abandoned;
    }
    // A client replaces what it loses; a server keeps at least one.
    size_t before = second ? 2 : 1;
    bool lose_first = hints == 4 ? client : (hints & 1) == 0, lose_second = hints == 4 ? client : (hints & 2) == 0;
    size_t wanted = (size_t)lose_first + (size_t)(second && lose_second);
    if (!client && wanted == before)
        wanted--;
    if (lost != wanted || open != (client ? before : before - wanted))
        sim_fail(w, "%s, hints %u: %zu paths open, %zu lost", client ? "client" : "server", hints, open, lost);
    run_to_end(w);
}

// The client's network is another one for real: all that it had is gone, and it says so.
static void client_moves(sim_world *w) {
    sim_link a = plain_link(), dead = {.cut = true};
    two_ports(w, &a, &dead);
    start(w, 4, 300000);
    (void)sim_run(w, all_done, sim_below(&w->rng, 100) * NS_PER_MS);
    // From now on only the client's other address leads to the server.
    sim_set_link(w, 0, 1, &dead);
    sim_set_path(w, &w->nodes[0], 1, &w->nodes[1], 0, &a);
    if (!transfers[0].closed && !all_done(w))
        quic_conn_network_changed(transfers[0].conn, NULL, NULL, w->now);
    sim_transfer_watch(&transfers[0]);
    run_to_end(w);
    if (transfers[0].longest_gap > 3 * NS_PER_S)
        sim_fail(w, "stood still for %llu ms", (unsigned long long)(transfers[0].longest_gap / NS_PER_MS));
}

// The NAT of one of two paths forgets it: that path moves, the other one does not.
static void one_path_rebinds(sim_world *w) {
    sim_link a = plain_link(), b = plain_link();
    two_ports(w, &a, &b);
    sim_set_nat(&w->nodes[0], 1, SIM_NAT_EASY);
    start(w, 6, 600000);
    open_second(w, PATH_AVAILABLE);
    if (w->failure[0] != '\0')
        return;
    (void)quic_conn_set_path_status(transfers[0].conn, 0, PATH_BACKUP);
    (void)quic_conn_set_path_status(server_conn(w), 0, PATH_BACKUP);
    (void)sim_run(w, all_done, (20 + sim_below(&w->rng, 60)) * NS_PER_MS);
    addr before = server_conn(w)->paths[1]->remote;
    sim_forget(&w->nodes[0], 1);
    // Longer than anything that must be proven takes, with keep-alives at the latest.
    (void)sim_run(w, never, 12 * NS_PER_S);
    const quic_conn *s = server_conn(w);
    if (s == NULL || s->path_count != 2 || addr_equal(&s->paths[1]->remote, &before) || !s->paths[1]->validated)
        sim_fail(w, "the path did not move");
    run_to_end(w);
}

// --- The first flight

// Sent to several addresses at once: the first that answers is used, and there is one connection.
static void race(sim_world *w) {
    sim_link a = plain_link(), b = plain_link(), c = plain_link();
    a.delay = (1 + sim_below(&w->rng, 100)) * NS_PER_MS;
    b.delay = (1 + sim_below(&w->rng, 100)) * NS_PER_MS;
    c.delay = (1 + sim_below(&w->rng, 100)) * NS_PER_MS;
    a.loss = b.loss = (uint32_t)sim_below(&w->rng, 2000);
    if (sim_below(&w->rng, 3) == 0)
        a.loss = 10000;
    two_ports(w, &a, &b);
    (void)sim_add_port(&w->nodes[0]);
    (void)sim_add_port(&w->nodes[1]);
    sim_set_path(w, &w->nodes[0], 2, &w->nodes[1], 2, &c);
    addr remotes[3];
    for (size_t i = 0; i < 3; i++)
        remotes[i] = *sim_address(&w->nodes[1], i);
    sim_transfer_dial(&transfers[0], &w->nodes[0], &w->nodes[1], remotes, 3, 3, 20000);
    if (!sim_run(w, all_connected, 60 * NS_PER_S) || transfers[0].closed)
        sim_fail(w, "not connected");
    quic_endpoint_stats s;
    quic_endpoint_stats_get(w->nodes[1].ep, &s);
    if (s.connections != 1)
        sim_fail(w, "%llu connections", (unsigned long long)s.connections);
    if (transfers[0].conn != NULL && server_conn(w) != NULL) {
        const quic_path *p = transfers[0].conn->path, *q = server_conn(w)->path;
        if (!addr_equal(&p->remote, &q->local))
            sim_fail(w, "the sides use different addresses");
    }
    run_to_end(w);
}

// The server gives another token now; that of the handshake is lost.
static void give_token_later(sim_world *w, sim_transfer *t) {
    free(t->token);
    t->token = NULL;
    quic_conn *c = server_conn(w);
    c->new_tokens_wanted = 1;
    quic_conn_wake(c);
    (void)sim_run(w, never, 5 * NS_PER_S);
}

// An address token from the first connection saves the second one the Retry, whether it came with the session or long after
// it, and whether the session is resumed or not; without it there is one.
static void retry_and_tokens(sim_world *w) {
    sim_link l = plain_link();
    pair(w, &l);
    w->nodes[1].retry = true;
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 2, 5000, NULL, 0, false);
    if (!sim_run(w, all_done, LIMIT) || transfers[0].closed)
        sim_fail(w, "first transfer not done");
    if (w->nodes[1].retries == 0)
        sim_fail(w, "no Retry");
    (void)sim_run(w, never, 5 * NS_PER_S);
    if (w->failure[0] == '\0' && sim_below(&w->rng, 2) == 0)
        give_token_later(w, &transfers[0]);
    sim_transfer first = transfers[0];
    if (first.session == NULL || first.token == NULL) {
        sim_fail(w, "no session, or no token");
        return;
    }
    sim_transfer_close(&transfers[0]);
    (void)sim_run(w, all_gone, 60 * NS_PER_S);
    uint64_t retries = w->nodes[1].retries;
    bool resume = sim_below(&w->rng, 2) == 0;
    sim_transfer_again(&transfers[0], &w->nodes[0], &w->nodes[1], 2, 5000, &first, resume);
    if (!sim_run(w, all_done, LIMIT))
        sim_fail(w, "second transfer not done");
    if (w->nodes[1].retries != retries)
        sim_fail(w, "another Retry in spite of the token");
    run_to_end(w);
    sim_transfer_dispose(&first);
}

// --- Sudden ends

// One side forgets everything and keeps only the key of its resets, as after a restart. The other side hears of it.
static void stateless_reset(sim_world *w) {
    sim_link a = plain_link(), b = plain_link();
    two_ports(w, &a, &b);
    start(w, 2, 10000);
    if (sim_below(&w->rng, 2) == 0)
        open_second(w, PATH_BACKUP);
    (void)sim_run(w, never, 2 * NS_PER_S);
    if (w->failure[0] != '\0')
        return;
    bool server = sim_below(&w->rng, 2) == 0;
    quic_conn *lost = server ? server_conn(w) : transfers[0].conn;
    // The same as if it had never been: its ids are unknown, nothing is said.
    if (!server) {
        transfers[0].closed = true;
        transfers[0].conn = NULL;
    }
    quic_conn_set_user(lost, NULL);
    quic_conn_end(lost, IROH_ERR_IDLE, w->now);
    if (!server)
        quic_conn_release(lost, w->now);
    if (!sim_run(w, all_gone, 20 * NS_PER_S))
        sim_fail(w, "no reset");
    if (server && (!transfers[0].closed || transfers[0].error != IROH_ERR_STATELESS))
        sim_fail(w, "the client ended with %s", iroh_strerror(transfers[0].error));
    sim_check_empty(w);
    sim_transfer_dispose(&transfers[0]);
}

// The path in use died without a word; the close still arrives, on the other one.
static void close_on_any_path(sim_world *w) {
    sim_link a = plain_link(), b = plain_link(), dead = {.loss = 10000};
    two_ports(w, &a, &b);
    start(w, 2, 10000);
    open_second(w, PATH_BACKUP);
    (void)sim_run(w, all_done, NS_PER_S);
    sim_set_link(w, 0, 1, &dead);
    // Until a keep-alive shows it to both.
    (void)sim_run(w, never, 9 * NS_PER_S);
    quic_conn *who = sim_below(&w->rng, 2) == 0 ? transfers[0].conn : server_conn(w);
    if (w->failure[0] != '\0' || who == NULL)
        return;
    quic_conn_close(who, 9, NULL, 0, w->now);
    if (!sim_run(w, all_gone, 10 * NS_PER_S))
        sim_fail(w, "the close did not arrive");
    if (!transfers[0].closed || transfers[0].code != 9)
        sim_fail(w, "code %llu", (unsigned long long)transfers[0].code);
    sim_transfer_dispose(&transfers[0]);
}

// --- Early data, then several paths

static void early_then_paths(sim_world *w) {
    sim_link a = plain_link(), b = plain_link();
    two_ports(w, &a, &b);
    start(w, 1, 1000);
    (void)sim_run(w, never, 2 * NS_PER_S);
    sim_transfer first = transfers[0];
    sim_transfer_close(&transfers[0]);
    (void)sim_run(w, all_gone, 60 * NS_PER_S);
    if (first.session == NULL) {
        sim_fail(w, "no session");
        return;
    }
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 4, 50000, first.session, first.session_len, true);
    quic_conn *c = transfers[0].conn;
    uint32_t id;
    if (quic_conn_has_multipath(c) || quic_conn_open_path(c, sim_address(&w->nodes[1], 1), &(addr){0}, PATH_AVAILABLE,
                                                          w->now, &id) != IROH_ERR_UNSUPPORTED)
        sim_fail(w, "paths before the handshake");
    if (!sim_run(w, ready, 30 * NS_PER_S) || transfers[0].closed || quic_conn_early_accepted(c) != 1)
        sim_fail(w, "0-RTT was not accepted");
    open_second(w, PATH_AVAILABLE);
    run_to_end(w);
    sim_transfer_dispose(&first);
}

// --- Observed addresses

static void observed(sim_world *w, bool client_sends, bool client_receives, bool server_sends, bool server_receives) {
    quic_endpoint_config config;
    quic_endpoint_config_default(&config);
    sim_link a = plain_link(), b = plain_link();
    a.loss = b.loss = (uint32_t)sim_below(&w->rng, 800);
    config.transport.send_observed = client_sends;
    config.transport.receive_observed = client_receives;
    (void)sim_add_node(w, &config);
    config.transport.send_observed = server_sends;
    config.transport.receive_observed = server_receives;
    sim_echo_server(sim_add_node(w, &config));
    sim_set_link(w, 0, 1, &a);
    transfer_count = 1;
    (void)sim_add_port(&w->nodes[0]);
    (void)sim_add_port(&w->nodes[1]);
    sim_set_path(w, &w->nodes[0], 1, &w->nodes[1], 1, &b);
    sim_set_nat(&w->nodes[0], 1, SIM_NAT_EASY);
    start(w, 2, 20000);
    (void)sim_run(w, never, 5 * NS_PER_S);
    bool to_client = server_sends && client_receives, to_server = client_sends && server_receives;
    const addr none = {0};
    if (!addr_equal(&w->nodes[0].observed, to_client ? &w->nodes[0].address : &none))
        sim_fail(w, "the client hears of another address");
    if (!addr_equal(&w->nodes[1].observed, to_server ? &w->nodes[1].address : &none))
        sim_fail(w, "the server hears of another address");
    open_second(w, PATH_BACKUP);
    (void)sim_run(w, never, 5 * NS_PER_S);
    // Behind the NAT of the second path the client looks different.
    addr outside = w->nodes[0].ports[1].outside;
    if (to_client && !addr_same_host(&w->nodes[0].observed, &outside))
        sim_fail(w, "the client does not learn its address on the second path");
    if (to_server && !addr_equal(&w->nodes[1].observed, sim_address(&w->nodes[1], 1)))
        sim_fail(w, "the server does not learn its address on the second path");
    run_to_end(w);
}

static void observed_addresses(sim_world *w) {
    uint64_t who = sim_below(&w->rng, 16);
    observed(w, (who & 1) != 0, (who & 2) != 0, (who & 4) != 0, (who & 8) != 0);
}

const sim_scenario sim_scenarios_ends[] = {
    {"last_path", 50, last_path},
    {"last_path_replaced", 100, last_path_replaced},
    {"network_changes", 300, network_changes},
    {"client_moves", 100, client_moves},
    {"one_path_rebinds", 50, one_path_rebinds},
    {"race", 200, race},
    {"retry_and_tokens", 100, retry_and_tokens},
    {"stateless_reset", 50, stateless_reset},
    {"close_on_any_path", 50, close_on_any_path},
    {"early_then_paths", 50, early_then_paths},
    {"observed_addresses", 100, observed_addresses},
    {NULL, 0, NULL},
};
