// Parcels between two loops: what goes in comes out at the other hub in order, however it was packed; datagrams are refused
// when too much is under way, notices never.
#include "relay_server/parcel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/relay_support.h"

#define KIND 7           // of the letters
#define HERE 1           // the shard that receives
#define SERIAL (1 << 8)  // the first one of shard 0

static sys_loop *loop;
static mailbox box;
static _Atomic(unsigned) pending;
static outbox out;
static relay_hub hub;
static relay_random randomness;
static unsigned announced;

static void announce(void *user, int notice, const uint8_t id[static RELAY_ID], uint64_t serial) {
    (void)user, (void)notice, (void)id, (void)serial;
    announced++;
}

static bool deliver(void *user, uint32_t shard, const uint8_t id[static RELAY_ID], bool bulk, const uint8_t *message,
                    size_t len) {
    (void)user, (void)shard, (void)id, (void)bulk, (void)message, (void)len;
    return false;
}

static int set_up(void **state) {
    relay_hub_config config;
    (void)state;
    relay_random_init(&randomness, 1);
    relay_hub_config_default(&config);
    config.random = &randomness.source;
    config.shard = HERE;
    config.shards = 2;
    config.hooks = (relay_hub_hooks){announce, deliver, NULL};
    assert_int_equal(relay_hub_init(&hub, &config), 0);
    assert_int_equal(sys_loop_new(&loop), 0);
    mailbox_init(&box, loop);
    atomic_init(&pending, 0);
    out = (outbox){.to = &box, .pending = &pending, .kind = KIND};
    return 0;
}

static unsigned unpack_all(void) {
    unsigned parcels = 0;
    letter *next, *at = mailbox_take(&box);
    for (; at != NULL; at = next, parcels++) {
        next = at->next;
        assert_int_equal(at->kind, KIND);
        parcel_unpack((parcel *)at, &hub);
    }
    return parcels;
}

static int tear_down(void **state) {
    (void)state;
    (void)unpack_all();
    assert_null(out.open);
    assert_int_equal(atomic_load(&pending), 0);
    relay_hub_dispose(&hub);
    sys_loop_free(loop);
    return 0;
}

// A WebSocket message with one datagram frame of `len` bytes of payload, as one hub hands it to the other.
static size_t put_message(uint8_t *message, const uint8_t *from, uint8_t with, size_t len) {
    size_t header = ws_put_header(message, WS_BINARY, RELAY_DATAGRAM_HEAD + len, NULL);
    uint8_t *p = message + header;
    *p++ = RELAY_TO_CLIENT;
    memcpy(p, from, RELAY_ID);
    p += RELAY_ID;
    *p++ = 0;
    memset(p, with, len);
    return header + RELAY_DATAGRAM_HEAD + len;
}

static void notices_and_messages_arrive_in_order(void **state) {
    (void)state;
    static const uint8_t far[RELAY_ID] = {0x66};
    uint8_t message[128];
    relay_wire w;
    relay_wire_open(&w, &hub, 5, RELAY_V2, 0);
    assert_true(outbox_notice(&out, RELAY_NOTICE_JOIN, far, SERIAL));
    for (uint8_t i = 0; i < 10; i++)
        assert_true(outbox_message(&out, w.id, true, message, put_message(message, far, i, 20)));
    assert_null(mailbox_take(&box));  // nothing is sent before it is said
    outbox_send(&out);
    outbox_send(&out);  // nothing more
    assert_int_equal(atomic_load(&pending), 1);
    assert_int_equal(unpack_all(), 1);
    assert_int_equal(atomic_load(&pending), 0);
    assert_non_null(relay_routes_find(&hub.routes, far));
    relay_wire_flush(&w, 0);
    for (uint8_t i = 0; i < 10; i++) {
        relay_frame f = relay_wire_expect(&w, RELAY_TO_CLIENT);
        assert_true(f.len == 20 && f.data[0] == i && f.data[19] == i);
        assert_memory_equal(f.id, far, RELAY_ID);
    }
    assert_true(outbox_notice(&out, RELAY_NOTICE_LEAVE, far, SERIAL));
    outbox_send(&out);
    assert_int_equal(unpack_all(), 1);
    assert_null(relay_routes_find(&hub.routes, far));
    relay_wire_dispose(&w, 0);
}

static void messages_for_nobody_are_counted_as_dropped(void **state) {
    (void)state;
    static const uint8_t far[RELAY_ID] = {0x66};
    uint8_t message[128];
    size_t len = put_message(message, far, 0, 20);
    assert_true(outbox_message(&out, far, true, message, len));
    assert_true(outbox_message(&out, far, false, message, len));
    outbox_send(&out);
    (void)unpack_all();
    assert_int_equal(hub.counters.send_packets_dropped, 1);  // the bulk one
}

static void parcels_are_filled_and_large_messages_have_their_own(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 1000, 30000, 30000, 30000, RELAY_DATAGRAM_MAX, 2, RELAY_DATAGRAM_MAX, 100};
    uint8_t *message = malloc(RELAY_MESSAGE_MAX + WS_HEADER_MAX);
    relay_wire w;
    assert_non_null(message);
    relay_wire_open(&w, &hub, 5, RELAY_V2, 0);
    for (uint8_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_true(outbox_message(&out, w.id, true, message, put_message(message, w.id, i, sizes[i])));
    outbox_send(&out);
    assert_int_equal(unpack_all(), 6);
    relay_wire_flush(&w, 0);
    for (uint8_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        relay_frame f = relay_wire_expect(&w, RELAY_TO_CLIENT);
        assert_int_equal(f.len, sizes[i]);
        assert_true(f.data[0] == i && f.data[f.len - 1] == i);
    }
    relay_wire_dispose(&w, 0);
    free(message);
}

static void datagrams_wait_for_a_receiver_that_is_behind(void **state) {
    (void)state;
    uint8_t id[RELAY_ID] = {1}, message[128];
    size_t len = put_message(message, id, 0, 20);
    for (unsigned i = 0; i < PARCELS_MAX; i++) {
        assert_true(outbox_message(&out, id, true, message, len));
        outbox_send(&out);
    }
    assert_int_equal(atomic_load(&pending), PARCELS_MAX);
    assert_false(outbox_message(&out, id, true, message, len));
    assert_true(outbox_notice(&out, RELAY_NOTICE_JOIN, id, SERIAL));
    assert_true(outbox_message(&out, id, true, message, len));  // there is a parcel under way to it anyway
    outbox_send(&out);
    assert_int_equal(unpack_all(), PARCELS_MAX + 1);
    assert_non_null(relay_routes_find(&hub.routes, id));
    assert_true(outbox_message(&out, id, true, message, len));
    outbox_send(&out);
}

static void what_is_thrown_away_counts_no_more(void **state) {
    (void)state;
    static const uint8_t id[RELAY_ID] = {1};
    assert_true(outbox_notice(&out, RELAY_NOTICE_JOIN, id, SERIAL));
    outbox_send(&out);
    parcel_free((parcel *)mailbox_take(&box));
    assert_int_equal(atomic_load(&pending), 0);
    assert_null(relay_routes_find(&hub.routes, id));
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(notices_and_messages_arrive_in_order),
        CASE(messages_for_nobody_are_counted_as_dropped),
        CASE(parcels_are_filled_and_large_messages_have_their_own),
        CASE(datagrams_wait_for_a_receiver_that_is_behind),
        CASE(what_is_thrown_away_counts_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
