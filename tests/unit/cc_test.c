#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "quic/cc.h"

#define MSS 1200

static quic_rtt rtt;

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

static void ack(quic_cc *c, uint64_t now, uint64_t bytes, uint64_t sent_time, bool app_limited) {
    quic_cc_ack a = {.now = now, .bytes = bytes, .sent_time = sent_time, .app_limited = app_limited, .rtt = &rtt};
    c->ops->on_ack(c, &a);
}

// One round trip that uses the whole window, acknowledged two datagrams at a time over its length.
static void round_trip(quic_cc *c, uint64_t *now, uint64_t length) {
    uint64_t window = c->window, step = 2 * c->mss;
    rtt.smoothed = length;
    for (uint64_t done = 0; done < window; done += step) {
        uint64_t bytes = window - done < step ? window - done : step;
        uint64_t at = *now + length / 16 * (16 * done / window);
        ack(c, at, bytes, *now, false);
    }
    *now += length;
}

static void lose(quic_cc *c, uint64_t now, uint64_t sent_time) {
    quic_cc_loss l = {.now = now, .bytes = MSS, .sent_time = sent_time};
    c->ops->on_loss(c, &l);
}

static const quic_cc_ops *const all[] = {&quic_cc_newreno, &quic_cc_cubic};
#define ALL (sizeof all / sizeof *all)

static void initial_window_follows_the_datagram_size(void **state) {
    (void)state;
    static const uint64_t cases[][2] = {{1200, 12000}, {1472, 14720}, {1500, 14720}, {7360, 14720}, {9000, 18000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        quic_cc c;
        quic_cc_init(&c, &quic_cc_cubic, cases[i][0]);
        assert_int_equal(c.window, cases[i][1]);
        assert_int_equal(c.ssthresh, UINT64_MAX);
        assert_int_equal(c.pacing_rate, 0);
    }
}

static void controllers_are_found_by_name(void **state) {
    (void)state;
    assert_ptr_equal(quic_cc_by_name("cubic"), &quic_cc_cubic);
    assert_ptr_equal(quic_cc_by_name("newreno"), &quic_cc_newreno);
    assert_ptr_equal(quic_cc_by_name("bbr3"), &quic_cc_bbr3);
    assert_null(quic_cc_by_name("Cubic"));
    assert_null(quic_cc_by_name(""));
}

static void slow_start_doubles_the_window_each_round(void **state) {
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        quic_cc c;
        uint64_t now = NS_PER_S;
        quic_cc_init(&c, all[i], MSS);
        for (int round = 1; round <= 8; round++) {
            round_trip(&c, &now, 50 * NS_PER_MS);
            assert_int_equal(c.window, UINT64_C(12000) << round);
        }
    }
}

static void an_application_that_limits_the_rate_does_not_open_the_window(void **state) {
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        quic_cc c;
        quic_cc_init(&c, all[i], MSS);
        ack(&c, NS_PER_S, 6000, NS_PER_MS, true);
        assert_int_equal(c.window, 12000);
        lose(&c, 2 * NS_PER_S, 2 * NS_PER_S - 1);
        uint64_t window = c.window;
        for (uint64_t t = 3; t < 100; t++)
            ack(&c, t * NS_PER_S, 6000, t * NS_PER_S - NS_PER_MS, true);
        assert_int_equal(c.window, window);
    }
}

static void losses_of_one_round_are_one_event(void **state) {
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        quic_cc c;
        quic_cc_init(&c, all[i], MSS);
        quic_cc_set_window(&c, 100 * MSS);
        lose(&c, 1000, 900);
        uint64_t reduced = c.window;
        assert_int_equal(reduced, (all[i] == &quic_cc_cubic ? 70 : 50) * MSS);
        assert_int_equal(c.ssthresh, reduced);
        lose(&c, 1100, 950);
        lose(&c, 1200, 1000);
        assert_int_equal(c.window, reduced);
        assert_int_equal(c.events, 1);
        lose(&c, 1300, 1001);
        assert_true(c.window < reduced);
        assert_int_equal(c.events, 2);
    }
}

static void packets_from_before_an_event_do_not_grow_the_window(void **state) {
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        quic_cc c;
        quic_cc_init(&c, all[i], MSS);
        lose(&c, NS_PER_S, NS_PER_S - 1);
        uint64_t reduced = c.window;
        ack(&c, 2 * NS_PER_S, 50 * MSS, NS_PER_S, false);
        assert_int_equal(c.window, reduced);
        for (int k = 0; k < 10; k++)
            ack(&c, 2 * NS_PER_S, reduced, NS_PER_S + 1, false);
        assert_true(c.window > reduced);
    }
}

static void a_mark_is_an_event_like_a_loss(void **state) {
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        quic_cc c;
        quic_cc_init(&c, all[i], MSS);
        quic_cc_loss l = {.now = 1000, .sent_time = 999, .ecn = true};
        c.ops->on_loss(&c, &l);
        assert_true(c.window < 12000);
        assert_int_equal(c.events, 1);
    }
}

static void persistent_congestion_leaves_two_datagrams(void **state) {
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        quic_cc c;
        quic_cc_init(&c, all[i], MSS);
        quic_cc_set_window(&c, 100 * MSS);
        quic_cc_loss l = {.now = NS_PER_S, .bytes = MSS, .sent_time = NS_PER_S - 1, .persistent = true};
        c.ops->on_loss(&c, &l);
        assert_int_equal(c.window, 2 * MSS);
        uint64_t threshold = c.ssthresh;
        assert_true(threshold >= 50 * MSS);
        // Then slow start again, at once.
        ack(&c, NS_PER_S, 2 * MSS, NS_PER_S - 1, false);
        assert_int_equal(c.window, 4 * MSS);
        if (c.ops->on_spurious != NULL)
            c.ops->on_spurious(&c);
        assert_int_equal(c.window, 4 * MSS);
        ack(&c, NS_PER_S, 1000 * MSS, NS_PER_S - 1, true);
        assert_int_equal(c.window, 4 * MSS);
    }
}

static void the_window_keeps_two_datagrams_when_they_grow(void **state) {
    (void)state;
    quic_cc c;
    quic_cc_init(&c, &quic_cc_cubic, MSS);
    for (uint64_t t = 1; t < 50; t++)
        lose(&c, t * 10, t * 10);
    assert_int_equal(c.window, 2 * MSS);
    quic_cc_set_mss(&c, 1452);
    assert_int_equal(c.window, 2 * 1452);
    quic_cc_set_mss(&c, MSS);
    assert_int_equal(c.window, 2 * 1452);
}

static void newreno_adds_one_datagram_a_round(void **state) {
    (void)state;
    quic_cc c;
    uint64_t now = NS_PER_S;
    quic_cc_init(&c, &quic_cc_newreno, MSS);
    quic_cc_set_window(&c, 100 * MSS);
    lose(&c, now, now);
    now += NS_PER_MS;
    for (int round = 1; round <= 20; round++) {
        round_trip(&c, &now, 10 * NS_PER_MS);
        assert_in_range(c.window, (uint64_t)(50 + round - 1) * MSS, (uint64_t)(50 + round) * MSS);
    }
}

// --- CUBIC

// After an event at 1000 datagrams the plateau is (1000 * 0.3 / 0.4)^(1/3) = 9.0856 s away.
static void cubic_follows_its_curve_back_to_the_plateau(void **state) {
    (void)state;
    const double k = 9.0856;
    quic_cc c;
    uint64_t now = NS_PER_S, length = 50 * NS_PER_MS;
    quic_cc_init(&c, &quic_cc_cubic, MSS);
    quic_cc_set_window(&c, 1000 * MSS);
    lose(&c, now, now);
    assert_int_equal(c.window, 700 * MSS);
    uint64_t start = now += NS_PER_MS;
    while (now < start + 14 * NS_PER_S) {
        round_trip(&c, &now, length);
        double d = (double)(now - start) / 1e9 - k;
        double expected = 1000 + 0.4 * d * d * d;
        double datagrams = (double)c.window / MSS;
        assert_true(datagrams > expected * 0.997 - 1 && datagrams < expected * 1.003 + 1);
    }
    assert_true(c.window > 1040 * MSS);
}

static void cubic_knows_the_time_to_the_plateau_exactly(void **state) {
    (void)state;
    for (uint64_t datagrams = 3; datagrams < 3000000; datagrams = datagrams * 5 / 4 + 1) {
        quic_cc c;
        quic_cc_init(&c, &quic_cc_cubic, MSS);
        quic_cc_set_window(&c, datagrams * MSS);
        lose(&c, NS_PER_S, NS_PER_S);
        double distance = (double)(datagrams * MSS - c.window) / (0.4 * MSS);
        ack(&c, NS_PER_S + 2, 1, NS_PER_S + 1, false);
        double k = c.state.cubic.curve.k;
        assert_true(k * k * k > distance * (1 - 1e-12) && k * k * k < distance * (1 + 1e-12));
    }
}

// However many acknowledgements a round comes in, fractions of bytes add up.
static void cubic_grows_alike_in_small_steps(void **state) {
    (void)state;
    uint64_t grown[2];
    for (int small = 0; small < 2; small++) {
        quic_cc c;
        quic_cc_init(&c, &quic_cc_cubic, MSS);
        quic_cc_set_window(&c, 1000 * MSS);
        lose(&c, NS_PER_S, NS_PER_S);
        rtt.smoothed = 50 * NS_PER_MS;
        ack(&c, NS_PER_S + NS_PER_MS, 1, NS_PER_S + 1, false);
        uint64_t before = c.window, step = small == 0 ? before : 10;
        for (uint64_t done = 0; done < before; done += step)
            ack(&c, NS_PER_S + 200 * NS_PER_MS, step, NS_PER_S + 1, false);
        grown[small] = c.window - before;
    }
    // In one step the curve's whole distance; in many small ones its exponential approach: 1 - 1/e of it.
    assert_true(grown[0] > 10 * MSS);
    assert_in_range(grown[1] * 1000, grown[0] * 615, grown[0] * 640);
}

// At 1 ms the curve would take seconds; the NewReno estimate gets there within 12 rounds and then adds one a round.
static void cubic_is_not_slower_than_newreno_on_short_paths(void **state) {
    (void)state;
    quic_cc c;
    uint64_t now = NS_PER_S;
    quic_cc_init(&c, &quic_cc_cubic, MSS);
    quic_cc_set_window(&c, 20 * MSS);
    lose(&c, now, now);
    now += NS_PER_MS;
    for (int round = 0; round < 100; round++)
        round_trip(&c, &now, NS_PER_MS);
    assert_in_range(c.window, 95 * MSS, 120 * MSS);
}

static void cubic_remembers_less_when_it_did_not_get_back(void **state) {
    (void)state;
    quic_cc c;
    quic_cc_init(&c, &quic_cc_cubic, MSS);
    quic_cc_set_window(&c, 1000 * MSS);
    lose(&c, 10, 10);
    assert_true(c.state.cubic.curve.w_max == 1000.0 * MSS);
    lose(&c, 20, 20);
    assert_int_equal(c.window, 490 * MSS);
    assert_true(c.state.cubic.curve.w_max > 594.9 * MSS && c.state.cubic.curve.w_max < 595.1 * MSS);
}

static void cubic_undoes_an_event_that_was_none(void **state) {
    (void)state;
    quic_cc c;
    uint64_t now = NS_PER_S;
    quic_cc_init(&c, &quic_cc_cubic, MSS);
    quic_cc_set_window(&c, 100 * MSS);
    lose(&c, now, now);
    now += NS_PER_MS;
    round_trip(&c, &now, NS_PER_MS);
    uint64_t window = c.window, threshold = c.ssthresh;
    lose(&c, now, now);
    assert_true(c.window < window);
    c.ops->on_spurious(&c);
    assert_int_equal(c.window, window);
    assert_int_equal(c.ssthresh, threshold);
    // Only the latest, only once.
    c.ops->on_spurious(&c);
    assert_int_equal(c.window, window);
    // And never to less than there is now.
    lose(&c, now + 1, now + 1);
    quic_cc_set_window(&c, 500 * MSS);
    c.ops->on_spurious(&c);
    assert_int_equal(c.window, 500 * MSS);
}

static void cubic_does_not_undo_a_mark(void **state) {
    (void)state;
    quic_cc c;
    quic_cc_init(&c, &quic_cc_cubic, MSS);
    lose(&c, 100, 100);
    quic_cc_loss l = {.now = 1000, .sent_time = 999, .ecn = true};
    c.ops->on_loss(&c, &l);
    uint64_t window = c.window;
    c.ops->on_spurious(&c);
    assert_int_equal(c.window, window);
}

static void cubic_does_not_count_time_without_data(void **state) {
    (void)state;
    for (int idle = 0; idle < 2; idle++) {
        quic_cc c;
        uint64_t now = NS_PER_S;
        quic_cc_init(&c, &quic_cc_cubic, MSS);
        quic_cc_set_window(&c, 1000 * MSS);
        lose(&c, now, now);
        now += NS_PER_MS;
        round_trip(&c, &now, 50 * NS_PER_MS);
        uint64_t window = c.window;
        for (int i = 0; i < 100; i++) {
            now += NS_PER_S;
            if (idle == 0)
                ack(&c, now, MSS, now - NS_PER_MS, true);
        }
        c.ops->on_sent(&c, now, MSS, MSS);
        round_trip(&c, &now, 50 * NS_PER_MS);
        // Had the 100 s counted, the curve would ask for half as much again.
        assert_in_range(c.window, window, window + window / 20);
    }
}

static void cubic_survives_months_without_a_loss(void **state) {
    (void)state;
    quic_cc c;
    uint64_t now = NS_PER_S;
    quic_cc_init(&c, &quic_cc_cubic, MSS);
    lose(&c, now, now);
    for (int month = 0; month < 200; month++) {
        uint64_t before = c.window;
        now += UINT64_C(30) * 86400 * NS_PER_S;
        rtt.smoothed = 100 * NS_PER_MS;
        ack(&c, now, c.window, now - NS_PER_MS, false);
        assert_in_range(c.window, before, before + before / 2 + 1);
    }
    assert_int_equal(c.window, QUIC_CC_WINDOW_MAX);
    lose(&c, now, now);
    assert_true(c.window < QUIC_CC_WINDOW_MAX);
}

// --- Any schedule

static void random_step(quic_cc *c, uint64_t *rng, uint64_t *now) {
    uint64_t before = c->window;
    rtt.smoothed = 1 + draw(rng, NS_PER_S);
    *now += draw(rng, draw(rng, 20) == 0 ? 1000 * NS_PER_S : NS_PER_MS);
    uint64_t sent = *now - draw(rng, *now < NS_PER_S ? *now : NS_PER_S);
    bool recovering = quic_cc_in_recovery(c, sent);
    switch (draw(rng, 12)) {
    case 0: {
        quic_cc_loss l = {.now = *now, .bytes = MSS, .sent_time = sent, .ecn = draw(rng, 4) == 0};
        l.persistent = !l.ecn && draw(rng, 10) == 0;
        c->ops->on_loss(c, &l);
        assert_true(c->window <= before || before < quic_cc_window_min(c));
        if (recovering && !l.persistent)
            assert_int_equal(c->window, before);
        if (!l.persistent)
            assert_true(c->window >= before / 2);
        break;
    }
    case 1:
        if (c->ops->on_spurious != NULL)
            c->ops->on_spurious(c);
        assert_true(c->window >= before);
        break;
    case 2:
        quic_cc_set_mss(c, 1200 + draw(rng, 8000));
        break;
    case 3:
        if (c->ops->on_sent != NULL)
            c->ops->on_sent(c, *now, MSS, draw(rng, 2) * 10 * MSS + MSS);
        assert_int_equal(c->window, before);
        break;
    default: {
        bool limited = draw(rng, 5) == 0;
        uint64_t bytes = draw(rng, before + 1);
        ack(c, *now, bytes, sent, limited);
        assert_true(c->window >= before && c->window <= before + bytes + c->mss);
        if (limited || recovering)
            assert_int_equal(c->window, before);
    }
    }
    assert_in_range(c->window, quic_cc_window_min(c), QUIC_CC_WINDOW_MAX);
}

static void windows_stay_sane_over_random_schedules(void **state) {
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        for (uint64_t seed = 1; seed <= 300; seed++) {
            quic_cc c;
            uint64_t rng = seed, now = NS_PER_S;
            quic_cc_init(&c, all[i], MSS);
            for (int step = 0; step < 500; step++)
                random_step(&c, &rng, &now);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initial_window_follows_the_datagram_size),
        cmocka_unit_test(controllers_are_found_by_name),
        cmocka_unit_test(slow_start_doubles_the_window_each_round),
        cmocka_unit_test(an_application_that_limits_the_rate_does_not_open_the_window),
        cmocka_unit_test(losses_of_one_round_are_one_event),
        cmocka_unit_test(packets_from_before_an_event_do_not_grow_the_window),
        cmocka_unit_test(a_mark_is_an_event_like_a_loss),
        cmocka_unit_test(persistent_congestion_leaves_two_datagrams),
        cmocka_unit_test(the_window_keeps_two_datagrams_when_they_grow),
        cmocka_unit_test(newreno_adds_one_datagram_a_round),
        cmocka_unit_test(cubic_follows_its_curve_back_to_the_plateau),
        cmocka_unit_test(cubic_knows_the_time_to_the_plateau_exactly),
        cmocka_unit_test(cubic_grows_alike_in_small_steps),
        cmocka_unit_test(cubic_is_not_slower_than_newreno_on_short_paths),
        cmocka_unit_test(cubic_remembers_less_when_it_did_not_get_back),
        cmocka_unit_test(cubic_undoes_an_event_that_was_none),
        cmocka_unit_test(cubic_does_not_undo_a_mark),
        cmocka_unit_test(cubic_does_not_count_time_without_data),
        cmocka_unit_test(cubic_survives_months_without_a_loss),
        cmocka_unit_test(windows_stay_sane_over_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
