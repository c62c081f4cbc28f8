// Limits on what a provider sends: never too much, everybody in turn, and nobody held up by those who wait.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "blobs/throttle.h"
#include "unit/blobs_support.h"

// The arithmetic

static uint64_t draw(uint64_t *random, uint64_t below) {
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (*random >> 33) % below;
}

static void no_limit_means_now(void **state) {
    (void)state;
    throttle a, b;
    throttle_init(&a, 0, 5);
    throttle_init(&b, 0, 5);
    assert_int_equal(throttle_reserve(&a, SIZE_MAX, 77), 77);
    assert_true(throttle_piece(&a, &b) == SIZE_MAX);
    throttle_init(&b, 1000000, 5);
    assert_int_equal(throttle_piece(&a, &b), 20000);
    assert_int_equal(throttle_piece(&b, &a), 20000);
}

static void pieces_have_bounds(void **state) {
    (void)state;
    throttle t;
    throttle_init(&t, 1, 0);
    assert_int_equal(t.piece, THROTTLE_PIECE_MIN);
    throttle_init(&t, UINT64_MAX, 0);
    assert_int_equal(t.piece, THROTTLE_PIECE_MAX);
}

// Whatever is reserved and when: what may have gone by any time is at most the rate times that, and two pieces.
static void never_more_than_the_rate(void **state) {
    (void)state;
    uint64_t random = 1;
    for (int schedule = 0; schedule < 2000; schedule++) {
        uint64_t rate = 1 + draw(&random, schedule % 2 == 0 ? 5000 : 50000000), now = draw(&random, NS_PER_S);
        uint64_t start = now, sum = 0;
        throttle t;
        throttle_init(&t, rate, now);
        for (int i = 0; i < 200; i++) {
            size_t n = 1 + (size_t)draw(&random, t.piece);
            uint64_t due = throttle_reserve(&t, n, now);
            assert_true(due >= now);
            sum += n;
            double most = (double)rate * (double)(due - start) / 1e9 + 2 * (double)t.piece + 1;
            assert_true((double)sum <= most);
            now += draw(&random, 2) * draw(&random, NS_PER_S / 10);
            if (draw(&random, 3) == 0 && due > now)
                now = due;
        }
    }
}

// Nor less: who always has something to send uses all of it.
static void all_of_the_rate(void **state) {
    (void)state;
    throttle t;
    uint64_t now = 12345, due = now, sum = 0;
    throttle_init(&t, 333333, now);
    while (due < now + 10 * NS_PER_S) {
        sum += t.piece;
        due = throttle_reserve(&t, t.piece, due);
    }
    assert_true(sum >= 10 * UINT64_C(333333));
}

// Three who always want to send, each with a reservation, have as many turns each.
static void everybody_has_his_turn(void **state) {
    (void)state;
    throttle t;
    uint64_t due[3], turns[3] = {0};
    throttle_init(&t, 100000, 0);
    for (int i = 0; i < 3; i++)
        due[i] = throttle_reserve(&t, t.piece, 0);
    for (int i = 0; i < 3000; i++) {
        int first = due[0] <= due[1] && due[0] <= due[2] ? 0 : due[1] <= due[2] ? 1 : 2;
        turns[first]++;
        due[first] = throttle_reserve(&t, t.piece, due[first]);
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(turns[i], 999, 1001);
}

// Providers

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

#define SIZE ((size_t)400000)

// That it takes long enough is no matter of how busy the machine is.
static void assert_takes(const iroh_provider_config *config, uint64_t least_ms) {
    blobs_duo d;
    blobs_duo_open(&d, config);
    iroh_content content = blobs_raw(blobs_add(d.there, SIZE));
    uint64_t start = now_ns();
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, NULL), 0);
    assert_true(now_ns() - start >= least_ms * NS_PER_MS);
    blobs_assert_there(d.here, SIZE);
    blobs_duo_free(&d);
}

static void rates_are_kept(void **state) {
    (void)state;
    iroh_provider_config config;
    iroh_provider_config_default(&config);
    config.rate = 1000000;
    assert_takes(&config, 350);
    config.connection_rate = 800000;
    assert_takes(&config, 450);
    config.rate = 0;
    assert_takes(&config, 450);
}

typedef struct log {
    uint64_t bytes[2];  // of each stream, by half of its id
    uint64_t other;     // of the other one when the first one was done
    int done, delay;
    uint64_t delayed;
} log;

static int on_event(void *user, const iroh_provider_event *e) {
    log *l = user;
    unsigned stream = (unsigned)(e->stream >> 2) & 1;
    if (e->kind == IROH_PROVIDER_PROGRESS || e->kind == IROH_PROVIDER_DONE)
        l->bytes[stream] = e->bytes;
    if (e->kind == IROH_PROVIDER_DONE && l->done++ == 0)
        l->other = l->bytes[1 - stream];
    if (e->kind != IROH_PROVIDER_PROGRESS || l->delay == 0)
        return 0;
    l->delayed += (uint64_t)l->delay;
    return l->delay;
}

static iroh_stream *ask_for(blobs_duo *d, const iroh_hash *hash) {
    static const uint8_t all[] = {2, 0, 1, 0, 1, 0};
    uint8_t request[1 + 32 + sizeof all] = {0};
    iroh_stream *s;
    memcpy(request + 1, hash->bytes, 32);
    memcpy(request + 33, all, sizeof all);
    assert_int_equal(iroh_connection_open_bi(d->c, LONG_MS, &s), 0);
    assert_int_equal(iroh_stream_write_all(s, request, sizeof request, LONG_MS, NULL), 0);
    assert_int_equal(iroh_stream_finish(s), 0);
    return s;
}

static void read_all(iroh_stream *s) {
    uint8_t bytes[65536];
    int64_t n;
    do {
        n = iroh_stream_read(s, bytes, sizeof bytes, LONG_MS);
        assert_true(n >= 0);
    } while (n > 0);
    iroh_stream_free(s);
}

// Two streams that are asked for at the same time end at about the same time; unshared, the first would end alone.
static void streams_share_a_limit(void **state) {
    (void)state;
    iroh_provider_config config;
    log l = {{0}};
    blobs_duo d;
    iroh_provider_config_default(&config);
    config.rate = 1500000;
    config.event = on_event;
    config.user = &l;
    blobs_duo_open(&d, &config);
    iroh_hash hash = blobs_add(d.there, 2 * SIZE);
    iroh_stream *a = ask_for(&d, &hash), *b = ask_for(&d, &hash);
    read_all(a);
    read_all(b);
    blobs_duo_free(&d);
    assert_int_equal(l.done, 2);
    assert_true(l.other > SIZE / 2);
}

// The answer to an event delays what follows.
static void a_handler_can_slow_down(void **state) {
    (void)state;
    iroh_provider_config config;
    log l = {.delay = 30};
    blobs_duo d;
    iroh_provider_config_default(&config);
    config.event = on_event;
    config.user = &l;
    blobs_duo_open(&d, &config);
    iroh_content content = blobs_raw(blobs_add(d.there, 5 * SIZE));
    uint64_t start = now_ns();
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, NULL), 0);
    uint64_t took = now_ns() - start;
    blobs_duo_free(&d);
    assert_true(l.delayed >= 5 * 30);
    assert_true(took >= (l.delayed - 30) * NS_PER_MS);
    l.delay = 0;
}

// While one waits for its time, others are served, and so is the rest of its own connection.
static void waiting_holds_up_nobody(void **state) {
    (void)state;
    iroh_provider_config config;
    blobs_duo d;
    iroh_provider_config_default(&config);
    config.connection_rate = 2000;
    blobs_duo_open(&d, &config);
    iroh_hash large = blobs_add(d.there, SIZE);
    iroh_content small = blobs_raw(blobs_add(d.there, 700));
    iroh_stream *s = ask_for(&d, &large);
    iroh_remote_observer *o;
    bool complete = false;
    assert_int_equal(iroh_remote_observer_new(d.c, &large, LONG_MS, &o), 0);
    assert_int_equal(iroh_remote_observer_next(o, LONG_MS, NULL, NULL, 0, NULL, &complete), 0);
    assert_true(complete);
    iroh_remote_observer_free(o);
    for (int i = 0; i < 3; i++) {
        iroh_connection *c = blobs_duo_connect(&d);
        assert_int_equal(iroh_blobs_get(c, d.here, &small, NULL), 0);
        iroh_connection_free(c);
    }
    iroh_stream_free(s);
    blobs_duo_free(&d);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_means_now),       cmocka_unit_test(pieces_have_bounds),
        cmocka_unit_test(never_more_than_the_rate), cmocka_unit_test(all_of_the_rate),
        cmocka_unit_test(everybody_has_his_turn),   cmocka_unit_test(rates_are_kept),
        cmocka_unit_test(streams_share_a_limit),    cmocka_unit_test(a_handler_can_slow_down),
        cmocka_unit_test(waiting_holds_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
