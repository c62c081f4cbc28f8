// Several paths of one connection: opening, choosing, losing and abandoning them.
#include <stdio.h>
#include <stdlib.h>

#include <iroh/error.h>

#include "scenario_support.h"

// How long a transfer may stand still when its path dies.
#define STALL_ROUND_TRIPS 3
#define STALL_EXTRA (200 * NS_PER_MS)

// --- Worlds of two nodes with two addresses each

static sim_link random_link(sim_world *w) {
    return (sim_link){
        .delay = (2 + sim_below(&w->rng, 60)) * NS_PER_MS,
        .rate = (4 + sim_below(&w->rng, 20)) * MBIT,
        .queue = 30000 + sim_below(&w->rng, 100000),
    };
}

static void two_paths(sim_world *w, const sim_link *first, const sim_link *second) {
    pair(w, first);
    (void)sim_add_port(&w->nodes[0]);
    (void)sim_add_port(&w->nodes[1]);
    sim_set_path(w, &w->nodes[0], 1, &w->nodes[1], 1, second);
}

static void cut(sim_world *w, size_t port) {
    sim_link dead = {.loss = 10000};
    sim_set_path(w, &w->nodes[0], port, &w->nodes[1], port, &dead);
}

static bool client_knows_paths(sim_world *w) {
    (void)w;
    uint32_t id;
    const addr nowhere = {0};
    (void)id, (void)nowhere;
    return transfers[0].closed ||
           (transfers[0].connected && transfers[0].conn->confirmed && transfers[0].conn->cids_count > 1 &&
            quic_peer_cids_active(&transfers[0].conn->cids[transfers[0].conn->cids_count - 1]->peer) != NULL);
}

static void start(sim_world *w, size_t streams, uint64_t size) {
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], streams, size, NULL, 0, false);
    if (!sim_run(w, client_knows_paths, 30 * NS_PER_S))
        sim_fail(w, "not connected");
}

// Opens a path from port to port and returns its id.
static uint32_t open_path(sim_world *w, size_t port, quic_path_status status) {
    uint32_t id = 0;
    int r = quic_conn_open_path(transfers[0].conn, sim_address(&w->nodes[1], port), sim_address(&w->nodes[0], port),
                                status, w->now, &id);
    if (r != 0)
        sim_fail(w, "open_path: %s", iroh_strerror(r));
    return id;
}

static quic_path *client_path(uint32_t id) {
    return transfers[0].conn != NULL ? quic_conn_path(transfers[0].conn, id) : NULL;
}

static quic_path *server_path(sim_world *w, uint32_t id) {
    quic_conn *c = server_conn(w);
    return c != NULL ? quic_conn_path(c, id) : NULL;
}

static uint32_t awaited;  // path id

static bool both_validated(sim_world *w) {
    const quic_path *a = client_path(awaited), *b = server_path(w, awaited);
    return transfers[0].closed || (a != NULL && b != NULL && a->validated && b->validated);
}

static bool both_gone(sim_world *w) {
    return transfers[0].closed || (client_path(awaited) == NULL && server_path(w, awaited) == NULL);
}

static void expect_validated(sim_world *w, uint32_t id) {
    awaited = id;
    if (!sim_run(w, both_validated, 30 * NS_PER_S) || transfers[0].closed)
        sim_fail(w, "path %u is not validated on both sides", id);
}

static void expect_gone(sim_world *w, uint32_t id) {
    awaited = id;
    if (!sim_run(w, both_gone, 30 * NS_PER_S) || transfers[0].closed)
        sim_fail(w, "path %u stays", id);
}

// --- Opening

static void second_path(sim_world *w) {
    sim_link a = random_link(w), b = random_link(w);
    a.loss = (uint32_t)sim_below(&w->rng, 300);
    b.loss = (uint32_t)sim_below(&w->rng, 300);
    two_paths(w, &a, &b);
    start(w, 4, 300000);
    uint32_t id = open_path(w, 1, PATH_BACKUP), again = 0;
    if (id != 1 ||
        quic_conn_open_path(transfers[0].conn, sim_address(&w->nodes[1], 1), sim_address(&w->nodes[0], 1), PATH_BACKUP,
                            w->now, &again) != 0 ||
        again != id)
        sim_fail(w, "path %u, then %u for the same addresses", id, again);
    expect_validated(w, id);
    // A server opens none.
    if (server_conn(w) != NULL && quic_conn_open_path(server_conn(w), &w->nodes[0].address, &(addr){0}, PATH_AVAILABLE,
                                                      w->now, &again) != IROH_ERR_UNSUPPORTED)
        sim_fail(w, "a server may open paths");
    run_to_end(w);
    if (w->nodes[0].path_events[PATH_EVENT_ESTABLISHED] != 1 || w->nodes[1].path_events[PATH_EVENT_ESTABLISHED] != 1)
        sim_fail(w, "the path was not reported once");
}

// Two available paths of different quality carry one transfer.
static void different_loss(sim_world *w) {
    sim_link a = random_link(w), b = random_link(w);
    a.loss = (uint32_t)sim_below(&w->rng, 500);
    b.loss = (uint32_t)sim_below(&w->rng, 500);
    a.reorder = (uint32_t)sim_below(&w->rng, 300);
    two_paths(w, &a, &b);
    start(w, 4, 1000000);
    uint32_t id = open_path(w, 1, PATH_AVAILABLE);
    expect_validated(w, id);
    quic_conn *s = server_conn(w);
    if (s != NULL)
        (void)quic_conn_set_path_status(s, id, PATH_AVAILABLE);
    bool big = transfers[0].streams[0].size + transfers[0].streams[1].size + transfers[0].streams[2].size > 1500000;
    if (!sim_run(w, all_done, LIMIT))
        sim_fail(w, "not done");
    const quic_path *p = client_path(id);
    if (big && (p == NULL || p->bytes_out < 100000 || client_path(0)->bytes_out < 100000))
        sim_fail(w, "one path did it all");
    run_to_end(w);
}

// The challenges of a new path are lost for a while; new ones are sent.
static void challenge_lost(sim_world *w) {
    sim_link a = plain_link(), dead = {.loss = 10000};
    two_paths(w, &a, &dead);
    start(w, 2, 100000);
    uint32_t id = open_path(w, 1, PATH_BACKUP);
    (void)sim_run(w, never, (1 + sim_below(&w->rng, 12000)) * NS_PER_MS);
    const quic_path *p = client_path(id);
    if (p == NULL || p->abandoned || p->validated) {
        sim_fail(w, "given up too early");
        return;
    }
    sim_set_path(w, &w->nodes[0], 1, &w->nodes[1], 1, &a);
    expect_validated(w, id);
    run_to_end(w);
}

// Nobody answers at the new address: the path idles out on the client, and the server only hears that.
static void nobody_at_the_address(sim_world *w) {
    sim_link a = plain_link(), dead = {.loss = 10000};
    two_paths(w, &a, &dead);
    start(w, 2, 10000);
    uint32_t id = open_path(w, 1, PATH_BACKUP);
    uint64_t begin = w->now;
    expect_gone(w, id);
    if (w->now - begin < 14 * NS_PER_S || w->now - begin > 20 * NS_PER_S)
        sim_fail(w, "gone after %llu ms", (unsigned long long)((w->now - begin) / NS_PER_MS));
    if (w->nodes[0].abandon_code != PATH_CODE_UNSTABLE_OR_POOR)
        sim_fail(w, "code %llx", (unsigned long long)w->nodes[0].abandon_code);
    run_to_end(w);
}

static void keys_change_while_opening(sim_world *w) {
    sim_link a = random_link(w), b = random_link(w);
    two_paths(w, &a, &b);
    start(w, 4, 400000);
    quic_conn *who = sim_below(&w->rng, 2) == 0 ? transfers[0].conn : server_conn(w);
    uint32_t id = open_path(w, 1, PATH_AVAILABLE);
    (void)sim_run(w, never, sim_below(&w->rng, 100) * NS_PER_MS);
    // One of those that come by themselves may be under way.
    if (quic_conn_update_keys(who, w->now) != 0 && who->keys.generation == 0)
        sim_fail(w, "no key update");
    expect_validated(w, id);
    (void)sim_run(w, never, NS_PER_S);
    // The other side followed.
    if (transfers[0].conn != NULL && server_conn(w) != NULL &&
        (transfers[0].conn->keys.generation == 0 ||
         transfers[0].conn->keys.generation != server_conn(w)->keys.generation))
        sim_fail(w, "generations %llu and %llu", (unsigned long long)transfers[0].conn->keys.generation,
                 (unsigned long long)server_conn(w)->keys.generation);
    run_to_end(w);
}

// --- Dying

#define STALLS_MAX 4096

static struct {
    uint64_t round_trips[STALLS_MAX], ns[STALLS_MAX];  // thousandths of one; stall
    size_t count;
} stalls;

static uint64_t longest_round_trip(sim_world *w) {
    uint64_t rtt = 0;
    for (uint32_t id = 0; id < 2; id++) {
        const quic_path *a = client_path(id), *b = server_path(w, id);
        if (a == NULL || b == NULL)
            continue;
        rtt = time_max(rtt, time_max(a->rtt.smoothed, b->rtt.smoothed));
    }
    return rtt;
}

static bool done_and_stopped(sim_world *w) {
    return all_done(w);
}

static void path_dies(sim_world *w) {
    sim_link a = random_link(w), b = random_link(w);
    two_paths(w, &a, &b);
    start(w, 6, 400000);
    uint32_t id = open_path(w, 1, sim_below(&w->rng, 2) == 0 ? PATH_AVAILABLE : PATH_BACKUP);
    expect_validated(w, id);
    (void)sim_run(w, all_done, (20 + sim_below(&w->rng, 300)) * NS_PER_MS);
    if (all_done(w)) {
        run_to_end(w);
        return;
    }
    uint64_t rtt = longest_round_trip(w);
    cut(w, 0);
    sim_transfer_watch(&transfers[0]);
    if (!sim_run(w, done_and_stopped, LIMIT))
        sim_fail(w, "not done");
    uint64_t stall = transfers[0].longest_gap;
    if (stalls.count < STALLS_MAX) {
        stalls.ns[stalls.count] = stall;
        stalls.round_trips[stalls.count++] = rtt > 0 ? stall * 1000 / rtt : 0;
    }
    if (stall > STALL_ROUND_TRIPS * rtt + STALL_EXTRA)
        sim_fail(w, "stood still for %llu ms, round trip %llu ms", (unsigned long long)(stall / NS_PER_MS),
                 (unsigned long long)(rtt / NS_PER_MS));
    run_to_end(w);
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void sim_print_figures(const char *scenario) {
    if (strcmp(scenario, "path_dies") != 0 || stalls.count == 0)
        return;
    size_t n = stalls.count;
    qsort(stalls.ns, n, sizeof *stalls.ns, compare);
    qsort(stalls.round_trips, n, sizeof *stalls.round_trips, compare);
    printf(
        "             %zu transfers stood still: median %.0f ms (%.2f round trips), 99%% %.0f ms (%.2f), most %.0f ms "
        "(%.2f)\n",
        n, (double)stalls.ns[n / 2] / 1e6, (double)stalls.round_trips[n / 2] / 1000,
        (double)stalls.ns[n * 99 / 100] / 1e6, (double)stalls.round_trips[n * 99 / 100] / 1000,
        (double)stalls.ns[n - 1] / 1e6, (double)stalls.round_trips[n - 1] / 1000);
    stalls.count = 0;
}

// The path comes back: data returns to it.
static void path_recovers(sim_world *w) {
    sim_link a = plain_link(), b = plain_link();
    b.delay = 40 * NS_PER_MS;
    two_paths(w, &a, &b);
    start(w, 8, 1500000);
    uint32_t id = open_path(w, 1, PATH_BACKUP);
    expect_validated(w, id);
    (void)sim_run(w, all_done, 100 * NS_PER_MS);
    cut(w, 0);
    (void)sim_run(w, all_done, (500 + sim_below(&w->rng, 3000)) * NS_PER_MS);
    // A side that has nothing to say does not know.
    bool moved =
        transfers[0].closed || all_done(w) || transfers[0].conn->path->id == id || server_conn(w)->path->id == id;
    sim_set_link(w, 0, 1, &a);
    (void)sim_run(w, all_done, 4 * NS_PER_S);
    bool back =
        transfers[0].closed || all_done(w) || (transfers[0].conn->path->id == 0 && server_conn(w)->path->id == 0);
    if (!moved || !back)
        sim_fail(w, "%s", moved ? "data did not return to the path" : "data did not leave the path");
    run_to_end(w);
}

// --- Status

static void status(sim_world *w) {
    sim_link a = plain_link(), b = plain_link();
    a.loss = b.loss = (uint32_t)sim_below(&w->rng, 500);
    two_paths(w, &a, &b);
    start(w, 2, 20000);
    uint32_t id = open_path(w, 1, PATH_BACKUP);
    expect_validated(w, id);
    quic_conn *s = server_conn(w), *c = transfers[0].conn;
    for (int i = 0; i < 6 && w->failure[0] == '\0'; i++) {
        bool second = sim_below(&w->rng, 2) == 0;
        quic_conn *who = sim_below(&w->rng, 2) == 0 ? c : s, *other = who == c ? s : c;
        (void)quic_conn_set_path_status(who, id, second ? PATH_AVAILABLE : PATH_BACKUP);
        (void)quic_conn_set_path_status(who, 0, second ? PATH_BACKUP : PATH_AVAILABLE);
        if (who->path->id != (second ? id : 0))
            sim_fail(w, "data goes over path %u", who->path->id);
        (void)sim_run(w, never, 5 * NS_PER_S);
        const quic_path *theirs = quic_conn_path(other, id);
        if (theirs == NULL || theirs->peer_status != (second ? PATH_AVAILABLE : PATH_BACKUP))
            sim_fail(w, "the peer does not know the status");
    }
    run_to_end(w);
}

// --- Abandoning

// Many paths one after the other: both sides raise MAX_PATH_ID each time.
static void abandon_cycles(sim_world *w) {
    sim_link a = plain_link(), b = plain_link();
    b.loss = (uint32_t)sim_below(&w->rng, 1000);
    two_paths(w, &a, &b);
    start(w, 2, 20000);
    for (uint32_t i = 1; i <= 20 && w->failure[0] == '\0'; i++) {
        uint32_t id = open_path(w, 1, PATH_AVAILABLE);
        if (id != i)
            sim_fail(w, "path %u in cycle %u", id, i);
        // Sometimes before the peer knows it.
        if (sim_below(&w->rng, 3) > 0)
            expect_validated(w, id);
        quic_conn *who = sim_below(&w->rng, 2) == 0 ? transfers[0].conn : server_conn(w);
        uint64_t code = sim_below(&w->rng, 2) == 0 ? PATH_CODE_APPLICATION : 1 + sim_below(&w->rng, 1U << 20);
        if (who == NULL || quic_conn_path(who, id) == NULL)
            who = transfers[0].conn;
        if (quic_conn_close_path(who, id, code, w->now) != 0)
            sim_fail(w, "close_path");
        expect_gone(w, id);
        (void)sim_run(w, never, 3 * NS_PER_S);
        if (who == transfers[0].conn ? w->nodes[0].abandon_code != code : w->nodes[1].abandon_code != code)
            sim_fail(w, "another code");
    }
    if (w->failure[0] == '\0' && transfers[0].conn->mp->peer_max < 7 + 20)
        sim_fail(w, "limit %llu", (unsigned long long)transfers[0].conn->mp->peer_max);
    if (w->failure[0] == '\0' && quic_conn_close_path(transfers[0].conn, 0, 1, w->now) != IROH_ERR_ARG)
        sim_fail(w, "the last path may be closed");
    run_to_end(w);
}

// The path that carries a transfer is abandoned; the other one goes on with it.
static void abandon_in_transfer(sim_world *w) {
    sim_link a = random_link(w), b = random_link(w);
    a.loss = b.loss = (uint32_t)sim_below(&w->rng, 300);
    two_paths(w, &a, &b);
    start(w, 4, 1000000);
    uint32_t id = open_path(w, 1, sim_below(&w->rng, 2) == 0 ? PATH_AVAILABLE : PATH_BACKUP);
    expect_validated(w, id);
    (void)sim_run(w, all_done, sim_below(&w->rng, 300) * NS_PER_MS);
    uint32_t victim = sim_below(&w->rng, 2) == 0 ? 0 : id;
    quic_conn *who = sim_below(&w->rng, 2) == 0 ? transfers[0].conn : server_conn(w);
    if (who != NULL && !transfers[0].closed && quic_conn_close_path(who, victim, PATH_CODE_APPLICATION, w->now) != 0)
        sim_fail(w, "close_path");
    expect_gone(w, victim);
    run_to_end(w);
}

static void open_ten(sim_world *w, int *opened, int *refused) {
    uint32_t id;
    for (uint16_t i = 0; i < 10; i++) {
        addr to = *sim_address(&w->nodes[1], 1);
        to.port = (uint16_t)(3000 + i);
        int r = quic_conn_open_path(transfers[0].conn, &to, sim_address(&w->nodes[0], 1), PATH_BACKUP, w->now, &id);
        *opened += r == 0;
        *refused += r == IROH_ERR_AGAIN;
    }
}

// More paths than the peer allows, and paths before the peer has given connection ids.
static void blocked(sim_world *w) {
    sim_link a = plain_link(), b = plain_link();
    a.loss = (uint32_t)sim_below(&w->rng, 500);
    two_paths(w, &a, &b);
    sim_transfer_start(&transfers[0], &w->nodes[0], &w->nodes[1], 2, 20000, NULL, 0, false);
    if (!sim_run(w, all_connected, 30 * NS_PER_S) || transfers[0].closed) {
        sim_fail(w, "not connected");
        return;
    }
    // No ids have come yet: PATH_CIDS_BLOCKED goes, which the peer takes.
    int opened = 0, refused = 0;
    open_ten(w, &opened, &refused);
    if (opened != 0 || refused != 10)
        sim_fail(w, "%d opened without connection ids", opened);
    if (!sim_run(w, client_knows_paths, 30 * NS_PER_S))
        sim_fail(w, "no connection ids");
    open_ten(w, &opened, &refused);
    if (opened != 7 || refused != 13)
        sim_fail(w, "%d opened, %d refused", opened, refused);
    (void)sim_run(w, never, NS_PER_S);
    // Room is made: one goes, another may come.
    if (quic_conn_close_path(transfers[0].conn, 3, PATH_CODE_APPLICATION, w->now) != 0)
        sim_fail(w, "close_path");
    expect_gone(w, 3);
    (void)sim_run(w, never, 3 * NS_PER_S);
    if (open_path(w, 1, PATH_BACKUP) != 8)
        sim_fail(w, "no ninth path");
    expect_validated(w, 8);
    run_to_end(w);
}

// --- Silence

// A path that nobody uses and nobody keeps alive ends after its time; the other one does not.
static void path_idle(sim_world *w) {
    sim_link a = plain_link(), b = plain_link();
    two_paths(w, &a, &b);
    start(w, 2, 20000);
    uint32_t id = open_path(w, 1, PATH_BACKUP);
    expect_validated(w, id);
    (void)sim_run(w, all_done, NS_PER_S);
    uint64_t idle = (3 + sim_below(&w->rng, 10)) * NS_PER_S;
    quic_conn *who = sim_below(&w->rng, 2) == 0 ? transfers[0].conn : server_conn(w);
    (void)quic_conn_set_path_timeouts(transfers[0].conn, id, who == transfers[0].conn ? idle : 0, 0, w->now);
    (void)quic_conn_set_path_timeouts(server_conn(w), id, who == transfers[0].conn ? 0 : idle, 0, w->now);
    uint64_t begin = w->now;
    expect_gone(w, id);
    // A path is given up only when another was heard of half its time later.
    if (w->now - begin < idle || w->now - begin > 2 * idle + 3 * NS_PER_S)
        sim_fail(w, "idle after %llu ms of %llu", (unsigned long long)((w->now - begin) / NS_PER_MS),
                 (unsigned long long)(idle / NS_PER_MS));
    if (w->nodes[0].abandon_code != PATH_CODE_UNSTABLE_OR_POOR ||
        w->nodes[1].abandon_code != PATH_CODE_UNSTABLE_OR_POOR)
        sim_fail(w, "code %llx", (unsigned long long)w->nodes[0].abandon_code);
    (void)sim_run(w, never, 60 * NS_PER_S);
    run_to_end(w);
}

// Two paths without data stay for minutes.
static void paths_stay(sim_world *w) {
    sim_link a = plain_link(), b = plain_link();
    a.loss = b.loss = (uint32_t)sim_below(&w->rng, 300);
    two_paths(w, &a, &b);
    start(w, 2, 20000);
    uint32_t id = open_path(w, 1, PATH_BACKUP);
    expect_validated(w, id);
    (void)sim_run(w, never, 300 * NS_PER_S);
    const quic_path *p = client_path(id), *q = server_path(w, id);
    if (p == NULL || p->abandoned || q == NULL || q->abandoned || client_path(0) == NULL || client_path(0)->abandoned)
        sim_fail(w, "a path is gone");
    run_to_end(w);
}

// --- Other things that go over paths

static void datagrams(sim_world *w) {
    sim_link a = random_link(w), b = random_link(w);
    two_paths(w, &a, &b);
    start(w, 1, 1000);
    uint32_t id = open_path(w, 1, PATH_AVAILABLE);
    expect_validated(w, id);
    if (sim_below(&w->rng, 2) == 0)
        (void)quic_conn_set_path_status(transfers[0].conn, 0, PATH_BACKUP);
    uint8_t bytes[1150] = {1};  // what fits on any path at any time
    uint64_t sent = 0;
    for (int i = 0; i < 50 && w->failure[0] == '\0'; i++) {
        int max = quic_conn_datagram_max(transfers[0].conn);
        if (max < (int)sizeof bytes)
            sim_fail(w, "largest datagram %d", max);
        else if (quic_conn_datagram_send(transfers[0].conn, bytes, sim_below(&w->rng, sizeof bytes), false) == 0)
            sent++;
        (void)sim_run(w, never, 5 * NS_PER_MS);
    }
    (void)sim_run(w, never, NS_PER_S);
    if (transfers[0].datagrams != sent)
        sim_fail(w, "%llu of %llu datagrams came back", (unsigned long long)transfers[0].datagrams,
                 (unsigned long long)sent);
    run_to_end(w);
}

const sim_scenario sim_scenarios_paths[] = {
    {"second_path", 200, second_path},
    {"different_loss", 40, different_loss},
    {"challenge_lost", 100, challenge_lost},
    {"nobody_at_the_address", 20, nobody_at_the_address},
    {"keys_change_while_opening", 200, keys_change_while_opening},
    {"path_dies", 1000, path_dies},
    {"path_recovers", 50, path_recovers},
    {"status", 100, status},
    {"abandon_cycles", 50, abandon_cycles},
    {"abandon_in_transfer", 200, abandon_in_transfer},
    {"blocked", 100, blocked},
    {"path_idle", 50, path_idle},
    {"paths_stay", 20, paths_stay},
    {"datagrams", 50, datagrams},
    {NULL, 0, NULL},
};
