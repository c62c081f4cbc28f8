// What a path learns from what is sent on it: larger datagrams while data waits, and no larger window from an application
// that does not use the one it has.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "linked_support.h"
#include "quic/mtud.h"

#define ROUND_TRIP_MS 10  // of linked_support
#define ROUND_TRIP (ROUND_TRIP_MS * NS_PER_MS)
#define STEP 16           // bytes by which what is said grows
#define ACKED_AT_ONCE 20  // datagrams: more than a receiver waits for before it acknowledges them
#define ENDLESS                                                                                                        \
    (1u << 20)  // bytes: what a stream takes at once; more than leaves while larger datagrams are looked for

// --- A server that reads and says nothing

static void read_all(quic_stream *st) {
    uint8_t sink[8192];
    while (quic_stream_read(st, sink, sizeof sink) > 0) {}
}

static void swallow(sim_node *n, quic_conn *c, uint32_t events) {
    quic_streams *s = quic_conn_streams(c);
    quic_stream *st;
    uint8_t what;
    if ((events & CONN_CLOSED) != 0) {
        quic_conn_release(c, n->world->now);
        return;
    }
    while ((st = quic_streams_accept(s, false)) != NULL || (st = quic_streams_next_event(s, &what)) != NULL)
        read_all(st);
    quic_conn_wake(c);
}

static quic_stream *open_uni(quic_conn *c) {
    quic_stream *st = NULL;
    assert_int_equal(quic_streams_open(quic_conn_streams(c), false, &st), 0);
    return st;
}

static void say(quic_conn *c, quic_stream *st, size_t len) {
    static const uint8_t zeros[ENDLESS];
    assert_true(len <= sizeof zeros);
    assert_int_equal(quic_stream_write(st, zeros, len), len);
    quic_conn_wake(c);
}

// --- MTU probes

static bool connected(sim_world *w) {
    return ((const linked *)w->watcher)->t.connected;
}

static quic_conn *client_of(sim_world *w) {
    return linked_conn(w->watcher, CLIENT);
}

static bool grown_or_idle(sim_world *w) {
    const quic_conn *c = client_of(w);
    return c->path->mtud.current > MTUD_MAX_DEFAULT - MTUD_STEP || !quic_streams_want_send(&c->streams);
}

static void larger_datagrams_are_found_while_data_waits(void **state) {
    (void)state;
    quic_transport t;
    quic_transport_default(&t);
    t.mtu_max = MTUD_MAX_DEFAULT;
    linked *d = linked_new(&t);
    d->w.nodes[SERVER].on_event = swallow;
    // Without streams of its own.
    sim_transfer_start(&d->t, &d->w.nodes[CLIENT], &d->w.nodes[SERVER], 0, 0, NULL, 0, false);
    assert_true(sim_run(&d->w, connected, NS_PER_S));
    quic_conn *c = linked_conn(d, CLIENT);
    assert_int_equal(c->path->mtud.current, MTUD_MIN);
    say(c, open_uni(c), ENDLESS);
    assert_true(sim_run(&d->w, grown_or_idle, NS_PER_S));
    assert_true(quic_streams_want_send(&c->streams));
    assert_true(c->path->mtud.current > MTUD_MAX_DEFAULT - MTUD_STEP);
    linked_free(d);
}

// --- The window of an application that sends little (RFC 9002, section 7.8)

static bool never(sim_world *w) {
    (void)w;
    return false;
}

// Little, and just before word of it comes back as much as the pacer lets go at once, or less: `len`. False: it was more.
static bool say_little(linked *d, quic_stream *st, size_t len) {
    quic_conn *c = linked_conn(d, CLIENT);
    say(c, st, ACKED_AT_ONCE * c->path->mtud.current);
    (void)sim_run(&d->w, never, ROUND_TRIP - NS_PER_MS / 4);
    say(c, st, len);
    (void)sim_run(&d->w, never, NS_PER_MS / 8);
    return !quic_streams_want_send(&c->streams);
}

// All sizes up to what the pacer lets go at once. The largest of them leave it dry, which is not why nothing follows.
static void say_little_often(linked *d, quic_stream *st) {
    const quic_path *p = linked_conn(d, CLIENT)->path;
    uint64_t window = p->cc.window;
    size_t dry = 0;
    for (size_t len = (size_t)p->pacer.capacity - 3 * p->mtud.current; say_little(d, st, len); len += STEP) {
        dry += p->pacer.dry;
        linked_run(d, 4 * ROUND_TRIP_MS);
        assert_int_equal(p->cc.window, window);
    }
    assert_true(dry > 0);
}

static void window_grows_only_when_it_is_used(const quic_cc_ops *congestion) {
    quic_transport t;
    quic_transport_default(&t);
    t.congestion = congestion;
    t.mtu_max = MTUD_MAX_DEFAULT;
    linked *d = linked_start(&t);
    d->w.nodes[SERVER].on_event = swallow;
    quic_conn *c = linked_conn(d, CLIENT);
    quic_stream *st = open_uni(c);
    // More than the window at once lets it grow: otherwise this would hold of a window that never does.
    uint64_t first = c->path->cc.window;
    say(c, st, 20 * first);
    linked_run(d, 40 * ROUND_TRIP_MS);
    uint64_t window = c->path->cc.window;
    assert_true(window > 2 * first);
    say_little_often(d, st);
    assert_int_equal(c->path->cc.events, 0);
    say(c, st, (size_t)(4 * window));
    linked_run(d, 40 * ROUND_TRIP_MS);
    assert_true(c->path->cc.window > window);
    linked_free(d);
}

static void window_of_newreno_grows_only_when_it_is_used(void **state) {
    (void)state;
    window_grows_only_when_it_is_used(&quic_cc_newreno);
}

static void window_of_cubic_grows_only_when_it_is_used(void **state) {
    (void)state;
    window_grows_only_when_it_is_used(&quic_cc_cubic);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(larger_datagrams_are_found_while_data_waits),
        cmocka_unit_test(window_of_newreno_grows_only_when_it_is_used),
        cmocka_unit_test(window_of_cubic_grows_only_when_it_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
