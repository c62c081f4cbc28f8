#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "quic/mtud.h"

#define UPPER 1452
#define NOW (5 * NS_PER_S)

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

// Sends probes over a path that passes `truth` bytes until there are no more. Returns how many there were.
static int search(quic_mtud *m, uint64_t now, uint16_t truth) {
    int probes = 0;
    uint16_t size;
    while ((size = quic_mtud_next_probe(m, now)) != 0) {
        uint16_t before = m->current;
        assert_in_range(size, before + 1, m->upper);
        quic_mtud_probe_sent(m, size);
        assert_int_equal(quic_mtud_next_probe(m, now), 0);
        if (size <= truth) {
            assert_true(quic_mtud_probe_acked(m, now, size));
            assert_int_equal(m->current, size);
        } else {
            quic_mtud_probe_lost(m, now, size);
            assert_int_equal(m->current, before);
        }
        assert_true(++probes < 100);
    }
    return probes;
}

static quic_mtud started(uint16_t upper) {
    quic_mtud m;
    quic_mtud_init(&m, upper);
    quic_mtud_start(&m, NOW);
    return m;
}

static void nothing_is_probed_before_the_start(void **state) {
    (void)state;
    quic_mtud m;
    quic_mtud_init(&m, UPPER);
    assert_int_equal(m.current, MTUD_MIN);
    assert_int_equal(quic_mtud_next_probe(&m, NOW), 0);
    assert_int_equal(quic_mtud_deadline(&m), TIME_NEVER);
    quic_mtud_start(&m, NOW);
    assert_int_equal(quic_mtud_deadline(&m), NOW);
    assert_int_equal(quic_mtud_next_probe(&m, NOW - 1), 0);
}

static void the_search_halves_and_tries_the_limit_last(void **state) {
    (void)state;
    static const uint16_t sizes[] = {1326, 1389, 1420, 1452};
    quic_mtud m = started(UPPER);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(quic_mtud_next_probe(&m, NOW), sizes[i]);
        quic_mtud_probe_sent(&m, sizes[i]);
        assert_true(quic_mtud_probe_acked(&m, NOW, sizes[i]));
    }
    assert_int_equal(quic_mtud_next_probe(&m, NOW), 0);
    // At the limit there is nothing to search for, ever.
    assert_int_equal(quic_mtud_deadline(&m), TIME_NEVER);
}

static void every_size_is_found_up_to_a_step(void **state) {
    (void)state;
    for (uint16_t truth = MTUD_MIN; truth <= 1600; truth++) {
        quic_mtud m = started(UPPER);
        assert_true(search(&m, NOW, truth) <= 4 + 3 * 5);
        assert_true(m.current <= truth);
        assert_true(m.current + MTUD_STEP > (truth < UPPER ? truth : UPPER));
    }
    uint64_t rng = 1;
    for (int i = 0; i < 20000; i++) {
        uint16_t upper = (uint16_t)(draw(&rng, 65528)), truth = (uint16_t)(MTUD_MIN + draw(&rng, 64328));
        quic_mtud m = started(upper);
        (void)search(&m, NOW, truth);
        uint16_t best = truth >= upper ? upper : truth < MTUD_MAX_DEFAULT ? truth : MTUD_MAX_DEFAULT;
        assert_true(m.current == MTUD_MIN || m.current <= best);
        assert_true(m.current + MTUD_STEP > best);
    }
}

static void above_ethernet_only_the_limit_is_tried(void **state) {
    (void)state;
    static const uint16_t sizes[] = {1326, 1389, 1420, 1452, MTUD_MAX_JUMBO};
    quic_mtud m = started(MTUD_MAX_JUMBO);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(quic_mtud_next_probe(&m, NOW), sizes[i]);
        quic_mtud_probe_sent(&m, sizes[i]);
        assert_true(quic_mtud_probe_acked(&m, NOW, sizes[i]));
    }
    assert_int_equal(m.current, MTUD_MAX_JUMBO);
    assert_int_equal(quic_mtud_deadline(&m), TIME_NEVER);
}

static void one_loss_is_enough_above_ethernet(void **state) {
    (void)state;
    quic_mtud m = started(MTUD_MAX_JUMBO);
    assert_int_equal(search(&m, NOW, 1500), 5);
    assert_int_equal(m.current, MTUD_MAX_DEFAULT);
    uint64_t again = NOW + 600 * NS_PER_S;
    assert_int_equal(quic_mtud_deadline(&m), again);
    // The network may have become another one.
    assert_int_equal(search(&m, again, 9000), 1);
    assert_int_equal(m.current, MTUD_MAX_JUMBO);
}

static void a_path_below_ethernet_is_not_tried_above_it(void **state) {
    (void)state;
    quic_mtud m = started(MTUD_MAX_JUMBO);
    (void)search(&m, NOW, 1400);
    assert_in_range(m.current, 1400 - MTUD_STEP + 1, 1400);
    assert_int_equal(quic_mtud_deadline(&m), NOW + 600 * NS_PER_S);
    assert_int_equal(quic_mtud_next_probe(&m, NOW), 0);
}

static void a_black_hole_above_ethernet_is_left_for_what_passes(void **state) {
    (void)state;
    quic_mtud m = started(MTUD_MAX_JUMBO);
    (void)search(&m, NOW, 9000);
    for (uint64_t burst = 1; burst <= 3; burst++)
        assert_false(quic_mtud_lost(&m, NOW, burst * 10, MTUD_MAX_JUMBO));
    assert_true(quic_mtud_lost(&m, NOW, 40, MTUD_MAX_JUMBO));
    assert_int_equal(m.current, MTUD_MIN);
    (void)search(&m, NOW + 60 * NS_PER_S, 1500);
    assert_int_equal(m.current, MTUD_MAX_DEFAULT);
}

static void three_losses_mean_too_large(void **state) {
    (void)state;
    quic_mtud m = started(UPPER);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(quic_mtud_next_probe(&m, NOW), 1326);
        quic_mtud_probe_sent(&m, 1326);
        quic_mtud_probe_lost(&m, NOW, 1326);
    }
    assert_int_equal(quic_mtud_next_probe(&m, NOW), 1262);
    // Losses of one size are not counted for another.
    quic_mtud_probe_sent(&m, 1262);
    quic_mtud_probe_lost(&m, NOW, 1262);
    quic_mtud_probe_sent(&m, 1262);
    assert_true(quic_mtud_probe_acked(&m, NOW, 1262));
    uint16_t next = quic_mtud_next_probe(&m, NOW);
    assert_in_range(next, 1263, 1325);
    quic_mtud_probe_sent(&m, next);
    quic_mtud_probe_lost(&m, NOW, next);
    quic_mtud_probe_sent(&m, next);
    quic_mtud_probe_lost(&m, NOW, next);
    assert_int_equal(quic_mtud_next_probe(&m, NOW), next);
}

static void the_search_is_repeated_after_ten_minutes(void **state) {
    (void)state;
    quic_mtud m = started(UPPER);
    (void)search(&m, NOW, 1300);
    uint16_t found = m.current;
    uint64_t again = NOW + 600 * NS_PER_S;
    assert_int_equal(quic_mtud_deadline(&m), again);
    assert_int_equal(quic_mtud_next_probe(&m, again - 1), 0);
    assert_true(quic_mtud_next_probe(&m, again) > found);
    (void)search(&m, again, 1500);
    assert_int_equal(m.current, UPPER);
    assert_int_equal(quic_mtud_deadline(&m), TIME_NEVER);
}

static void less_than_a_step_is_not_worth_a_search(void **state) {
    (void)state;
    quic_mtud m = started(MTUD_MIN + MTUD_STEP - 1);
    assert_int_equal(quic_mtud_next_probe(&m, NOW), 0);
    assert_int_equal(quic_mtud_deadline(&m), TIME_NEVER);
    m = started(MTUD_MIN + MTUD_STEP);
    assert_int_equal(quic_mtud_next_probe(&m, NOW), MTUD_MIN + MTUD_STEP);
    m = started(500);
    assert_int_equal(m.upper, MTUD_MIN);
    assert_int_equal(quic_mtud_next_probe(&m, NOW), 0);
}

static void a_start_does_not_disturb_a_running_search(void **state) {
    (void)state;
    quic_mtud m = started(UPPER);
    quic_mtud_probe_sent(&m, 1326);
    quic_mtud copy = m;
    quic_mtud_start(&m, NOW + 1);
    assert_memory_equal(&m, &copy, sizeof m);
}

static void strange_reports_change_nothing(void **state) {
    (void)state;
    quic_mtud m = started(UPPER);
    assert_false(quic_mtud_probe_acked(&m, NOW, 1400));
    quic_mtud_probe_lost(&m, NOW, 1326);
    assert_int_equal(m.current, MTUD_MIN);
    quic_mtud_probe_sent(&m, 1326);
    quic_mtud_probe_lost(&m, NOW, 1400);
    assert_false(quic_mtud_probe_acked(&m, NOW, 1100));
    assert_false(quic_mtud_probe_acked(&m, NOW, UPPER + 1));
    assert_int_equal(m.current, MTUD_MIN);
    assert_int_equal(quic_mtud_next_probe(&m, NOW), 0);
    assert_true(quic_mtud_probe_acked(&m, NOW, 1326));
}

static void a_probe_that_arrives_late_still_counts(void **state) {
    (void)state;
    quic_mtud m = started(UPPER);
    for (int i = 0; i < 3; i++) {
        quic_mtud_probe_sent(&m, 1326);
        quic_mtud_probe_lost(&m, NOW, 1326);
    }
    quic_mtud_probe_sent(&m, quic_mtud_next_probe(&m, NOW));
    assert_true(quic_mtud_probe_acked(&m, NOW, 1326));
    assert_int_equal(m.current, 1326);
    (void)search(&m, NOW, UPPER);
    assert_true(m.current >= 1326);
}

static void the_peers_limit_is_kept(void **state) {
    (void)state;
    quic_mtud m;
    quic_mtud_init(&m, UPPER);
    quic_mtud_set_upper(&m, 1300);
    quic_mtud_start(&m, NOW);
    (void)search(&m, NOW, UPPER);
    assert_int_equal(m.current, 1300);
    // In the middle of a search.
    m = started(UPPER);
    quic_mtud_probe_sent(&m, 1326);
    quic_mtud_set_upper(&m, 1310);
    assert_false(quic_mtud_probe_acked(&m, NOW, 1326));
    assert_int_equal(m.current, MTUD_MIN);
    (void)search(&m, NOW, UPPER);
    assert_int_equal(m.current, 1310);
    // After it.
    quic_mtud_set_upper(&m, 1250);
    assert_int_equal(m.current, 1250);
    quic_mtud_set_upper(&m, 0);
    assert_int_equal(m.current, MTUD_MIN);
}

static quic_mtud found(uint16_t size) {
    quic_mtud m = started(size);
    (void)search(&m, NOW, size);
    assert_int_equal(m.current, size);
    return m;
}

// Congestion takes packets that were sent before the size grew, and none of that size has been acknowledged yet.
static void losses_of_a_former_size_are_no_black_hole(void **state) {
    (void)state;
    quic_mtud m = started(UPPER);
    (void)search(&m, NOW, UPPER);
    for (uint64_t pn = 0; pn < 1000; pn += 10)
        assert_false(quic_mtud_lost(&m, NOW, pn, UPPER - 1));
    assert_int_equal(m.current, UPPER);
    uint64_t pn = 1000;
    while (!quic_mtud_lost(&m, NOW, pn, UPPER) && pn < 2000)
        pn += 10;
    assert_int_equal(pn, 1030);
    assert_int_equal(m.current, MTUD_MIN);
}

static void a_black_hole_is_noticed_after_four_bursts(void **state) {
    (void)state;
    quic_mtud m = found(UPPER);
    quic_mtud_acked(&m, 100, UPPER);
    for (uint64_t burst = 0; burst < 3; burst++) {
        for (uint64_t pn = 0; pn < 20; pn++)
            assert_false(quic_mtud_lost(&m, NOW, 200 + burst * 100 + pn, UPPER));
    }
    // Small packets get through, which proves nothing.
    quic_mtud_acked(&m, 499, MTUD_MIN);
    assert_true(quic_mtud_lost(&m, NOW, 500, UPPER));
    assert_int_equal(m.current, MTUD_MIN);
    uint64_t again = NOW + 60 * NS_PER_S;
    assert_int_equal(quic_mtud_deadline(&m), again);
    assert_int_equal(quic_mtud_next_probe(&m, again - 1), 0);
    assert_false(quic_mtud_lost(&m, NOW, 600, UPPER));
    assert_false(quic_mtud_probe_acked(&m, NOW, UPPER));
    assert_int_equal(m.current, MTUD_MIN);
    (void)search(&m, again, UPPER);
    assert_int_equal(m.current, UPPER);
}

static void losses_below_a_later_delivery_are_not_suspicious(void **state) {
    (void)state;
    quic_mtud m = found(UPPER);
    for (uint64_t pn = 1; pn < 10000; pn += 10) {
        // The acknowledgement that shows the loss brings something later of the same size.
        quic_mtud_acked(&m, pn + 5, UPPER);
        assert_false(quic_mtud_lost(&m, NOW, pn, UPPER));
    }
    assert_int_equal(m.current, UPPER);
    // Found out late, one by one, they are no more suspicious.
    m = found(UPPER);
    quic_mtud_acked(&m, 1000, UPPER);
    for (uint64_t pn = 1; pn < 1000; pn += 10)
        assert_false(quic_mtud_lost(&m, NOW, pn, UPPER));
}

static void a_delivery_clears_the_suspicion(void **state) {
    (void)state;
    quic_mtud m = found(UPPER);
    for (uint64_t round = 1; round < 1000; round++) {
        for (uint64_t burst = 0; burst < 3; burst++)
            assert_false(quic_mtud_lost(&m, NOW, round * 1000 + burst * 10, UPPER));
        quic_mtud_acked(&m, round * 1000 + 500, UPPER);
    }
}

static void losses_of_the_minimum_size_are_only_congestion(void **state) {
    (void)state;
    quic_mtud m = found(UPPER);
    for (uint64_t pn = 1; pn < 1000; pn += 10)
        assert_false(quic_mtud_lost(&m, NOW, pn, MTUD_MIN));
    quic_mtud_init(&m, UPPER);
    for (uint64_t pn = 1; pn < 1000; pn += 10)
        assert_false(quic_mtud_lost(&m, NOW, pn, UPPER));
}

static void any_sequence_of_reports_keeps_the_bounds(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        uint64_t rng = seed, now = NOW;
        quic_mtud m = started((uint16_t)(1200 + draw(&rng, 3000)));
        for (int step = 0; step < 200; step++) {
            uint16_t size = (uint16_t)(1100 + draw(&rng, 3300));
            uint16_t probe = quic_mtud_next_probe(&m, now);
            switch (draw(&rng, 8)) {
            case 0:
                (void)quic_mtud_probe_acked(&m, now, draw(&rng, 2) != 0 && m.probe != 0 ? m.probe : size);
                break;
            case 1:
                quic_mtud_probe_lost(&m, now, m.probe);
                break;
            case 2:
                quic_mtud_acked(&m, draw(&rng, 1000), size);
                break;
            case 3:
                (void)quic_mtud_lost(&m, now, draw(&rng, 1000), size);
                break;
            case 4:
                if (draw(&rng, 10) == 0)
                    quic_mtud_set_upper(&m, size);
                break;
            case 5:
                now += draw(&rng, 100 * NS_PER_S);
                break;
            default:
                if (probe != 0)
                    quic_mtud_probe_sent(&m, probe);
            }
            assert_in_range(m.current, MTUD_MIN, m.upper);
            probe = quic_mtud_next_probe(&m, now);
            if (probe != 0)
                assert_in_range(probe, m.current + 1, m.upper);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_probed_before_the_start),
        cmocka_unit_test(the_search_halves_and_tries_the_limit_last),
        cmocka_unit_test(every_size_is_found_up_to_a_step),
        cmocka_unit_test(above_ethernet_only_the_limit_is_tried),
        cmocka_unit_test(one_loss_is_enough_above_ethernet),
        cmocka_unit_test(a_path_below_ethernet_is_not_tried_above_it),
        cmocka_unit_test(a_black_hole_above_ethernet_is_left_for_what_passes),
        cmocka_unit_test(three_losses_mean_too_large),
        cmocka_unit_test(the_search_is_repeated_after_ten_minutes),
        cmocka_unit_test(less_than_a_step_is_not_worth_a_search),
        cmocka_unit_test(a_start_does_not_disturb_a_running_search),
        cmocka_unit_test(strange_reports_change_nothing),
        cmocka_unit_test(a_probe_that_arrives_late_still_counts),
        cmocka_unit_test(the_peers_limit_is_kept),
        cmocka_unit_test(losses_of_a_former_size_are_no_black_hole),
        cmocka_unit_test(a_black_hole_is_noticed_after_four_bursts),
        cmocka_unit_test(losses_below_a_later_delivery_are_not_suspicious),
        cmocka_unit_test(a_delivery_clears_the_suspicion),
        cmocka_unit_test(losses_of_the_minimum_size_are_only_congestion),
        cmocka_unit_test(any_sequence_of_reports_keeps_the_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
