// What strangers may say to a relay server over real sockets, plain and over TLS: heads, proofs and frames that are wrong.
// Each is answered or dropped as it should be, while two clients that were there before go on talking.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/ed25519.h"
#include "relay/auth.h"
#include "unit/relay_bystander_support.h"

static const bool plain = false, over_tls = true;

// --- Heads

#define FIELDS(protocol, version)                                                                                      \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                     \
    "Sec-WebSocket-Version: " version "\r\nSec-WebSocket-Protocol: " protocol "\r\n\r\n"

static const struct {
    const char *head;
    const char *status;
    const char *says;  // somewhere in the answer; null: nothing special
} heads[] = {
    {"nonsense\r\n\r\n", "HTTP/1.1 400", NULL},
    {"GET\r\n\r\n", "HTTP/1.1 400", NULL},
    {"GET /ping HTTP/9.9\r\n\r\n", "HTTP/1.1 400", NULL},
    {"GET /ping HTTP/1.1\r\nno colon\r\n\r\n", "HTTP/1.1 400", NULL},
    {"GET /ping HTTP/1.1\r\n: no name\r\n\r\n", "HTTP/1.1 400", NULL},
    {"GET /ping HTTP/1.1\r\nspace : x\r\n\r\n", "HTTP/1.1 400", NULL},
    {"GET /ping HTTP/1.1\r\nx: \x01\r\n\r\n", "HTTP/1.1 400", NULL},
    {"GET /pi\x7fng HTTP/1.1\r\n\r\n", "HTTP/1.1 400", NULL},
    {"GET /relay HTTP/1.1\r\n" FIELDS("iroh-relay-v3", "13"), "HTTP/1.1 400", "unsupported relay version"},
    {"GET /relay HTTP/1.1\r\n" FIELDS("iroh-relay-v2", "8"), "HTTP/1.1 400", "unsupported websocket version"},
    {"GET /relay HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "HTTP/1.1 400", "missing header"},
    {"GET /relay HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "HTTP/1.1 400", "upgrade"},
    {"POST /relay HTTP/1.1\r\n" FIELDS("iroh-relay-v2", "13"), "HTTP/1.1 404", NULL},
    {"GET /relay/ HTTP/1.1\r\n" FIELDS("iroh-relay-v2", "13"), "HTTP/1.1 404", NULL},
};

static void malformed_heads_are_refused(void **state) {
    bystanders_come(*(const bool *)*state);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        live_line l = live_dial(they.relay, false);
        assert_true(live_put(&l, heads[i].head, strlen(heads[i].head)));
        // A body may follow; none of these answers ends with its head and a colon.
        const char *answer = live_get(&l, heads[i].says != NULL ? heads[i].says : "\r\n\r\n");
        if (!live_starts(answer, heads[i].status) || (heads[i].says != NULL && strstr(answer, heads[i].says) == NULL))
            fail_msg("%s-> %s", heads[i].head, answer);
        bystanders_talk(heads[i].status);
        live_hang_up(&l);
    }
    bystanders_leave();
}

// Perhaps the server has gone already while the rest is being written; what it said is lost then.
static void expect_too_large(live_line *l, bool all_written) {
    if (all_written)
        assert_true(live_starts(live_get(l, "\r\n\r\n"), "HTTP/1.1 431"));
    live_hang_up(l);
}

static void a_head_without_end_is_refused(void **state) {
    static char field[1024];
    bystanders_come(*(const bool *)*state);
    live_line l = live_dial(they.relay, false);
    memset(field, 'a', sizeof field);
    bool written = live_put(&l, "GET / HTTP/1.1\r\nx: ", 19);
    for (int i = 0; i < 64 && written; i++)
        written = live_put(&l, field, sizeof field);
    expect_too_large(&l, written);
    l = live_dial(they.relay, false);
    written = live_put(&l, "GET / HTTP/1.1\r\n", 16);
    for (int i = 0; i < 101 && written; i++)
        written = live_put(&l, "x: y\r\n", 6);
    written = written && live_put(&l, "\r\n", 2);
    expect_too_large(&l, written);
    bystanders_heap_below(1 << 20);
    bystanders_leave();
}

// --- Proofs

// Reads the answer to an upgrade to its end and not further.
static void take_101(live_line *l) {
    char head[2048];
    size_t len = 0;
    do {
        assert_true(len + 1 < sizeof head);
        assert_int_equal(live_read(l, head + len, 1), 1);
        head[++len] = '\0';
    } while (len < 4 || strcmp(head + len - 4, "\r\n\r\n") != 0);
    assert_true(live_starts(head, "HTTP/1.1 101"));
}

// One short frame: its length, or 0 when the server has gone.
static size_t take_frame(live_line *l, uint8_t out[static 125]) {
    uint8_t head[2];
    size_t have = 0;
    for (size_t i = 0; i < sizeof head; i++) {
        if (live_read(l, head + i, 1) != 1)
            return 0;
    }
    assert_true(head[0] == 0x82 && head[1] <= 125);
    while (have < head[1]) {
        int n = live_read(l, out + have, head[1] - have);
        assert_true(n > 0);
        have += (size_t)n;
    }
    return have;
}

static bool give_frame(live_line *l, const uint8_t *bytes, size_t len) {
    uint8_t frame[6 + 125] = {0x82, (uint8_t)(0x80 | len)};
    assert_true(len <= 125);
    memcpy(frame + 6, bytes, len);
    return live_put(l, frame, 6 + len);
}

static live_line dial_upgraded(const char *request) {
    live_line l = live_dial(they.relay, false);
    assert_true(live_put(&l, request, strlen(request)));
    take_101(&l);
    return l;
}

#define AUTH_LEN 98  // type, id, length, signature

static void put_auth(uint8_t out[static AUTH_LEN], const uint8_t seed[static 32], const uint8_t *challenge) {
    out[0] = RELAY_CLIENT_AUTH;
    ed25519_public(seed, out + 1);
    out[33] = RELAY_SIGNATURE;
    relay_challenge_sign(seed, challenge, out + 34);
}

static void expect_denial(live_line *l) {
    static const char reason[] = "signature invalid";
    uint8_t frame[125];
    assert_int_equal(take_frame(l, frame), 2 + strlen(reason));
    assert_int_equal(frame[0], RELAY_SERVER_DENIES);
    assert_memory_equal(frame + 2, reason, strlen(reason));
    live_expect_closed(l);
}

static void wrong_signatures_are_denied(void **state) {
    static const uint8_t seed[32] = {9}, other[32] = {10}, zeros[RELAY_CHALLENGE];
    bystanders_come(*(const bool *)*state);
    for (int way = 0; way < 4; way++) {
        uint8_t frame[125], auth[AUTH_LEN];
        live_line l = dial_upgraded(LIVE_UPGRADE);
        assert_int_equal(take_frame(&l, frame), 1 + RELAY_CHALLENGE);
        assert_int_equal(frame[0], RELAY_SERVER_CHALLENGE);
        put_auth(auth, seed, way == 0 ? zeros : frame + 1);  // of another challenge
        if (way == 1)
            ed25519_public(other, auth + 1);  // of another key
        if (way == 2)
            auth[97] ^= 0x10;
        if (way == 3)
            memset(auth + 34, 0, RELAY_SIGNATURE);
        assert_true(give_frame(&l, auth, sizeof auth));
        expect_denial(&l);
        bystanders_talk("about a forger");
    }
    assert_int_equal(live_stats(they.relay).accepts, 2);
    bystanders_leave();
}

static void only_a_proof_is_taken_before_the_session(void **state) {
    static const uint8_t ping[] = "\x09"
                                  "12345678";
    static const uint8_t no_point[AUTH_LEN] = {RELAY_CLIENT_AUTH, 2, [33] = RELAY_SIGNATURE};
    static const uint8_t cut[] = {RELAY_CLIENT_AUTH, 1, 2, 3};
    const struct {
        const uint8_t *bytes;
        size_t len;
    } early[] = {{ping, 9}, {no_point, sizeof no_point}, {cut, sizeof cut}, {(const uint8_t *)"\x02", 1}, {ping, 0}};
    bystanders_come(*(const bool *)*state);
    for (size_t i = 0; i < sizeof early / sizeof early[0]; i++) {
        uint8_t frame[125];
        live_line l = dial_upgraded(LIVE_UPGRADE);
        assert_int_equal(take_frame(&l, frame), 1 + RELAY_CHALLENGE);
        assert_true(give_frame(&l, early[i].bytes, early[i].len));
        live_expect_closed(&l);
        bystanders_talk("about an impatient one");
    }
    assert_int_equal(live_stats(they.relay).accepts, 2);
    bystanders_leave();
}

// A claim over keying material that is not of this session, as if TLS ended somewhere on the way: a challenge. One that
// does not decode: the end, after the 101. A plain server looks at neither.
static void claims_that_do_not_hold_lead_to_a_challenge(void **state) {
    static const char field[] = "\r\n" RELAY_CLAIM_FIELD ": ";
    static const uint8_t seed[32] = {9}, other[RELAY_EXPORT] = {1, 2, 3};
    const char *end = strstr(LIVE_UPGRADE, "\r\n\r\n");
    bool tls = *(const bool *)*state;
    char request[1024];
    relay_claim claim;
    bystanders_come(*(const bool *)*state);
    for (int broken = 0; broken < 2; broken++) {
        char text[RELAY_CLAIM_LEN + 1] = {0};
        uint8_t frame[125];
        relay_claim_make(seed, other, &claim);
        relay_claim_encode(&claim, text);
        text[70] = broken ? '!' : text[70];
        (void)snprintf(request, sizeof request, "%.*s%s%s\r\n\r\n", (int)(end - LIVE_UPGRADE), LIVE_UPGRADE, field,
                       text);
        live_line l = dial_upgraded(request);
        assert_int_equal(take_frame(&l, frame), broken && tls ? 0 : 1 + RELAY_CHALLENGE);
        bystanders_talk("about a claim");
        live_hang_up(&l);
    }
    bystanders_leave();
}

// --- Frames

static const struct {
    const char *name;
    uint8_t bytes[16];
    size_t len;
} malformed[] = {
    {"unmasked", {0x82, 1, 9}, 3},
    {"reserved bits", {0xf2, 0x80, 0, 0, 0, 0}, 6},
    {"reserved opcode", {0x83, 0x80, 0, 0, 0, 0}, 6},
    {"empty", {0x82, 0x80, 0, 0, 0, 0}, 6},
    {"unknown type", {0x82, 0x81, 0, 0, 0, 0, 0x0e}, 7},
    {"the other direction", {0x82, 0x81, 0, 0, 0, 0, 0x06}, 7},
    {"of the handshake", {0x82, 0x81, 0, 0, 0, 0, 0x02}, 7},
    {"short datagram", {0x82, 0x81, 0, 0, 0, 0, 0x04}, 7},
    {"short ping", {0x82, 0x82, 0, 0, 0, 0, 0x09, 1}, 8},
    {"too long", {0x82, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 14},
    {"longer than there are numbers", {0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 10},
    {"a length in more bytes than it needs", {0x82, 0xfe, 0, 1, 0, 0, 0, 0, 9}, 9},
    {"a continuation of nothing", {0x80, 0x81, 0, 0, 0, 0, 9}, 7},
    {"a ping in pieces", {0x09, 0x80, 0, 0, 0, 0}, 6},
    {"text that is none", {0x81, 0x81, 0, 0, 0, 0, 0xff}, 7},
    {"nonsense", {0xde, 0xad, 0xbe, 0xef}, 4},
};

static void malformed_frames_end_their_sender_alone(void **state) {
    bystanders_come(*(const bool *)*state);
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        live_client bad;
        live_client_ready(&bad, they.relay, (uint8_t)(0x80 + i));
        assert_true(live_put(&bad.line, malformed[i].bytes, malformed[i].len));
        live_expect_closed(&bad.line);
        live_client_close(&bad);
        bystanders_talk(malformed[i].name);
    }
    bystanders_leave();
}

static void oversize_and_empty_datagrams_hurt_nobody(void **state) {
    bystanders_come(*(const bool *)*state);
    uint8_t empty[6 + 34] = {0x82, 0x80 | 34, 0, 0, 0, 0, RELAY_TO_RELAY};
    memcpy(empty + 7, they.b.id, 32);
    assert_true(live_put(&they.a.line, empty, sizeof empty));
    // 65 537 bytes: may be read, but not sent.
    static uint8_t large[14 + 65537] = {0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, RELAY_TO_RELAY};
    memcpy(large + 15, they.b.id, 32);
    assert_true(live_put(&they.a.line, large, sizeof large));
    bystanders_talk("behind them");
    assert_int_equal(live_stats(they.relay).datagrams_dropped, 2);
    bystanders_leave();
}

static void bytes_one_at_a_time_are_the_same(void **state) {
    static char text[301];
    live_client slow[2];
    bystanders_come(*(const bool *)*state);
    memset(text, 's', sizeof text - 1);
    for (uint8_t i = 0; i < 2; i++) {
        relay_client_event event;
        live_client_open(&slow[i], they.relay, (uint8_t)(0x30 + i), NULL, true);
        assert_int_equal(live_client_next(&slow[i], &event), RELAY_EVENT_READY);
    }
    live_client_say(&slow[0], &slow[1], text);
    live_client_hear(&slow[1], &slow[0], text);
    bystanders_talk("between the bytes");
    live_client_say(&slow[1], &slow[0], "back");
    live_client_hear(&slow[0], &slow[1], "back");
    live_client_close(&slow[0]);
    live_client_close(&slow[1]);
    bystanders_leave();
}

#define PLAIN(f)                                                                                                       \
    { .name = #f, .test_func = (f), .initial_state = (void *)(uintptr_t)&plain }
#define TLS(f)                                                                                                         \
    { .name = #f "_over_tls", .test_func = (f), .initial_state = (void *)(uintptr_t)&over_tls }
#define BOTH(f) PLAIN(f), TLS(f)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(malformed_heads_are_refused),
        BOTH(a_head_without_end_is_refused),
        BOTH(wrong_signatures_are_denied),
        BOTH(only_a_proof_is_taken_before_the_session),
        BOTH(claims_that_do_not_hold_lead_to_a_challenge),
        BOTH(malformed_frames_end_their_sender_alone),
        BOTH(oversize_and_empty_datagrams_hurt_nobody),
        BOTH(bytes_one_at_a_time_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
