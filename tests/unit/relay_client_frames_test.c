// What a client that is connected hears and says: frames, keep-alive; and against our own server, byte by byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "unit/relay_client_support.h"

// --- Frames

static void events_carry_what_the_relay_says(void **state) {
    (void)state;
    const relay_frame batch = {.type = RELAY_TO_CLIENT_BATCH,
                               .ecn = 1,
                               .segment = 3,
                               .id = near.peer,
                               .data = (const uint8_t *)"abcdefg",
                               .len = 7};
    const relay_frame gone = {.type = RELAY_GONE, .id = near.peer};
    const relay_frame status = {.type = RELAY_STATUS, .code = RELAY_STATUS_RATE_LIMITED};
    const relay_frame unknown = {.type = RELAY_STATUS, .code = 77};
    relay_near_become_ready(RELAY_V2_NAME, 0);
    assert_int_equal(relay_near_hear_frame(&batch, 0), 1);
    assert_true(near.event.kind == RELAY_EVENT_DATAGRAM && near.event.frame.segment == 3 && near.event.frame.ecn == 1);
    assert_memory_equal(near.event.frame.data, "abcdefg", 7);
    assert_memory_equal(near.event.frame.id, near.peer, RELAY_ID);
    assert_int_equal(relay_near_hear_frame(&gone, 0), 1);
    assert_int_equal(near.event.kind, RELAY_EVENT_GONE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(relay_near_hear_frame(&status, 0), 1);
    assert_int_equal(near.client.stats.rate_limited, 1);
    assert_int_equal(relay_near_hear_frame(&unknown, 0), 1);
    assert_true(near.event.kind == RELAY_EVENT_STATUS && near.event.frame.code == 77);
    assert_int_equal(relay_near_hear_message(WS_TEXT, "text", 4, 0), 0);
    assert_true(near.client.stats.frames_received == 1 && near.client.stats.bytes_received == 7);
}

static void version_1_has_health(void **state) {
    (void)state;
    const relay_frame health = {.type = RELAY_HEALTH, .data = (const uint8_t *)"well", .len = 4};
    const relay_frame status = {.type = RELAY_STATUS, .code = 0};
    relay_near_become_ready(RELAY_V1_NAME, 0);
    assert_int_equal(relay_near_hear_frame(&health, 0), 1);
    assert_true(near.event.kind == RELAY_EVENT_HEALTH && near.event.frame.len == 4);
    assert_int_equal(relay_near_hear_frame(&status, 0), IROH_ERR_UNSUPPORTED);
}

static void what_does_not_decode_ends_the_connection(void **state) {
    (void)state;
    uint8_t no_point[RELAY_ID] = {2};
    const relay_frame gone = {.type = RELAY_GONE, .id = no_point};
    static const char *const bad[] = {"", "\x0e", "\x04", "\x09seven..", "\x0d", "\x0bhealth"};
    uint64_t now = 0;
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        relay_near_become_ready(RELAY_V2_NAME, now);
        int r = i < sizeof bad / sizeof *bad ? relay_near_hear_message(WS_BINARY, bad[i], strlen(bad[i]), now)
                                             : relay_near_hear_frame(&gone, now);
        assert_true(r < 0 && near.client.error == r);
        assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_WAIT);
        now = relay_client_deadline(&near.client);
        relay_client_tick(&near.client, now);
        near.said_len = near.said_seen = 0;
    }
    relay_near_become_ready(RELAY_V2_NAME, now);
    assert_int_equal(relay_near_hear_message(WS_CLOSE, NULL, 0, now), IROH_ERR_PEER_CLOSED);
}

static void datagrams_and_batches_are_sent(void **state) {
    (void)state;
    uint8_t *large = calloc(1, RELAY_DATAGRAM_MAX + 1);
    assert_non_null(large);
    relay_near_become_ready(RELAY_V2_NAME, 0);
    (void)relay_near_expect(RELAY_PING_FRAME);
    assert_int_equal(relay_client_send(&near.client, near.peer, 2, 0, (const uint8_t *)"one", 3, 0), 0);
    relay_frame f = relay_near_expect(RELAY_TO_RELAY);
    assert_true(f.ecn == 2 && f.len == 3 && memcmp(f.data, "one", 3) == 0 && memcmp(f.id, near.peer, RELAY_ID) == 0);
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 2, (const uint8_t *)"aabbc", 5, 0), 0);
    f = relay_near_expect(RELAY_TO_RELAY_BATCH);
    assert_true(f.segment == 2 && f.len == 5 && memcmp(f.data, "aabbc", 5) == 0);
    for (size_t i = 0; i < RELAY_DATAGRAM_MAX; i++)
        large[i] = (uint8_t)(i ^ i >> 8);
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 0, large, RELAY_DATAGRAM_MAX, 0), 0);
    f = relay_near_expect(RELAY_TO_RELAY);
    assert_int_equal(f.len, RELAY_DATAGRAM_MAX);
    assert_memory_equal(f.data, large, RELAY_DATAGRAM_MAX);
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 0, large, RELAY_DATAGRAM_MAX + 1, 0),
                     IROH_ERR_TOO_LARGE);
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 9, large, RELAY_BATCH_MAX + 1, 0),
                     IROH_ERR_TOO_LARGE);
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 0, large, 0, 0), IROH_ERR_ARG);
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 5, large, 5, 0), IROH_ERR_ARG);  // no batch
    free(large);
}

static void datagrams_wait_for_the_connection_but_not_long(void **state) {
    (void)state;
    relay_client_dialling(&near.client, 0);
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 0, (const uint8_t *)"old", 3, 0), 0);
    assert_false(relay_queue_pending(&near.client.queue));
    assert_true(relay_client_deadline(&near.client) == RELAY_CLIENT_STALE);
    relay_client_tick(&near.client, RELAY_CLIENT_STALE);
    assert_int_equal(near.client.stats.dropped, 1);
    for (int i = 0; i < RELAY_CLIENT_QUEUE; i++)
        assert_int_equal(
            relay_client_send(&near.client, near.peer, 0, 0, (const uint8_t *)"new", 3, RELAY_CLIENT_STALE), 0);
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 0, (const uint8_t *)"new", 3, 0), IROH_ERR_LIMIT);
    near.client.state = RELAY_CLIENT_DIAL;
    relay_near_become_ready(RELAY_V2_NAME, RELAY_CLIENT_STALE);
    (void)relay_near_expect(RELAY_PING_FRAME);
    for (int i = 0; i < RELAY_CLIENT_QUEUE; i++)
        assert_memory_equal(relay_near_expect(RELAY_TO_RELAY).data, "new", 3);
    assert_true(relay_near_silent());
}

// --- Keep-alive

static void pings_go_both_ways(void **state) {
    (void)state;
    const relay_frame ping = {.type = RELAY_PING_FRAME, .data = (const uint8_t *)"abcdefgh", .len = RELAY_PING};
    relay_near_become_ready(RELAY_V2_NAME, 0);
    relay_near_pong(100 * NS_PER_MS);
    assert_true(relay_client_deadline(&near.client) == 100 * NS_PER_MS + RELAY_CLIENT_PING);
    assert_int_equal(relay_near_hear_frame(&ping, NS_PER_S), 0);
    assert_memory_equal(relay_near_expect(RELAY_PONG_FRAME).data, "abcdefgh", 8);
    assert_int_equal(relay_near_hear_message(WS_PING, "xy", 2, NS_PER_S), 0);
    ws_message m;
    relay_near_flush(0);
    assert_true(relay_near_next(&m));
    assert_true(m.opcode == WS_PONG && m.len == 2);
    assert_true(relay_client_deadline(&near.client) == NS_PER_S + RELAY_CLIENT_PING);
    relay_client_tick(&near.client, 16 * NS_PER_S);
    (void)relay_near_expect(RELAY_PING_FRAME);
    assert_true(relay_client_deadline(&near.client) == 16 * NS_PER_S + 500 * NS_PER_MS);
    relay_client_tick(&near.client, 16 * NS_PER_S + 500 * NS_PER_MS);
    assert_int_equal(near.client.error, IROH_ERR_TIMEOUT);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_WAIT);
}

static void a_first_ping_has_five_seconds(void **state) {
    (void)state;
    relay_near_become_ready(RELAY_V2_NAME, 0);
    assert_true(relay_client_deadline(&near.client) == 5 * NS_PER_S);
    relay_client_tick(&near.client, 5 * NS_PER_S);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_WAIT);
}

static void a_change_of_network_is_checked_at_once(void **state) {
    (void)state;
    relay_near_become_ready(RELAY_V2_NAME, 0);
    relay_near_pong(10 * NS_PER_MS);
    relay_client_network_changed(&near.client, NS_PER_S);
    (void)relay_near_expect(RELAY_PING_FRAME);
    assert_true(relay_client_deadline(&near.client) == NS_PER_S + RELAY_PONG_MIN);
    relay_client_tick(&near.client, NS_PER_S + RELAY_PONG_MIN);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_WAIT);
    relay_client_network_changed(&near.client, 2 * NS_PER_S);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_DIAL);
}

static void a_write_that_stands_still_ends_the_connection(void **state) {
    (void)state;
    relay_near_become_ready(RELAY_V2_NAME, 0);
    relay_near_pong(0);
    relay_client_wrote(&near.client, false, true, NS_PER_S);
    relay_client_wrote(&near.client, false, false, 2 * NS_PER_S);
    near.client.ping_at = TIME_NEVER;
    assert_true(relay_client_deadline(&near.client) == NS_PER_S + RELAY_WRITE_TIMEOUT);
    relay_client_tick(&near.client, NS_PER_S + RELAY_WRITE_TIMEOUT);
    assert_int_equal(near.client.error, IROH_ERR_TIMEOUT);
}

// --- Against our server

static void it_speaks_with_our_server(void **state) {
    (void)state;
    relay_hub hub;
    relay_hub_config config;
    relay_wire other;
    relay_hub_config_default(&config);
    config.random = &near.randomness.source;
    assert_int_equal(relay_hub_init(&hub, &config), 0);
    relay_wire_open(&other, &hub, 7, RELAY_V2, 0);
    relay_wire wire;
    relay_wire_init(&wire, &hub, 1);
    relay_near_upgrade(RELAY_V2_NAME, 0);
    assert_int_equal(relay_session_start(&wire.session, RELAY_V2, NULL, 0), 0);
    assert_int_equal(relay_client_send(&near.client, other.id, 1, 0, (const uint8_t *)"queued early", 12, 0), 0);
    int ready = 0;
    for (int round = 0; round < 6; round++) {
        relay_wire_flush(&wire, 0);
        size_t len = wire.len - wire.seen;
        int r = relay_near_hear(wire.bytes + wire.seen, len, 0);
        wire.seen = wire.len;
        ready += r == 1 && near.event.kind == RELAY_EVENT_READY;
        relay_near_flush(0);
        assert_int_equal(
            relay_session_receive(&wire.session, near.said + near.said_seen, near.said_len - near.said_seen, 0), 0);
        near.said_seen = near.said_len;
        relay_session_allow(&wire.session, 0);
    }
    assert_int_equal(ready, 1);
    assert_memory_equal(wire.session.id, near.client.id, RELAY_ID);
    relay_wire_flush(&other, 0);
    relay_frame f = relay_wire_expect(&other, RELAY_TO_CLIENT);
    assert_true(f.ecn == 1 && f.len == 12 && memcmp(f.data, "queued early", 12) == 0);
    assert_memory_equal(f.id, near.client.id, RELAY_ID);
    assert_true(near.client.worked);
    relay_wire_dispose(&wire, 0);
    relay_wire_dispose(&other, 0);
    relay_hub_dispose(&hub);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, relay_near_set_up, relay_near_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(events_carry_what_the_relay_says),
        CASE(version_1_has_health),
        CASE(what_does_not_decode_ends_the_connection),
        CASE(datagrams_and_batches_are_sent),
        CASE(datagrams_wait_for_the_connection_but_not_long),
        CASE(pings_go_both_ways),
        CASE(a_first_ping_has_five_seconds),
        CASE(a_change_of_network_is_checked_at_once),
        CASE(a_write_that_stands_still_ends_the_connection),
        CASE(it_speaks_with_our_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
