// The ways to a peer, over connections that only note what is done to them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "net/remote.h"

#define START (100 * NS_PER_S)
#define FAKE_PATHS 12

typedef struct fake {
    bool client;
    quic_path_info paths[FAKE_PATHS];
    size_t count;
    uint32_t next_id;
    int open_error, round_error;  // what these calls answer; 0: they work
    unsigned opened, closed, rounds, timeouts;
    uint64_t idle;  // of the latest timeouts
    addr peers[REMOTE_CANDIDATES_MAX];
    size_t peer_count;
    addr candidates[REMOTE_CANDIDATES_MAX];
    size_t candidate_count;
    remote_conn conn;
} fake;

static quic_path_info *find(fake *f, uint32_t id) {
    for (size_t i = 0; i < f->count; i++) {
        if (f->paths[i].id == id && !f->paths[i].abandoned)
            return &f->paths[i];
    }
    return NULL;
}

static bool fake_is_client(const void *conn) {
    return ((const fake *)conn)->client;
}

static size_t fake_paths(const void *conn, quic_path_info *out, size_t room) {
    const fake *f = conn;
    for (size_t i = 0; i < f->count && i < room; i++)
        out[i] = f->paths[i];
    return f->count;
}

static quic_path_info *add_path(fake *f, addr to, uint64_t ms, bool validated) {
    assert_true(f->count < FAKE_PATHS);
    quic_path_info *p = &f->paths[f->count++];
    *p = (quic_path_info){.id = f->next_id++, .remote = to, .validated = validated};
    p->rtt.smoothed = ms * NS_PER_MS;
    return p;
}

static int fake_open(void *conn, const addr *to, const addr *local, quic_path_status status, uint64_t now,
                     uint32_t *id) {
    fake *f = conn;
    (void)local;
    (void)now;
    if (f->open_error != 0)
        return f->open_error;
    for (size_t i = 0; i < f->count; i++) {
        if (!f->paths[i].abandoned && addr_equal(&f->paths[i].remote, to)) {
            *id = f->paths[i].id;
            return 0;
        }
    }
    quic_path_info *p = add_path(f, *to, 100, false);
    p->status = status;
    *id = p->id;
    f->opened++;
    return 0;
}

static int fake_close(void *conn, uint32_t id, uint64_t code, uint64_t now) {
    quic_path_info *p = find(conn, id);
    (void)now;
    assert_int_equal(code, PATH_CODE_APPLICATION);
    assert_non_null(p);
    p->abandoned = true;
    ((fake *)conn)->closed++;
    return 0;
}

static int fake_status(void *conn, uint32_t id, quic_path_status status) {
    quic_path_info *p = find(conn, id);
    assert_non_null(p);
    p->status = status;
    return 0;
}

static int fake_timeouts(void *conn, uint32_t id, uint64_t idle, uint64_t keep_alive, uint64_t now) {
    fake *f = conn;
    (void)now;
    assert_int_equal(keep_alive, REMOTE_KEEP_ALIVE);
    assert_int_equal(find(f, id)->remote.kind, ADDR_RELAY);
    f->idle = idle;
    f->timeouts++;
    return 0;
}

static int fake_add(void *conn, const addr *a) {
    fake *f = conn;
    f->candidates[f->candidate_count++] = *a;
    return 0;
}

static int fake_remove(void *conn, const addr *a) {
    fake *f = conn;
    for (size_t i = 0; i < f->candidate_count; i++) {
        if (addr_equal(&f->candidates[i], a)) {
            f->candidates[i] = f->candidates[--f->candidate_count];
            return 0;
        }
    }
    fail_msg("a candidate that was never added");
    return IROH_ERR_NOT_FOUND;
}

static size_t fake_candidates(const void *conn, addr *out, size_t room) {
    const fake *f = conn;
    for (size_t i = 0; i < f->peer_count && i < room; i++)
        out[i] = f->peers[i];
    return f->peer_count;
}

static int fake_round(void *conn, uint64_t now) {
    fake *f = conn;
    (void)now;
    assert_true(f->client);
    if (f->round_error == 0)
        f->rounds++;
    return f->round_error;
}

static const remote_ops ops = {
    .is_client = fake_is_client,
    .paths = fake_paths,
    .open_path = fake_open,
    .close_path = fake_close,
    .set_path_status = fake_status,
    .set_path_timeouts = fake_timeouts,
    .add_candidate = fake_add,
    .remove_candidate = fake_remove,
    .candidates = fake_candidates,
    .start_round = fake_round,
};

static const uint8_t peer_id[32] = {7};

static addr ip(uint8_t last) {
    return addr_ip4((const uint8_t[]){198, 51, 100, last}, 4000);
}

static addr relay(uint32_t number) {
    addr a = {.kind = ADDR_RELAY, .scope = number};
    memcpy(a.bytes, peer_id, sizeof peer_id);
    return a;
}

// A peer, our own addresses and one connection to it, at whose path 0 the handshake was.
typedef struct world {
    remote_locals locals;
    remote remote;
    fake f;
    uint64_t now;
} world;

static void world_init(world *w, bool client, addr first) {
    *w = (world){.now = START};
    w->locals.list[w->locals.count++] = ip(200);
    remote_init(&w->remote, peer_id, &ops, &w->locals, w->now);
    w->f.client = client;
    w->f.conn.conn = &w->f;
    list_init(&w->f.conn.link);
    add_path(&w->f, first, 40, true);
}

static void connect(world *w) {
    remote_add(&w->remote, &w->f.conn, w->now);
}

static void establish(world *w, fake *f, quic_path_info *p, uint64_t ms) {
    p->validated = true;
    p->rtt.smoothed = ms * NS_PER_MS;
    quic_path_event e = {.kind = PATH_EVENT_ESTABLISHED, .path = p->id, .address = p->remote};
    remote_on_event(&w->remote, &f->conn, &e, w->now);
}

static void abandon(world *w, quic_path_info *p) {
    p->abandoned = true;
    quic_path_event e = {.kind = PATH_EVENT_ABANDONED, .path = p->id, .address = p->remote};
    remote_on_event(&w->remote, &w->f.conn, &e, w->now);
}

// Lets time pass to `until`, serving deadlines.
static void pass(world *w, uint64_t until) {
    for (uint64_t at; (at = remote_deadline(&w->remote)) <= until;) {
        w->now = time_max(w->now, at);
        remote_tick(&w->remote, w->now);
        assert_true(remote_deadline(&w->remote) > at);
    }
    w->now = until;
}

// --- Paths

static void direct_path_takes_over_and_relay_stays_as_backup(void **state) {
    (void)state;
    world w;
    world_init(&w, true, relay(0));
    connect(&w);
    assert_int_equal(w.f.paths[0].status, PATH_AVAILABLE);
    assert_int_equal(w.f.idle, REMOTE_RELAY_IDLE);
    quic_path_info *direct = add_path(&w.f, ip(1), 90, false);
    direct->status = PATH_BACKUP;
    establish(&w, &w.f, direct, 90);
    assert_int_equal(direct->status, PATH_AVAILABLE);
    assert_int_equal(w.f.paths[0].status, PATH_BACKUP);
    assert_false(w.f.paths[0].abandoned);
    assert_true(remote_is_chosen(&w.remote, &direct->remote, &direct->local));
    remote_dispose(&w.remote);
}

static void relay_takes_over_when_the_direct_path_is_gone(void **state) {
    (void)state;
    world w;
    world_init(&w, true, relay(0));
    connect(&w);
    establish(&w, &w.f, add_path(&w.f, ip(1), 20, false), 20);
    abandon(&w, &w.f.paths[1]);
    assert_int_equal(w.f.paths[0].status, PATH_AVAILABLE);
    assert_true(remote_is_chosen(&w.remote, &w.f.paths[0].remote, &w.f.paths[0].local));
    remote_dispose(&w.remote);
}

static void losing_direct_paths_are_closed_by_the_client_alone(void **state) {
    (void)state;
    for (int client = 0; client < 2; client++) {
        world w;
        world_init(&w, client == 1, ip(1));
        connect(&w);
        establish(&w, &w.f, add_path(&w.f, relay(0), 60, false), 60);
        establish(&w, &w.f, add_path(&w.f, ip(2), 10, false), 10);
        assert_int_equal(w.f.paths[0].abandoned, client == 1);
        assert_int_equal(w.f.paths[0].status, client == 1 ? PATH_AVAILABLE : PATH_BACKUP);
        assert_false(w.f.paths[1].abandoned);
        assert_int_equal(w.f.paths[2].status, PATH_AVAILABLE);
        assert_int_equal(w.f.closed, client);
        remote_dispose(&w.remote);
    }
}

// What is not shown to work is neither chosen nor closed.
static void paths_that_are_not_validated_are_left_alone(void **state) {
    (void)state;
    world w;
    world_init(&w, true, ip(1));
    connect(&w);
    add_path(&w.f, ip(2), 1, false);
    establish(&w, &w.f, add_path(&w.f, ip(3), 39, false), 39);  // no gain: it loses and goes
    assert_false(w.f.paths[1].abandoned);
    assert_true(w.f.paths[2].abandoned);
    assert_false(w.f.paths[0].abandoned);
    remote_dispose(&w.remote);
}

static void client_opens_backups_over_the_peers_relays(void **state) {
    (void)state;
    world w;
    world_init(&w, true, ip(1));
    addr first = relay(0), second = relay(3);
    remote_learn(&w.remote, &first, w.now);
    remote_learn(&w.remote, &second, w.now);
    connect(&w);
    assert_int_equal(w.f.opened, 2);
    assert_true(addr_equal(&w.f.paths[1].remote, &first) && addr_equal(&w.f.paths[2].remote, &second));
    assert_int_equal(w.f.paths[1].status, PATH_BACKUP);
    remote_dispose(&w.remote);
}

static void server_opens_nothing(void **state) {
    (void)state;
    world w;
    world_init(&w, false, ip(1));
    addr first = relay(0);
    remote_learn(&w.remote, &first, w.now);
    connect(&w);
    pass(&w, START + 300 * NS_PER_S);
    assert_int_equal(w.f.opened + w.f.rounds, 0);
    assert_int_equal(w.f.candidate_count, 1);  // but it names its addresses
    remote_dispose(&w.remote);
}

static void opening_is_tried_again(void **state) {
    (void)state;
    world w;
    world_init(&w, true, ip(1));
    addr r = relay(0);
    remote_learn(&w.remote, &r, w.now);
    w.f.open_error = IROH_ERR_AGAIN;
    connect(&w);
    assert_int_equal(w.f.opened, 0);
    pass(&w, START + REMOTE_OPEN_RETRY);
    assert_int_equal(w.f.opened, 0);
    w.f.open_error = 0;
    pass(&w, START + 2 * REMOTE_OPEN_RETRY);
    assert_int_equal(w.f.opened, 1);
    remote_dispose(&w.remote);
}

// A path that one connection found is opened on the others, which then give up their worse ones.
static void connections_share_the_choice(void **state) {
    (void)state;
    world w;
    fake other = {.client = true, .conn.conn = &other};
    world_init(&w, true, ip(1));
    list_init(&other.conn.link);
    add_path(&other, ip(1), 40, true);
    connect(&w);
    remote_add(&w.remote, &other.conn, w.now);
    establish(&w, &w.f, add_path(&w.f, ip(2), 5, false), 5);
    assert_int_equal(other.opened, 1);
    assert_true(addr_equal(&other.paths[1].remote, &w.f.paths[1].remote));
    assert_int_equal(other.paths[1].status, PATH_AVAILABLE);
    assert_false(other.paths[0].abandoned);  // until the new one works
    establish(&w, &other, &other.paths[1], 5);
    assert_true(other.paths[0].abandoned);
    // It outlasts the one that found it, and not the last.
    remote_drop(&w.remote, &w.f.conn, w.now);
    assert_true(remote_is_chosen(&w.remote, &other.paths[1].remote, &other.paths[1].local));
    remote_drop(&w.remote, &other.conn, w.now);
    assert_false(remote_is_chosen(&w.remote, &other.paths[1].remote, &other.paths[1].local));
    remote_dispose(&w.remote);
}

// --- Rounds

static void candidates(world *w) {
    quic_path_event e = {.kind = PATH_EVENT_CANDIDATES};
    remote_on_event(&w->remote, &w->f.conn, &e, w->now);
}

static void new_addresses_start_rounds_and_old_ones_wait(void **state) {
    (void)state;
    world w;
    world_init(&w, true, relay(0));
    connect(&w);
    assert_int_equal(w.f.rounds, 1);
    w.f.peers[w.f.peer_count++] = ip(1);
    candidates(&w);
    assert_int_equal(w.f.rounds, 2);
    w.now += NS_PER_S;
    candidates(&w);
    assert_int_equal(w.f.rounds, 2);
    pass(&w, START + REMOTE_ROUND_INTERVAL - 1);
    assert_int_equal(w.f.rounds, 2);
    pass(&w, START + REMOTE_ROUND_INTERVAL);
    assert_int_equal(w.f.rounds, 3);
    w.f.peer_count = 0;  // fewer are no news
    candidates(&w);
    assert_int_equal(w.f.rounds, 3);
    remote_dispose(&w.remote);
}

static void own_addresses_are_announced_and_withdrawn(void **state) {
    (void)state;
    world w;
    world_init(&w, true, relay(0));
    connect(&w);
    const remote_locals before = w.locals;
    w.locals.list[0] = ip(201);
    w.locals.list[w.locals.count++] = ip(202);
    remote_locals_changed(&w.remote, &before, w.now);
    assert_int_equal(w.f.candidate_count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(addr_equal(&w.f.candidates[i], &w.locals.list[i]));
    assert_int_equal(w.f.rounds, 2);
    const remote_locals both = w.locals;
    w.locals.count = 1;
    remote_locals_changed(&w.remote, &both, w.now);
    assert_int_equal(w.f.candidate_count, 1);
    assert_int_equal(w.f.rounds, 2);  // what went away is no reason
    remote_dispose(&w.remote);
}

static void rounds_go_on_once_a_minute_until_it_is_good_enough(void **state) {
    (void)state;
    world w;
    world_init(&w, true, relay(0));
    connect(&w);
    pass(&w, START + 2 * REMOTE_UPGRADE_INTERVAL);
    assert_int_equal(w.f.rounds, 3);
    establish(&w, &w.f, add_path(&w.f, ip(1), 50, false), 50);
    pass(&w, START + 3 * REMOTE_UPGRADE_INTERVAL);
    assert_int_equal(w.f.rounds, 4);
    w.f.paths[1].rtt.smoothed = REMOTE_GOOD_RTT;
    pass(&w, START + 6 * REMOTE_UPGRADE_INTERVAL);
    assert_int_equal(w.f.rounds, 4);
    remote_dispose(&w.remote);
}

static void round_that_cannot_begin_is_tried_again_soon(void **state) {
    (void)state;
    world w;
    world_init(&w, true, relay(0));
    w.f.round_error = IROH_ERR_AGAIN;
    connect(&w);
    pass(&w, START + REMOTE_ROUND_RETRY);
    w.f.round_error = 0;
    pass(&w, START + 2 * REMOTE_ROUND_RETRY);
    assert_int_equal(w.f.rounds, 1);
    remote_dispose(&w.remote);
}

static void peer_without_nat_traversal_costs_no_more_than_a_try_a_minute(void **state) {
    (void)state;
    world w;
    world_init(&w, true, relay(0));
    w.f.round_error = IROH_ERR_UNSUPPORTED;
    connect(&w);
    assert_int_equal(remote_deadline(&w.remote), START + REMOTE_UPGRADE_INTERVAL);
    remote_dispose(&w.remote);
}

static void nothing_is_tried_without_addresses_of_our_own(void **state) {
    (void)state;
    world w;
    world_init(&w, true, relay(0));
    w.locals.count = 0;
    connect(&w);
    candidates(&w);
    pass(&w, START + 3 * REMOTE_UPGRADE_INTERVAL);
    assert_int_equal(w.f.rounds, 0);
    remote_dispose(&w.remote);
}

// --- Addresses

static size_t dial(const world *w, addr out[static 16]) {
    return remote_dial_addresses(&w->remote, out, 16);
}

static void dialling_tries_relays_first_and_not_ourselves(void **state) {
    (void)state;
    world w;
    addr out[16], own = ip(200), a = ip(1), r = relay(0);
    world_init(&w, true, ip(9));
    remote_learn(&w.remote, &own, w.now);
    remote_learn(&w.remote, &a, w.now);
    remote_learn(&w.remote, &r, w.now);
    remote_learn(&w.remote, &a, w.now);
    assert_int_equal(dial(&w, out), 2);
    assert_true(addr_equal(&out[0], &r) && addr_equal(&out[1], &a));
    assert_int_equal(remote_dial_addresses(&w.remote, out, 1), 1);
    remote_dispose(&w.remote);
}

static void dialling_again_uses_the_path_and_what_is_new(void **state) {
    (void)state;
    world w;
    addr out[16], r = relay(0), fresh = ip(2);
    world_init(&w, true, ip(1));
    remote_learn(&w.remote, &r, w.now);
    connect(&w);
    establish(&w, &w.f, &w.f.paths[1], 70);
    assert_int_equal(dial(&w, out), 1);
    assert_true(addr_equal(&out[0], &w.f.paths[0].remote));
    remote_learn(&w.remote, &fresh, w.now);
    assert_int_equal(dial(&w, out), 2);
    assert_true(addr_equal(&out[1], &fresh));
    remote_dispose(&w.remote);
}

static void peer_is_forgotten_a_while_after_its_last_connection(void **state) {
    (void)state;
    world w;
    addr out[16];
    world_init(&w, true, ip(1));
    connect(&w);
    pass(&w, START + 500 * NS_PER_S);
    assert_false(remote_is_forgettable(&w.remote, w.now));
    remote_drop(&w.remote, &w.f.conn, w.now);
    assert_int_equal(remote_deadline(&w.remote), w.now + REMOTE_FORGET);
    assert_int_equal(dial(&w, out), 1);  // until then it is found again
    assert_false(remote_is_forgettable(&w.remote, w.now + REMOTE_FORGET - 1));
    assert_true(remote_is_forgettable(&w.remote, w.now + REMOTE_FORGET));
    remote_dispose(&w.remote);
}

static void old_direct_addresses_make_room(void **state) {
    (void)state;
    world w;
    world_init(&w, true, relay(0));
    connect(&w);
    for (uint8_t i = 1; i <= 20; i++) {
        w.now += NS_PER_S;
        w.f.count = 1;
        establish(&w, &w.f, add_path(&w.f, ip(i), 20, false), 20);
        abandon(&w, &w.f.paths[1]);
    }
    assert_int_equal(w.remote.known_count, 21);
    for (uint8_t i = 101; i <= 110; i++) {
        addr a = ip(i);
        remote_learn(&w.remote, &a, w.now);
    }
    assert_int_equal(w.remote.known_count, 31);
    addr one_more = ip(111), oldest = ip(10), kept = ip(11);
    remote_learn(&w.remote, &one_more, w.now);
    assert_int_equal(w.remote.known_count, 22);
    for (size_t i = 0; i < w.remote.known_count; i++)
        assert_false(addr_equal(&w.remote.known[i].address, &oldest));
    bool found = false;
    for (size_t i = 0; i < w.remote.known_count; i++)
        found |= addr_equal(&w.remote.known[i].address, &kept);
    assert_true(found);
    remote_dispose(&w.remote);
}

static void addresses_are_bounded(void **state) {
    (void)state;
    world w;
    world_init(&w, true, relay(0));
    for (unsigned i = 0; i < 2 * REMOTE_KNOWN_MAX; i++) {
        addr a = addr_ip4((const uint8_t[]){10, 0, (uint8_t)(i >> 8), (uint8_t)i}, 1);
        remote_learn(&w.remote, &a, w.now);
    }
    assert_int_equal(w.remote.known_count, REMOTE_KNOWN_MAX);
    remote_dispose(&w.remote);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_path_takes_over_and_relay_stays_as_backup),
        cmocka_unit_test(relay_takes_over_when_the_direct_path_is_gone),
        cmocka_unit_test(losing_direct_paths_are_closed_by_the_client_alone),
        cmocka_unit_test(paths_that_are_not_validated_are_left_alone),
        cmocka_unit_test(client_opens_backups_over_the_peers_relays),
        cmocka_unit_test(server_opens_nothing),
        cmocka_unit_test(opening_is_tried_again),
        cmocka_unit_test(connections_share_the_choice),
        cmocka_unit_test(new_addresses_start_rounds_and_old_ones_wait),
        cmocka_unit_test(own_addresses_are_announced_and_withdrawn),
        cmocka_unit_test(rounds_go_on_once_a_minute_until_it_is_good_enough),
        cmocka_unit_test(round_that_cannot_begin_is_tried_again_soon),
        cmocka_unit_test(peer_without_nat_traversal_costs_no_more_than_a_try_a_minute),
        cmocka_unit_test(nothing_is_tried_without_addresses_of_our_own),
        cmocka_unit_test(dialling_tries_relays_first_and_not_ourselves),
        cmocka_unit_test(dialling_again_uses_the_path_and_what_is_new),
        cmocka_unit_test(peer_is_forgotten_a_while_after_its_last_connection),
        cmocka_unit_test(old_direct_addresses_make_room),
        cmocka_unit_test(addresses_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
