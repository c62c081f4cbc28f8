// A live relay server in which memory fails at any point: it does not start, or one connection goes; others stay, and
// nothing is left behind.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/nomem_support.h"
#include "unit/relay_live_support.h"

static const bool plain = false, over_tls = true;

static void it_starts_or_says_that_there_is_no_memory(void **state) {
    (void)state;
    iroh_relay_config config;
    int r = IROH_ERR_NOMEM, n = 0;
    for (; r != 0; n++) {
        iroh_relay *relay = NULL;
        iroh_relay_config_default(&config);
        config.http_bind = config.metrics_bind = "127.0.0.1:0";
        config.threads = 2;
        nomem_spare(false);
        nomem_arm(n);
        r = iroh_relay_start(&config, &relay);
        nomem_spare(true);
        bool one_failed = nomem_disarm();
        assert_true(r == 0 || (r == IROH_ERR_NOMEM && one_failed));
        if (r == 0)
            live_expect_two_talk(relay);
        iroh_relay_stop(relay);
    }
    assert_true(n > 5);
}

// A visit from the first byte to the last, as far as it gets; true if it got through. Datagrams and pongs may be lost, but
// not once there is memory again.
static bool visit(const iroh_relay *r, live_client *other, int n) {
    static const char text[] = "to another loop, perhaps", self[] = "to itself";
    relay_client_event event;
    live_client c;
    nomem_arm(n);
    bool ready = live_client_try(&c, r, 0x33) && live_client_next(&c, &event) == RELAY_EVENT_READY;
    if (ready)
        live_client_say(&c, other, text);
    bool through = !nomem_disarm();
    if (ready) {
        live_client_say(&c, &c, self);
        while (ready && (ready = live_client_next(&c, &event) != 0) && event.kind != RELAY_EVENT_DATAGRAM) {}
    }
    assert_true(ready || !through);
    live_client_close(&c);
    return through;
}

// Skips what came from visitors.
static void expect_still_there(live_client *c, const char *text) {
    relay_client_event event;
    live_client_say(c, c, text);
    do
        assert_int_not_equal(live_client_next(c, &event), 0);
    while (event.kind != RELAY_EVENT_DATAGRAM || event.frame.len != strlen(text) ||
           memcmp(event.frame.data, text, strlen(text)) != 0);
}

static void only_the_visitor_goes(void **state) {
    iroh_relay *r = live_start(*(const bool *)*state);
    live_client there;
    int failures = 0;
    live_client_ready(&there, r, 0x44);
    // How many allocations a visit makes depends on which loops the two are on, so each count is tried more than once.
    for (int n = 0, through = 0; through < 6; n += through == 0) {
        through = visit(r, &there, n) ? through + 1 : 0;
        failures += through == 0;
        live_await(r, 1, 1);
        expect_still_there(&there, "still there");
    }
    assert_true(failures >= 5);
    live_client_close(&there);
    live_await(r, 0, 0);
    iroh_relay_stop(r);
}

static void a_request_is_answered_or_dropped(void **state) {
    static const char *const requests[] = {
        "GET /status.json HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /relay HTTP/1.1\r\nConnection: close\r\n\r\n",
    };
    iroh_relay *r = live_start(*(const bool *)*state);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        bool one_failed = true;
        int n = 0;
        for (; one_failed; n++) {
            live_line l;
            nomem_arm(n);
            bool answered = live_try_dial(r, false, &l);
            if (answered) {
                (void)live_put(&l, requests[i], strlen(requests[i]));
                answered = live_starts(live_get(&l, NULL), "HTTP/1.1 ");
                live_hang_up(&l);
            }
            one_failed = nomem_disarm();
            assert_true(answered || one_failed);
            live_await(r, 0, 0);
        }
        assert_true(n > 3);
    }
    live_expect_two_talk(r);
    iroh_relay_stop(r);
}

#define PLAIN(f)                                                                                                       \
    { .name = #f, .test_func = (f), .initial_state = (void *)(uintptr_t)&plain }
#define TLS(f)                                                                                                         \
    { .name = #f "_over_tls", .test_func = (f), .initial_state = (void *)(uintptr_t)&over_tls }

int main(void) {
    nomem_spare(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_or_says_that_there_is_no_memory),
        PLAIN(only_the_visitor_goes),
        TLS(only_the_visitor_goes),
        PLAIN(a_request_is_answered_or_dropped),
        TLS(a_request_is_answered_or_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
