#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "quic/pacer.h"

#define MTU 1200
#define START (10 * NS_PER_S)
#define GSO_BATCH 44  // datagrams that the kernel takes at once

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

// Sends all that may go at `now`.
static uint64_t drain(quic_pacer *p, uint64_t now) {
    uint64_t sent = 0;
    while (quic_pacer_budget(p, now) > 0) {
        quic_pacer_spend(p, p->mtu);
        sent += p->mtu;
    }
    return sent;
}

static void a_new_path_may_send_ten_datagrams(void **state) {
    (void)state;
    quic_pacer p;
    quic_pacer_init(&p, START, MTU);
    assert_int_equal(drain(&p, START), 10 * MTU);
    assert_int_equal(drain(&p, START), 0);
}

static void the_rate_is_five_quarters_of_a_window_per_round_trip(void **state) {
    (void)state;
    quic_pacer p;
    quic_pacer_init(&p, START, MTU);
    quic_pacer_update(&p, START, 1000000, 100 * NS_PER_MS, MTU, 0, 0);
    assert_int_equal(p.rate, 12500000);
    assert_int_equal(p.capacity, 25000);
    quic_pacer_update(&p, START, 1000000, 100 * NS_PER_MS, MTU, 777777777, 0);
    assert_int_equal(p.rate, 777777777);
}

static void the_burst_has_limits(void **state) {
    (void)state;
    quic_pacer p;
    quic_pacer_init(&p, START, MTU);
    quic_pacer_update(&p, START, 2400, NS_PER_S, MTU, 0, 0);
    assert_int_equal(p.capacity, 10 * MTU);
    quic_pacer_update(&p, START, UINT64_C(1) << 32, NS_PER_MS, 1452, 0, 0);
    assert_int_equal(p.capacity, 256 * 1452);
    // A smaller bucket spills.
    assert_int_equal(quic_pacer_budget(&p, START + NS_PER_S), 256 * 1452);
    quic_pacer_update(&p, START + NS_PER_S, 2400, NS_PER_S, MTU, 0, 0);
    assert_int_equal(quic_pacer_budget(&p, START + NS_PER_S), 10 * MTU);
}

static void batches_stay_large_at_high_rates(void **state) {
    (void)state;
    quic_pacer p;
    uint64_t now = START;
    quic_pacer_init(&p, now, 1452);
    quic_pacer_update(&p, now, 600000, 400 * NS_PER_US, 1452, 0, 0);
    assert_true(p.rate > UINT64_C(1500000000));
    (void)drain(&p, now);
    for (int i = 0; i < 1000; i++) {
        now = quic_pacer_ready_at(&p);
        assert_true(drain(&p, now) >= GSO_BATCH * 1452);
    }
    // Woken all the time instead, by acknowledgements, it does not fall back to single datagrams.
    for (int i = 0; i < 10000; i++) {
        now += 5 * NS_PER_US;
        uint64_t sent = drain(&p, now);
        assert_true(sent == 0 || sent >= GSO_BATCH * 1452);
    }
}

static void slow_paths_wait_for_little(void **state) {
    (void)state;
    quic_pacer p;
    quic_pacer_init(&p, START, MTU);
    quic_pacer_update(&p, START, 2 * MTU, 100 * NS_PER_MS, MTU, 0, 0);
    (void)drain(&p, START);
    // One datagram at 30 kB/s.
    assert_int_equal(quic_pacer_ready_at(&p), START + 40 * NS_PER_MS);
    assert_int_equal(drain(&p, START + 40 * NS_PER_MS), MTU);
}

static void the_average_is_the_rate(void **state) {
    (void)state;
    static const uint64_t rates[] = {1500, 45000, 999983, 12500000, 1250000007, UINT64_C(12500000000)};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        quic_pacer p;
        uint64_t rng = i + 1, now = START, sent = 0;
        uint64_t length = rates[i] < 1000000 ? 1000 * NS_PER_S : NS_PER_S / 4;
        quic_pacer_init(&p, now, MTU);
        quic_pacer_update(&p, now, 100 * UINT64_C(1000000), NS_PER_S, MTU, rates[i], 0);
        sent += drain(&p, now);
        while (now < START + length) {
            // Never late by more than the part of the bucket that is kept for it.
            uint64_t slack = (p.capacity / 2 - MTU) * NS_PER_S / p.rate;
            now = time_max(now + 1, quic_pacer_ready_at(&p)) + draw(&rng, slack);
            sent += drain(&p, now);
        }
        double expected = (double)rates[i] * (double)(now - START) / 1e9;
        assert_true((double)sent <= expected + (double)(10 * MTU) + 1);
        assert_true((double)sent >= expected - (double)p.capacity);
    }
}

static void ready_at_is_exact(void **state) {
    (void)state;
    uint64_t rng = 7;
    for (int i = 0; i < 20000; i++) {
        quic_pacer p;
        uint64_t now = START + draw(&rng, NS_PER_S);
        quic_pacer_init(&p, now, MTU);
        quic_pacer_update(&p, now, 2400 + draw(&rng, 10000000), 1 + draw(&rng, NS_PER_S), 1200 + draw(&rng, 300), 0, 0);
        now += draw(&rng, NS_PER_MS);
        quic_pacer copy = p;
        if (quic_pacer_budget(&copy, now) > 0)
            (void)drain(&p, now);
        uint64_t at = quic_pacer_ready_at(&p);
        assert_true(at > now);
        copy = p;
        assert_int_equal(quic_pacer_budget(&copy, at - 1), 0);
        copy = p;
        assert_true(quic_pacer_budget(&copy, at) >= p.mtu);
    }
}

static void ready_at_is_not_in_the_future_when_something_may_go(void **state) {
    (void)state;
    quic_pacer p;
    quic_pacer_init(&p, START, MTU);
    assert_true(quic_pacer_budget(&p, START + 5) > 0);
    assert_true(quic_pacer_ready_at(&p) <= START + 5);
}

static void a_backward_clock_adds_nothing(void **state) {
    (void)state;
    quic_pacer p;
    quic_pacer_init(&p, START, MTU);
    (void)drain(&p, START);
    for (uint64_t i = 1; i < 100; i++)
        assert_int_equal(quic_pacer_budget(&p, START - i * NS_PER_MS), 0);
    assert_int_equal(p.tokens, 0);
    assert_int_equal(quic_pacer_budget(&p, START), 0);
}

static void spending_more_than_there_is_leaves_nothing(void **state) {
    (void)state;
    quic_pacer p;
    quic_pacer_init(&p, START, MTU);
    quic_pacer_spend(&p, UINT64_MAX);
    assert_int_equal(p.tokens, 0);
    assert_int_equal(quic_pacer_budget(&p, START), 0);
}

static void a_controller_chooses_its_burst(void **state) {
    (void)state;
    quic_pacer p;
    quic_pacer_init(&p, START, MTU);
    // 1 MB/s: two datagrams at once, and twice that when the timer was late.
    quic_pacer_update(&p, START, 1000000, 100 * NS_PER_MS, MTU, 1000000, 2 * MTU);
    assert_int_equal(p.burst, 2 * MTU);
    assert_int_equal(p.capacity, 4 * MTU);
    quic_pacer_spend(&p, p.tokens);
    assert_int_equal(quic_pacer_budget(&p, START), 0);
    assert_int_equal(quic_pacer_ready_at(&p), START + 2 * MTU * NS_PER_US);
    // A window that is small does not make the burst smaller, and one that is absurd is cut.
    quic_pacer_update(&p, START, 2 * MTU, 100 * NS_PER_MS, MTU, 1000000, 2 * MTU);
    assert_int_equal(p.burst, 2 * MTU);
    quic_pacer_update(&p, START, 2 * MTU, 100 * NS_PER_MS, MTU, 1000000, UINT64_C(1) << 40);
    assert_int_equal(p.capacity, PACER_BURST_MAX * MTU);
    assert_int_equal(p.burst, PACER_BURST_MAX * MTU / 2);
}

static void extremes_stay_in_range(void **state) {
    (void)state;
    static const uint64_t values[] = {0, 1, 2400, UINT64_C(1) << 32, UINT64_C(1) << 62, UINT64_MAX};
    static const uint64_t mtus[] = {1, 1200, 65535};
    const size_t n = sizeof values / sizeof *values;
    for (size_t i = 0; i < n * n * n * 3; i++) {
        quic_pacer p;
        quic_pacer_init(&p, 0, MTU);
        uint64_t mtu = mtus[i / (n * n * n)];
        quic_pacer_update(&p, 0, values[i % n], values[i / n % n], mtu, values[i / n / n % n], 0);
        assert_true(p.rate > 0);
        assert_in_range(p.capacity, 10 * mtu, 256 * mtu);
        assert_in_range(p.burst, mtu, p.capacity / 2);
        (void)drain(&p, 0);
        assert_true(quic_pacer_ready_at(&p) > 0);
        assert_true(quic_pacer_budget(&p, UINT64_MAX - 1) == p.capacity);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_path_may_send_ten_datagrams),
        cmocka_unit_test(the_rate_is_five_quarters_of_a_window_per_round_trip),
        cmocka_unit_test(the_burst_has_limits),
        cmocka_unit_test(batches_stay_large_at_high_rates),
        cmocka_unit_test(slow_paths_wait_for_little),
        cmocka_unit_test(the_average_is_the_rate),
        cmocka_unit_test(ready_at_is_exact),
        cmocka_unit_test(ready_at_is_not_in_the_future_when_something_may_go),
        cmocka_unit_test(a_backward_clock_adds_nothing),
        cmocka_unit_test(spending_more_than_there_is_leaves_nothing),
        cmocka_unit_test(a_controller_chooses_its_burst),
        cmocka_unit_test(extremes_stay_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
