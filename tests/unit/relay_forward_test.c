// Between the clients of a server: forwarding, duplicate ids, notices, queues, slow clients.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "unit/relay_support.h"

// --- Forwarding

static void datagrams_reach_their_receiver_with_the_senders_id(void **state) {
    (void)state;
    relay_wire a, b;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &relay_one_hub, 2, RELAY_V1, 0);
    (void)relay_wire_wants(&a);
    assert_int_equal(relay_wire_datagram(&a, b.id, "hello", 5, 0), 0);
    const relay_frame batch = {.type = RELAY_TO_RELAY_BATCH,
                               .ecn = 2,
                               .segment = 4,
                               .id = b.id,
                               .data = (const uint8_t *)"aaaabbbbcc",
                               .len = 10};
    assert_int_equal(relay_wire_frame(&a, &batch, 0), 0);
    assert_int_equal(relay_wire_wants(&b), RELAY_WANTS_WRITE);
    relay_wire_flush(&b, 0);
    relay_frame f = relay_wire_expect(&b, RELAY_TO_CLIENT);
    assert_true(f.ecn == 0 && f.len == 5 && memcmp(f.data, "hello", 5) == 0);
    assert_memory_equal(f.id, a.id, RELAY_ID);
    f = relay_wire_expect(&b, RELAY_TO_CLIENT_BATCH);
    assert_true(f.ecn == 2 && f.segment == 4 && f.len == 10 && memcmp(f.data, "aaaabbbbcc", 10) == 0);
    assert_true(relay_wire_silent(&b));
    relay_wire_flush(&a, 0);
    assert_true(relay_wire_silent(&a));
    assert_true(relay_one_hub.counters.bytes_recv == 15 && relay_one_hub.counters.bytes_sent == 15);
    assert_true(relay_one_hub.counters.send_packets_recv == 2 && relay_one_hub.counters.send_packets_sent == 2);
    relay_wire_dispose(&a, 0);
    relay_wire_dispose(&b, 0);
}

static void every_size_arrives_whole(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 91, 92, 1200, RELAY_BLOCK_ROOM - 38, RELAY_BLOCK_ROOM, 40000, RELAY_DATAGRAM_MAX};
    uint8_t *data = malloc(RELAY_DATAGRAM_MAX);
    assert_non_null(data);
    for (size_t i = 0; i < RELAY_DATAGRAM_MAX; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    relay_wire a, b;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &relay_one_hub, 2, RELAY_V2, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(relay_wire_datagram(&a, b.id, data, sizes[i], 0), 0);
    relay_wire_flush(&b, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        relay_frame f = relay_wire_expect(&b, RELAY_TO_CLIENT);
        assert_int_equal(f.len, sizes[i]);
        assert_memory_equal(f.data, data, sizes[i]);
    }
    relay_wire_dispose(&a, 0);
    relay_wire_dispose(&b, 0);
    assert_int_equal(relay_one_hub.blocks.in_use, 0);
    free(data);
}

static void nobody_is_hurt_by_what_cannot_be_forwarded(void **state) {
    (void)state;
    uint8_t *message = calloc(1, RELAY_MESSAGE_MAX + 1), nobody[RELAY_ID] = {2};
    assert_non_null(message);
    relay_wire a, b;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &relay_one_hub, 2, RELAY_V2, 0);
    message[0] = RELAY_TO_RELAY;
    memcpy(message + 1, b.id, RELAY_ID);
    assert_int_equal(relay_wire_message(&a, WS_BINARY, message, RELAY_DATAGRAM_HEAD, 0), 0);
    assert_int_equal(relay_wire_message(&a, WS_BINARY, message, RELAY_FRAME_MAX + 1, 0), 0);
    assert_int_equal(relay_wire_datagram(&a, nobody, "x", 1, 0), 0);
    assert_int_equal(relay_one_hub.counters.send_packets_dropped, 3);
    relay_wire_flush(&b, 0);
    assert_true(relay_wire_silent(&b) && b.session.state == RELAY_SESSION_OPEN);
    assert_int_equal(relay_wire_message(&a, WS_BINARY, message, RELAY_FRAME_MAX + 2, 0), IROH_ERR_TOO_LARGE);
    assert_int_equal(b.session.state, RELAY_SESSION_OPEN);
    relay_wire_dispose(&a, 0);
    relay_wire_dispose(&b, 0);
    free(message);
}

static void a_client_may_send_to_itself(void **state) {
    (void)state;
    relay_wire a;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    assert_int_equal(relay_wire_datagram(&a, a.id, "me", 2, 0), 0);
    relay_wire_flush(&a, 0);
    assert_memory_equal(relay_wire_expect(&a, RELAY_TO_CLIENT).id, a.id, RELAY_ID);
    relay_wire_dispose(&a, 0);
}

// --- Duplicate ids and notices

static void expect_status(relay_wire *w, uint8_t code) {
    relay_wire_flush(w, 0);
    assert_int_equal(relay_wire_expect(w, RELAY_STATUS).code, code);
    assert_true(relay_wire_silent(w));
}

static void the_newest_of_an_id_receives(void **state) {
    (void)state;
    relay_wire a, old, middle, new;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    relay_wire_open(&old, &relay_one_hub, 2, RELAY_V2, 0);
    relay_wire_open(&middle, &relay_one_hub, 2, RELAY_V1, 0);
    expect_status(&old, RELAY_STATUS_SAME_ID);
    relay_wire_open(&new, &relay_one_hub, 2, RELAY_V2, 0);
    relay_wire_flush(&middle, 0);
    assert_true(relay_wire_expect(&middle, RELAY_HEALTH).len > 0);
    assert_int_equal(relay_one_hub.counters.clients_inactive_added, 2);
    assert_int_equal(relay_wire_datagram(&a, old.id, "1", 1, 0), 0);
    assert_int_equal(relay_wire_datagram(&old, a.id, "old may send", 12, 0), 0);
    relay_wire_flush(&new, 0);
    relay_wire_flush(&old, 0);
    relay_wire_flush(&a, 0);
    (void)relay_wire_expect(&new, RELAY_TO_CLIENT);
    (void)relay_wire_expect(&a, RELAY_TO_CLIENT);
    assert_true(relay_wire_silent(&old));
    relay_wire_dispose(&middle, 0);  // an inactive one ends: nobody is told
    relay_wire_flush(&old, 0);
    assert_true(relay_wire_silent(&old));
    relay_wire_dispose(&new, 0);
    expect_status(&old, RELAY_STATUS_HEALTHY);
    assert_int_equal(relay_one_hub.counters.clients_inactive_removed, 2);
    relay_wire_flush(&a, 0);
    assert_true(relay_wire_silent(&a));  // the id is still there
    assert_int_equal(relay_wire_datagram(&a, old.id, "2", 1, 0), 0);
    relay_wire_flush(&old, 0);
    (void)relay_wire_expect(&old, RELAY_TO_CLIENT);
    assert_int_equal(relay_one_hub.counters.unique_client_keys, 2);
    relay_wire_dispose(&old, 0);
    relay_wire_dispose(&a, 0);
}

static void those_whom_it_sent_to_learn_that_it_is_gone(void **state) {
    (void)state;
    relay_wire gone, told, not_told;
    relay_wire_open(&gone, &relay_one_hub, 1, RELAY_V2, 0);
    relay_wire_open(&told, &relay_one_hub, 2, RELAY_V2, 0);
    relay_wire_open(&not_told, &relay_one_hub, 3, RELAY_V2, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(relay_wire_datagram(&gone, told.id, "x", 1, 0), 0);
    assert_int_equal(relay_wire_datagram(&not_told, gone.id, "x", 1, 0), 0);
    relay_wire_dispose(&gone, 0);
    relay_wire_flush(&told, 0);
    relay_wire_flush(&not_told, 0);
    for (int i = 0; i < 3; i++)
        (void)relay_wire_expect(&told, RELAY_TO_CLIENT);
    relay_frame f = relay_wire_expect(&told, RELAY_GONE);
    assert_memory_equal(f.id, gone.id, RELAY_ID);
    assert_true(relay_wire_silent(&told) && relay_wire_silent(&not_told));
    relay_wire_dispose(&told, 0);
    relay_wire_dispose(&not_told, 0);
}

// --- Queues

static void a_full_queue_drops_the_newest_and_keeps_the_connection(void **state) {
    (void)state;
    relay_wire a, b;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &relay_one_hub, 2, RELAY_V2, 0);
    for (uint32_t i = 0; i < RELAY_HUB_PACKETS + 10; i++)
        assert_int_equal(relay_wire_datagram(&a, b.id, &i, sizeof i, 0), 0);
    assert_int_equal(relay_one_hub.counters.send_packets_dropped, 10);
    relay_wire_ping(&b, "urgent..", 0);
    relay_wire_flush(&b, 0);
    (void)relay_wire_expect(&b, RELAY_PONG_FRAME);  // in front of all that waits
    for (uint32_t i = 0; i < RELAY_HUB_PACKETS; i++) {
        relay_frame f = relay_wire_expect(&b, RELAY_TO_CLIENT);
        assert_memory_equal(f.data, &i, sizeof i);
    }
    assert_true(relay_wire_silent(&b));
    relay_wire_dispose(&a, 0);
    relay_wire_dispose(&b, 0);
}

static void a_client_that_never_reads_costs_a_bounded_queue(void **state) {
    (void)state;
    uint8_t *data = calloc(1, RELAY_DATAGRAM_MAX);
    assert_non_null(data);
    relay_wire a, b;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &relay_one_hub, 2, RELAY_V2, 0);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(relay_wire_datagram(&a, b.id, data, RELAY_DATAGRAM_MAX, 0), 0);
        for (int k = 0; k < 20; k++)
            relay_wire_ping(&b, "12345678", 0);
    }
    assert_true(b.session.queue.bulk.bytes <= RELAY_HUB_BYTES);
    assert_true(b.session.queue.urgent.messages <= RELAY_HUB_NOTICES);
    assert_true(relay_one_hub.blocks.in_use <= 2 * RELAY_HUB_BYTES / RELAY_BLOCK_ROOM);
    relay_wire_dispose(&a, 0);
    relay_wire_dispose(&b, 0);
    assert_int_equal(relay_one_hub.blocks.in_use, 0);
    free(data);
}

static void a_client_that_takes_nothing_for_two_seconds_is_dropped(void **state) {
    (void)state;
    relay_wire a, b;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &relay_one_hub, 2, RELAY_V2, 0);
    assert_int_equal(relay_wire_datagram(&a, b.id, "x", 1, 0), 0);
    relay_block *block = relay_queue_take(&b.session.queue);
    assert_non_null(block);
    relay_session_wrote(&b.session, false, false, NS_PER_S);
    relay_session_wrote(&b.session, false, false, 2 * NS_PER_S);  // changes nothing
    assert_true(relay_hub_deadline(&relay_one_hub) == 3 * NS_PER_S);
    relay_session_wrote(&b.session, false, true, 2 * NS_PER_S);  // some of it went out
    assert_true(relay_hub_deadline(&relay_one_hub) == 4 * NS_PER_S);
    (void)relay_wire_wants(&b);
    assert_int_equal(relay_wire_datagram(&a, b.id, "y", 1, 0), 0);
    assert_int_equal(relay_wire_wants(&b), 0);  // its socket is full, and the shell knows
    relay_hub_tick(&relay_one_hub, 4 * NS_PER_S);
    assert_int_equal(b.session.error, IROH_ERR_TIMEOUT);
    assert_int_equal(relay_one_hub.counters.slow, 1);
    assert_int_equal(a.session.state, RELAY_SESSION_OPEN);
    relay_queue_done(&b.session.queue, block);
    relay_wire_dispose(&a, 0);
    relay_wire_dispose(&b, 0);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, relay_one_hub_set_up, relay_one_hub_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(datagrams_reach_their_receiver_with_the_senders_id),
        CASE(every_size_arrives_whole),
        CASE(nobody_is_hurt_by_what_cannot_be_forwarded),
        CASE(a_client_may_send_to_itself),
        CASE(the_newest_of_an_id_receives),
        CASE(those_whom_it_sent_to_learn_that_it_is_gone),
        CASE(a_full_queue_drops_the_newest_and_keeps_the_connection),
        CASE(a_client_that_never_reads_costs_a_bounded_queue),
        CASE(a_client_that_takes_nothing_for_two_seconds_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
