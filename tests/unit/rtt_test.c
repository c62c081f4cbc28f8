#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "quic/rtt.h"

static void starts_from_the_initial_estimate(void **state) {
    (void)state;
    quic_rtt r;
    quic_rtt_init(&r, RTT_INITIAL);
    assert_false(r.sampled);
    assert_int_equal(r.smoothed, 333 * NS_PER_MS);
    // RFC 9002, section 6.2.2: the first probe timeout is about a second.
    assert_int_equal(quic_rtt_pto(&r), 999 * NS_PER_MS);
}

static void first_sample_replaces_the_initial_estimate(void **state) {
    (void)state;
    quic_rtt r;
    quic_rtt_init(&r, RTT_INITIAL);
    quic_rtt_sample(&r, 40 * NS_PER_MS, 30 * NS_PER_MS);
    assert_true(r.sampled);
    assert_int_equal(r.latest, 40 * NS_PER_MS);
    assert_int_equal(r.min, 40 * NS_PER_MS);
    assert_int_equal(r.smoothed, 40 * NS_PER_MS);
    assert_int_equal(r.variation, 20 * NS_PER_MS);
    assert_int_equal(quic_rtt_pto(&r), 120 * NS_PER_MS);
    assert_int_equal(quic_rtt_loss_delay(&r), 45 * NS_PER_MS);
}

// Worked out by hand from RFC 9002, section 5.3.
static void second_sample_moves_by_the_weights_of_the_rfc(void **state) {
    (void)state;
    quic_rtt r;
    quic_rtt_init(&r, RTT_INITIAL);
    quic_rtt_sample(&r, 40 * NS_PER_MS, 0);
    quic_rtt_sample(&r, 80 * NS_PER_MS, 8 * NS_PER_MS);
    assert_int_equal(r.latest, 80 * NS_PER_MS);
    assert_int_equal(r.min, 40 * NS_PER_MS);
    assert_int_equal(r.variation, 23 * NS_PER_MS);
    assert_int_equal(r.smoothed, 44 * NS_PER_MS);
    assert_int_equal(quic_rtt_loss_delay(&r), 90 * NS_PER_MS);
}

static void delay_that_cannot_be_true_is_ignored(void **state) {
    (void)state;
    quic_rtt r, same;
    quic_rtt_init(&r, RTT_INITIAL);
    quic_rtt_sample(&r, 40 * NS_PER_MS, 0);
    same = r;
    quic_rtt_sample(&r, 50 * NS_PER_MS, 10 * NS_PER_MS + 1);
    quic_rtt_sample(&same, 50 * NS_PER_MS, 0);
    assert_int_equal(r.smoothed, same.smoothed);
    quic_rtt_sample(&r, 60 * NS_PER_MS, UINT64_MAX);
    quic_rtt_sample(&same, 60 * NS_PER_MS, 0);
    assert_int_equal(r.smoothed, same.smoothed);
    assert_int_equal(r.variation, same.variation);
    quic_rtt_sample(&r, 50 * NS_PER_MS, 10 * NS_PER_MS);
    quic_rtt_sample(&same, 40 * NS_PER_MS, 0);
    assert_int_equal(r.smoothed, same.smoothed);
}

static void timers_never_fall_below_the_granularity(void **state) {
    (void)state;
    quic_rtt r;
    quic_rtt_init(&r, RTT_INITIAL);
    for (int i = 0; i < 200; i++)
        quic_rtt_sample(&r, 1000, 0);
    assert_int_equal(r.smoothed, 1000);
    assert_int_equal(quic_rtt_pto(&r), 1000 + RTT_GRANULARITY);
    assert_int_equal(quic_rtt_loss_delay(&r), RTT_GRANULARITY);
}

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

// The formulas in floating point; whole nanoseconds may round down in each step.
static void one_model(uint64_t seed) {
    quic_rtt r;
    uint64_t rng = seed;
    double smoothed = 0, variation = 0, min = 0;
    uint64_t base = 1000 + draw(&rng, 400000), spread = 1 + draw(&rng, 400000);
    quic_rtt_init(&r, RTT_INITIAL);
    for (int i = 0; i < 200; i++) {
        double sample = (double)(1000 * (base + draw(&rng, spread)));
        double delay = draw(&rng, 3) == 0 ? 0 : (double)(1000 * draw(&rng, spread));
        quic_rtt_sample(&r, (uint64_t)sample, (uint64_t)delay);
        if (i == 0) {
            min = smoothed = sample;
            variation = sample / 2;
        } else {
            min = sample < min ? sample : min;
            double adjusted = sample >= min + delay ? sample - delay : sample;
            double off = smoothed > adjusted ? smoothed - adjusted : adjusted - smoothed;
            variation = 0.75 * variation + 0.25 * off;
            smoothed = 0.875 * smoothed + 0.125 * adjusted;
        }
        assert_int_equal(r.min, min);
        assert_true((double)r.smoothed <= smoothed + 1 && (double)r.smoothed >= smoothed - 10);
        assert_true((double)r.variation <= variation + 10 && (double)r.variation >= variation - 10);
        assert_true(quic_rtt_pto(&r) >= r.smoothed + RTT_GRANULARITY);
        assert_true(quic_rtt_loss_delay(&r) >= r.latest);
    }
}

static void agrees_with_a_model_over_random_samples(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        one_model(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_from_the_initial_estimate),
        cmocka_unit_test(first_sample_replaces_the_initial_estimate),
        cmocka_unit_test(second_sample_moves_by_the_weights_of_the_rfc),
        cmocka_unit_test(delay_that_cannot_be_true_is_ignored),
        cmocka_unit_test(timers_never_fall_below_the_granularity),
        cmocka_unit_test(agrees_with_a_model_over_random_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
