// Several hubs of one server: notices between them keep their tables alike whatever the order between hubs, and datagrams
// and notices of gone peers cross over. And the parts of the hub: routes, peers, queues.
#include "relay/hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "relay/peers.h"
#include "relay/queue.h"
#include "unit/relay_support.h"

#define HUBS 3
#define CLIENTS 12
#define KEYS 4
#define QUEUE_MAX 4096

typedef struct letter {
    int kind;  // RELAY_NOTICE_*, 0: a message
    uint8_t id[RELAY_ID];
    uint64_t serial;
    bool bulk;
    uint8_t *message;
    size_t len;
} letter;

// Between each two hubs a queue, in order, read when the test says so.
typedef struct lane {
    letter letters[QUEUE_MAX];
    size_t sent, read;
} lane;

static relay_hub hubs[HUBS];
static lane lanes[HUBS][HUBS];
static relay_random randomness;

static uint32_t shard_of(const void *user) {
    return (uint32_t)((const relay_hub *)user - hubs);
}

static letter *post(uint32_t from, uint32_t to, const uint8_t *id) {
    lane *l = &lanes[from][to];
    letter *m = &l->letters[l->sent++ % QUEUE_MAX];
    assert_true(l->sent - l->read <= QUEUE_MAX);
    *m = (letter){0};
    memcpy(m->id, id, RELAY_ID);
    return m;
}

static void announce(void *user, int notice, const uint8_t id[static RELAY_ID], uint64_t serial) {
    for (uint32_t to = 0; to < HUBS; to++) {
        if (to == shard_of(user))
            continue;
        letter *m = post(shard_of(user), to, id);
        m->kind = notice;
        m->serial = serial;
    }
}

static bool deliver(void *user, uint32_t shard, const uint8_t id[static RELAY_ID], bool bulk, const uint8_t *message,
                    size_t len) {
    assert_true(shard < HUBS && shard != shard_of(user));
    letter *m = post(shard_of(user), shard, id);
    m->bulk = bulk;
    m->message = malloc(len);
    assert_non_null(m->message);
    memcpy(m->message, message, len);
    m->len = len;
    return true;
}

static bool read_one(uint32_t from, uint32_t to) {
    lane *l = &lanes[from][to];
    if (l->read == l->sent)
        return false;
    letter *m = &l->letters[l->read++ % QUEUE_MAX];
    if (m->kind != 0)
        assert_int_equal(relay_hub_heard(&hubs[to], m->kind, m->id, m->serial), 0);
    else
        relay_hub_deliver(&hubs[to], m->id, m->bulk, m->message, m->len);
    free(m->message);
    return true;
}

static void read_all(void) {
    for (bool any = true; any;) {
        any = false;
        for (uint32_t from = 0; from < HUBS; from++) {
            for (uint32_t to = 0; to < HUBS; to++)
                any = read_one(from, to) || any;
        }
    }
}

static int set_up(void **state) {
    (void)state;
    relay_random_init(&randomness, 3);
    memset(lanes, 0, sizeof lanes);
    for (uint32_t i = 0; i < HUBS; i++) {
        relay_hub_config config;
        relay_hub_config_default(&config);
        config.random = &randomness.source;
        config.shard = i;
        config.shards = HUBS;
        config.hooks = (relay_hub_hooks){announce, deliver, &hubs[i]};
        assert_int_equal(relay_hub_init(&hubs[i], &config), 0);
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    read_all();
    for (uint32_t i = 0; i < HUBS; i++) {
        assert_int_equal(hubs[i].routes.count, 0);
        relay_hub_dispose(&hubs[i]);
    }
    return 0;
}

static void datagrams_cross_over(void **state) {
    (void)state;
    relay_wire a, b;
    relay_wire_open(&a, &hubs[0], 1, RELAY_V2, 0);
    relay_wire_open(&b, &hubs[2], 2, RELAY_V2, 0);
    assert_int_equal(relay_wire_datagram(&a, b.id, "too early", 9, 0), 0);  // the notice is under way
    assert_int_equal(hubs[0].counters.send_packets_dropped, 1);
    read_all();
    assert_int_equal(relay_wire_datagram(&a, b.id, "across", 6, 0), 0);
    read_all();
    relay_wire_flush(&b, 0);
    relay_frame f = relay_wire_expect(&b, RELAY_TO_CLIENT);
    assert_true(f.len == 6 && memcmp(f.data, "across", 6) == 0 && memcmp(f.id, a.id, RELAY_ID) == 0);
    relay_wire_dispose(&a, 0);
    read_all();
    relay_wire_flush(&b, 0);
    assert_memory_equal(relay_wire_expect(&b, RELAY_GONE).id, a.id, RELAY_ID);
    relay_wire_dispose(&b, 0);
}

static void a_notice_that_comes_too_late_is_no_dropped_datagram(void **state) {
    (void)state;
    relay_wire a, b;
    relay_wire_open(&a, &hubs[0], 1, RELAY_V2, 0);
    relay_wire_open(&b, &hubs[2], 2, RELAY_V2, 0);
    read_all();
    assert_int_equal(relay_wire_datagram(&a, b.id, "across", 6, 0), 0);
    read_all();
    relay_wire_dispose(&a, 0);  // that it is gone is under way to b
    relay_wire_dispose(&b, 0);
    read_all();
    assert_int_equal(hubs[2].counters.send_packets_dropped, 0);
}

static void the_newest_is_active_wherever_it_is(void **state) {
    (void)state;
    relay_wire old, new;
    relay_wire_open(&old, &hubs[0], 1, RELAY_V2, 0);
    read_all();
    relay_wire_open(&new, &hubs[1], 1, RELAY_V2, 0);
    read_all();
    relay_wire_flush(&old, 0);
    assert_int_equal(relay_wire_expect(&old, RELAY_STATUS).code, RELAY_STATUS_SAME_ID);
    relay_wire_dispose(&new, 0);
    read_all();
    relay_wire_flush(&old, 0);
    assert_int_equal(relay_wire_expect(&old, RELAY_STATUS).code, RELAY_STATUS_HEALTHY);
    relay_wire_dispose(&old, 0);
}

// Each hub's table says the same of each id, and the session's last status says whether it is the active one.
static void check_agreement(relay_wire *clients, const bool *open, bool *inactive) {
    for (size_t i = 0; i < CLIENTS; i++) {
        ws_message m;
        if (!open[i])
            continue;
        relay_wire_flush(&clients[i], 0);
        while (relay_wire_next(&clients[i], &m)) {
            if (m.len == 2 && m.data[0] == RELAY_STATUS)
                inactive[i] = m.data[1] == RELAY_STATUS_SAME_ID;
        }
        const relay_session *s = &clients[i].session;
        uint64_t active = relay_route_active(s->route)->serial;
        assert_int_equal(inactive[i], active != s->serial);
        for (uint32_t h = 0; h < HUBS; h++) {
            const relay_route *route = relay_routes_find(&hubs[h].routes, clients[i].id);
            assert_non_null(route);
            assert_true(relay_route_active(route)->serial == active && route->count == s->route->count);
        }
    }
}

static void tables_agree_after_any_schedule(void **state) {
    (void)state;
    static relay_wire clients[CLIENTS];
    bool open[CLIENTS] = {false}, inactive[CLIENTS] = {false};
    for (int step = 0; step < 3000; step++) {
        uint64_t r = entropy_u64(&randomness.source);
        size_t i = r % CLIENTS;
        switch (r >> 8 & 3) {
        case 0:
            if (open[i])
                relay_wire_dispose(&clients[i], 0);
            else
                relay_wire_open(&clients[i], &hubs[(r >> 16) % HUBS], (uint8_t)(1 + (r >> 24) % KEYS), RELAY_V2, 0);
            open[i] = !open[i];
            inactive[i] = false;
            break;
        case 1:
            if (open[i])
                (void)relay_wire_datagram(&clients[i], clients[(r >> 16) % CLIENTS].id, "x", 1, 0);
            break;
        default:
            (void)read_one((uint32_t)((r >> 16) % HUBS), (uint32_t)((r >> 24) % HUBS));
            break;
        }
        if (step % 50 == 0) {
            read_all();
            check_agreement(clients, open, inactive);
        }
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        if (open[i])
            relay_wire_dispose(&clients[i], 0);
    }
}

static void wrong_configurations_are_refused(void **state) {
    (void)state;
    relay_hub hub;
    relay_hub_config good, config;
    relay_hub_config_default(&good);
    assert_int_equal(relay_hub_init(&hub, &good), IROH_ERR_ARG);  // no source of randomness
    good.random = &randomness.source;
    config = good;
    config.shards = 0;
    assert_int_equal(relay_hub_init(&hub, &config), IROH_ERR_ARG);
    config.shards = RELAY_HUB_SHARDS_MAX + 1;
    assert_int_equal(relay_hub_init(&hub, &config), IROH_ERR_ARG);
    config.shards = 2;  // without hooks
    assert_int_equal(relay_hub_init(&hub, &config), IROH_ERR_ARG);
    config = good;
    config.shard = 1;
    assert_int_equal(relay_hub_init(&hub, &config), IROH_ERR_ARG);
}

// --- Peers

static void peers_are_a_bounded_set(void **state) {
    (void)state;
    relay_peers p;
    uint8_t id[RELAY_ID] = {0};
    relay_peers_init(&p, 12345);
    assert_false(relay_peers_add(&p, id));  // nobody's
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 1; i <= RELAY_PEERS_MAX; i++) {
            memcpy(id + 11, &i, sizeof i);
            assert_true(relay_peers_add(&p, id));
        }
        assert_int_equal(p.count, RELAY_PEERS_MAX);
    }
    memset(id, 0xff, sizeof id);
    assert_false(relay_peers_add(&p, id));
    size_t at = 0;
    uint64_t count = 0, sum = 0;
    for (const uint8_t *next; (next = relay_peers_next(&p, &at)) != NULL; count++) {
        uint32_t i;
        memcpy(&i, next + 11, sizeof i);
        sum += i;
    }
    assert_int_equal(count, RELAY_PEERS_MAX);
    assert_int_equal(sum, (uint64_t)RELAY_PEERS_MAX * (RELAY_PEERS_MAX + 1) / 2);
    relay_peers_dispose(&p);
}

// --- Queues

static const relay_queue_limits wide = {1000, 1 << 20};

static size_t take_bytes(relay_queue *q, uint8_t *out) {
    relay_block *b = relay_queue_take(q);
    assert_non_null(b);
    size_t len = b->end - b->start;
    memcpy(out, b->bytes + b->start, len);
    relay_queue_done(q, b);
    return len;
}

static void urgent_waits_only_for_a_message_that_was_begun(void **state) {
    (void)state;
    relay_blocks store;
    relay_queue q;
    size_t large = 2 * RELAY_BLOCK_ROOM + 5;
    uint8_t *bytes = calloc(1, large), *out = malloc(RELAY_BLOCK_ROOM);
    assert_true(bytes != NULL && out != NULL);
    relay_blocks_init(&store, 10);
    relay_queue_init(&q, &store);
    assert_int_equal(relay_queue_push(&q, true, bytes, large, &wide), 0);
    assert_int_equal(relay_queue_push(&q, true, (const uint8_t *)"next", 4, &wide), 0);
    assert_int_equal(take_bytes(&q, out), RELAY_BLOCK_ROOM);
    assert_int_equal(relay_queue_push(&q, false, (const uint8_t *)"urgent", 6, &wide), 0);
    assert_int_equal(take_bytes(&q, out), RELAY_BLOCK_ROOM);
    assert_int_equal(take_bytes(&q, out), 5 + 4);  // the next message shares the last block
    assert_int_equal(take_bytes(&q, out), 6);
    assert_false(relay_queue_pending(&q));
    assert_true(q.bulk.messages == 0 && q.bulk.bytes == 0 && q.urgent.messages == 0 && store.in_use == 0);
    relay_queue_clear(&q);
    relay_blocks_dispose(&store);
    free(bytes);
    free(out);
}

static void queues_keep_to_their_bounds(void **state) {
    (void)state;
    static const relay_queue_limits narrow = {3, 100};
    uint8_t *bytes = calloc(1, 4 * RELAY_BLOCK_ROOM);
    assert_non_null(bytes);
    relay_blocks store;
    relay_queue q;
    relay_blocks_init(&store, 3);
    relay_queue_init(&q, &store);
    assert_int_equal(relay_queue_push(&q, true, bytes, 200, &narrow), 0);  // alone it may be larger
    assert_int_equal(relay_queue_push(&q, true, bytes, 1, &narrow), IROH_ERR_LIMIT);
    relay_queue_clear(&q);
    for (int i = 0; i < 3; i++)
        assert_int_equal(relay_queue_push(&q, true, bytes, 10, &narrow), 0);
    assert_int_equal(relay_queue_push(&q, true, bytes, 10, &narrow), IROH_ERR_LIMIT);
    relay_block *taken = relay_queue_take(&q);
    assert_int_equal(relay_queue_push(&q, true, bytes, 10, &narrow), IROH_ERR_LIMIT);  // not written yet
    relay_queue_done(&q, taken);
    assert_int_equal(relay_queue_push(&q, true, bytes, 0, &wide), IROH_ERR_LIMIT);
    assert_int_equal(relay_queue_push(&q, false, bytes, RELAY_BLOCK_ROOM + 1, &wide), IROH_ERR_LIMIT);
    assert_int_equal(relay_queue_push(&q, true, bytes, 4 * RELAY_BLOCK_ROOM, &wide), IROH_ERR_LIMIT);
    assert_int_equal(relay_queue_push(&q, true, bytes, 3 * RELAY_BLOCK_ROOM, &wide), 0);
    assert_int_equal(relay_queue_push(&q, true, bytes, 1, &wide), IROH_ERR_LIMIT);  // the store is empty
    assert_int_equal(store.in_use, 3);
    relay_queue_clear(&q);
    assert_int_equal(store.in_use, 0);
    relay_blocks_dispose(&store);
    free(bytes);
}

static void what_is_held_waits_and_urgent_does_not(void **state) {
    (void)state;
    uint8_t out[RELAY_BLOCK_ROOM];
    relay_blocks store;
    relay_queue q;
    relay_blocks_init(&store, 10);
    relay_queue_init(&q, &store);
    q.hold = true;
    assert_int_equal(relay_queue_push(&q, true, (const uint8_t *)"held", 4, &wide), 0);
    assert_false(relay_queue_pending(&q));
    assert_null(relay_queue_take(&q));
    assert_int_equal(relay_queue_push(&q, false, (const uint8_t *)"go", 2, &wide), 0);
    assert_int_equal(take_bytes(&q, out), 2);
    q.hold = false;
    assert_int_equal(take_bytes(&q, out), 4);
    assert_int_equal(relay_queue_push(&q, true, (const uint8_t *)"dropped", 7, &wide), 0);
    relay_queue_clear_bulk(&q);
    assert_true(!relay_queue_pending(&q) && q.bulk.messages == 0 && q.bulk.bytes == 0);
    relay_blocks_dispose(&store);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(datagrams_cross_over),
        CASE(a_notice_that_comes_too_late_is_no_dropped_datagram),
        CASE(the_newest_is_active_wherever_it_is),
        CASE(tables_agree_after_any_schedule),
        CASE(wrong_configurations_are_refused),
        cmocka_unit_test(peers_are_a_bounded_set),
        cmocka_unit_test(urgent_waits_only_for_a_message_that_was_begun),
        cmocka_unit_test(queues_keep_to_their_bounds),
        cmocka_unit_test(what_is_held_waits_and_urgent_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
