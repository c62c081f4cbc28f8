// The relay's state machines when memory fails at any point: a call says so, a connection ends or a datagram is lost; all
// others go on, and with memory again everything works.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "crypto/ed25519.h"
#include "relay/access.h"
#include "relay/client.h"
#include "unit/nomem_support.h"
#include "unit/relay_support.h"

// Makes a call in which memory may fail; that of the test itself does not.
#define IN_NEED(call)                                                                                                  \
    do {                                                                                                               \
        nomem_spare(false);                                                                                            \
        (call);                                                                                                        \
        nomem_spare(true);                                                                                             \
    } while (0)

static relay_random randomness;
static int result;

// Runs `scenario` with the n-th allocation failing, for every n until there are no more; it returns what it came to, 0 for
// everything.
static void fail_everywhere(int (*scenario)(void), int least) {
    int failures = 0;
    for (bool failed = true; failed;) {
        relay_random_init(&randomness, 4);
        nomem_arm(failures);
        int r = scenario();
        failed = nomem_disarm();
        failures += failed;
        assert_true(r == 0 || failed);
    }
    assert_true(failures >= least);
}

// --- The server

static relay_hub hub;
static size_t delivered;

static void announce(void *user, int notice, const uint8_t id[static RELAY_ID], uint64_t serial) {
    (void)user, (void)notice, (void)id, (void)serial;
}

static bool deliver(void *user, uint32_t shard, const uint8_t id[static RELAY_ID], bool bulk, const uint8_t *message,
                    size_t len) {
    (void)user, (void)shard, (void)id, (void)bulk, (void)message;
    delivered += len;
    return true;
}

static void start_hub(void) {
    relay_hub_config config;
    relay_hub_config_default(&config);
    config.random = &randomness.source;
    config.shards = 2;
    config.hooks = (relay_hub_hooks){announce, deliver, NULL};
    assert_int_equal(relay_hub_init(&hub, &config), 0);
}

// What the session wrote, to the wire; the test's own memory does not fail.
static void flush(relay_wire *w) {
    relay_wire_flush(w, 0);
}

static void give(relay_wire *w, int opcode, const uint8_t *data, size_t len, size_t cut) {
    static uint8_t bytes[RELAY_MESSAGE_MAX + WS_HEADER_MAX];
    static const uint8_t mask[4] = {1, 2, 3, 4};
    size_t header = ws_put_header(bytes, opcode, len, mask);
    ws_mask(bytes + header, data, len, mask, 0);
    len += header;
    for (size_t at = 0; at < len && w->session.state != RELAY_SESSION_ENDED; at += cut)
        IN_NEED((void)relay_session_receive(&w->session, bytes + at, len - at < cut ? len - at : cut, 0));
}

static void give_datagram(relay_wire *w, const uint8_t *to, size_t len, size_t cut) {
    static uint8_t frame[RELAY_FRAME_MAX];
    frame[0] = RELAY_TO_RELAY;
    memcpy(frame + 1, to, RELAY_ID);
    give(w, WS_BINARY, frame, RELAY_DATAGRAM_HEAD + len, cut);
}

static void answer_challenge(relay_wire *w) {
    uint8_t auth[2 + RELAY_ID + RELAY_SIGNATURE] = {RELAY_CLIENT_AUTH};
    ws_message m;
    flush(w);
    if (!relay_wire_next(w, &m))
        return;
    memcpy(auth + 1, w->id, RELAY_ID);
    auth[1 + RELAY_ID] = RELAY_SIGNATURE;
    relay_challenge_sign(w->seed, m.data + 1, auth + 2 + RELAY_ID);
    give(w, WS_BINARY, auth, sizeof auth, sizeof auth);
}

// Whether it is in.
static bool enter(relay_wire *w, uint8_t key, bool proven) {
    relay_wire_init(w, &hub, key);
    IN_NEED(result = relay_session_start(&w->session, RELAY_V2, proven ? w->id : NULL, 0));
    assert_true(result == 0 || (result == IROH_ERR_NOMEM && w->session.state == RELAY_SESSION_ENDED));
    if (!proven && result == 0)
        answer_challenge(w);
    IN_NEED(relay_session_allow(&w->session, 0));
    flush(w);
    return w->session.state == RELAY_SESSION_OPEN;
}

static void expect_gone(size_t before) {
    assert_int_equal(hub.sessions, 0);
    assert_int_equal(hub.routes.count, before);
    assert_int_equal(hub.blocks.in_use, 0);
    assert_true(relay_hub_deadline(&hub) == TIME_NEVER);
}

static int sessions_with_traffic(void) {
    static const uint8_t far[RELAY_ID] = {0x66};
    relay_wire a, b, twin, late;
    start_hub();
    bool in = enter(&a, 1, false);
    in = enter(&b, 2, true) && in;
    in = enter(&twin, 2, true) && in;
    IN_NEED(result = relay_hub_heard(&hub, RELAY_NOTICE_JOIN, far, 1 << 8 | 1));
    bool known = result == 0;
    assert_true(known || result == IROH_ERR_NOMEM);
    delivered = 0;
    give_datagram(&a, b.id, 100, SIZE_MAX / 2);
    give_datagram(&a, b.id, RELAY_DATAGRAM_MAX, 5000);
    give_datagram(&a, far, 100, SIZE_MAX / 2);
    for (uint8_t i = 0; i < 12; i++)
        give_datagram(&twin, a.id, 10 + i, 7);
    give(&b, WS_BINARY,
         (const uint8_t *)"\x09"
                          "12345678",
         9, 4);
    give(&b, WS_PING, (const uint8_t *)"ping", 4, 3);
    bool all =
        in && known && delivered > 0 && twin.session.queue.bulk.messages == 2 && b.session.queue.urgent.bytes > 0;
    // Whoever ended did so for want of memory.
    relay_wire *const them[] = {&a, &b, &twin};
    for (size_t i = 0; i < 3; i++)
        assert_true(them[i]->session.state == RELAY_SESSION_OPEN || them[i]->session.error == IROH_ERR_NOMEM);
    IN_NEED(relay_hub_tick(&hub, 20 * NS_PER_S));
    IN_NEED(relay_session_close(&a.session, 0));
    IN_NEED((void)relay_hub_heard(&hub, RELAY_NOTICE_LEAVE, far, 1 << 8 | 1));
    for (size_t i = 0; i < 3; i++)
        relay_wire_dispose(them[i], 0);
    (void)nomem_disarm();
    expect_gone(0);
    // The hub is as good as new.
    assert_true(enter(&late, 3, false));
    give_datagram(&late, late.id, 100, SIZE_MAX / 2);
    assert_int_equal(late.session.queue.bulk.messages, 1);
    relay_wire_dispose(&late, 0);
    expect_gone(0);
    relay_hub_dispose(&hub);
    return all ? 0 : IROH_ERR_NOMEM;
}

static void sessions_end_or_lose_a_datagram(void **state) {
    (void)state;
    fail_everywhere(sessions_with_traffic, 20);
}

// An id with many connections, on this hub and on others; then they go, one by one, in some order.
static int crowd_of_one_id(void) {
    enum { CROWD = 9 };
    static relay_wire crowd[CROWD];
    int in = 0;
    start_hub();
    for (int i = 0; i < CROWD; i++)
        in += enter(&crowd[i], 5, true);
    for (uint64_t i = 1; i <= 4; i++)
        IN_NEED((void)relay_hub_heard(&hub, RELAY_NOTICE_JOIN, crowd[0].id, (100 + i) << 8 | 1));
    for (uint64_t i = 4; i >= 1; i--)
        IN_NEED((void)relay_hub_heard(&hub, RELAY_NOTICE_LEAVE, crowd[0].id, (100 + i) << 8 | 1));
    for (int i = 0; i < CROWD; i++) {
        relay_wire *w = &crowd[i * 4 % CROWD];
        IN_NEED(relay_session_close(&w->session, 0));
        relay_wire_dispose(w, 0);
    }
    expect_gone(0);
    relay_hub_dispose(&hub);
    return in == CROWD ? 0 : IROH_ERR_NOMEM;
}

static void places_are_given_up_again(void **state) {
    (void)state;
    fail_everywhere(crowd_of_one_id, 10);
}

static int lists_of_access(void) {
    relay_access a;
    uint8_t id[RELAY_ID] = {0};
    int r = 0;
    relay_access_init(&a, RELAY_ACCESS_TOKENS);
    for (uint8_t i = 0; i < 20 && r == 0; i++) {
        id[0] = i;
        IN_NEED(r = relay_access_add_id(&a, id));
        if (r == 0)
            IN_NEED(r = relay_access_add_token(&a, "token", 5));
    }
    if (r == 0)
        assert_int_equal(relay_access_seal(&a), 0);
    relay_access_dispose(&a);
    return r;
}

static void access_lists_say_so(void **state) {
    (void)state;
    fail_everywhere(lists_of_access, 3);
}

// --- The client

static relay_blocks blocks;
static relay_client client;
static uint8_t said[1 << 17];
static size_t said_len;

static int init_client(void) {
    static const char url[] = "http://127.0.0.1:3340/";
    relay_client_config config = {
        .url = url, .url_len = sizeof url - 1, .token = "token", .random = &randomness.source, .blocks = &blocks};
    memset(config.seed, 0x44, sizeof config.seed);
    IN_NEED(result = relay_client_init(&client, &config, 0));
    if (result == 0)
        relay_client_set_home(&client, true, 0);
    return result;
}

static void drain(void) {
    said_len = 0;
    for (relay_block *b; (b = relay_queue_take(&client.queue)) != NULL; relay_queue_done(&client.queue, b)) {
        memcpy(said + said_len, b->bytes + b->start, b->end - b->start);
        said_len += b->end - b->start;
    }
    relay_client_wrote(&client, true, true, 0);
}

// Feeds a copy in pieces: the number of events, or what ended it.
static int hear(const uint8_t *bytes, size_t len, size_t cut, relay_client_event *event) {
    static uint8_t piece[RELAY_MESSAGE_MAX];
    int events = 0, r = 0;
    for (size_t at = 0; at < len && r >= 0; at += cut) {
        size_t left = len - at < cut ? len - at : cut;
        uint8_t *p = piece;
        memcpy(piece, bytes + at, left);
        do {
            IN_NEED(r = relay_client_receive(&client, &p, &left, 0, event));
            events += r > 0;
        } while (r > 0);
    }
    return r < 0 ? r : events;
}

static int hear_message(const uint8_t *data, size_t len, size_t cut) {
    static uint8_t bytes[RELAY_MESSAGE_MAX + WS_HEADER_MAX];
    relay_client_event event;
    size_t header = ws_put_header(bytes, WS_BINARY, len, NULL);
    memcpy(bytes + header, data, len);
    return hear(bytes, header + len, cut, &event);
}

static int hear_upgrade(void) {
    char text[512], accept[WS_ACCEPT_SIZE];
    relay_client_event event;
    ws_accept(client.key, strlen(client.key), accept);
    writer w = writer_of(text, sizeof text);
    http_put_status(&w, 101);
    http_put_text(&w, "sec-websocket-accept", accept);
    http_put_text(&w, "sec-websocket-protocol", RELAY_V2_NAME);
    http_put_end(&w);
    return hear((uint8_t *)text, writer_len(&w), 100, &event);
}

// From dialling to a datagram each way: 0, or what failed on the way.
static int attempt(const uint8_t *peer) {
    static uint8_t large[RELAY_FRAME_MAX] = {RELAY_TO_CLIENT}, challenge[1 + RELAY_CHALLENGE];
    static const uint8_t confirm[] = {RELAY_SERVER_CONFIRMS}, ping[] = "\x09"
                                                                       "12345678";
    int r = 0;
    memcpy(large + 1, peer, RELAY_ID);
    relay_client_dialling(&client, 0);
    IN_NEED(relay_client_connected(&client, NULL, 0));
    if (client.state != RELAY_CLIENT_UPGRADING)
        return client.error;
    drain();
    if ((r = hear_upgrade()) < 0 || (r = hear_message(challenge, sizeof challenge, 5)) < 0)
        return r;
    drain();
    if ((r = hear_message(confirm, 1, 1)) < 0)
        return r;
    assert_int_equal(client.state, RELAY_CLIENT_READY);
    if ((r = hear_message(ping, 9, 2)) < 0)
        return r;
    for (size_t len = 100; len <= 60100; len += 60000) {
        IN_NEED(r = relay_client_send(&client, peer, 0, 0, large, len, 0));
        if (r != 0)
            return r;
    }
    drain();
    r = hear_message(large, RELAY_DATAGRAM_HEAD + 60000, 20000);
    if (r < 0)
        return r;
    assert_int_equal(r, 1);
    IN_NEED(relay_client_close(&client, 0));
    drain();
    return 0;
}

static int client_life(void) {
    uint8_t seed[32] = {9}, peer[RELAY_ID];
    ed25519_public(seed, peer);
    relay_blocks_init(&blocks, 1000);
    int r = init_client();
    if (r == 0)
        r = attempt(peer);
    bool had_client = r == 0 || client.state != RELAY_CLIENT_CLOSED;
    (void)nomem_disarm();
    if (r != 0) {
        if (!had_client)
            assert_int_equal(init_client(), 0);
        // A lost datagram leaves the connection; everything else is dialled again.
        relay_client_lost(&client, IROH_ERR_IO, 0);
        relay_client_tick(&client, RELAY_BACKOFF_MAX);
        assert_int_equal(client.state, RELAY_CLIENT_DIAL);
        assert_int_equal(attempt(peer), 0);
    }
    relay_client_dispose(&client);
    assert_int_equal(blocks.in_use, 0);
    relay_blocks_dispose(&blocks);
    if (r != 0)
        assert_int_equal(r, IROH_ERR_NOMEM);
    return r;
}

static void clients_dial_again(void **state) {
    (void)state;
    fail_everywhere(client_life, 10);
}

int main(void) {
    nomem_spare(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_end_or_lose_a_datagram),
        cmocka_unit_test(places_are_given_up_again),
        cmocka_unit_test(access_lists_say_so),
        cmocka_unit_test(clients_dial_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
