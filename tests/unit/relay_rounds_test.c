// A relay server that reads fast clients at intervals, over real sockets, plain on one thread and over TLS on two: what
// they send arrives in order, others are not held up, and they may go at any moment.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "relay_server/state.h"
#include "unit/relay_live_support.h"

// Datagrams that are sent one by one before any is awaited: fewer than may be on their way from one loop to another
// (PARCELS_MAX), or a receiver that gets no time loses some.
#define GROUP 100
#define GROUPS 1000  // at most, before a client counts as never read at intervals

typedef struct setting {
    bool tls;
    uint32_t threads;
} setting;

static const setting settings[] = {{false, 1}, {true, 2}};

static iroh_relay *start(const setting *s) {
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.threads = s->threads;
    return live_start_with(&config, s->tls);
}

// A group in each call, numbered over all calls.
static void send_group(live_client *from, live_client *to, unsigned *number) {
    char text[64];
    for (unsigned i = 0; i < GROUP; i++) {
        (void)snprintf(text, sizeof text, "datagram %u of a fast client", *number + i);
        live_client_say(from, to, text);
    }
    for (unsigned i = 0; i < GROUP; i++) {
        (void)snprintf(text, sizeof text, "datagram %u of a fast client", (*number)++);
        live_client_hear(to, from, text);
    }
}

// Until the server reads it at intervals, and for some more groups.
static void send_much(const iroh_relay *r, live_client *from, live_client *to) {
    uint64_t before = server_count(r, COUNT_PACED_READS);
    unsigned number = 0;
    int groups = 0;
    while (server_count(r, COUNT_PACED_READS) == before) {
        assert_true(groups++ < GROUPS);
        send_group(from, to, &number);
    }
    for (int i = 0; i < 3; i++)
        send_group(from, to, &number);
}

static void a_fast_client_loses_nothing_and_holds_up_nobody(void **state) {
    live_client fast, to, other;
    iroh_relay *r = start(*state);
    live_client_ready(&fast, r, 1);
    live_client_ready(&to, r, 2);
    live_client_ready(&other, r, 3);
    send_much(r, &fast, &to);
    live_client_say(&other, &fast, "for the fast one");
    live_client_hear(&fast, &other, "for the fast one");
    live_client_say(&other, &to, "behind it");
    live_client_hear(&to, &other, "behind it");
    assert_int_equal(live_stats(r).datagrams_dropped, 0);
    live_client_close(&fast);
    live_client_close(&to);
    live_client_close(&other);
    iroh_relay_stop(r);
}

static void a_fast_client_that_hangs_up_is_gone_and_no_longer_read(void **state) {
    live_client fast, to, a;
    iroh_relay *r = start(*state);
    live_client_ready(&fast, r, 1);
    live_client_ready(&to, r, 2);
    live_client_ready(&a, r, 3);
    send_much(r, &fast, &to);
    live_client_close(&fast);
    live_await(r, 2, 2);
    uint64_t reads = server_count(r, COUNT_PACED_READS);
    for (int i = 0; i < 10; i++) {
        live_client_say(&a, &to, "one more turn of the loops");
        live_client_hear(&to, &a, "one more turn of the loops");
    }
    assert_int_equal(server_count(r, COUNT_PACED_READS), reads);
    live_client_close(&to);
    live_client_close(&a);
    iroh_relay_stop(r);
}

static void a_fast_client_that_says_nonsense_is_dropped(void **state) {
    live_client fast, to;
    iroh_relay *r = start(*state);
    live_client_ready(&fast, r, 1);
    live_client_ready(&to, r, 2);
    send_much(r, &fast, &to);
    assert_true(live_put(&fast.line, "\xff\xff\xff\xff", 4));
    live_await(r, 1, 1);
    live_client_close(&fast);
    live_client_close(&to);
    iroh_relay_stop(r);
}

static void the_server_stops_among_fast_clients(void **state) {
    live_client fast, to;
    iroh_relay *r = start(*state);
    live_client_ready(&fast, r, 1);
    live_client_ready(&to, r, 2);
    send_much(r, &fast, &to);
    send_much(r, &to, &fast);
    iroh_relay_stop(r);
    live_client_close(&fast);
    live_client_close(&to);
}

#define ON(setting, test)                                                                                              \
    { #test "_" #setting, test, NULL, NULL, (void *)(uintptr_t)&settings[setting] }
#define ON_BOTH(test) ON(0, test), ON(1, test)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_fast_client_loses_nothing_and_holds_up_nobody),
        ON_BOTH(a_fast_client_that_hangs_up_is_gone_and_no_longer_read),
        ON_BOTH(a_fast_client_that_says_nonsense_is_dropped),
        ON_BOTH(the_server_stops_among_fast_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
