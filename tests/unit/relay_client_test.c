// The client's half: coming up, both proofs, keep-alive, sending, loss and back-off, idleness, the end; and against our own
// server, byte by byte.
#include "relay/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "crypto/ed25519.h"
#include "unit/relay_support.h"

#define URL "http://127.0.0.1:3340/?a=b"

static relay_random randomness;
static relay_blocks blocks;
static relay_client client;
static ws_decoder said_decoder;
static uint8_t said[1 << 17];  // what the client wrote and nobody took
static size_t said_len, said_seen;
static uint8_t peer[RELAY_ID];
static relay_client_event event;

static void start(const char *url, const char *token) {
    relay_client_config config = {
        .url = url, .url_len = strlen(url), .token = token, .random = &randomness.source, .blocks = &blocks};
    memset(config.seed, 0x44, sizeof config.seed);
    assert_int_equal(relay_client_init(&client, &config, 0), 0);
    relay_client_set_home(&client, true, 0);
}

static int set_up(void **state) {
    (void)state;
    uint8_t seed[32] = {9};
    ed25519_public(seed, peer);
    relay_random_init(&randomness, 5);
    relay_blocks_init(&blocks, 1000);
    ws_decoder_init(&said_decoder, true, RELAY_MESSAGE_MAX);
    said_len = said_seen = 0;
    start(URL, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    relay_client_dispose(&client);
    ws_decoder_dispose(&said_decoder);
    relay_blocks_dispose(&blocks);
    return 0;
}

// --- The other end of the wire

static void flush(uint64_t now) {
    for (relay_block *b; (b = relay_queue_take(&client.queue)) != NULL; relay_queue_done(&client.queue, b)) {
        size_t len = b->end - b->start;
        assert_true(said_len + len <= sizeof said);
        memcpy(said + said_len, b->bytes + b->start, len);
        said_len += len;
    }
    relay_client_wrote(&client, true, true, now);
}

static bool next_said(ws_message *m) {
    uint8_t *p = said + said_seen;
    size_t left = said_len - said_seen;
    int r = left > 0 ? ws_decode(&said_decoder, &p, &left, m) : 0;
    assert_true(r >= 0);
    said_seen = said_len - left;
    return r == 1;
}

static relay_frame expect(uint8_t type) {
    ws_message m = {0};
    relay_frame f = {0};
    flush(0);
    assert_true(next_said(&m));
    assert_true(m.opcode == WS_BINARY && m.len > 0);
    assert_int_equal(m.data[0], type);
    assert_int_equal(relay_frame_decode(m.data, m.len, RELAY_BY_CLIENT, RELAY_V2, relay_frame_info_of(type)->phase, &f),
                     0);
    return f;
}

static bool silent(void) {
    ws_message m;
    flush(0);
    return !next_said(&m);
}

// Feeds bytes from memory of their own and returns the first result that is not 0.
static int hear(const void *bytes, size_t len, uint64_t now) {
    static uint8_t *kept;
    free(kept);
    kept = malloc(len > 0 ? len : 1);
    assert_non_null(kept);
    memcpy(kept, bytes, len);
    uint8_t *p = kept;
    int r = relay_client_receive(&client, &p, &len, now, &event);
    if (r == 0)
        assert_int_equal(len, 0);
    return r;
}

static int hear_message(int opcode, const void *data, size_t len, uint64_t now) {
    uint8_t bytes[512];
    size_t header = ws_put_header(bytes, opcode, len, NULL);
    if (len > 0)
        memcpy(bytes + header, data, len);
    return hear(bytes, header + len, now);
}

static int hear_frame(const relay_frame *f, uint64_t now) {
    uint8_t bytes[256];
    writer w = writer_of(bytes, sizeof bytes);
    relay_frame_encode(&w, f);
    assert_false(w.failed);
    return hear_message(WS_BINARY, bytes, writer_len(&w), now);
}

static size_t answer(char *out, const char *version, int extra_fields) {
    char accept[WS_ACCEPT_SIZE];
    ws_accept(client.key, strlen(client.key), accept);
    int len = sprintf(out, "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: %s\r\n%s%s%s", accept,
                      version != NULL ? "sec-websocket-protocol: " : "", version != NULL ? version : "",
                      version != NULL ? "\r\n" : "");
    for (int i = 0; i < extra_fields; i++)
        len += sprintf(out + len, "x%d: y\r\n", i);
    return (size_t)(len + sprintf(out + len, "\r\n"));
}

static void upgrade(const char *version, uint64_t now) {
    char text[512];
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_DIAL);
    relay_client_dialling(&client, now);
    relay_client_connected(&client, NULL, now);
    flush(now);
    said_len = said_seen = 0;  // the request
    assert_int_equal(hear(text, answer(text, version, 0), now), 0);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_AUTHENTICATING);
}

static void become_ready(const char *version, uint64_t now) {
    static const relay_frame confirm = {.type = RELAY_SERVER_CONFIRMS};
    upgrade(version, now);
    assert_int_equal(hear_frame(&confirm, now), 1);
    assert_int_equal(event.kind, RELAY_EVENT_READY);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_READY);
}

// Answers the ping that is under way, after which the connection counts as working.
static void pong(uint64_t now) {
    relay_frame f = expect(RELAY_PING_FRAME);
    f.type = RELAY_PONG_FRAME;
    assert_int_equal(hear_frame(&f, now), 0);
}

// --- Coming up

static void it_dials_asks_and_is_confirmed(void **state) {
    (void)state;
    become_ready(RELAY_V2_NAME, 0);
    assert_int_equal(client.version, RELAY_V2);
    assert_int_equal(client.stats.successes, 1);
    (void)expect(RELAY_PING_FRAME);  // at once
    assert_true(silent());
}

static void it_answers_a_challenge_once(void **state) {
    (void)state;
    static const uint8_t bytes[RELAY_CHALLENGE] = {1, 2, 3};
    const relay_frame challenge = {.type = RELAY_SERVER_CHALLENGE, .data = bytes, .len = sizeof bytes};
    upgrade(RELAY_V2_NAME, 0);
    assert_int_equal(hear_frame(&challenge, 0), 0);
    relay_frame f = expect(RELAY_CLIENT_AUTH);
    assert_memory_equal(f.id, client.id, RELAY_ID);
    assert_true(relay_challenge_verify(f.id, bytes, f.data));
    assert_int_equal(hear_frame(&challenge, 0), IROH_ERR_PROTOCOL);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_WAIT);
}

static void responses_may_come_in_pieces_with_frames_behind(void **state) {
    (void)state;
    char text[512];
    relay_client_dialling(&client, 0);
    relay_client_connected(&client, NULL, 0);
    flush(0);
    size_t len = answer(text, RELAY_V1_NAME, 0);
    memcpy(text + len, "\x82\x01\x02\x82\x01", 5);
    for (size_t i = 0; i < len + 2; i++)
        assert_int_equal(hear(text + i, 1, 0), 0);
    assert_int_equal(hear(text + len + 2, 1, 0), 1);
    assert_int_equal(client.version, RELAY_V1);
    relay_client_lost(&client, IROH_ERR_IO, 0);
    relay_client_tick(&client, NS_PER_S);
    relay_client_dialling(&client, NS_PER_S);
    relay_client_connected(&client, NULL, NS_PER_S);
    len = answer(text, RELAY_V2_NAME, 0);
    memcpy(text + len, "\x82\x01\x02", 3);
    assert_int_equal(hear(text, len + 3, NS_PER_S), 1);
    assert_int_equal(event.kind, RELAY_EVENT_READY);
}

static void bad_responses_fail_the_attempt(void **state) {
    (void)state;
    char text[HTTP_HEAD_MAX + 1];
    static const char *const versions[] = {NULL, "iroh-relay-v3"};
    uint64_t now = 0;
    for (int i = 0; i < 6; i++) {
        relay_client_tick(&client, now);
        relay_client_dialling(&client, now);
        relay_client_connected(&client, NULL, now);
        size_t len = answer(text, i < 2 ? versions[i] : RELAY_V2_NAME, i == 2 ? HTTP_FIELDS_MAX : 0);
        int wanted = i < 2 ? IROH_ERR_VERSION : IROH_ERR_LIMIT;
        if (i == 3) {
            len = (size_t)sprintf(text, "HTTP/1.1 302 Found\r\n\r\n");
            wanted = IROH_ERR_REFUSED;
        } else if (i == 4) {
            memset(text, 'x', len = HTTP_HEAD_MAX);
            wanted = IROH_ERR_TOO_LARGE;
        } else if (i == 5) {
            client.key[0] ^= 1;  // so the accept value is another's
            len = answer(text, RELAY_V2_NAME, 0);
            client.key[0] ^= 1;
            wanted = IROH_ERR_PROTOCOL;
        }
        assert_int_equal(hear(text, len, now), wanted);
        assert_int_equal(client.error, wanted);
        assert_int_equal(relay_client_state(&client), RELAY_CLIENT_WAIT);
        now = relay_client_deadline(&client);
    }
    assert_int_equal(client.stats.failures, 6);
}

static void a_denial_is_kept_and_retried(void **state) {
    (void)state;
    const relay_frame denial = {.type = RELAY_SERVER_DENIES, .data = (const uint8_t *)"not authorized", .len = 14};
    upgrade(RELAY_V2_NAME, 0);
    assert_int_equal(hear_frame(&denial, 0), IROH_ERR_REFUSED);
    assert_true(client.denied);
    assert_string_equal(client.denial, "not authorized");
    uint64_t due = relay_client_deadline(&client);
    assert_true(due >= RELAY_BACKOFF_MIN && due < 2 * RELAY_BACKOFF_MIN);
    relay_client_tick(&client, due);
    become_ready(RELAY_V2_NAME, due);
    assert_false(client.denied);
}

static void coming_up_has_ten_seconds(void **state) {
    (void)state;
    upgrade(RELAY_V2_NAME, 7);
    assert_true(relay_client_deadline(&client) == 7 + RELAY_CONNECT_TIMEOUT);
    relay_client_tick(&client, 7 + RELAY_CONNECT_TIMEOUT);
    assert_int_equal(client.error, IROH_ERR_TIMEOUT);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_WAIT);
}

static void bad_configurations_are_refused(void **state) {
    (void)state;
    relay_client other;
    relay_client_config config = {.url = "http:", .url_len = 5, .random = &randomness.source, .blocks = &blocks};
    assert_int_equal(relay_client_init(&other, &config, 0), IROH_ERR_SYNTAX);
    config.url = URL;
    config.url_len = strlen(URL);
    config.token = "a\nb";
    assert_int_equal(relay_client_init(&other, &config, 0), IROH_ERR_ARG);
}

// --- Back-off

static void failures_back_off_to_a_bound(void **state) {
    (void)state;
    uint64_t now = 0, wanted = RELAY_BACKOFF_MIN;
    for (int i = 0; i < 20; i++) {
        relay_client_dialling(&client, now);
        relay_client_lost(&client, IROH_ERR_IO, now);
        uint64_t due = relay_client_deadline(&client);
        assert_true(due >= now + wanted && due < now + 2 * wanted);
        relay_client_tick(&client, due - 1);
        assert_int_equal(relay_client_state(&client), RELAY_CLIENT_WAIT);
        relay_client_tick(&client, due);
        assert_int_equal(relay_client_state(&client), RELAY_CLIENT_DIAL);
        now = due;
        wanted = 2 * wanted < RELAY_BACKOFF_MAX ? 2 * wanted : RELAY_BACKOFF_MAX;
    }
}

static void a_connection_that_worked_is_dialled_again_soon(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        relay_client_dialling(&client, 0);
        relay_client_lost(&client, IROH_ERR_IO, 0);
    }
    relay_client_tick(&client, 40 * NS_PER_S);
    become_ready(RELAY_V2_NAME, 40 * NS_PER_S);
    pong(40 * NS_PER_S);
    relay_client_lost(&client, IROH_ERR_IO, 40 * NS_PER_S);
    assert_int_equal(client.stats.closed, 1);
    assert_true(relay_client_deadline(&client) < 40 * NS_PER_S + RELAY_RECONNECT_SPREAD);
    relay_client_tick(&client, 41 * NS_PER_S);
    become_ready(RELAY_V2_NAME, 41 * NS_PER_S);
    relay_client_lost(&client, IROH_ERR_IO, 41 * NS_PER_S);  // no pong: it never worked
    assert_true(relay_client_deadline(&client) >= 41 * NS_PER_S + RELAY_BACKOFF_MIN);
}

static void a_restarting_relay_is_given_its_time(void **state) {
    (void)state;
    const relay_frame notice = {.type = RELAY_RESTARTING, .reconnect_in = 2000, .try_for = 9};
    become_ready(RELAY_V2_NAME, 0);
    pong(0);
    assert_int_equal(hear_frame(&notice, 0), 1);
    assert_true(event.kind == RELAY_EVENT_RESTARTING && event.frame.try_for == 9);
    relay_client_lost(&client, IROH_ERR_IO, 0);
    uint64_t due = relay_client_deadline(&client);
    assert_true(due >= 2 * NS_PER_S && due < 2 * NS_PER_S + RELAY_RECONNECT_SPREAD);
}

// --- Frames

static void events_carry_what_the_relay_says(void **state) {
    (void)state;
    const relay_frame batch = {.type = RELAY_TO_CLIENT_BATCH,
                               .ecn = 1,
                               .segment = 3,
                               .id = peer,
                               .data = (const uint8_t *)"abcdefg",
                               .len = 7};
    const relay_frame gone = {.type = RELAY_GONE, .id = peer};
    const relay_frame status = {.type = RELAY_STATUS, .code = RELAY_STATUS_RATE_LIMITED};
    const relay_frame unknown = {.type = RELAY_STATUS, .code = 77};
    become_ready(RELAY_V2_NAME, 0);
    assert_int_equal(hear_frame(&batch, 0), 1);
    assert_true(event.kind == RELAY_EVENT_DATAGRAM && event.frame.segment == 3 && event.frame.ecn == 1);
    assert_memory_equal(event.frame.data, "abcdefg", 7);
    assert_memory_equal(event.frame.id, peer, RELAY_ID);
    assert_int_equal(hear_frame(&gone, 0), 1);
    assert_int_equal(event.kind, RELAY_EVENT_GONE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(hear_frame(&status, 0), 1);
    assert_int_equal(client.stats.rate_limited, 1);
    assert_int_equal(hear_frame(&unknown, 0), 1);
    assert_true(event.kind == RELAY_EVENT_STATUS && event.frame.code == 77);
    assert_int_equal(hear_message(WS_TEXT, "text", 4, 0), 0);
    assert_true(client.stats.frames_received == 1 && client.stats.bytes_received == 7);
}

static void version_1_has_health(void **state) {
    (void)state;
    const relay_frame health = {.type = RELAY_HEALTH, .data = (const uint8_t *)"well", .len = 4};
    const relay_frame status = {.type = RELAY_STATUS, .code = 0};
    become_ready(RELAY_V1_NAME, 0);
    assert_int_equal(hear_frame(&health, 0), 1);
    assert_true(event.kind == RELAY_EVENT_HEALTH && event.frame.len == 4);
    assert_int_equal(hear_frame(&status, 0), IROH_ERR_UNSUPPORTED);
}

static void what_does_not_decode_ends_the_connection(void **state) {
    (void)state;
    uint8_t no_point[RELAY_ID] = {2};
    const relay_frame gone = {.type = RELAY_GONE, .id = no_point};
    static const char *const bad[] = {"", "\x0e", "\x04", "\x09seven..", "\x0d", "\x0bhealth"};
    uint64_t now = 0;
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        become_ready(RELAY_V2_NAME, now);
        int r = i < sizeof bad / sizeof *bad ? hear_message(WS_BINARY, bad[i], strlen(bad[i]), now)
                                             : hear_frame(&gone, now);
        assert_true(r < 0 && client.error == r);
        assert_int_equal(relay_client_state(&client), RELAY_CLIENT_WAIT);
        now = relay_client_deadline(&client);
        relay_client_tick(&client, now);
        said_len = said_seen = 0;
    }
    become_ready(RELAY_V2_NAME, now);
    assert_int_equal(hear_message(WS_CLOSE, NULL, 0, now), IROH_ERR_PEER_CLOSED);
}

static void datagrams_and_batches_are_sent(void **state) {
    (void)state;
    uint8_t *large = calloc(1, RELAY_DATAGRAM_MAX + 1);
    assert_non_null(large);
    become_ready(RELAY_V2_NAME, 0);
    (void)expect(RELAY_PING_FRAME);
    assert_int_equal(relay_client_send(&client, peer, 2, 0, (const uint8_t *)"one", 3, 0), 0);
    relay_frame f = expect(RELAY_TO_RELAY);
    assert_true(f.ecn == 2 && f.len == 3 && memcmp(f.data, "one", 3) == 0 && memcmp(f.id, peer, RELAY_ID) == 0);
    assert_int_equal(relay_client_send(&client, peer, 0, 2, (const uint8_t *)"aabbc", 5, 0), 0);
    f = expect(RELAY_TO_RELAY_BATCH);
    assert_true(f.segment == 2 && f.len == 5 && memcmp(f.data, "aabbc", 5) == 0);
    for (size_t i = 0; i < RELAY_DATAGRAM_MAX; i++)
        large[i] = (uint8_t)(i ^ i >> 8);
    assert_int_equal(relay_client_send(&client, peer, 0, 0, large, RELAY_DATAGRAM_MAX, 0), 0);
    f = expect(RELAY_TO_RELAY);
    assert_int_equal(f.len, RELAY_DATAGRAM_MAX);
    assert_memory_equal(f.data, large, RELAY_DATAGRAM_MAX);
    assert_int_equal(relay_client_send(&client, peer, 0, 0, large, RELAY_DATAGRAM_MAX + 1, 0), IROH_ERR_TOO_LARGE);
    assert_int_equal(relay_client_send(&client, peer, 0, 9, large, RELAY_BATCH_MAX + 1, 0), IROH_ERR_TOO_LARGE);
    assert_int_equal(relay_client_send(&client, peer, 0, 0, large, 0, 0), IROH_ERR_ARG);
    assert_int_equal(relay_client_send(&client, peer, 0, 5, large, 5, 0), IROH_ERR_ARG);  // no batch
    free(large);
}

static void datagrams_wait_for_the_connection_but_not_long(void **state) {
    (void)state;
    relay_client_dialling(&client, 0);
    assert_int_equal(relay_client_send(&client, peer, 0, 0, (const uint8_t *)"old", 3, 0), 0);
    assert_false(relay_queue_pending(&client.queue));
    assert_true(relay_client_deadline(&client) == RELAY_CLIENT_STALE);
    relay_client_tick(&client, RELAY_CLIENT_STALE);
    assert_int_equal(client.stats.dropped, 1);
    for (int i = 0; i < RELAY_CLIENT_QUEUE; i++)
        assert_int_equal(relay_client_send(&client, peer, 0, 0, (const uint8_t *)"new", 3, RELAY_CLIENT_STALE), 0);
    assert_int_equal(relay_client_send(&client, peer, 0, 0, (const uint8_t *)"new", 3, 0), IROH_ERR_LIMIT);
    client.state = RELAY_CLIENT_DIAL;
    become_ready(RELAY_V2_NAME, RELAY_CLIENT_STALE);
    (void)expect(RELAY_PING_FRAME);
    for (int i = 0; i < RELAY_CLIENT_QUEUE; i++)
        assert_memory_equal(expect(RELAY_TO_RELAY).data, "new", 3);
    assert_true(silent());
}

// --- Keep-alive

static void pings_go_both_ways(void **state) {
    (void)state;
    const relay_frame ping = {.type = RELAY_PING_FRAME, .data = (const uint8_t *)"abcdefgh", .len = RELAY_PING};
    become_ready(RELAY_V2_NAME, 0);
    pong(100 * NS_PER_MS);
    assert_true(relay_client_deadline(&client) == 100 * NS_PER_MS + RELAY_CLIENT_PING);
    assert_int_equal(hear_frame(&ping, NS_PER_S), 0);
    assert_memory_equal(expect(RELAY_PONG_FRAME).data, "abcdefgh", 8);
    assert_int_equal(hear_message(WS_PING, "xy", 2, NS_PER_S), 0);
    ws_message m;
    flush(0);
    assert_true(next_said(&m));
    assert_true(m.opcode == WS_PONG && m.len == 2);
    assert_true(relay_client_deadline(&client) == NS_PER_S + RELAY_CLIENT_PING);
    relay_client_tick(&client, 16 * NS_PER_S);
    (void)expect(RELAY_PING_FRAME);
    assert_true(relay_client_deadline(&client) == 16 * NS_PER_S + 500 * NS_PER_MS);
    relay_client_tick(&client, 16 * NS_PER_S + 500 * NS_PER_MS);
    assert_int_equal(client.error, IROH_ERR_TIMEOUT);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_WAIT);
}

static void a_first_ping_has_five_seconds(void **state) {
    (void)state;
    become_ready(RELAY_V2_NAME, 0);
    assert_true(relay_client_deadline(&client) == 5 * NS_PER_S);
    relay_client_tick(&client, 5 * NS_PER_S);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_WAIT);
}

static void a_change_of_network_is_checked_at_once(void **state) {
    (void)state;
    become_ready(RELAY_V2_NAME, 0);
    pong(10 * NS_PER_MS);
    relay_client_network_changed(&client, NS_PER_S);
    (void)expect(RELAY_PING_FRAME);
    assert_true(relay_client_deadline(&client) == NS_PER_S + RELAY_PONG_MIN);
    relay_client_tick(&client, NS_PER_S + RELAY_PONG_MIN);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_WAIT);
    relay_client_network_changed(&client, 2 * NS_PER_S);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_DIAL);
}

static void a_write_that_stands_still_ends_the_connection(void **state) {
    (void)state;
    become_ready(RELAY_V2_NAME, 0);
    pong(0);
    relay_client_wrote(&client, false, true, NS_PER_S);
    relay_client_wrote(&client, false, false, 2 * NS_PER_S);
    client.ping_at = TIME_NEVER;
    assert_true(relay_client_deadline(&client) == NS_PER_S + RELAY_WRITE_TIMEOUT);
    relay_client_tick(&client, NS_PER_S + RELAY_WRITE_TIMEOUT);
    assert_int_equal(client.error, IROH_ERR_TIMEOUT);
}

// --- The end

static void expect_close(void) {
    ws_message m;
    flush(0);
    assert_true(next_said(&m));
    assert_true(m.opcode == WS_CLOSE && ws_close_code(&m) == WS_CLOSE_NORMAL);
}

static void a_relay_that_is_not_home_is_left_when_idle(void **state) {
    (void)state;
    relay_client_set_home(&client, false, 0);
    become_ready(RELAY_V2_NAME, 0);
    pong(0);
    assert_int_equal(relay_client_send(&client, peer, 0, 0, (const uint8_t *)"x", 1, NS_PER_S), 0);
    (void)expect(RELAY_TO_RELAY);
    client.ping_at = TIME_NEVER;
    assert_true(relay_client_deadline(&client) == 61 * NS_PER_S);
    relay_client_tick(&client, 61 * NS_PER_S);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_CLOSING);
    expect_close();
    relay_client_lost(&client, 0, 61 * NS_PER_S);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_WAIT);
    assert_true(relay_client_deadline(&client) == TIME_NEVER);
    assert_int_equal(relay_client_send(&client, peer, 0, 0, (const uint8_t *)"y", 1, 70 * NS_PER_S), 0);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_DIAL);
}

static void idleness_ends_the_dialling_too(void **state) {
    (void)state;
    relay_client_set_home(&client, false, 0);
    relay_client_dialling(&client, 59 * NS_PER_S);
    relay_client_lost(&client, IROH_ERR_IO, 60 * NS_PER_S);
    relay_client_tick(&client, 60 * NS_PER_S);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_WAIT);
    assert_true(relay_client_deadline(&client) == TIME_NEVER);
    relay_client_set_home(&client, true, 61 * NS_PER_S);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_DIAL);
}

static void closing_says_goodbye_and_is_final(void **state) {
    (void)state;
    become_ready(RELAY_V2_NAME, 0);
    (void)expect(RELAY_PING_FRAME);
    assert_int_equal(relay_client_send(&client, peer, 0, 0, (const uint8_t *)"last", 4, 0), 0);
    relay_client_close(&client, NS_PER_S);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_CLOSING);
    (void)expect(RELAY_TO_RELAY);  // what was queued comes first
    expect_close();
    assert_int_equal(relay_client_send(&client, peer, 0, 0, (const uint8_t *)"x", 1, 0), IROH_ERR_CLOSED);
    relay_client_tick(&client, NS_PER_S + RELAY_CLOSE_TIMEOUT);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_CLOSED);
    assert_true(relay_client_deadline(&client) == TIME_NEVER);
}

static void closing_without_a_connection_is_at_once(void **state) {
    (void)state;
    relay_client_close(&client, 0);
    assert_int_equal(relay_client_state(&client), RELAY_CLIENT_CLOSED);
}

// --- Against our server

static void it_speaks_with_our_server(void **state) {
    (void)state;
    relay_hub hub;
    relay_hub_config config;
    relay_wire other;
    relay_hub_config_default(&config);
    config.random = &randomness.source;
    assert_int_equal(relay_hub_init(&hub, &config), 0);
    relay_wire_open(&other, &hub, 7, RELAY_V2, 0);
    relay_wire near;
    relay_wire_init(&near, &hub, 1);
    upgrade(RELAY_V2_NAME, 0);
    assert_int_equal(relay_session_start(&near.session, RELAY_V2, NULL, 0), 0);
    assert_int_equal(relay_client_send(&client, other.id, 1, 0, (const uint8_t *)"queued early", 12, 0), 0);
    int ready = 0;
    for (int round = 0; round < 6; round++) {
        relay_wire_flush(&near, 0);
        size_t len = near.len - near.seen;
        int r = hear(near.bytes + near.seen, len, 0);
        near.seen = near.len;
        ready += r == 1 && event.kind == RELAY_EVENT_READY;
        flush(0);
        assert_int_equal(relay_session_receive(&near.session, said + said_seen, said_len - said_seen, 0), 0);
        said_seen = said_len;
        relay_session_allow(&near.session, 0);
    }
    assert_int_equal(ready, 1);
    assert_memory_equal(near.session.id, client.id, RELAY_ID);
    relay_wire_flush(&other, 0);
    relay_frame f = relay_wire_expect(&other, RELAY_TO_CLIENT);
    assert_true(f.ecn == 1 && f.len == 12 && memcmp(f.data, "queued early", 12) == 0);
    assert_memory_equal(f.id, client.id, RELAY_ID);
    assert_true(client.worked);
    relay_wire_dispose(&near, 0);
    relay_wire_dispose(&other, 0);
    relay_hub_dispose(&hub);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
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
        CASE(events_carry_what_the_relay_says),
        CASE(version_1_has_health),
        CASE(what_does_not_decode_ends_the_connection),
        CASE(datagrams_and_batches_are_sent),
        CASE(datagrams_wait_for_the_connection_but_not_long),
        CASE(pings_go_both_ways),
        CASE(a_first_ping_has_five_seconds),
        CASE(a_change_of_network_is_checked_at_once),
        CASE(a_write_that_stands_still_ends_the_connection),
        CASE(a_relay_that_is_not_home_is_left_when_idle),
        CASE(idleness_ends_the_dialling_too),
        CASE(closing_says_goodbye_and_is_final),
        CASE(closing_without_a_connection_is_at_once),
        CASE(it_speaks_with_our_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
