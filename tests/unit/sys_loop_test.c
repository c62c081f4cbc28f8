// The loop with real descriptors and threads. Times are only asserted in the direction that a busy machine cannot bend:
// nothing comes early, and nothing waits for ever.
#include "sys/loop.h"

#include <iroh/error.h>

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sys/udp.h"

#define HANG_MS 20000  // far beyond what anything here takes
#define PAIRS 8

typedef struct end {
    int fd, other;  // a socket pair
    sys_watch *watch;
    unsigned calls;
    unsigned seen;  // the latest events
    struct world *world;
    void (*then)(struct end *e);  // what else to do when called; may be null
} end;

typedef struct world {
    sys_loop *loop;
    end ends[PAIRS];
} world;

static int set_up(void **state) {
    world *w = calloc(1, sizeof *w);
    if (w == NULL || sys_loop_new(&w->loop) != 0)
        return -1;
    for (int i = 0; i < PAIRS; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
            return -1;
        w->ends[i] = (end){.fd = pair[0], .other = pair[1], .world = w};
    }
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    world *w = *state;
    sys_loop_free(w->loop);  // with the watches that a test has left
    for (int i = 0; i < PAIRS; i++) {
        (void)close(w->ends[i].fd);
        (void)close(w->ends[i].other);
    }
    free(w);
    return 0;
}

static void on_ready(void *user, unsigned events) {
    end *e = user;
    e->calls++;
    e->seen = events;
    if (e->then != NULL)
        e->then(e);
}

static void watch(end *e, unsigned events) {
    assert_int_equal(sys_loop_watch(e->world->loop, e->fd, events, on_ready, e, &e->watch), 0);
}

static void unwatch(end *e) {
    sys_watch_free(e->watch);
    e->watch = NULL;
}

static void feed(const end *e) {
    assert_int_equal(write(e->other, "x", 1), 1);
}

static void drain(const end *e) {
    char c;
    assert_int_equal(read(e->fd, &c, 1), 1);
}

static void run(world *w, int timeout_ms) {
    assert_int_equal(sys_loop_run(w->loop, timeout_ms), 0);
}

// --- Watches

static void what_is_ready_is_called_until_it_is_not(void **state) {
    world *w = *state;
    end *e = &w->ends[0];
    watch(e, SYS_READABLE);
    run(w, 0);
    assert_int_equal(e->calls, 0);
    feed(e);
    run(w, HANG_MS);
    assert_int_equal(e->calls, 1);
    assert_int_equal(e->seen, SYS_READABLE);
    run(w, -1);
    assert_int_equal(e->calls, 2);
    drain(e);
    run(w, 0);
    assert_int_equal(e->calls, 2);
}

static void only_the_events_asked_for_are_reported(void **state) {
    world *w = *state;
    end *e = &w->ends[0];
    feed(e);
    watch(e, SYS_WRITABLE);
    run(w, HANG_MS);
    assert_int_equal(e->seen, SYS_WRITABLE);
    sys_watch_set(e->watch, SYS_READABLE | SYS_WRITABLE);
    run(w, HANG_MS);
    assert_int_equal(e->seen, SYS_READABLE | SYS_WRITABLE);
    sys_watch_set(e->watch, SYS_READABLE);
    run(w, HANG_MS);
    assert_int_equal(e->seen, SYS_READABLE);
    unsigned calls = e->calls;
    sys_watch_set(e->watch, 0);
    run(w, 0);
    run(w, 0);
    assert_int_equal(e->calls, calls);
    sys_watch_set(e->watch, SYS_READABLE);
    run(w, HANG_MS);
    assert_int_equal(e->calls, calls + 1);
}

static void free_all(end *e) {
    for (int i = 0; i < PAIRS; i++)
        unwatch(&e->world->ends[i]);
}

static void a_callback_may_free_every_watch(void **state) {
    world *w = *state;
    for (int i = 0; i < PAIRS; i++) {
        w->ends[i].then = free_all;
        watch(&w->ends[i], SYS_READABLE);
        feed(&w->ends[i]);
    }
    run(w, HANG_MS);
    run(w, 0);
    unsigned calls = 0;
    for (int i = 0; i < PAIRS; i++)
        calls += w->ends[i].calls;
    assert_int_equal(calls, 1);
}

static void rest_all(end *e) {
    for (int i = 0; i < PAIRS; i++)
        sys_watch_set(e->world->ends[i].watch, 0);
}

static void a_callback_may_put_others_to_rest(void **state) {
    world *w = *state;
    for (int i = 0; i < PAIRS; i++) {
        w->ends[i].then = rest_all;
        watch(&w->ends[i], SYS_READABLE);
        feed(&w->ends[i]);
    }
    run(w, HANG_MS);
    run(w, 0);
    unsigned calls = 0;
    for (int i = 0; i < PAIRS; i++)
        calls += w->ends[i].calls;
    assert_int_equal(calls, 1);
}

static void watch_next(end *e) {
    end *next = e + 1;
    if (next < e->world->ends + PAIRS && next->watch == NULL)
        watch(next, SYS_READABLE);
    unwatch(e);
}

static void a_callback_may_add_watches(void **state) {
    world *w = *state;
    for (int i = 0; i < PAIRS; i++) {
        w->ends[i].then = watch_next;
        feed(&w->ends[i]);
    }
    watch(&w->ends[0], SYS_READABLE);
    for (int i = 0; i < PAIRS; i++) {
        run(w, HANG_MS);
        for (int k = 0; k < PAIRS; k++)
            assert_int_equal(w->ends[k].calls, k <= i);
    }
}

static void a_descriptor_can_be_watched_anew(void **state) {
    world *w = *state;
    end *e = &w->ends[0];
    sys_watch *second = NULL;
    for (unsigned i = 1; i <= 5; i++) {
        watch(e, SYS_READABLE);
        assert_int_equal(sys_loop_watch(w->loop, e->fd, SYS_READABLE, on_ready, e, &second), IROH_ERR_IO);
        feed(e);
        run(w, HANG_MS);
        assert_int_equal(e->calls, i);
        drain(e);
        unwatch(e);
    }
    assert_null(second);
    sys_watch_free(NULL);
}

static void a_peer_that_hangs_up_is_reported(void **state) {
    world *w = *state;
    end *e = &w->ends[0];
    watch(e, SYS_READABLE);
    assert_int_equal(shutdown(e->other, SHUT_RDWR), 0);
    for (unsigned i = 1; i <= 3; i++) {
        run(w, HANG_MS);
        assert_int_equal(e->calls, i);
    }
}

// --- Errors of a descriptor: a pipe whose reader is gone shows nothing but an error

static void an_error_is_reported_again_and_again(void **state) {
    world *w = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(close(fds[0]), 0);
    end e = {.fd = fds[1], .world = w};
    watch(&e, SYS_WRITABLE);
    for (unsigned i = 1; i <= 3; i++) {
        run(w, HANG_MS);
        assert_int_equal(e.calls, i);
        assert_int_equal(e.seen, SYS_WRITABLE);
        sys_loop_arm(w->loop);
        struct pollfd p = {.fd = sys_loop_fd(w->loop), .events = POLLIN};
        assert_int_equal(poll(&p, 1, HANG_MS), 1);
    }
    unwatch(&e);
    assert_int_equal(close(fds[1]), 0);
}

// --- Time

static void a_timeout_ends_the_wait(void **state) {
    world *w = *state;
    uint64_t start = sys_now();
    run(w, 30);
    assert_true(sys_now() - start >= 30 * NS_PER_MS);
    run(w, 0);
}

static void deadlines_end_waits_in_order_and_never_early(void **state) {
    world *w = *state;
    static const int after_us[] = {900, 100, 5000, 20, 1500, 0, 12000};
    for (size_t i = 0; i < sizeof after_us / sizeof *after_us; i++) {
        uint64_t at = sys_now() + (uint64_t)after_us[i] * NS_PER_US;
        sys_loop_set_deadline(w->loop, at);
        run(w, -1);
        assert_true(sys_now() >= at);
    }
    // The one that passed ends every further wait until it is replaced.
    run(w, -1);
    run(w, -1);
    sys_loop_set_deadline(w->loop, 0);
    run(w, -1);
    sys_loop_set_deadline(w->loop, TIME_NEVER);
    uint64_t start = sys_now();
    run(w, 20);
    assert_true(sys_now() - start >= 20 * NS_PER_MS);
}

static void the_earlier_of_deadline_and_timeout_counts(void **state) {
    world *w = *state;
    uint64_t start = sys_now();
    sys_loop_set_deadline(w->loop, start + 3600 * NS_PER_S);
    run(w, 10);
    assert_true(sys_now() - start >= 10 * NS_PER_MS);
    uint64_t at = sys_now() + NS_PER_MS;
    sys_loop_set_deadline(w->loop, at);
    run(w, 3600 * 1000);
    assert_true(sys_now() >= at);
}

static void readiness_comes_before_a_far_deadline(void **state) {
    world *w = *state;
    end *e = &w->ends[3];
    watch(e, SYS_READABLE);
    sys_loop_set_deadline(w->loop, sys_now() + 3600 * NS_PER_S);
    feed(e);
    run(w, -1);
    assert_int_equal(e->calls, 1);
}

static void clocks_are_nanoseconds_of_their_kind(void **state) {
    (void)state;
    uint64_t last = sys_now();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = sys_now();
        assert_true(now >= last);
        last = now;
    }
    assert_true(sys_wall_clock() > UINT64_C(1700000000) * NS_PER_S);
    assert_true(sys_wall_clock() < UINT64_C(9000000000) * NS_PER_S);
}

// --- Wakes

static void *wake_once(void *loop) {
    sys_loop_wake(loop);
    return NULL;
}

static void another_thread_wakes_a_wait_without_end(void **state) {
    world *w = *state;
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wake_once, w->loop), 0);
        run(w, -1);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static void a_wake_before_the_wait_counts_once(void **state) {
    world *w = *state;
    sys_loop_wake(w->loop);
    sys_loop_wake(w->loop);
    run(w, -1);
    uint64_t start = sys_now();
    run(w, 20);
    assert_true(sys_now() - start >= 20 * NS_PER_MS);
}

static void wake_own(end *e) {
    sys_loop_wake(e->world->loop);
    drain(e);
}

static void a_wake_from_a_callback_is_for_the_next_run(void **state) {
    world *w = *state;
    end *e = &w->ends[0];
    e->then = wake_own;
    watch(e, SYS_READABLE);
    feed(e);
    run(w, -1);
    assert_int_equal(e->calls, 1);
    run(w, -1);
    assert_int_equal(e->calls, 1);
}

// --- Inside another loop

static bool shows(const world *w, int timeout_ms) {
    struct pollfd p = {.fd = sys_loop_fd(w->loop), .events = POLLIN};
    int n = poll(&p, 1, timeout_ms);
    assert_true(n >= 0);
    return n == 1;
}

static void the_descriptor_shows_datagrams(void **state) {
    world *w = *state;
    addr any;
    assert_int_equal(addr_parse(&any, "127.0.0.1:0", 11), 0);
    sys_udp *a, *b;
    assert_int_equal(sys_udp_open(&any, true, &a), 0);
    assert_int_equal(sys_udp_open(&any, true, &b), 0);
    end e = {.fd = sys_udp_fd(b), .world = w};
    watch(&e, SYS_READABLE);
    sys_loop_arm(w->loop);
    assert_false(shows(w, 0));
    sys_udp_batch batch = {.remote = sys_udp_local(b), .len = 3, .segment = 3}, got;
    size_t sent;
    assert_int_equal(sys_udp_send(a, (const uint8_t *)"abc", &batch, &sent), 0);
    assert_true(shows(w, HANG_MS));
    run(w, 0);
    assert_int_equal(e.calls, 1);
    static uint8_t room[SYS_UDP_BATCH];
    assert_int_equal(sys_udp_receive(b, room, &got), 0);
    sys_loop_arm(w->loop);
    assert_false(shows(w, 0));
    unwatch(&e);
    sys_udp_close(a);
    sys_udp_close(b);
}

static void the_descriptor_shows_the_deadline(void **state) {
    world *w = *state;
    for (int i = 0; i < 5; i++) {
        uint64_t at = sys_now() + 2 * NS_PER_MS;
        sys_loop_set_deadline(w->loop, at);
        sys_loop_arm(w->loop);
        assert_true(shows(w, HANG_MS));
        assert_true(sys_now() >= at);
        run(w, 0);
        // A later one, or none, takes it back.
        sys_loop_set_deadline(w->loop, i % 2 == 0 ? TIME_NEVER : sys_now() + 3600 * NS_PER_S);
        sys_loop_arm(w->loop);
        assert_false(shows(w, 0));
    }
    sys_loop_set_deadline(w->loop, 0);
    sys_loop_arm(w->loop);
    assert_true(shows(w, HANG_MS));
}

static void the_descriptor_shows_wakes_until_they_are_run(void **state) {
    world *w = *state;
    sys_loop_arm(w->loop);
    assert_false(shows(w, 0));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_once, w->loop), 0);
    assert_true(shows(w, HANG_MS));
    assert_int_equal(pthread_join(thread, NULL), 0);
    run(w, 0);
    sys_loop_arm(w->loop);
    assert_false(shows(w, 0));
}

// Arming passes through the same wait as running, and must not swallow what it meets there.
static void arming_loses_nothing(void **state) {
    world *w = *state;
    end *first = &w->ends[0], *second = &w->ends[1];
    run(w, 0);
    feed(first);
    watch(first, SYS_READABLE);
    sys_loop_arm(w->loop);
    assert_true(shows(w, HANG_MS));
    assert_int_equal(first->calls, 0);
    sys_loop_wake(w->loop);
    watch(second, SYS_READABLE);
    sys_loop_arm(w->loop);
    assert_true(shows(w, HANG_MS));
    run(w, 0);
    assert_int_equal(first->calls, 1);
    drain(first);
    run(w, 0);
    sys_loop_wake(w->loop);
    sys_watch_set(second->watch, SYS_READABLE | SYS_WRITABLE);
    sys_watch_set(second->watch, SYS_READABLE);
    sys_loop_arm(w->loop);
    assert_true(shows(w, HANG_MS));
    run(w, 0);
    assert_int_equal(first->calls + second->calls, 1);
    sys_loop_arm(w->loop);
    assert_false(shows(w, 0));
}

static void rest(end *e) {
    sys_watch_set(e->watch, 0);
}

static void changes_from_callbacks_show_once_armed(void **state) {
    world *w = *state;
    end *e = &w->ends[0];
    e->then = rest;
    watch(e, SYS_WRITABLE);
    run(w, HANG_MS);
    sys_loop_arm(w->loop);
    assert_false(shows(w, 0));
    sys_watch_set(e->watch, SYS_WRITABLE);
    sys_loop_arm(w->loop);
    assert_true(shows(w, HANG_MS));
    run(w, 0);
    assert_int_equal(e->calls, 2);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_WORLD(what_is_ready_is_called_until_it_is_not),
        IN_WORLD(only_the_events_asked_for_are_reported),
        IN_WORLD(a_callback_may_free_every_watch),
        IN_WORLD(a_callback_may_put_others_to_rest),
        IN_WORLD(a_callback_may_add_watches),
        IN_WORLD(a_descriptor_can_be_watched_anew),
        IN_WORLD(a_peer_that_hangs_up_is_reported),
        IN_WORLD(an_error_is_reported_again_and_again),
        IN_WORLD(a_timeout_ends_the_wait),
        IN_WORLD(deadlines_end_waits_in_order_and_never_early),
        IN_WORLD(the_earlier_of_deadline_and_timeout_counts),
        IN_WORLD(readiness_comes_before_a_far_deadline),
        IN_WORLD(clocks_are_nanoseconds_of_their_kind),
        IN_WORLD(another_thread_wakes_a_wait_without_end),
        IN_WORLD(a_wake_before_the_wait_counts_once),
        IN_WORLD(a_wake_from_a_callback_is_for_the_next_run),
        IN_WORLD(the_descriptor_shows_datagrams),
        IN_WORLD(the_descriptor_shows_the_deadline),
        IN_WORLD(the_descriptor_shows_wakes_until_they_are_run),
        IN_WORLD(arming_loses_nothing),
        IN_WORLD(changes_from_callbacks_show_once_armed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
