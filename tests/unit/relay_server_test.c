// The server's half: handshake, forwarding, duplicate ids, notices, keep-alive, limits, slow clients.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "relay/auth.h"
#include "relay/hub.h"
#include "relay/session.h"
#include "unit/relay_support.h"

static relay_random randomness;
static relay_hub hub;

static void start_hub(uint32_t rx_rate) {
    relay_hub_config config;
    relay_random_init(&randomness, 1);
    relay_hub_config_default(&config);
    config.random = &randomness.source;
    config.rx_rate = rx_rate;
    assert_int_equal(relay_hub_init(&hub, &config), 0);
}

static int set_up(void **state) {
    (void)state;
    start_hub(0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    assert_int_equal(hub.sessions, 0);
    assert_int_equal(hub.routes.count, 0);
    relay_hub_dispose(&hub);
    return 0;
}

// What the hub wants of this session, forgotten afterwards.
static unsigned wants_of(const relay_wire *w) {
    unsigned all = 0, wants;
    for (relay_session *s; (s = relay_hub_next(&hub, &wants)) != NULL;)
        all |= s == &w->session ? wants : 0;
    return all;
}

static void ping(relay_wire *w, const char *data, uint64_t now) {
    const relay_frame f = {.type = RELAY_PING_FRAME, .data = (const uint8_t *)data, .len = RELAY_PING};
    assert_int_equal(relay_wire_frame(w, &f, now), 0);
}

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
    relay_wire_init(&w, &hub, 1);
    assert_int_equal(relay_session_start(&w.session, RELAY_V2, NULL, 0), 0);
    assert_int_equal(wants_of(&w), RELAY_WANTS_WRITE);
    relay_wire_flush(&w, 0);
    assert_int_equal(answer(&w, 0, 0), 0);
    assert_int_equal(wants_of(&w), RELAY_WANTS_ACCESS);
    assert_int_equal(w.session.state, RELAY_SESSION_DECIDING);
    assert_memory_equal(w.session.id, w.id, RELAY_ID);
    relay_session_allow(&w.session, 0);
    relay_wire_flush(&w, 0);
    (void)relay_wire_expect(&w, RELAY_SERVER_CONFIRMS);
    assert_int_equal(w.session.state, RELAY_SESSION_OPEN);
    assert_int_equal(hub.counters.accepts, 1);
    relay_wire_dispose(&w, 0);
    assert_int_equal(hub.counters.disconnects, 1);
}

static void a_wrong_signature_is_denied(void **state) {
    (void)state;
    relay_wire w;
    relay_wire_init(&w, &hub, 1);
    assert_int_equal(relay_session_start(&w.session, RELAY_V2, NULL, 0), 0);
    relay_wire_flush(&w, 0);
    assert_int_equal(answer(&w, 1, 0), IROH_ERR_SIGNATURE);
    assert_true((wants_of(&w) & RELAY_WANTS_END) != 0);
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
        relay_wire_init(&w, &hub, 1);
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
    assert_int_equal(hub.counters.denied, 2);
    assert_int_equal(hub.counters.accepts, 0);
}

static void nothing_but_an_answer_comes_before_the_session(void **state) {
    (void)state;
    static const relay_frame early = {.type = RELAY_PING_FRAME, .data = (const uint8_t *)"12345678", .len = RELAY_PING};
    relay_wire w;
    relay_wire_init(&w, &hub, 1);
    assert_int_equal(relay_session_start(&w.session, RELAY_V2, NULL, 0), 0);
    assert_int_equal(relay_wire_frame(&w, &early, 0), IROH_ERR_UNSUPPORTED);
    relay_wire_dispose(&w, 0);
    uint8_t zeros[RELAY_SIGNATURE] = {0};
    const relay_frame auth = {.type = RELAY_CLIENT_AUTH, .id = zeros, .data = zeros, .len = sizeof zeros};
    relay_wire_init(&w, &hub, 1);
    assert_int_equal(relay_session_start(&w.session, RELAY_V2, w.id, 0), 0);
    assert_int_equal(relay_wire_frame(&w, &auth, 0), IROH_ERR_PROTOCOL);  // nobody asked
    relay_wire_dispose(&w, 0);
}

static void handshake_and_decision_have_their_time(void **state) {
    (void)state;
    relay_wire w;
    for (int decide = 0; decide <= 1; decide++) {
        relay_wire_init(&w, &hub, 1);
        assert_int_equal(relay_session_start(&w.session, RELAY_V2, decide ? w.id : NULL, 5), 0);
        uint64_t due = relay_hub_deadline(&hub);
        assert_true(due == 5 + (decide ? RELAY_ACCESS_TIMEOUT : RELAY_HANDSHAKE_TIMEOUT));
        relay_hub_tick(&hub, due - 1);
        assert_true(w.session.state != RELAY_SESSION_ENDED);
        relay_hub_tick(&hub, due);
        assert_int_equal(w.session.error, IROH_ERR_TIMEOUT);
        assert_true((wants_of(&w) & RELAY_WANTS_END) != 0);
        assert_true(relay_hub_deadline(&hub) == TIME_NEVER);
        relay_wire_dispose(&w, due);
    }
}

// --- Forwarding

static void datagrams_reach_their_receiver_with_the_senders_id(void **state) {
    (void)state;
    relay_wire a, b;
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &hub, 2, RELAY_V1, 0);
    (void)wants_of(&a);
    assert_int_equal(relay_wire_datagram(&a, b.id, "hello", 5, 0), 0);
    const relay_frame batch = {.type = RELAY_TO_RELAY_BATCH,
                               .ecn = 2,
                               .segment = 4,
                               .id = b.id,
                               .data = (const uint8_t *)"aaaabbbbcc",
                               .len = 10};
    assert_int_equal(relay_wire_frame(&a, &batch, 0), 0);
    assert_int_equal(wants_of(&b), RELAY_WANTS_WRITE);
    relay_wire_flush(&b, 0);
    relay_frame f = relay_wire_expect(&b, RELAY_TO_CLIENT);
    assert_true(f.ecn == 0 && f.len == 5 && memcmp(f.data, "hello", 5) == 0);
    assert_memory_equal(f.id, a.id, RELAY_ID);
    f = relay_wire_expect(&b, RELAY_TO_CLIENT_BATCH);
    assert_true(f.ecn == 2 && f.segment == 4 && f.len == 10 && memcmp(f.data, "aaaabbbbcc", 10) == 0);
    assert_true(relay_wire_silent(&b));
    relay_wire_flush(&a, 0);
    assert_true(relay_wire_silent(&a));
    assert_true(hub.counters.bytes_recv == 15 && hub.counters.bytes_sent == 15);
    assert_true(hub.counters.send_packets_recv == 2 && hub.counters.send_packets_sent == 2);
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
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &hub, 2, RELAY_V2, 0);
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
    assert_int_equal(hub.blocks.in_use, 0);
    free(data);
}

static void nobody_is_hurt_by_what_cannot_be_forwarded(void **state) {
    (void)state;
    uint8_t *message = calloc(1, RELAY_MESSAGE_MAX + 1), nobody[RELAY_ID] = {2};
    assert_non_null(message);
    relay_wire a, b;
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &hub, 2, RELAY_V2, 0);
    message[0] = RELAY_TO_RELAY;
    memcpy(message + 1, b.id, RELAY_ID);
    assert_int_equal(relay_wire_message(&a, WS_BINARY, message, RELAY_DATAGRAM_HEAD, 0), 0);
    assert_int_equal(relay_wire_message(&a, WS_BINARY, message, RELAY_FRAME_MAX + 1, 0), 0);
    assert_int_equal(relay_wire_datagram(&a, nobody, "x", 1, 0), 0);
    assert_int_equal(hub.counters.send_packets_dropped, 3);
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
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    assert_int_equal(relay_wire_datagram(&a, a.id, "me", 2, 0), 0);
    relay_wire_flush(&a, 0);
    assert_memory_equal(relay_wire_expect(&a, RELAY_TO_CLIENT).id, a.id, RELAY_ID);
    relay_wire_dispose(&a, 0);
}

static void bad_frames_cost_their_sender_alone(void **state) {
    (void)state;
    static const char *const bad[] = {"", "\x0e", "\x06", "\x0d\x01", "\x09seven..", "\x04short", "\x01"};
    relay_wire a, b;
    relay_wire_open(&b, &hub, 2, RELAY_V2, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
        assert_true(relay_wire_message(&a, WS_BINARY, bad[i], strlen(bad[i]), 0) < 0);
        assert_int_equal(a.session.state, RELAY_SESSION_ENDED);
        assert_int_equal(b.session.state, RELAY_SESSION_OPEN);
        assert_true(relay_wire_message(&a, WS_BINARY,
                                       "\x09"
                                       "12345678",
                                       9, 0) < 0);  // nothing is read any more
        relay_wire_dispose(&a, 0);
    }
    assert_int_equal(hub.counters.failed, sizeof bad / sizeof *bad);
    relay_wire_dispose(&b, 0);
}

// --- WebSocket messages of other kinds

static void pings_are_answered_and_text_is_skipped(void **state) {
    (void)state;
    relay_wire a;
    ws_message m;
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    ping(&a, "12345678", 0);
    assert_int_equal(relay_wire_message(&a, WS_TEXT, "text", 4, 0), 0);
    assert_int_equal(relay_wire_message(&a, WS_PONG, "x", 1, 0), 0);
    assert_int_equal(relay_wire_message(&a, WS_PING, "abc", 3, 0), 0);
    relay_wire_flush(&a, 0);
    assert_memory_equal(relay_wire_expect(&a, RELAY_PONG_FRAME).data, "12345678", 8);
    assert_true(relay_wire_next(&a, &m));
    assert_true(m.opcode == WS_PONG && m.len == 3 && memcmp(m.data, "abc", 3) == 0);
    assert_true(relay_wire_silent(&a));
    assert_true(hub.counters.got_ping == 1 && hub.counters.sent_pong == 1);
    relay_wire_dispose(&a, 0);
}

static void close_ends_it_at_once(void **state) {
    (void)state;
    relay_wire a;
    ws_message m;
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    (void)wants_of(&a);
    assert_int_equal(relay_wire_message(&a, WS_CLOSE, "\x03\xe8", 2, 0), IROH_ERR_CLOSED);
    assert_int_equal(a.session.error, 0);
    assert_true((wants_of(&a) & RELAY_WANTS_END) != 0);
    relay_wire_flush(&a, 0);
    assert_true(relay_wire_next(&a, &m));
    assert_true(m.opcode == WS_CLOSE && m.len == 2);
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
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    relay_wire_open(&old, &hub, 2, RELAY_V2, 0);
    relay_wire_open(&middle, &hub, 2, RELAY_V1, 0);
    expect_status(&old, RELAY_STATUS_SAME_ID);
    relay_wire_open(&new, &hub, 2, RELAY_V2, 0);
    relay_wire_flush(&middle, 0);
    assert_true(relay_wire_expect(&middle, RELAY_HEALTH).len > 0);
    assert_int_equal(hub.counters.clients_inactive_added, 2);
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
    assert_int_equal(hub.counters.clients_inactive_removed, 2);
    relay_wire_flush(&a, 0);
    assert_true(relay_wire_silent(&a));  // the id is still there
    assert_int_equal(relay_wire_datagram(&a, old.id, "2", 1, 0), 0);
    relay_wire_flush(&old, 0);
    (void)relay_wire_expect(&old, RELAY_TO_CLIENT);
    assert_int_equal(hub.counters.unique_client_keys, 2);
    relay_wire_dispose(&old, 0);
    relay_wire_dispose(&a, 0);
}

static void those_whom_it_sent_to_learn_that_it_is_gone(void **state) {
    (void)state;
    relay_wire gone, told, not_told;
    relay_wire_open(&gone, &hub, 1, RELAY_V2, 0);
    relay_wire_open(&told, &hub, 2, RELAY_V2, 0);
    relay_wire_open(&not_told, &hub, 3, RELAY_V2, 0);
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

// --- Keep-alive

static void silence_brings_a_ping_and_no_pong_the_end(void **state) {
    (void)state;
    relay_wire a;
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    uint64_t due = relay_hub_deadline(&hub);
    assert_true(due >= 16 * NS_PER_S && due <= 20 * NS_PER_S && due % NS_PER_S == 0);
    relay_hub_tick(&hub, due);
    relay_wire_flush(&a, due);
    relay_frame f = relay_wire_expect(&a, RELAY_PING_FRAME);
    assert_true(relay_hub_deadline(&hub) == due + 5 * NS_PER_S);
    f.type = RELAY_PONG_FRAME;
    uint64_t now = due + 100 * NS_PER_MS;
    assert_int_equal(relay_wire_frame(&a, &f, now), 0);
    relay_hub_tick(&hub, due + 5 * NS_PER_S);
    assert_int_equal(a.session.state, RELAY_SESSION_OPEN);
    due = relay_hub_deadline(&hub);
    assert_true(due >= now + 16 * NS_PER_S);
    relay_hub_tick(&hub, due);
    assert_true(relay_hub_deadline(&hub) == due + 5 * NS_PER_S);  // however short the round trip was
    relay_hub_tick(&hub, due + 5 * NS_PER_S);
    assert_int_equal(a.session.error, IROH_ERR_TIMEOUT);
    assert_int_equal(hub.counters.timed_out, 1);
    relay_wire_dispose(&a, due);
}

static void frames_put_the_ping_off(void **state) {
    (void)state;
    relay_wire a;
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    for (uint64_t now = 0; now < 100 * NS_PER_S; now += 10 * NS_PER_S) {
        ping(&a, "12345678", now);
        relay_hub_tick(&hub, now);
        relay_wire_flush(&a, now);
        (void)relay_wire_expect(&a, RELAY_PONG_FRAME);
        assert_true(relay_wire_silent(&a));
    }
    relay_wire_dispose(&a, 0);
}

// --- Queues and limits

static void a_full_queue_drops_the_newest_and_keeps_the_connection(void **state) {
    (void)state;
    relay_wire a, b;
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &hub, 2, RELAY_V2, 0);
    for (uint32_t i = 0; i < RELAY_HUB_PACKETS + 10; i++)
        assert_int_equal(relay_wire_datagram(&a, b.id, &i, sizeof i, 0), 0);
    assert_int_equal(hub.counters.send_packets_dropped, 10);
    ping(&b, "urgent..", 0);
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
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &hub, 2, RELAY_V2, 0);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(relay_wire_datagram(&a, b.id, data, RELAY_DATAGRAM_MAX, 0), 0);
        for (int k = 0; k < 20; k++)
            ping(&b, "12345678", 0);
    }
    assert_true(b.session.queue.bulk.bytes <= RELAY_HUB_BYTES);
    assert_true(b.session.queue.urgent.messages <= RELAY_HUB_NOTICES);
    assert_true(hub.blocks.in_use <= 2 * RELAY_HUB_BYTES / RELAY_BLOCK_ROOM);
    relay_wire_dispose(&a, 0);
    relay_wire_dispose(&b, 0);
    assert_int_equal(hub.blocks.in_use, 0);
    free(data);
}

static void a_client_that_takes_nothing_for_two_seconds_is_dropped(void **state) {
    (void)state;
    relay_wire a, b;
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    relay_wire_open(&b, &hub, 2, RELAY_V2, 0);
    assert_int_equal(relay_wire_datagram(&a, b.id, "x", 1, 0), 0);
    relay_block *block = relay_queue_take(&b.session.queue);
    assert_non_null(block);
    relay_session_wrote(&b.session, false, false, NS_PER_S);
    relay_session_wrote(&b.session, false, false, 2 * NS_PER_S);  // changes nothing
    assert_true(relay_hub_deadline(&hub) == 3 * NS_PER_S);
    relay_session_wrote(&b.session, false, true, 2 * NS_PER_S);  // some of it went out
    assert_true(relay_hub_deadline(&hub) == 4 * NS_PER_S);
    (void)wants_of(&b);
    assert_int_equal(relay_wire_datagram(&a, b.id, "y", 1, 0), 0);
    assert_int_equal(wants_of(&b), 0);  // its socket is full, and the shell knows
    relay_hub_tick(&hub, 4 * NS_PER_S);
    assert_int_equal(b.session.error, IROH_ERR_TIMEOUT);
    assert_int_equal(hub.counters.slow, 1);
    assert_int_equal(a.session.state, RELAY_SESSION_OPEN);
    relay_queue_done(&b.session.queue, block);
    relay_wire_dispose(&a, 0);
    relay_wire_dispose(&b, 0);
}

static void too_fast_a_sender_is_read_later_and_told_once(void **state) {
    (void)state;
    uint8_t data[900] = {0};
    relay_wire a, b, old;
    relay_hub_dispose(&hub);
    start_hub(10000);  // a burst of 1000
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    relay_wire_open(&old, &hub, 3, RELAY_V1, 0);
    relay_wire_open(&b, &hub, 2, RELAY_V2, 0);
    assert_int_equal(relay_wire_datagram(&a, b.id, data, sizeof data, 0), 0);
    assert_true(relay_session_reads(&a.session));
    assert_int_equal(relay_wire_datagram(&a, b.id, data, sizeof data, 0), 0);
    assert_false(relay_session_reads(&a.session));
    relay_wire_flush(&a, 0);
    assert_int_equal(relay_wire_expect(&a, RELAY_STATUS).code, RELAY_STATUS_RATE_LIMITED);
    (void)wants_of(&a);
    uint64_t due = relay_hub_deadline(&hub);
    assert_true(due > 85 * NS_PER_MS && due < 90 * NS_PER_MS);  // 884 bytes and the one that makes it positive
    relay_hub_tick(&hub, due);
    assert_int_equal(wants_of(&a), RELAY_WANTS_READ);
    assert_true(relay_session_reads(&a.session));
    assert_int_equal(relay_wire_datagram(&a, b.id, data, sizeof data, due), 0);
    relay_wire_flush(&a, due);
    assert_true(relay_wire_silent(&a));  // told once
    assert_int_equal(hub.counters.conns_rx_ratelimited, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(relay_wire_datagram(&old, b.id, data, sizeof data, 0), 0);
    relay_wire_flush(&old, 0);
    assert_true(!relay_session_reads(&old.session) && relay_wire_silent(&old));  // version 1 has no word for it
    relay_hub_set_rx_limit(&hub, 0, 0);
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
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
    relay_session_shutdown(&a.session, 10, 20, 0);
    relay_wire_flush(&a, 0);
    relay_frame f = relay_wire_expect(&a, RELAY_RESTARTING);
    assert_true(f.reconnect_in == 10 && f.try_for == 20);
    assert_int_equal(a.session.error, IROH_ERR_CLOSED);
    relay_wire_dispose(&a, 0);
}

static void bytes_one_at_a_time_are_the_same(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0x82, 0x89, 0, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8};
    relay_wire a;
    relay_wire_open(&a, &hub, 1, RELAY_V2, 0);
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

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_challenge_leads_to_an_open_session),
        CASE(a_wrong_signature_is_denied),
        CASE(the_shell_denies_with_its_reason),
        CASE(nothing_but_an_answer_comes_before_the_session),
        CASE(handshake_and_decision_have_their_time),
        CASE(datagrams_reach_their_receiver_with_the_senders_id),
        CASE(every_size_arrives_whole),
        CASE(nobody_is_hurt_by_what_cannot_be_forwarded),
        CASE(a_client_may_send_to_itself),
        CASE(bad_frames_cost_their_sender_alone),
        CASE(pings_are_answered_and_text_is_skipped),
        CASE(close_ends_it_at_once),
        CASE(the_newest_of_an_id_receives),
        CASE(those_whom_it_sent_to_learn_that_it_is_gone),
        CASE(silence_brings_a_ping_and_no_pong_the_end),
        CASE(frames_put_the_ping_off),
        CASE(a_full_queue_drops_the_newest_and_keeps_the_connection),
        CASE(a_client_that_never_reads_costs_a_bounded_queue),
        CASE(a_client_that_takes_nothing_for_two_seconds_is_dropped),
        CASE(too_fast_a_sender_is_read_later_and_told_once),
        CASE(shutdown_announces_itself_when_asked),
        CASE(bytes_one_at_a_time_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
