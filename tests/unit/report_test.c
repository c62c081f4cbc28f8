// The report as a value, and the choice of the home relay out of the latest ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/report.h"

#define MINUTE (60 * NS_PER_S)

// A latency of a relay in a report; in no unit, like those of the specification's examples.
typedef struct seen {
    int relay;
    unsigned ms;
} seen;

typedef struct story {
    report_history history;
    int home;
    uint64_t now;
} story;

static void begin(story *s) {
    *s = (story){.home = -1, .now = MINUTE};
}

static report report_of(const seen *list, size_t count) {
    report r;
    report_init(&r);
    r.asked = UINT64_MAX;
    for (size_t i = 0; i < count; i++)
        report_add_latency(&r, list[i].relay, REPORT_QAD4, list[i].ms * NS_PER_MS);
    return r;
}

// The home relay after another report.
static int tell(story *s, const report *r) {
    report_history_add(&s->history, r, s->now);
    s->home = report_history_choose(&s->history, r, s->home);
    s->now += 20 * NS_PER_S;
    return s->home;
}

#define TELL(s, ...) tell_list((s), (const seen[]){__VA_ARGS__}, sizeof((const seen[]){__VA_ARGS__}) / sizeof(seen))

static int tell_list(story *s, const seen *list, size_t count) {
    const report r = report_of(list, count);
    return tell(s, &r);
}

static addr at(const char *text) {
    addr a;
    assert_int_equal(addr_parse(&a, text, strlen(text)), 0);
    return a;
}

static void nearest_of_the_last_minutes_is_home(void **state) {
    story s;
    (void)state;
    begin(&s);
    assert_int_equal(TELL(&s, {1, 2}, {2, 3}), 1);
    assert_int_equal(TELL(&s, {1, 4}, {2, 3}), 1);
    assert_int_equal(TELL(&s, {2, 3}), 2);
    assert_int_equal(TELL(&s, {1, 4}, {2, 3}), 1);
    report_history_dispose(&s.history);
}

static void old_reports_do_not_count(void **state) {
    story s;
    (void)state;
    begin(&s);
    for (int i = 0; i < 4; i++)
        assert_int_equal(TELL(&s, {1, 1}, {2, 2}), 1);
    s.now += 10 * MINUTE;
    assert_int_equal(TELL(&s, {3, 3}), 3);
    assert_int_equal(s.history.count, 1);
    report_history_dispose(&s.history);
}

static void home_is_left_for_a_third_less(void **state) {
    story s;
    (void)state;
    begin(&s);
    assert_int_equal(TELL(&s, {1, 4}, {2, 5}), 1);
    assert_int_equal(TELL(&s, {1, 4}, {2, 3}), 1);
    report_history_dispose(&s.history);
    begin(&s);
    assert_int_equal(TELL(&s, {1, 4}, {2, 5}), 1);
    assert_int_equal(TELL(&s, {1, 4}, {2, 1}), 2);
    report_history_dispose(&s.history);
    begin(&s);
    assert_int_equal(TELL(&s, {1, 30}, {2, 40}), 1);
    assert_int_equal(TELL(&s, {1, 30}, {2, 21}), 1);
    assert_int_equal(TELL(&s, {1, 30}, {2, 20}), 2);
    report_history_dispose(&s.history);
}

static void home_that_was_not_asked_stays(void **state) {
    story s;
    (void)state;
    begin(&s);
    assert_int_equal(TELL(&s, {1, 9}), 1);
    report r = report_of((const seen[]){{2, 1}}, 1);
    r.asked = 1 << 2;
    assert_int_equal(tell(&s, &r), 1);
    r.asked |= 1 << 1;
    assert_int_equal(tell(&s, &r), 2);
    report_history_dispose(&s.history);
}

static void silence_changes_nothing(void **state) {
    story s;
    (void)state;
    begin(&s);
    const report nothing = report_of(NULL, 0);
    assert_int_equal(tell(&s, &nothing), -1);
    assert_int_equal(TELL(&s, {5, 9}), 5);
    assert_int_equal(tell(&s, &nothing), 5);
    report_history_dispose(&s.history);
}

static void any_way_counts_and_the_smallest_is_kept(void **state) {
    report r;
    (void)state;
    report_init(&r);
    assert_false(report_has_latency(&r));
    assert_int_equal(report_latency(&r, 3), 0);
    report_add_latency(&r, 3, REPORT_HTTPS, 90 * NS_PER_MS);
    report_add_latency(&r, 3, REPORT_HTTPS, 80 * NS_PER_MS);
    report_add_latency(&r, 3, REPORT_HTTPS, 85 * NS_PER_MS);
    assert_int_equal(r.latency[3][REPORT_HTTPS], 80000);
    report_add_latency(&r, 3, REPORT_QAD6, 0);
    assert_int_equal(report_latency(&r, 3), 1);
    report_add_latency(&r, 63, REPORT_QAD4, TIME_NEVER);
    assert_int_equal(report_latency(&r, 63), UINT32_MAX);
    assert_true(report_has_latency(&r));
}

static void history_is_bounded(void **state) {
    story s;
    (void)state;
    begin(&s);
    report r;
    report_init(&r);
    r.asked = UINT64_MAX;
    for (int i = 0; i < RELAYS_MAX; i++)
        report_add_latency(&r, i, REPORT_QAD4, (unsigned)(i + 1) * NS_PER_MS);
    for (int i = 0; i < 20; i++) {
        s.now -= 20 * NS_PER_S;
        assert_int_equal(tell(&s, &r), 0);
    }
    assert_int_equal(s.history.count, REPORT_HISTORY_MAX);
    report_history_dispose(&s.history);
}

static void first_address_counts_and_others_show_how_it_varies(void **state) {
    report r;
    (void)state;
    report_init(&r);
    addr first = at("192.0.2.1:1000"), port = at("192.0.2.1:1001"), six = at("[2001:db8::1]:5");
    report_add_observed(&r, &first);
    assert_true(r.udp4 && !r.udp6);
    assert_int_equal(r.varies4, REPORT_UNKNOWN);
    report_add_observed(&r, &first);
    assert_int_equal(r.varies4, REPORT_NO);
    report_add_observed(&r, &port);
    report_add_observed(&r, &first);
    assert_int_equal(r.varies4, REPORT_YES);
    assert_true(addr_equal(&r.global4, &first));
    report_add_observed(&r, &six);
    assert_true(r.udp6 && addr_equal(&r.global6, &six));
    assert_int_equal(r.varies6, REPORT_UNKNOWN);
    report_add_observed(&r, &(addr){.kind = ADDR_RELAY});
    assert_true(addr_equal(&r.global4, &first));
}

static void unasked_is_inherited(void **state) {
    (void)state;
    report before = report_of((const seen[]){{1, 10}, {2, 20}}, 2);
    before.varies4 = REPORT_YES;
    before.varies6 = REPORT_NO;
    before.captive = REPORT_YES;
    report r = report_of((const seen[]){{3, 30}}, 1);
    r.asked = 1 << 2 | 1 << 3;
    r.varies6 = REPORT_YES;
    report_inherit(&r, &before);
    assert_int_equal(report_latency(&r, 1), 10000);
    assert_int_equal(report_latency(&r, 2), 0);
    assert_int_equal(report_latency(&r, 3), 30000);
    assert_int_equal(r.varies4, REPORT_YES);
    assert_int_equal(r.varies6, REPORT_YES);
    assert_int_equal(r.captive, REPORT_UNKNOWN);
    r.cut = 1 << 2 | 1 << 3;
    report_inherit(&r, &before);
    assert_int_equal(report_latency(&r, 2), 20000);
    assert_int_equal(report_latency(&r, 3), 30000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_of_the_last_minutes_is_home),
        cmocka_unit_test(old_reports_do_not_count),
        cmocka_unit_test(home_is_left_for_a_third_less),
        cmocka_unit_test(home_that_was_not_asked_stays),
        cmocka_unit_test(silence_changes_nothing),
        cmocka_unit_test(any_way_counts_and_the_smallest_is_kept),
        cmocka_unit_test(history_is_bounded),
        cmocka_unit_test(first_address_counts_and_others_show_how_it_varies),
        cmocka_unit_test(unasked_is_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
