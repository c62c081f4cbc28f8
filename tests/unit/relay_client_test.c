// The life of a client: coming up, both proofs, loss and back-off, idleness, the end.
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

// --- Coming up

static void it_dials_asks_and_is_confirmed(void **state) {
    (void)state;
    relay_near_become_ready(RELAY_V2_NAME, 0);
    assert_int_equal(near.client.version, RELAY_V2);
    assert_int_equal(near.client.stats.successes, 1);
    (void)relay_near_expect(RELAY_PING_FRAME);  // at once
    assert_true(relay_near_silent());
}

static void it_answers_a_challenge_once(void **state) {
    (void)state;
    static const uint8_t bytes[RELAY_CHALLENGE] = {1, 2, 3};
    const relay_frame challenge = {.type = RELAY_SERVER_CHALLENGE, .data = bytes, .len = sizeof bytes};
    relay_near_upgrade(RELAY_V2_NAME, 0);
    assert_int_equal(relay_near_hear_frame(&challenge, 0), 0);
    relay_frame f = relay_near_expect(RELAY_CLIENT_AUTH);
    assert_memory_equal(f.id, near.client.id, RELAY_ID);
    assert_true(relay_challenge_verify(f.id, bytes, f.data));
    assert_int_equal(relay_near_hear_frame(&challenge, 0), IROH_ERR_PROTOCOL);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_WAIT);
}

static void responses_may_come_in_pieces_with_frames_behind(void **state) {
    (void)state;
    char text[512];
    relay_client_dialling(&near.client, 0);
    relay_client_connected(&near.client, NULL, 0);
    relay_near_flush(0);
    size_t len = relay_near_answer(text, RELAY_V1_NAME, 0);
    memcpy(text + len, "\x82\x01\x02\x82\x01", 5);
    for (size_t i = 0; i < len + 2; i++)
        assert_int_equal(relay_near_hear(text + i, 1, 0), 0);
    assert_int_equal(relay_near_hear(text + len + 2, 1, 0), 1);
    assert_int_equal(near.client.version, RELAY_V1);
    relay_client_lost(&near.client, IROH_ERR_IO, 0);
    relay_client_tick(&near.client, NS_PER_S);
    relay_client_dialling(&near.client, NS_PER_S);
    relay_client_connected(&near.client, NULL, NS_PER_S);
    len = relay_near_answer(text, RELAY_V2_NAME, 0);
    memcpy(text + len, "\x82\x01\x02", 3);
    assert_int_equal(relay_near_hear(text, len + 3, NS_PER_S), 1);
    assert_int_equal(near.event.kind, RELAY_EVENT_READY);
}

static void bad_responses_fail_the_attempt(void **state) {
    (void)state;
    char text[HTTP_HEAD_MAX + 1];
    static const char *const versions[] = {NULL, "iroh-relay-v3"};
    uint64_t now = 0;
    for (int i = 0; i < 6; i++) {
        relay_client_tick(&near.client, now);
        relay_client_dialling(&near.client, now);
        relay_client_connected(&near.client, NULL, now);
        size_t len = relay_near_answer(text, i < 2 ? versions[i] : RELAY_V2_NAME, i == 2 ? HTTP_FIELDS_MAX : 0);
        int wanted = i < 2 ? IROH_ERR_VERSION : IROH_ERR_LIMIT;
        if (i == 3) {
            len = (size_t)sprintf(text, "HTTP/1.1 302 Found\r\n\r\n");
            wanted = IROH_ERR_REFUSED;
        } else if (i == 4) {
            memset(text, 'x', len = HTTP_HEAD_MAX);
            wanted = IROH_ERR_TOO_LARGE;
        } else if (i == 5) {
            near.client.key[0] ^= 1;  // so the accept value is another's
            len = relay_near_answer(text, RELAY_V2_NAME, 0);
            near.client.key[0] ^= 1;
            wanted = IROH_ERR_PROTOCOL;
        }
        assert_int_equal(relay_near_hear(text, len, now), wanted);
        assert_int_equal(near.client.error, wanted);
        assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_WAIT);
        now = relay_client_deadline(&near.client);
    }
    assert_int_equal(near.client.stats.failures, 6);
}

static void a_denial_is_kept_and_retried(void **state) {
    (void)state;
    const relay_frame denial = {.type = RELAY_SERVER_DENIES, .data = (const uint8_t *)"not authorized", .len = 14};
    relay_near_upgrade(RELAY_V2_NAME, 0);
    assert_int_equal(relay_near_hear_frame(&denial, 0), IROH_ERR_REFUSED);
    assert_true(near.client.denied);
    assert_string_equal(near.client.denial, "not authorized");
    uint64_t due = relay_client_deadline(&near.client);
    assert_true(due >= RELAY_BACKOFF_MIN && due < 2 * RELAY_BACKOFF_MIN);
    relay_client_tick(&near.client, due);
    relay_near_become_ready(RELAY_V2_NAME, due);
    assert_false(near.client.denied);
}

static void coming_up_has_ten_seconds(void **state) {
    (void)state;
    relay_near_upgrade(RELAY_V2_NAME, 7);
    assert_true(relay_client_deadline(&near.client) == 7 + RELAY_CONNECT_TIMEOUT);
    relay_client_tick(&near.client, 7 + RELAY_CONNECT_TIMEOUT);
    assert_int_equal(near.client.error, IROH_ERR_TIMEOUT);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_WAIT);
}

static void bad_configurations_are_refused(void **state) {
    (void)state;
    relay_client other;
    relay_client_config config = {
        .url = "http:", .url_len = 5, .random = &near.randomness.source, .blocks = &near.blocks};
    assert_int_equal(relay_client_init(&other, &config, 0), IROH_ERR_SYNTAX);
    config.url = RELAY_NEAR_URL;
    config.url_len = strlen(RELAY_NEAR_URL);
    config.token = "a\nb";
    assert_int_equal(relay_client_init(&other, &config, 0), IROH_ERR_ARG);
}

// --- Back-off

static void failures_back_off_to_a_bound(void **state) {
    (void)state;
    uint64_t now = 0, wanted = RELAY_BACKOFF_MIN;
    for (int i = 0; i < 20; i++) {
        relay_client_dialling(&near.client, now);
        relay_client_lost(&near.client, IROH_ERR_IO, now);
        uint64_t due = relay_client_deadline(&near.client);
        assert_true(due >= now + wanted && due < now + 2 * wanted);
        relay_client_tick(&near.client, due - 1);
        assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_WAIT);
        relay_client_tick(&near.client, due);
        assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_DIAL);
        now = due;
        wanted = 2 * wanted < RELAY_BACKOFF_MAX ? 2 * wanted : RELAY_BACKOFF_MAX;
    }
}

static void a_connection_that_worked_is_dialled_again_soon(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        relay_client_dialling(&near.client, 0);
        relay_client_lost(&near.client, IROH_ERR_IO, 0);
    }
    relay_client_tick(&near.client, 40 * NS_PER_S);
    relay_near_become_ready(RELAY_V2_NAME, 40 * NS_PER_S);
    relay_near_pong(40 * NS_PER_S);
    relay_client_lost(&near.client, IROH_ERR_IO, 40 * NS_PER_S);
    assert_int_equal(near.client.stats.closed, 1);
    assert_true(relay_client_deadline(&near.client) < 40 * NS_PER_S + RELAY_RECONNECT_SPREAD);
    relay_client_tick(&near.client, 41 * NS_PER_S);
    relay_near_become_ready(RELAY_V2_NAME, 41 * NS_PER_S);
    relay_client_lost(&near.client, IROH_ERR_IO, 41 * NS_PER_S);  // no pong: it never worked
    assert_true(relay_client_deadline(&near.client) >= 41 * NS_PER_S + RELAY_BACKOFF_MIN);
}

static void a_restarting_relay_is_given_its_time(void **state) {
    (void)state;
    const relay_frame notice = {.type = RELAY_RESTARTING, .reconnect_in = 2000, .try_for = 9};
    relay_near_become_ready(RELAY_V2_NAME, 0);
    relay_near_pong(0);
    assert_int_equal(relay_near_hear_frame(&notice, 0), 1);
    assert_true(near.event.kind == RELAY_EVENT_RESTARTING && near.event.frame.try_for == 9);
    relay_client_lost(&near.client, IROH_ERR_IO, 0);
    uint64_t due = relay_client_deadline(&near.client);
    assert_true(due >= 2 * NS_PER_S && due < 2 * NS_PER_S + RELAY_RECONNECT_SPREAD);
}

// --- The end

static void expect_close(void) {
    ws_message m;
    relay_near_flush(0);
    assert_true(relay_near_next(&m));
    assert_true(m.opcode == WS_CLOSE && ws_close_code(&m) == WS_CLOSE_NORMAL);
}

static void a_relay_that_is_not_home_is_left_when_idle(void **state) {
    (void)state;
    relay_client_set_home(&near.client, false, 0);
    relay_near_become_ready(RELAY_V2_NAME, 0);
    relay_near_pong(0);
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 0, (const uint8_t *)"x", 1, NS_PER_S), 0);
    (void)relay_near_expect(RELAY_TO_RELAY);
    near.client.ping_at = TIME_NEVER;
    assert_true(relay_client_deadline(&near.client) == 61 * NS_PER_S);
    relay_client_tick(&near.client, 61 * NS_PER_S);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_CLOSING);
    expect_close();
    relay_client_lost(&near.client, 0, 61 * NS_PER_S);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_WAIT);
    assert_true(relay_client_deadline(&near.client) == TIME_NEVER);
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 0, (const uint8_t *)"y", 1, 70 * NS_PER_S), 0);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_DIAL);
}

static void idleness_ends_the_dialling_too(void **state) {
    (void)state;
    relay_client_set_home(&near.client, false, 0);
    relay_client_dialling(&near.client, 59 * NS_PER_S);
    relay_client_lost(&near.client, IROH_ERR_IO, 60 * NS_PER_S);
    relay_client_tick(&near.client, 60 * NS_PER_S);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_WAIT);
    assert_true(relay_client_deadline(&near.client) == TIME_NEVER);
    relay_client_set_home(&near.client, true, 61 * NS_PER_S);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_DIAL);
}

static void closing_says_goodbye_and_is_final(void **state) {
    (void)state;
    relay_near_become_ready(RELAY_V2_NAME, 0);
    (void)relay_near_expect(RELAY_PING_FRAME);
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 0, (const uint8_t *)"last", 4, 0), 0);
    relay_client_close(&near.client, NS_PER_S);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_CLOSING);
    (void)relay_near_expect(RELAY_TO_RELAY);  // what was queued comes first
    expect_close();
    assert_int_equal(relay_client_send(&near.client, near.peer, 0, 0, (const uint8_t *)"x", 1, 0), IROH_ERR_CLOSED);
    relay_client_tick(&near.client, NS_PER_S + RELAY_CLOSE_TIMEOUT);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_CLOSED);
    assert_true(relay_client_deadline(&near.client) == TIME_NEVER);
}

static void closing_without_a_connection_is_at_once(void **state) {
    (void)state;
    relay_client_close(&near.client, 0);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_CLOSED);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, relay_near_set_up, relay_near_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(it_dials_asks_and_is_confirmed),
        CASE(it_answers_a_challenge_once),
        CASE(responses_may_come_in_pieces_with_frames_behind),
        CASE(bad_responses_fail_the_attempt),
        CASE(a_denial_is_kept_and_retried),
        CASE(coming_up_has_ten_seconds),
        CASE(bad_configurations_are_refused),
        CASE(failures_back_off_to_a_bound),
        CASE(a_connection_that_worked_is_dialled_again_soon),
        CASE(a_restarting_relay_is_given_its_time),
        CASE(a_relay_that_is_not_home_is_left_when_idle),
        CASE(idleness_ends_the_dialling_too),
        CASE(closing_says_goodbye_and_is_final),
        CASE(closing_without_a_connection_is_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
