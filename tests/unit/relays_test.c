// The table of relays: numbers, the home relay, where datagrams go. The relays themselves are a few bytes of script.
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
#include "net/relays.h"
#include "unit/relay_support.h"

#define START (50 * NS_PER_S)
#define FIRST "https://first.example/"
#define SECOND "https://second.example/"

static relay_random randomness;
static relays table;
static uint64_t now;
static uint8_t seed[32] = {3};
static uint8_t alice[RELAY_ID], bob[RELAY_ID];

static int set_up(void **state) {
    (void)state;
    const uint8_t a[32] = {1}, b[32] = {2};
    ed25519_public(a, alice);
    ed25519_public(b, bob);
    relay_random_init(&randomness, 11);
    relays_init(&table, seed, &randomness.source, NULL);
    now = START;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    relays_dispose(&table);
    return 0;
}

static int add(const char *url, bool configured) {
    return relays_add(&table, url, strlen(url), configured, NULL, now);
}

static relay_client *client(int number) {
    return &table.list[number]->client;
}

// Takes off what waits to be written: the number of bytes.
static size_t written(int number) {
    size_t bytes = 0;
    relay_block *b;
    while ((b = relay_queue_take(&client(number)->queue)) != NULL) {
        bytes += b->end - b->start;
        relay_queue_done(&client(number)->queue, b);
    }
    return bytes;
}

static void feed(int number, const void *data, size_t len) {
    uint8_t bytes[2048], *at = bytes;
    relay_client_event e;
    addr from;
    assert_true(len <= sizeof bytes);
    memcpy(bytes, data, len);
    while (relay_client_receive(client(number), &at, &len, now, &e) > 0)
        (void)relays_on_event(&table, (size_t)number, &e, &from, now);
}

// One frame in an unmasked message.
static void feed_frame(int number, const void *frame, size_t len) {
    uint8_t message[2048];
    size_t head = ws_put_header(message, WS_BINARY, len, NULL);
    memcpy(message + head, frame, len);
    feed(number, message, head + len);
}

// The relay answers: dialled, upgraded and let in.
static void come_up(int number) {
    static const uint8_t confirmed[] = {RELAY_SERVER_CONFIRMS};
    char accept[WS_ACCEPT_SIZE], answer[512];
    assert_int_equal(relay_client_state(client(number)), RELAY_CLIENT_DIAL);
    relay_client_dialling(client(number), now);
    relay_client_connected(client(number), NULL, now);
    (void)written(number);
    ws_accept(client(number)->key, strlen(client(number)->key), accept);
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                     "sec-websocket-accept: %s\r\nsec-websocket-protocol: iroh-relay-v2\r\n\r\n",
                     accept);
    feed(number, answer, (size_t)n);
    feed_frame(number, confirmed, sizeof confirmed);
    assert_int_equal(relay_client_state(client(number)), RELAY_CLIENT_READY);
    (void)written(number);
}

static void hear_from(int number, const uint8_t *id) {
    uint8_t frame[RELAY_DATAGRAM_HEAD + 5] = {RELAY_TO_CLIENT};
    memcpy(frame + 1, id, RELAY_ID);
    feed_frame(number, frame, sizeof frame);
}

static void gone(int number, const uint8_t *id) {
    uint8_t frame[1 + RELAY_ID] = {RELAY_GONE};
    memcpy(frame + 1, id, RELAY_ID);
    feed_frame(number, frame, sizeof frame);
}

static void send_to(int number, const uint8_t *id, size_t segment, size_t len) {
    static const uint8_t bytes[70000];
    addr to = relays_address(number, id);
    relays_send(&table, &to, 0, segment, bytes, len, now);
}

static void fail_dial(int number) {
    relay_client_dialling(client(number), now);
    relay_client_lost(client(number), IROH_ERR_REFUSED, now);
    now = time_max(now, relay_client_deadline(client(number)));
    relays_tick(&table, now);
}

// --- Cases

static void numbers_stay_and_spellings_are_one(void **state) {
    (void)state;
    assert_int_equal(add(FIRST, false), 0);
    assert_int_equal(add(SECOND, false), 1);
    assert_int_equal(add("HTTPS://First.Example:443", false), 0);
    assert_int_equal(add("https://first.example./", false), 2);
    addr a = relays_address(1, alice);
    assert_string_equal(relays_url(&table, &a), SECOND);
    a.scope = 3;
    assert_null(relays_url(&table, &a));
    assert_null(relays_url(&table, &(addr){.kind = ADDR_IP4}));
}

static void bad_urls_are_refused(void **state) {
    (void)state;
    assert_int_equal(add("no url", false), IROH_ERR_SYNTAX);
    assert_int_equal(add("mailto:me", false), IROH_ERR_SYNTAX);
    assert_int_equal(relays_add(&table, FIRST, strlen(FIRST), true, "line\nbreak", now), IROH_ERR_ARG);
}

static void table_is_bounded(void **state) {
    (void)state;
    char url[64];
    for (int i = 0; i < RELAYS_MAX; i++) {
        (void)snprintf(url, sizeof url, "https://r%d.example/", i);
        assert_int_equal(add(url, false), i);
    }
    assert_int_equal(add("https://more.example/", false), IROH_ERR_LIMIT);
    assert_int_equal(add("https://r7.example/", false), 7);
}

static void named_relays_are_dialled_when_there_is_something_to_send(void **state) {
    (void)state;
    add(FIRST, false);
    assert_null(relays_home(&table));
    assert_true(relays_deadline(&table) == TIME_NEVER);
    send_to(0, alice, 1200, 1200);
    assert_int_equal(relay_client_state(client(0)), RELAY_CLIENT_DIAL);
    assert_true(relays_deadline(&table) == 0);
    come_up(0);
    assert_false(relays_online(&table));  // it is nobody's home
}

static void token_goes_to_configured_relays_alone(void **state) {
    (void)state;
    add(SECOND, false);
    assert_int_equal(relays_add(&table, FIRST, strlen(FIRST), true, "secret", now), 1);
    send_to(0, alice, 1200, 1200);
    assert_null(client(0)->token);
    assert_non_null(client(1)->token);
    assert_memory_equal(client(1)->token, "secret", 6);
}

static void first_to_answer_is_home(void **state) {
    (void)state;
    add(FIRST, true);
    add(SECOND, true);
    assert_string_equal(relays_home(&table)->url, FIRST);
    assert_false(relays_online(&table));
    come_up(1);
    assert_string_equal(relays_home(&table)->url, SECOND);
    assert_true(relays_online(&table));
    come_up(0);  // too late
    assert_string_equal(relays_home(&table)->url, SECOND);
}

static void home_moves_when_it_is_lost(void **state) {
    (void)state;
    add(FIRST, true);
    add(SECOND, true);
    come_up(0);
    come_up(1);
    now += RELAY_CLIENT_IDLE;
    relays_tick(&table, now);  // the other one is left
    relay_client_lost(client(1), 0, now);
    assert_int_equal(relay_client_state(client(1)), RELAY_CLIENT_WAIT);
    relay_client_lost(client(0), IROH_ERR_IO, now);
    assert_false(relays_online(&table));
    for (int i = 0; i <= RELAYS_HOME_PATIENCE; i++)
        fail_dial(0);
    come_up(1);
    assert_string_equal(relays_home(&table)->url, SECOND);
    assert_int_equal(table.home_changes, 2);
}

static void home_is_awaited_and_then_dialled(void **state) {
    (void)state;
    relays_await(&table);
    add(FIRST, true);
    add(SECOND, true);
    assert_null(relays_home(&table));
    assert_false(relays_online(&table));
    assert_true(relays_deadline(&table) == TIME_NEVER);
    relays_prefer(&table, 1, now);
    assert_string_equal(relays_home(&table)->url, SECOND);
    assert_false(table.list[0]->live);
    come_up(1);
    assert_true(relays_online(&table));
    relays_prefer(&table, 0, now);
    assert_string_equal(relays_home(&table)->url, FIRST);
    assert_false(relays_online(&table));
    come_up(0);
    assert_true(relays_online(&table));
    assert_int_equal(table.home_changes, 2);
}

static void peer_that_needs_a_relay_does_not_decide_on_home(void **state) {
    (void)state;
    relays_await(&table);
    add(FIRST, true);
    add(SECOND, true);
    send_to(0, alice, 1200, 1200);
    come_up(0);
    assert_null(relays_home(&table));
    relays_prefer(&table, 1, now);
    assert_string_equal(relays_home(&table)->url, SECOND);
}

static void first_to_answer_is_home_when_nobody_knows(void **state) {
    (void)state;
    relays_await(&table);
    add(FIRST, true);
    add(SECOND, true);
    relays_prefer_any(&table, now);
    assert_string_equal(relays_home(&table)->url, FIRST);
    come_up(1);
    assert_string_equal(relays_home(&table)->url, SECOND);
}

static void home_is_lost_before_the_others_were_dialled(void **state) {
    (void)state;
    relays_await(&table);
    add(FIRST, true);
    add(SECOND, true);
    relays_prefer(&table, 0, now);
    for (int i = 0; i <= RELAYS_HOME_PATIENCE; i++)
        fail_dial(0);
    come_up(1);
    assert_string_equal(relays_home(&table)->url, SECOND);
    relays_prefer(&table, 0, now);  // near, but nobody reaches it
    assert_string_equal(relays_home(&table)->url, SECOND);
    assert_true(relays_online(&table));
}

static void removed_home_stays_until_another_is_preferred(void **state) {
    (void)state;
    add(FIRST, true);
    add(SECOND, true);
    come_up(0);
    assert_int_equal(relays_remove(&table, "https://nobody.example/", 23, now), IROH_ERR_NOT_FOUND);
    assert_int_equal(relays_remove(&table, "no url", 6, now), IROH_ERR_SYNTAX);
    assert_int_equal(relays_remove(&table, FIRST, strlen(FIRST), now), 0);
    assert_int_equal(relays_remove(&table, FIRST, strlen(FIRST), now), IROH_ERR_NOT_FOUND);
    assert_string_equal(relays_home(&table)->url, FIRST);
    relays_prefer(&table, 0, now);
    relays_prefer(&table, 1, now);
    assert_string_equal(relays_home(&table)->url, SECOND);
    assert_int_equal(relays_remove(&table, SECOND, strlen(SECOND), now), 1);
    assert_null(relays_home(&table));
    assert_false(relays_online(&table));
    come_up(1);
    assert_null(relays_home(&table));
    assert_int_equal(add(FIRST, true), 0);
    assert_string_equal(relays_home(&table)->url, FIRST);
    assert_true(relays_online(&table));
}

static void configured_ones_are_in_the_order_of_their_urls(void **state) {
    int all[RELAYS_MAX];
    (void)state;
    add("https://c.example/", true);
    add("https://a.example/", true);
    add("https://b.example/", false);
    add("https://d.example/", true);
    assert_int_equal(relays_configured(&table, all), 3);
    assert_int_equal(all[0], 1);
    assert_int_equal(all[1], 0);
    assert_int_equal(all[2], 3);
}

static void peers_are_answered_where_they_were_heard(void **state) {
    (void)state;
    add(FIRST, true);
    add(SECOND, false);
    come_up(0);
    hear_from(0, alice);
    (void)written(0);
    send_to(1, alice, 1200, 1200);  // no need to dial the second
    assert_true(written(0) > 1200);
    send_to(1, bob, 1200, 1200);
    assert_int_equal(written(0), 0);
    come_up(1);
    send_to(1, alice, 1200, 1200);
    assert_int_equal(written(0), 0);
    assert_true(written(1) > 1200);
}

static void peers_that_left_are_looked_for_where_they_belong(void **state) {
    (void)state;
    add(FIRST, true);
    add(SECOND, false);
    come_up(0);
    hear_from(0, alice);
    gone(0, alice);
    send_to(1, alice, 1200, 1200);
    assert_int_equal(written(0), 0);
    assert_int_equal(relay_client_state(client(1)), RELAY_CLIENT_DIAL);
}

static void batches_are_split_between_datagrams(void **state) {
    (void)state;
    add(FIRST, true);
    come_up(0);
    uint64_t frames = client(0)->stats.frames_sent;
    send_to(0, alice, 1200, 65000);
    assert_int_equal(client(0)->stats.frames_sent - frames, 2);  // 54 datagrams fit in one frame of relaying
    assert_int_equal(table.sent, 55);
    send_to(0, alice, 1200, 1200);
    assert_int_equal(client(0)->stats.frames_sent - frames, 3);
    send_to(0, alice, RELAY_SEGMENT_MAX + 1, 3 * (RELAY_SEGMENT_MAX + 1));  // too large for some to take in a batch
    assert_int_equal(client(0)->stats.frames_sent - frames, 6);
    assert_int_equal(table.bytes_sent, 65000 + 1200 + 3 * (RELAY_SEGMENT_MAX + 1));
    (void)written(0);
}

static void foreign_numbers_are_ignored(void **state) {
    (void)state;
    send_to(0, alice, 1200, 1200);
    send_to(RELAYS_MAX, alice, 1200, 1200);
    assert_int_equal(table.sent, 0);
}

static void memory_of_peers_is_bounded(void **state) {
    (void)state;
    uint8_t key[32] = {0}, id[RELAY_ID];
    add(FIRST, true);
    add(SECOND, false);
    come_up(0);
    for (int i = 0; i < RELAY_ROUTES_KNOWN + 1; i++) {
        memcpy(key, &i, sizeof i);
        ed25519_public(key, id);
        hear_from(0, id);
    }
    (void)written(0);
    send_to(1, id, 1200, 1200);  // the last is known
    assert_true(written(0) > 1200);
    memset(key, 0, sizeof key);
    ed25519_public(key, id);
    send_to(1, id, 1200, 1200);  // the first no more
    assert_int_equal(written(0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_stay_and_spellings_are_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_urls_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(table_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(named_relays_are_dialled_when_there_is_something_to_send, set_up, tear_down),
        cmocka_unit_test_setup_teardown(token_goes_to_configured_relays_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(first_to_answer_is_home, set_up, tear_down),
        cmocka_unit_test_setup_teardown(home_moves_when_it_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(home_is_awaited_and_then_dialled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(peer_that_needs_a_relay_does_not_decide_on_home, set_up, tear_down),
        cmocka_unit_test_setup_teardown(first_to_answer_is_home_when_nobody_knows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(home_is_lost_before_the_others_were_dialled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removed_home_stays_until_another_is_preferred, set_up, tear_down),
        cmocka_unit_test_setup_teardown(configured_ones_are_in_the_order_of_their_urls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(peers_are_answered_where_they_were_heard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(peers_that_left_are_looked_for_where_they_belong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(batches_are_split_between_datagrams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign_numbers_are_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_of_peers_is_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
