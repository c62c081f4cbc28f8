// One client of the server: handshake, access, frames, keep-alive, the limit on reading, the end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "relay/auth.h"
#include "unit/relay_support.h"

// --- Handshake

static int answer(relay_wire *w, uint8_t flip, uint64_t now) {
    uint8_t signature[RELAY_SIGNATURE];
    relay_frame challenge = relay_wire_expect(w, RELAY_SERVER_CHALLENGE);
    relay_challenge_sign(w->seed, challenge.data, signature);
    signature[3] ^= flip;
    const relay_frame f = {.type = RELAY_CLIENT_AUTH, .id = w->id, .data = signature, .len = sizeof signature};
    return relay_wire_frame(w, &f, now);
}

static void a_challenge_leads_to_an_open_session(void **state) {
    (void)state;
    relay_wire w;
    relay_wire_init(&w, &relay_one_hub, 1);
    assert_int_equal(relay_session_start(&w.session, RELAY_V2, NULL, 0), 0);
    assert_int_equal(relay_wire_wants(&w), RELAY_WANTS_WRITE);
    relay_wire_flush(&w, 0);
    assert_int_equal(answer(&w, 0, 0), 0);
    assert_int_equal(relay_wire_wants(&w), RELAY_WANTS_ACCESS);
    assert_int_equal(w.session.state, RELAY_SESSION_DECIDING);
    assert_memory_equal(w.session.id, w.id, RELAY_ID);
    relay_session_allow(&w.session, 0);
    relay_wire_flush(&w, 0);
    (void)relay_wire_expect(&w, RELAY_SERVER_CONFIRMS);
    assert_int_equal(w.session.state, RELAY_SESSION_OPEN);
    assert_int_equal(relay_one_hub.counters.accepts, 1);
    relay_wire_dispose(&w, 0);
    assert_int_equal(relay_one_hub.counters.disconnects, 1);
}

static void a_wrong_signature_is_denied(void **state) {
    (void)state;
    relay_wire w;
    relay_wire_init(&w, &relay_one_hub, 1);
    assert_int_equal(relay_session_start(&w.session, RELAY_V2, NULL, 0), 0);
    relay_wire_flush(&w, 0);
    assert_int_equal(answer(&w, 1, 0), IROH_ERR_SIGNATURE);
    assert_true((relay_wire_wants(&w) & RELAY_WANTS_END) != 0);
    relay_wire_flush(&w, 0);
    relay_frame f = relay_wire_expect(&w, RELAY_SERVER_DENIES);
    assert_int_equal(f.len, strlen("signature invalid"));
    assert_memory_equal(f.data, "signature invalid", f.len);
    relay_wire_dispose(&w, 0);
}

static void the_shell_denies_with_its_reason(void **state) {
    (void)state;
    static const char *const reasons[] = {NULL, "go away"};
    for (size_t i = 0; i < 2; i++) {
        relay_wire w;
        const char *wanted = reasons[i] != NULL ? reasons[i] : "not authorized";
        relay_wire_init(&w, &relay_one_hub, 1);
        assert_int_equal(relay_session_start(&w.session, RELAY_V1, w.id, 0), 0);
        relay_session_deny(&w.session, reasons[i], 0);
        relay_wire_flush(&w, 0);
        relay_frame f = relay_wire_expect(&w, RELAY_SERVER_DENIES);
        assert_int_equal(f.len, strlen(wanted));
        assert_memory_equal(f.data, wanted, f.len);
        assert_int_equal(w.session.error, IROH_ERR_REFUSED);
        relay_session_allow(&w.session, 0);  // too late
        assert_int_equal(w.session.state, RELAY_SESSION_ENDED);
        relay_wire_dispose(&w, 0);
    }
    assert_int_equal(relay_one_hub.counters.denied, 2);
    assert_int_equal(relay_one_hub.counters.accepts, 0);
}

static void nothing_but_an_answer_comes_before_the_session(void **state) {
    (void)state;
    static const relay_frame early = {.type = RELAY_PING_FRAME, .data = (const uint8_t *)"12345678", .len = RELAY_PING};
    relay_wire w;
    relay_wire_init(&w, &relay_one_hub, 1);
    assert_int_equal(relay_session_start(&w.session, RELAY_V2, NULL, 0), 0);
    assert_int_equal(relay_wire_frame(&w, &early, 0), IROH_ERR_UNSUPPORTED);
    relay_wire_dispose(&w, 0);
    uint8_t zeros[RELAY_SIGNATURE] = {0};
    const relay_frame auth = {.type = RELAY_CLIENT_AUTH, .id = zeros, .data = zeros, .len = sizeof zeros};
    relay_wire_init(&w, &relay_one_hub, 1);
    assert_int_equal(relay_session_start(&w.session, RELAY_V2, w.id, 0), 0);
    assert_int_equal(relay_wire_frame(&w, &auth, 0), IROH_ERR_PROTOCOL);  // nobody asked
    relay_wire_dispose(&w, 0);
}

static void handshake_and_decision_have_their_time(void **state) {
    (void)state;
    relay_wire w;
    for (int decide = 0; decide <= 1; decide++) {
        relay_wire_init(&w, &relay_one_hub, 1);
        assert_int_equal(relay_session_start(&w.session, RELAY_V2, decide ? w.id : NULL, 5), 0);
        uint64_t due = relay_hub_deadline(&relay_one_hub);
        assert_true(due == 5 + (decide ? RELAY_ACCESS_TIMEOUT : RELAY_HANDSHAKE_TIMEOUT));
        relay_hub_tick(&relay_one_hub, due - 1);
        assert_true(w.session.state != RELAY_SESSION_ENDED);
        relay_hub_tick(&relay_one_hub, due);
        assert_int_equal(w.session.error, IROH_ERR_TIMEOUT);
        assert_true((relay_wire_wants(&w) & RELAY_WANTS_END) != 0);
        assert_true(relay_hub_deadline(&relay_one_hub) == TIME_NEVER);
        relay_wire_dispose(&w, due);
    }
}

// --- Frames and messages

static void bad_frames_cost_their_sender_alone(void **state) {
    (void)state;
    static const char *const bad[] = {"", "\x0e", "\x06", "\x0d\x01", "\x09seven..", "\x04short", "\x01"};
    relay_wire a, b;
    relay_wire_open(&b, &relay_one_hub, 2, RELAY_V2, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
        assert_true(relay_wire_message(&a, WS_BINARY, bad[i], strlen(bad[i]), 0) < 0);
        assert_int_equal(a.session.state, RELAY_SESSION_ENDED);
        assert_int_equal(b.session.state, RELAY_SESSION_OPEN);
        assert_true(relay_wire_message(&a, WS_BINARY,
                                       "\x09"
                                       "12345678",
                                       9, 0) < 0);  // nothing is read any more
        relay_wire_dispose(&a, 0);
    }
    assert_int_equal(relay_one_hub.counters.failed, sizeof bad / sizeof *bad);
    relay_wire_dispose(&b, 0);
}

static void pings_are_answered_and_text_is_skipped(void **state) {
    (void)state;
    relay_wire a;
    ws_message m;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    relay_wire_ping(&a, "12345678", 0);
    assert_int_equal(relay_wire_message(&a, WS_TEXT, "text", 4, 0), 0);
    assert_int_equal(relay_wire_message(&a, WS_PONG, "x", 1, 0), 0);
    assert_int_equal(relay_wire_message(&a, WS_PING, "abc", 3, 0), 0);
    relay_wire_flush(&a, 0);
    assert_memory_equal(relay_wire_expect(&a, RELAY_PONG_FRAME).data, "12345678", 8);
    assert_true(relay_wire_next(&a, &m));
    assert_true(m.opcode == WS_PONG && m.len == 3 && memcmp(m.data, "abc", 3) == 0);
    assert_true(relay_wire_silent(&a));
    assert_true(relay_one_hub.counters.got_ping == 1 && relay_one_hub.counters.sent_pong == 1);
    relay_wire_dispose(&a, 0);
}

static void close_ends_it_at_once(void **state) {
    (void)state;
    relay_wire a;
    ws_message m;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    (void)relay_wire_wants(&a);
    assert_int_equal(relay_wire_message(&a, WS_CLOSE, "\x03\xe8", 2, 0), IROH_ERR_CLOSED);
    assert_int_equal(a.session.error, 0);
    assert_true((relay_wire_wants(&a) & RELAY_WANTS_END) != 0);
    relay_wire_flush(&a, 0);
    assert_true(relay_wire_next(&a, &m));
    assert_true(m.opcode == WS_CLOSE && m.len == 2);
    relay_wire_dispose(&a, 0);
}

static void bytes_one_at_a_time_are_the_same(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0x82, 0x89, 0, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8};
    relay_wire a;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    for (size_t i = 0; i < sizeof bytes; i++) {
        uint8_t *one = malloc(1);
        assert_non_null(one);
        *one = bytes[i];
        assert_int_equal(relay_session_receive(&a.session, one, 1, 0), 0);
        free(one);
    }
    relay_wire_flush(&a, 0);
    assert_memory_equal(relay_wire_expect(&a, RELAY_PONG_FRAME).data, bytes + 7, 8);
    relay_wire_dispose(&a, 0);
}

// --- Keep-alive

static void silence_brings_a_ping_and_no_pong_the_end(void **state) {
    (void)state;
    relay_wire a;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    uint64_t due = relay_hub_deadline(&relay_one_hub);
    assert_true(due >= 16 * NS_PER_S && due <= 20 * NS_PER_S && due % NS_PER_S == 0);
    relay_hub_tick(&relay_one_hub, due);
    relay_wire_flush(&a, due);
    relay_frame f = relay_wire_expect(&a, RELAY_PING_FRAME);
    assert_true(relay_hub_deadline(&relay_one_hub) == due + 5 * NS_PER_S);
    f.type = RELAY_PONG_FRAME;
    uint64_t now = due + 100 * NS_PER_MS;
    assert_int_equal(relay_wire_frame(&a, &f, now), 0);
    relay_hub_tick(&relay_one_hub, due + 5 * NS_PER_S);
    assert_int_equal(a.session.state, RELAY_SESSION_OPEN);
    due = relay_hub_deadline(&relay_one_hub);
    assert_true(due >= now + 16 * NS_PER_S);
    relay_hub_tick(&relay_one_hub, due);
    assert_true(relay_hub_deadline(&relay_one_hub) == due + 5 * NS_PER_S);  // however short the round trip was
    relay_hub_tick(&relay_one_hub, due + 5 * NS_PER_S);
    assert_int_equal(a.session.error, IROH_ERR_TIMEOUT);
    assert_int_equal(relay_one_hub.counters.timed_out, 1);
    relay_wire_dispose(&a, due);
}

static void frames_put_the_ping_off(void **state) {
    (void)state;
    relay_wire a;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    for (uint64_t now = 0; now < 100 * NS_PER_S; now += 10 * NS_PER_S) {
        relay_wire_ping(&a, "12345678", now);
        relay_hub_tick(&relay_one_hub, now);
        relay_wire_flush(&a, now);
        (void)relay_wire_expect(&a, RELAY_PONG_FRAME);
        assert_true(relay_wire_silent(&a));
    }
    relay_wire_dispose(&a, 0);
}

// --- The limit on reading, and the end

static void too_fast_a_sender_is_read_later_and_told_once(void **state) {
    (void)state;
    uint8_t data[900] = {0};
    relay_wire a, b, old;
    relay_hub_dispose(&relay_one_hub);
    relay_one_hub_start(10000);  // a burst of 1000
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    relay_wire_open(&old, &relay_one_hub, 3, RELAY_V1, 0);
    relay_wire_open(&b, &relay_one_hub, 2, RELAY_V2, 0);
    assert_int_equal(relay_wire_datagram(&a, b.id, data, sizeof data, 0), 0);
    assert_true(relay_session_reads(&a.session));
    assert_int_equal(relay_wire_datagram(&a, b.id, data, sizeof data, 0), 0);
    assert_false(relay_session_reads(&a.session));
    relay_wire_flush(&a, 0);
    assert_int_equal(relay_wire_expect(&a, RELAY_STATUS).code, RELAY_STATUS_RATE_LIMITED);
    (void)relay_wire_wants(&a);
    uint64_t due = relay_hub_deadline(&relay_one_hub);
    assert_true(due > 85 * NS_PER_MS && due < 90 * NS_PER_MS);  // 884 bytes and the one that makes it positive
    relay_hub_tick(&relay_one_hub, due);
    assert_int_equal(relay_wire_wants(&a), RELAY_WANTS_READ);
    assert_true(relay_session_reads(&a.session));
    assert_int_equal(relay_wire_datagram(&a, b.id, data, sizeof data, due), 0);
    relay_wire_flush(&a, due);
    assert_true(relay_wire_silent(&a));  // told once
    assert_int_equal(relay_one_hub.counters.conns_rx_ratelimited, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(relay_wire_datagram(&old, b.id, data, sizeof data, 0), 0);
    relay_wire_flush(&old, 0);
    assert_true(!relay_session_reads(&old.session) && relay_wire_silent(&old));  // version 1 has no word for it
    relay_hub_set_rx_limit(&relay_one_hub, 0, 0);
    relay_wire_flush(&b, 0);
    for (int i = 0; i < 5; i++)
        (void)relay_wire_expect(&b, RELAY_TO_CLIENT);
    relay_wire_dispose(&a, 0);
    relay_wire_dispose(&b, 0);
    relay_wire_dispose(&old, 0);
}

static void shutdown_announces_itself_when_asked(void **state) {
    (void)state;
    relay_wire a;
    relay_wire_open(&a, &relay_one_hub, 1, RELAY_V2, 0);
    relay_session_shutdown(&a.session, 10, 20, 0);
    relay_wire_flush(&a, 0);
    relay_frame f = relay_wire_expect(&a, RELAY_RESTARTING);
    assert_true(f.reconnect_in == 10 && f.try_for == 20);
    assert_int_equal(a.session.error, IROH_ERR_CLOSED);
    relay_wire_dispose(&a, 0);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, relay_one_hub_set_up, relay_one_hub_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_challenge_leads_to_an_open_session),
        CASE(a_wrong_signature_is_denied),
        CASE(the_shell_denies_with_its_reason),
        CASE(nothing_but_an_answer_comes_before_the_session),
        CASE(handshake_and_decision_have_their_time),
        CASE(bad_frames_cost_their_sender_alone),
        CASE(pings_are_answered_and_text_is_skipped),
        CASE(close_ends_it_at_once),
        CASE(bytes_one_at_a_time_are_the_same),
        CASE(silence_brings_a_ping_and_no_pong_the_end),
        CASE(frames_put_the_ping_off),
        CASE(too_fast_a_sender_is_read_later_and_told_once),
        CASE(shutdown_announces_itself_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
