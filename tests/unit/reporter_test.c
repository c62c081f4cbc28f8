// When runs are made, and which of them are full.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/reporter.h"
#include "unit/relay_support.h"

#define START (100 * NS_PER_S)

static relay_random randomness;
static reporter r;
static uint64_t now;
static const int numbers[] = {0, 1};
static report_plan world;

static int set_up(void **state) {
    (void)state;
    relay_random_init(&randomness, 7);
    now = START;
    reporter_init(&r, true, true, &randomness.source, now);
    world = (report_plan){.relays = numbers,
                          .relay_count = 2,
                          .qad = 3,
                          .ip4 = true,
                          .home = -1,
                          .known = {{.relay = -1}, {.relay = -1}}};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    reporter_dispose(&r);
    return 0;
}

static addr seen_at(uint16_t port) {
    return addr_ip4((const uint8_t[]){192, 0, 2, 7}, port);
}

// Both relays answer at once, or not at all; true: the run was full.
static bool run(bool answer) {
    report_probe *p;
    bool start;
    addr a = seen_at(1000);
    assert_true(reporter_is_due(&r, now));
    bool wanted = reporter_wants_full(&r, now);
    assert_int_equal(reporter_begin(&r, &world, now), 0);
    assert_false(reporter_is_due(&r, now));
    bool full = r.run->full;
    assert_int_equal(full, wanted);
    while (!reporter_settle(&r, -1, now)) {
        while ((p = report_run_next(r.run, &start, now)) != NULL) {
            if (start && answer && p->kind != PROBE_CAPTIVE)
                report_run_observed(r.run, p, &a, NS_PER_MS, now);
            else if (start)
                report_run_failed(r.run, p, now);
        }
        uint64_t at = reporter_deadline(&r);
        assert_int_not_equal(at, TIME_NEVER);
        now = time_max(now, at);
        if (r.run != NULL)
            report_run_tick(r.run, now);
    }
    assert_null(r.run);
    return full;
}

static void wait_for_the_next(void) {
    uint64_t at = reporter_deadline(&r);
    assert_true(at >= now + REPORT_PERIOD_MIN && at < now + REPORT_PERIOD_MAX);
    assert_false(reporter_is_due(&r, at - 1));
    now = at;
}

static void first_is_full_and_the_next_are_not(void **state) {
    (void)state;
    assert_int_equal(reporter_deadline(&r), START);
    assert_true(run(true));
    wait_for_the_next();
    assert_false(run(true));
    wait_for_the_next();
    assert_false(run(true));
    assert_int_equal(r.runs, 3);
    assert_int_equal(r.full_runs, 1);
}

static void full_again_after_five_minutes(void **state) {
    (void)state;
    uint64_t first = now;
    assert_true(run(true));
    bool full = false;
    while (!full) {
        wait_for_the_next();
        full = run(true);
        assert_int_equal(full, now > first + REPORT_FULL_AGE);
    }
    assert_in_range(now - first, REPORT_FULL_AGE, REPORT_FULL_AGE + REPORT_PERIOD_MAX);
}

static void reasons_come_at_once_and_say_how_much(void **state) {
    static const struct {
        report_reason reason;
        bool full;
    } rows[] = {{REPORT_PORT_MAPPED, false},
                {REPORT_LINK_MINOR, false},
                {REPORT_LINK_MAJOR, true},
                {REPORT_RELAYS_CHANGED, true},
                {REPORT_SEEN_ELSEWHERE, false}};
    (void)state;
    assert_true(run(true));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_false(reporter_is_due(&r, now));
        reporter_request(&r, rows[i].reason);
        assert_int_equal(reporter_deadline(&r), 0);
        assert_int_equal(run(true), rows[i].full);
    }
}

static void request_during_a_run_makes_another(void **state) {
    (void)state;
    assert_int_equal(reporter_begin(&r, &world, now), 0);
    reporter_request(&r, REPORT_LINK_MAJOR);
    reporter_request(&r, REPORT_LINK_MINOR);
    assert_false(reporter_is_due(&r, now));
    while (!reporter_settle(&r, -1, now)) {
        report_probe *p;
        bool start;
        while ((p = report_run_next(r.run, &start, now)) != NULL) {}
        now = time_max(now, reporter_deadline(&r));
        if (r.run != NULL)
            report_run_tick(r.run, now);
    }
    assert_true(reporter_is_due(&r, now));
    assert_true(run(true));
    assert_false(reporter_is_due(&r, now));
}

static void login_page_without_udp_makes_the_next_full(void **state) {
    (void)state;
    assert_true(run(false));
    wait_for_the_next();
    assert_false(run(false));
    r.last.captive = REPORT_YES;
    wait_for_the_next();
    assert_true(run(false));
}

static void report_without_latencies_makes_the_next_ask_https(void **state) {
    (void)state;
    assert_true(run(false));
    wait_for_the_next();
    assert_int_equal(reporter_begin(&r, &world, now), 0);
    bool https = false;
    for (size_t i = 0; i < r.run->probe_count; i++)
        https |= r.run->probes[i].kind == PROBE_HTTPS;
    assert_true(https && !r.run->full);
}

static void switches_are_obeyed(void **state) {
    (void)state;
    reporter_dispose(&r);
    reporter_init(&r, false, false, &randomness.source, now);
    assert_int_equal(reporter_begin(&r, &world, now), 0);
    for (size_t i = 0; i < r.run->probe_count; i++)
        assert_true(r.run->probes[i].kind == PROBE_QAD4);
    assert_int_equal(r.run->probe_count, 2);
}

static void news_of_a_kept_connection_are_taken_over(void **state) {
    (void)state;
    addr same = seen_at(1000), other = seen_at(1001);
    assert_false(reporter_seen(&r, &same));
    assert_true(run(true));
    assert_false(reporter_seen(&r, &same));
    assert_false(reporter_is_due(&r, now));
    assert_true(reporter_seen(&r, &other));
    assert_true(addr_equal(&r.last.global4, &other));
    assert_true(reporter_is_due(&r, now));
    assert_false(reporter_wants_full(&r, now));
    assert_false(reporter_seen(&r, &(addr){0}));
}

static void what_is_forgotten_is_asked_anew(void **state) {
    (void)state;
    assert_true(run(true));
    assert_int_equal(r.last.preferred, 0);
    reporter_request(&r, REPORT_RELAYS_CHANGED);
    reporter_forget(&r);
    assert_false(r.has_last);
    assert_int_equal(r.history.count, 0);
    assert_true(reporter_deadline(&r) == TIME_NEVER);
    reporter_request(&r, REPORT_RELAYS_CHANGED);
    assert_true(run(true));
}

static void later_reports_keep_what_they_do_not_ask(void **state) {
    (void)state;
    assert_true(run(true));
    assert_int_equal(r.last.varies4, REPORT_NO);
    wait_for_the_next();
    world.known[0] = (report_known){.relay = 1, .address = seen_at(1000), .rtt = 3 * NS_PER_MS};
    assert_false(run(true));
    assert_int_equal(r.last.varies4, REPORT_NO);
    assert_int_equal(report_latency(&r.last, 0), 1000);
    assert_int_equal(report_latency(&r.last, 1), 3000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_is_full_and_the_next_are_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_again_after_five_minutes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reasons_come_at_once_and_say_how_much, set_up, tear_down),
        cmocka_unit_test_setup_teardown(request_during_a_run_makes_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(login_page_without_udp_makes_the_next_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(report_without_latencies_makes_the_next_ask_https, set_up, tear_down),
        cmocka_unit_test_setup_teardown(switches_are_obeyed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(news_of_a_kept_connection_are_taken_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_forgotten_is_asked_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(later_reports_keep_what_they_do_not_ask, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
