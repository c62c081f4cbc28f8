// What strangers may cost a relay server over real sockets, plain and over TLS: clients that read nothing, crowds, and
// connections that stand half-open or come in floods. Memory stays within bounds, while two clients that were there before
// go on talking.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "unit/relay_bystander_support.h"

#define MB ((size_t)1 << 20)

static const bool plain = false, over_tls = true;

// --- Greed

static void a_client_that_never_reads_is_dropped(void **state) {
    static char text[16000];
    live_client deaf, loud;
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.queue_bytes_max = 8 * MB;
    bystanders_come_with(&config, *(const bool *)*state);
    live_client_ready(&deaf, they.relay, 3);
    live_client_ready(&loud, they.relay, 4);
    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < 1500; i++) {
        live_client_say(&loud, &deaf, text);
        if (i % 100 == 0)
            bystanders_talk("beside the flood");
        bystanders_heap_below(config.queue_bytes_max + 4 * MB);
    }
    live_await(they.relay, 3, 3);
    assert_true(live_stats(they.relay).datagrams_dropped > 0);
    bystanders_talk("behind the flood");
    live_client_say(&they.a, &loud, "are you there?");
    live_client_hear(&loud, &they.a, "are you there?");
    live_client_close(&loud);
    live_client_close(&deaf);
    bystanders_leave();
}

// Each ping wants a pong, and none is taken.
static void a_flood_of_pings_fills_no_memory(void **state) {
    enum { PINGS = 1000, BATCHES = 100 };
    static uint8_t batch[PINGS * 15];
    live_client deaf;
    bystanders_come(*(const bool *)*state);
    live_client_ready(&deaf, they.relay, 3);
    for (size_t i = 0; i < PINGS; i++)
        memcpy(batch + 15 * i, "\x82\x89\0\0\0\0\x09pingping", 15);
    bool taken = true;
    for (int i = 0; i < BATCHES && taken; i++) {
        taken = live_put(&deaf.line, batch, sizeof batch);
        if (i % 10 == 0)
            bystanders_talk("beside the pings");
        bystanders_heap_below(2 * MB);
    }
    bystanders_talk("behind the pings");
    live_client_close(&deaf);
    bystanders_leave();
}

static void a_crowd_with_one_id_has_one_receiver(void **state) {
    enum { CROWD = 60 };
    static live_client crowd[CROWD];
    bystanders_come(*(const bool *)*state);
    for (int i = 0; i < CROWD; i++)
        live_client_ready(&crowd[i], they.relay, 7);
    live_client_say(&they.a, &crowd[0], "who is it?");
    live_client_hear(&crowd[CROWD - 1], &they.a, "who is it?");
    // The older ones were told, may still send, and come back into their place when the newer ones go.
    live_client_say(&crowd[3], &they.b, "an old one");
    live_client_hear(&they.b, &crowd[3], "an old one");
    for (int i = CROWD - 1; i > 10; i--)
        live_client_close(&crowd[i]);
    live_await(they.relay, 2 + 11, 2 + 11);
    live_client_say(&they.a, &crowd[0], "and now?");
    live_client_hear(&crowd[10], &they.a, "and now?");
    for (int i = 0; i <= 10; i++)
        live_client_close(&crowd[i]);
    bystanders_leave();
}

// --- Half-open connections

static const char *const pieces[] = {
    "",
    "G",
    "GET /ping HTTP/1.1\r\n",
    "GET /ping HTTP/1.1\r\n\r\nGET",
    LIVE_UPGRADE,
    LIVE_UPGRADE "\x82",
    LIVE_UPGRADE "\x82\xe2zzzz\x01",
};
#define PIECES (sizeof pieces / sizeof pieces[0])

// With a part of a TLS handshake instead of one that is whole.
static live_line dial_raw(const char *bytes, size_t len) {
    const char *https = iroh_relay_https_address(they.relay);
    live_line l = {.fd = live_socket(live_port_of(https != NULL ? https : iroh_relay_http_address(they.relay)))};
    assert_true(live_put(&l, bytes, len));
    return l;
}

static void reset(live_line *l) {
    const struct linger hard = {.l_onoff = 1};
    assert_int_equal(setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    live_hang_up(l);
}

static void connections_that_go_at_any_moment_leave_nothing_behind(void **state) {
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    bystanders_come(*(const bool *)*state);
    for (int hard = 0; hard < 2; hard++) {
        for (size_t i = 0; i < PIECES; i++) {
            live_line l = live_dial(they.relay, false);
            assert_true(live_put(&l, pieces[i], strlen(pieces[i])));
            hard ? reset(&l) : live_hang_up(&l);
        }
        for (size_t len = 0; len < sizeof hello; len++) {
            live_line l = dial_raw(hello, len);
            hard ? reset(&l) : live_hang_up(&l);
        }
    }
    bystanders_leave();
}

// They say no more, but still listen: what was asked is answered, and the connection ends.
static void those_who_close_one_half_are_let_go(void **state) {
    static const char request[] = "GET /healthz HTTP/1.1\r\n\r\n";
    live_client half;
    bystanders_come(*(const bool *)*state);
    live_line l = live_dial(they.relay, false);
    assert_true(live_put(&l, request, sizeof request - 1));
    assert_int_equal(shutdown(l.fd, SHUT_WR), 0);
    assert_true(live_starts(live_get(&l, NULL), "HTTP/1.1 200"));
    live_hang_up(&l);
    for (size_t i = 0; i < PIECES; i++) {
        l = live_dial(they.relay, false);
        assert_true(live_put(&l, pieces[i], strlen(pieces[i])));
        assert_int_equal(shutdown(l.fd, SHUT_WR), 0);
        live_expect_closed(&l);
    }
    live_client_ready(&half, they.relay, 3);
    assert_int_equal(shutdown(half.line.fd, SHUT_WR), 0);
    live_expect_closed(&half.line);
    live_client_close(&half);
    bystanders_leave();
}

static void those_who_stop_in_the_middle_cost_little(void **state) {
    enum { EACH = 20 };
    static live_line lines[PIECES * EACH];
    bystanders_come(*(const bool *)*state);
    for (size_t i = 0; i < PIECES * EACH; i++) {
        lines[i] = live_dial(they.relay, false);
        assert_true(live_put(&lines[i], pieces[i % PIECES], strlen(pieces[i % PIECES])));
    }
    live_await(they.relay, 2, 2 + PIECES * EACH);
    bystanders_talk("among them");
    // A session of the library on each side while TLS is not through, a head, a session.
    bystanders_heap_below(PIECES * EACH * 128 * 1024);
    for (size_t i = 0; i < PIECES * EACH; i++)
        live_hang_up(&lines[i]);
    bystanders_leave();
    assert_true(live_heap() < they.heap);
}

// --- Floods of connections

static void a_flood_finds_the_limit_and_no_client_notices(void **state) {
    enum { FLOOD = 200 };
    static live_line flood[FLOOD];
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.threads = 1;
    config.connections_max = 40;
    bystanders_come_with(&config, *(const bool *)*state);
    for (int i = 0; i < FLOOD; i++)
        flood[i] = dial_raw("", 0);
    bystanders_talk("through the flood");
    assert_true(live_stats(they.relay).connections <= config.connections_max);
    for (int i = 0; i < FLOOD; i++)
        live_hang_up(&flood[i]);
    live_await(they.relay, 2, 2);
    live_expect_two_talk(they.relay);  // there is room again
    bystanders_leave();
}

// Without a limit that a configuration names there is still one: descriptors; and for TLS one on handshakes.
static void a_flood_without_limit_is_borne(void **state) {
    enum { FLOOD = 2500 };
    static live_line flood[FLOOD];
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.threads = 1;
    bystanders_come_with(&config, *(const bool *)*state);
    for (int i = 0; i < FLOOD; i++) {
        flood[i] = dial_raw("", 0);
        if (i % 500 == 0)
            bystanders_talk("in the flood");
    }
    live_expect_two_talk(they.relay);
    bystanders_talk("through the flood");
    bystanders_heap_below((size_t)FLOOD * 32 * 1024);
    for (int i = 0; i < FLOOD; i++)
        live_hang_up(&flood[i]);
    bystanders_leave();
}

static void accepting_goes_no_faster_than_allowed(void **state) {
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.threads = 1;
    config.accepts_per_second = 0.001;
    config.accept_burst = 3;
    bystanders_come_with(&config, *(const bool *)*state);
    // The fourth will have to wait for a quarter of an hour; those inside notice nothing.
    live_line third = dial_raw("", 0), fourth = dial_raw("", 0);
    live_await(they.relay, 2, 3);
    bystanders_talk("hello");
    assert_int_equal(live_stats(they.relay).connections, 3);
    live_hang_up(&third);
    live_hang_up(&fourth);
    bystanders_leave();
}

#define PLAIN(f)                                                                                                       \
    { .name = #f, .test_func = (f), .initial_state = (void *)(uintptr_t)&plain }
#define TLS(f)                                                                                                         \
    { .name = #f "_over_tls", .test_func = (f), .initial_state = (void *)(uintptr_t)&over_tls }
#define BOTH(f) PLAIN(f), TLS(f)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(a_client_that_never_reads_is_dropped),
        BOTH(a_flood_of_pings_fills_no_memory),
        BOTH(a_crowd_with_one_id_has_one_receiver),
        BOTH(connections_that_go_at_any_moment_leave_nothing_behind),
        BOTH(those_who_close_one_half_are_let_go),
        BOTH(those_who_stop_in_the_middle_cost_little),
        BOTH(a_flood_finds_the_limit_and_no_client_notices),
        BOTH(a_flood_without_limit_is_borne),
        BOTH(accepting_goes_no_faster_than_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
