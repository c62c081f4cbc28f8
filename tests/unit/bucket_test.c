// Token buckets: their bounds, debt, and a model in exact integers.
#include "base/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *seed >> 16;
}

static void starts_full_and_refuses_what_is_not_there(void **state) {
    (void)state;
    bucket b;
    bucket_init(&b, 10, 5, 1000);
    assert_false(bucket_take(&b, 6, 1000));
    assert_true(bucket_take(&b, 5, 1000));
    assert_false(bucket_take(&b, 1, 1000));
    assert_true(bucket_ready_at(&b, 1) == 1000 + NS_PER_S / 10);
    assert_false(bucket_take(&b, 1, 1000 + NS_PER_S / 10 - 1));
    assert_true(bucket_take(&b, 1, 1000 + NS_PER_S / 10));
}

static void slow_rate_loses_nothing_to_rounding(void **state) {
    (void)state;
    bucket b;
    uint64_t taken = 0, now = 0;
    bucket_init(&b, 3, 1, now);
    assert_true(bucket_take(&b, 1, now));
    for (; now <= 100 * NS_PER_S; now += 777777)
        taken += bucket_take(&b, 1, now);
    assert_in_range(taken, 299, 300);
}

static void backward_clock_adds_nothing(void **state) {
    (void)state;
    bucket b;
    bucket_init(&b, 1000, 10, 50 * NS_PER_S);
    assert_true(bucket_take(&b, 10, 50 * NS_PER_S));
    assert_false(bucket_take(&b, 1, 10 * NS_PER_S));
    assert_false(bucket_take(&b, 1, 50 * NS_PER_S));
    assert_true(bucket_take(&b, 1, 50 * NS_PER_S + NS_PER_MS));
}

static void rate_zero_lets_the_first_burst_through(void **state) {
    (void)state;
    bucket b;
    bucket_init(&b, 0, 7, 0);
    assert_true(bucket_take(&b, 7, 0));
    assert_false(bucket_take(&b, 1, TIME_NEVER - 1));
    assert_true(bucket_ready_at(&b, 1) == TIME_NEVER);
}

static void more_than_a_burst_is_never_ready(void **state) {
    (void)state;
    bucket b;
    bucket_init(&b, 100, 7, 0);
    assert_true(bucket_ready_at(&b, 8) == TIME_NEVER);
    assert_true(bucket_ready_at(&b, 7) == 0);
}

static void bounds_hold_at_their_limits(void **state) {
    (void)state;
    bucket b;
    bucket_init(&b, UINT64_MAX, UINT64_MAX, 0);
    assert_true(b.rate == BUCKET_RATE_MAX && b.burst == BUCKET_BURST_MAX);
    bucket_charge(&b, UINT64_MAX, 0);
    assert_true(b.level == -(int64_t)BUCKET_BURST_MAX);
    bucket_charge(&b, UINT64_MAX, 0);
    assert_true(b.level == -(int64_t)BUCKET_BURST_MAX);
    uint64_t full = bucket_ready_at(&b, BUCKET_BURST_MAX);
    assert_false(bucket_take(&b, BUCKET_BURST_MAX, full - 1));
    assert_true(bucket_take(&b, BUCKET_BURST_MAX, full));
    bucket_init(&b, 1, BUCKET_BURST_MAX, 0);
    bucket_charge(&b, BUCKET_BURST_MAX, 0);
    bucket_charge(&b, BUCKET_BURST_MAX, 0);
    assert_true(bucket_ready_at(&b, BUCKET_BURST_MAX) == (BUCKET_BURST_MAX << 1) * NS_PER_S);
    assert_true(bucket_take(&b, BUCKET_BURST_MAX, TIME_NEVER - 1));
}

// Reads of 4096 bytes at 12 345 bytes a second, each when the one before it is paid for. When the last one is paid, all
// that passed is the burst and what flowed in since, less the one unit that makes it due.
static void charged_reads_average_to_the_rate(void **state) {
    (void)state;
    bucket b;
    uint64_t now = 0, total = 0;
    bucket_init(&b, 12345, 1234, now);
    for (; total < 10 << 20; total += 4096) {
        bucket_charge(&b, 4096, now);
        now = time_max(now, bucket_ready_at(&b, 1));
    }
    assert_int_equal(total - 1234 + 1, now * 12345 / NS_PER_S);
}

// What may have passed by now is the burst and what flowed in, with everything above the brim lost.
static void follows_a_model_over_random_schedules(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10000; seed++) {
        uint64_t random = seed, now = next_random(&random) % NS_PER_S;
        uint64_t rate = 1 + next_random(&random) % 100000, burst = 1 + next_random(&random) % 1000;
        __int128 level = (__int128)burst * NS_PER_S;  // in unit-nanoseconds
        bucket b;
        bucket_init(&b, rate, burst, now);
        for (int i = 0; i < 20; i++) {
            uint64_t wait = next_random(&random) % (NS_PER_S / 10), n = next_random(&random) % (burst + 5);
            now += wait;
            level += (__int128)wait * rate;
            level = level < (__int128)burst * NS_PER_S ? level : (__int128)burst * NS_PER_S;
            bool charge = next_random(&random) % 4 == 0, there = level >= (__int128)n * NS_PER_S;
            if (charge)
                bucket_charge(&b, n, now);
            else
                assert_int_equal(bucket_take(&b, n, now), there);
            if (charge || there)
                level -= (__int128)n * NS_PER_S;
            assert_true((__int128)b.level * NS_PER_S + b.credit == level);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_full_and_refuses_what_is_not_there),
        cmocka_unit_test(slow_rate_loses_nothing_to_rounding),
        cmocka_unit_test(backward_clock_adds_nothing),
        cmocka_unit_test(rate_zero_lets_the_first_burst_through),
        cmocka_unit_test(more_than_a_burst_is_never_ready),
        cmocka_unit_test(bounds_hold_at_their_limits),
        cmocka_unit_test(charged_reads_average_to_the_rate),
        cmocka_unit_test(follows_a_model_over_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
