#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "quic/rate.h"

#define SIZE 1000
#define RTT (50 * NS_PER_MS)

static void a_steady_flow_is_measured_as_it_is(void **state) {
    (void)state;
    quic_rate r = {0};
    quic_stamp stamps[200];
    uint64_t times[200], gap = NS_PER_MS;
    size_t acked = 0;
    for (size_t i = 0; i < 200; i++) {
        uint64_t now = NS_PER_S + i * gap;
        while (acked < i && times[acked] + RTT <= now) {
            quic_rate_sample s = quic_rate_acked(&r, times[acked] + RTT, SIZE, &stamps[acked], times[acked], RTT);
            assert_true(s.valid);
            assert_false(s.app_limited);
            assert_int_equal(s.rtt, RTT);
            // After the first round trip, in which the acknowledgements had not begun, it is the true rate.
            if (acked > 51) {
                assert_in_range(s.rate, 970000, 1030000);
                assert_in_range(s.delivered, 49 * SIZE, 51 * SIZE);
            }
            acked++;
        }
        uint64_t in_flight = (i + 1 - acked) * SIZE;
        times[i] = now;
        quic_rate_sent(&r, now, SIZE, in_flight);
        stamps[i] = quic_rate_stamp(&r, in_flight);
    }
    assert_true(acked > 100);
}

// Sent over 100 ms, acknowledged all at once: the interval of sending counts.
static void a_batch_of_acknowledgements_does_not_look_faster_than_it_was_sent(void **state) {
    (void)state;
    quic_rate r = {0};
    quic_stamp stamp = {0};
    for (uint64_t i = 0; i <= 100; i++) {
        quic_rate_sent(&r, NS_PER_S + i * NS_PER_MS, SIZE, (i + 1) * SIZE);
        stamp = quic_rate_stamp(&r, (i + 1) * SIZE);
    }
    quic_rate_sample s =
        quic_rate_acked(&r, NS_PER_S + 101 * NS_PER_MS, 101 * SIZE, &stamp, NS_PER_S + 100 * NS_PER_MS, NS_PER_MS);
    assert_int_equal(s.delivered, 101 * SIZE);
    assert_int_equal(s.rate, 1000000);
}

static void silence_does_not_count(void **state) {
    (void)state;
    quic_rate r = {0};
    quic_rate_sent(&r, NS_PER_S, SIZE, SIZE);
    quic_stamp stamp = quic_rate_stamp(&r, SIZE);
    (void)quic_rate_acked(&r, NS_PER_S + RTT, SIZE, &stamp, NS_PER_S, RTT);
    quic_rate_sent(&r, 60 * NS_PER_S, SIZE, SIZE);
    stamp = quic_rate_stamp(&r, SIZE);
    quic_rate_sample s = quic_rate_acked(&r, 60 * NS_PER_S + RTT, SIZE, &stamp, 60 * NS_PER_S, RTT);
    assert_int_equal(s.rate, SIZE * NS_PER_S / RTT);
}

static void an_interval_below_the_shortest_round_trip_gives_no_rate(void **state) {
    (void)state;
    quic_rate r = {0};
    quic_rate_sent(&r, NS_PER_S, SIZE, SIZE);
    quic_stamp stamp = quic_rate_stamp(&r, SIZE);
    quic_rate_sample s = quic_rate_acked(&r, NS_PER_S + RTT - 1, SIZE, &stamp, NS_PER_S, RTT);
    assert_true(s.valid);
    assert_int_equal(s.rate, 0);
    assert_int_equal(s.delivered, SIZE);
    s = quic_rate_acked(&r, NS_PER_S, SIZE, &(quic_stamp){.delivered_time = NS_PER_S, .first_sent = NS_PER_S}, NS_PER_S,
                        0);
    assert_int_equal(s.rate, 0);
}

static void without_a_stamp_bytes_count_and_nothing_else(void **state) {
    (void)state;
    quic_rate r = {0};
    quic_rate_sample s = quic_rate_acked(&r, NS_PER_S, 700, NULL, 0, 0);
    assert_false(s.valid);
    assert_int_equal(s.rate, 0);
    assert_int_equal(r.delivered, 700);
    assert_int_equal(r.delivered_time, NS_PER_S);
}

// Marked with three packets on their way: packets sent until those are through are the application's.
static void an_application_limit_ends_when_what_was_in_flight_has_arrived(void **state) {
    (void)state;
    quic_rate r = {0};
    quic_rate_sent(&r, NS_PER_S, SIZE, 3 * SIZE);
    assert_false(quic_rate_stamp(&r, 3 * SIZE).app_limited);
    quic_rate_app_limited(&r, 3 * SIZE);
    quic_stamp stamp = quic_rate_stamp(&r, 4 * SIZE);
    assert_true(stamp.app_limited);
    (void)quic_rate_acked(&r, NS_PER_S + RTT, 3 * SIZE, &stamp, NS_PER_S, 0);
    assert_true(quic_rate_stamp(&r, SIZE).app_limited);
    quic_rate_sample s = quic_rate_acked(&r, NS_PER_S + RTT, SIZE, &stamp, NS_PER_S, 0);
    assert_true(s.app_limited);
    assert_false(quic_rate_stamp(&r, SIZE).app_limited);
}

static void nothing_in_flight_can_be_the_applications_limit_too(void **state) {
    (void)state;
    quic_rate r = {0};
    quic_rate_app_limited(&r, 0);
    assert_true(quic_rate_stamp(&r, SIZE).app_limited);
}

static void losses_since_sending_are_told(void **state) {
    (void)state;
    quic_rate r = {.lost = 5000};
    quic_rate_sent(&r, NS_PER_S, SIZE, 9 * SIZE);
    quic_stamp stamp = quic_rate_stamp(&r, 9 * SIZE);
    r.lost += 2 * SIZE;
    quic_rate_sample s = quic_rate_acked(&r, NS_PER_S + RTT, SIZE, &stamp, NS_PER_S, 0);
    assert_int_equal(s.lost, 2 * SIZE);
    assert_int_equal(s.in_flight, 9 * SIZE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_flow_is_measured_as_it_is),
        cmocka_unit_test(a_batch_of_acknowledgements_does_not_look_faster_than_it_was_sent),
        cmocka_unit_test(silence_does_not_count),
        cmocka_unit_test(an_interval_below_the_shortest_round_trip_gives_no_rate),
        cmocka_unit_test(without_a_stamp_bytes_count_and_nothing_else),
        cmocka_unit_test(an_application_limit_ends_when_what_was_in_flight_has_arrived),
        cmocka_unit_test(nothing_in_flight_can_be_the_applications_limit_too),
        cmocka_unit_test(losses_since_sending_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
