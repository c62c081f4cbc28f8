// Runs of a report against relays that are a table: how long each takes to answer, and what with.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/report_run.h"

#define START (100 * NS_PER_S)
#define NEVER TIME_NEVER

// A relay of the made-up world; times in ms, NEVER: silent, 0: fails at once.
typedef struct made_up {
    uint64_t qad4, qad6, https;
    uint16_t port4;  // that it sees us at; 0: 1000
} made_up;

typedef struct pending {
    report_probe *probe;
    uint64_t at;
} pending;

typedef struct world {
    made_up relays[RELAYS_MAX];
    int numbers[RELAYS_MAX];
    report_plan plan;
    uint64_t captive_after;  // ms
    bool captive;
    report_run run;
    pending pending[REPORT_PROBES_MAX];
    size_t pending_count, started, stopped, taken;
    size_t started_by[4];
    uint64_t now;
} world;

static world w;

static int set_up(void **state) {
    (void)state;
    memset(&w, 0, sizeof w);
    for (int i = 0; i < RELAYS_MAX; i++) {
        w.numbers[i] = i;
        w.relays[i] = (made_up){.qad4 = NEVER, .qad6 = NEVER, .https = NEVER};
    }
    w.plan = (report_plan){.relays = w.numbers,
                           .relay_count = 3,
                           .qad = UINT64_MAX,
                           .ip4 = true,
                           .full = true,
                           .https = true,
                           .home = -1,
                           .captive = -1,
                           .known = {{.relay = -1}, {.relay = -1}}};
    w.captive_after = NEVER;
    w.now = START;
    return 0;
}

static addr ip4(uint16_t port) {
    return addr_ip4((const uint8_t[]){192, 0, 2, 7}, port);
}

static addr ip6(uint16_t port) {
    return addr_ip6((const uint8_t[16]){0x20, 1, 0x0d, 0xb8, [15] = 7}, port, 0);
}

static uint64_t delay_of(const report_probe *p) {
    const made_up *r = &w.relays[p->relay];
    switch (p->kind) {
    case PROBE_QAD4:
        return r->qad4;
    case PROBE_QAD6:
        return r->qad6;
    case PROBE_HTTPS:
        return r->https;
    default:
        return w.captive_after;
    }
}

static void answer(report_probe *p) {
    const made_up *r = &w.relays[p->relay];
    uint64_t ms = delay_of(p), rtt = ms * NS_PER_MS;
    addr a = p->kind == PROBE_QAD4 ? ip4(r->port4 != 0 ? r->port4 : 1000) : ip6(1000);
    if (ms == 0)
        report_run_failed(&w.run, p, w.now);
    else if (p->kind == PROBE_HTTPS)
        report_run_answered(&w.run, p, rtt, w.now);
    else if (p->kind == PROBE_CAPTIVE)
        report_run_captive(&w.run, p, w.captive, w.now);
    else
        report_run_observed(&w.run, p, &a, rtt, w.now);
}

static void serve(void) {
    report_probe *p;
    bool start;
    while ((p = report_run_next(&w.run, &start, w.now)) != NULL) {
        w.started += start;
        w.stopped += !start;
        if (start) {
            w.started_by[p->kind]++;
            uint64_t ms = delay_of(p);
            w.pending[w.pending_count++] = (pending){p, ms == NEVER ? NEVER : w.now + ms * NS_PER_MS};
        }
    }
}

static uint64_t next_answer(size_t *which) {
    uint64_t at = NEVER;
    for (size_t i = 0; i < w.pending_count; i++) {
        if (w.pending[i].at < at) {
            at = w.pending[i].at;
            *which = i;
        }
    }
    return at;
}

// Until it is over: how long that took, ms. Answers that come too late are given all the same.
static uint64_t go(void) {
    report_run_begin(&w.run, &w.plan, w.now);
    for (int turns = 0; !report_run_is_over(&w.run); turns++) {
        size_t which = 0;
        serve();
        if (report_run_is_over(&w.run))
            break;
        uint64_t due = report_run_deadline(&w.run), at = next_answer(&which);
        assert_true(turns < 2000);
        assert_true(due > w.now && due != NEVER);
        w.now = time_min(due, at);
        if (at <= due) {
            w.pending[which].at = NEVER;
            w.taken += w.pending[which].probe->state == PROBE_RUNS;
            answer(w.pending[which].probe);
        }
        report_run_tick(&w.run, w.now);
    }
    assert_int_equal(report_run_deadline(&w.run), NEVER);
    return (w.now - START) / NS_PER_MS;
}

static const report *result(void) {
    return &w.run.result;
}

// --- Full runs

static void two_answers_end_a_full_run(void **state) {
    (void)state;
    w.relays[0].qad4 = 30;
    w.relays[1].qad4 = 10;
    w.relays[2].qad4 = 20;
    assert_int_equal(go(), 20);
    assert_true(result()->udp4 && !result()->udp6);
    assert_int_equal(result()->varies4, REPORT_NO);
    assert_int_equal(report_latency(result(), 1), 10000);
    assert_int_equal(report_latency(result(), 2), 20000);
    assert_int_equal(report_latency(result(), 0), 0);
    assert_int_equal(w.started, 3);
    assert_int_equal(w.stopped, 1);
    assert_int_equal(result()->asked, 7);
    assert_true((result()->cut & 1) != 0);
}

static void both_families_are_wanted_when_there_are_both(void **state) {
    (void)state;
    w.plan.ip6 = true;
    for (int i = 0; i < 3; i++)
        w.relays[i].qad4 = 10 + (unsigned)i;
    w.relays[2].qad6 = 50;
    assert_int_equal(go(), 50);
    assert_true(result()->udp4 && result()->udp6);
    addr six = ip6(1000);
    assert_true(addr_equal(&result()->global6, &six));
    assert_int_equal(result()->varies6, REPORT_UNKNOWN);
}

static void single_relay_waits_for_https(void **state) {
    (void)state;
    w.plan.relay_count = 1;
    w.relays[0] = (made_up){.qad4 = 10, .https = 25};
    assert_int_equal(go(), 225);
    assert_int_equal(result()->latency[0][REPORT_QAD4], 10000);
    assert_int_equal(result()->latency[0][REPORT_HTTPS], 25000);
    assert_int_equal(w.started_by[PROBE_HTTPS], 1);
}

static void single_relay_without_https_is_done_at_once(void **state) {
    (void)state;
    w.plan.relay_count = 1;
    w.plan.https = false;
    w.relays[0].qad4 = 10;
    assert_int_equal(go(), 10);
    assert_true(result()->udp4);
}

static void https_serves_where_udp_does_not(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++)
        w.relays[i].https = 100 - 10 * (unsigned)i;
    assert_int_equal(go(), 300);
    assert_false(result()->udp4);
    assert_int_equal(report_latency(result(), 0), 100000);
    assert_int_equal(report_latency(result(), 2), 80000);
}

static void https_is_tried_three_times(void **state) {
    (void)state;
    w.relays[0].https = w.relays[1].https = 40;
    w.relays[2].https = 0;
    w.plan.qad = 0;
    assert_int_equal(go(), 400);
    assert_int_equal(w.started_by[PROBE_HTTPS], 5);
    assert_false(report_latency(result(), 2) != 0);
    assert_int_equal(w.started_by[PROBE_QAD4], 0);
}

static void silence_everywhere_ends_in_time(void **state) {
    (void)state;
    w.plan.ip6 = true;
    w.plan.captive = 1;
    uint64_t ms = go();
    assert_in_range(ms, 3400, 5000);
    assert_false(result()->udp4 || result()->udp6 || report_has_latency(result()));
    assert_int_equal(result()->captive, REPORT_UNKNOWN);
    assert_int_equal(w.stopped, w.started);
    assert_int_equal(result()->cut, 0);
}

static void failure_everywhere_ends_at_once(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++)
        w.relays[i] = (made_up){0};
    w.plan.captive = 0;
    w.captive_after = 0;
    assert_int_equal(go(), 400);
    assert_false(report_has_latency(result()));
    assert_int_equal(w.stopped, 0);
}

static void no_run_is_longer_than_its_limit(void **state) {
    (void)state;
    w.plan.relay_count = RELAYS_MAX;
    for (int i = 0; i < RELAYS_MAX; i++)
        w.relays[i].https = NEVER;
    assert_in_range(go(), 3000, REPORT_RUN_MAX / NS_PER_MS);
    assert_int_equal(w.started_by[PROBE_QAD4], REPORT_QAD_RELAYS);
    assert_int_equal(w.started_by[PROBE_HTTPS], REPORT_HTTPS_ATTEMPTS * RELAYS_MAX);
}

static void machine_without_relays_asks_nobody(void **state) {
    (void)state;
    w.plan.relay_count = 0;
    assert_int_equal(go(), 0);
    assert_int_equal(w.started, 0);
}

static void mapping_that_varies_is_seen(void **state) {
    (void)state;
    w.relays[0] = (made_up){.qad4 = 10, .port4 = 1111};
    w.relays[1] = (made_up){.qad4 = 11, .port4 = 2222};
    (void)go();
    assert_int_equal(result()->varies4, REPORT_YES);
    addr first = ip4(1111);
    assert_true(addr_equal(&result()->global4, &first));
}

// --- Relays that lie, and answers that nobody waits for any more

static void lies_about_the_address_are_failures(void **state) {
    static const char *const lies[] = {"0.0.0.0:5", "224.0.0.1:5", "192.0.2.1:0", "[2001:db8::1]:5", "[::]:1"};
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        addr lie;
        bool start;
        assert_int_equal(addr_parse(&lie, lies[i], strlen(lies[i])), 0);
        report_run_begin(&w.run, &w.plan, w.now);
        report_probe *p = report_run_next(&w.run, &start, w.now);
        report_run_observed(&w.run, p, &lie, NS_PER_MS, w.now);
        assert_int_equal(p->state, PROBE_OVER);
        assert_false(result()->udp4 || result()->udp6 || report_has_latency(result()));
    }
}

static void late_answers_are_ignored(void **state) {
    (void)state;
    w.relays[0].qad4 = 10;
    w.relays[1].qad4 = 20;
    (void)go();
    const report before = *result();
    addr a = ip4(9999);
    for (size_t i = 0; i < w.run.probe_count; i++) {
        report_run_observed(&w.run, &w.run.probes[i], &a, 1, w.now);
        report_run_answered(&w.run, &w.run.probes[i], 1, w.now);
        report_run_captive(&w.run, &w.run.probes[i], true, w.now);
        report_run_failed(&w.run, &w.run.probes[i], w.now);
    }
    assert_memory_equal(&before, result(), sizeof before);
}

static void an_answer_counts_once(void **state) {
    (void)state;
    bool start;
    addr a = ip4(1000);
    report_run_begin(&w.run, &w.plan, w.now);
    report_probe *p = report_run_next(&w.run, &start, w.now);
    report_run_observed(&w.run, p, &a, NS_PER_MS, w.now);
    report_run_observed(&w.run, p, &a, NS_PER_MS, w.now);
    assert_int_equal(result()->varies4, REPORT_UNKNOWN);
    assert_int_equal(w.run.count4, 1);
}

static void answers_of_another_kind_are_ignored(void **state) {
    (void)state;
    bool start;
    report_run_begin(&w.run, &w.plan, w.now);
    report_probe *p = report_run_next(&w.run, &start, w.now);
    assert_int_equal(p->kind, PROBE_QAD4);
    report_run_answered(&w.run, p, 5, w.now);
    report_run_captive(&w.run, p, true, w.now);
    assert_int_equal(p->state, PROBE_RUNS);
    assert_int_equal(result()->captive, REPORT_UNKNOWN);
}

// --- The login page

static void login_page_is_seen(void **state) {
    (void)state;
    w.plan.captive = 2;
    w.captive_after = 30;
    w.captive = true;
    uint64_t ms = go();
    assert_int_equal(result()->captive, REPORT_YES);
    assert_in_range(ms, 3000, 5000);
    assert_int_equal(w.started_by[PROBE_CAPTIVE], 1);
}

static void working_network_is_not_asked_for_a_login(void **state) {
    (void)state;
    w.plan.captive = 2;
    w.relays[0].qad4 = w.relays[1].qad4 = 50;
    assert_int_equal(go(), 50);
    assert_int_equal(w.started_by[PROBE_CAPTIVE], 0);
    assert_int_equal(result()->captive, REPORT_UNKNOWN);
}

// --- Other runs

static void one_answer_ends_another_run(void **state) {
    (void)state;
    w.plan.full = w.plan.https = false;
    w.relays[0].qad4 = 30;
    w.relays[2].qad4 = 12;
    assert_int_equal(go(), 12);
    assert_int_equal(report_latency(result(), 2), 12000);
}

static void what_a_kept_connection_tells_is_enough(void **state) {
    (void)state;
    w.plan.full = w.plan.https = false;
    w.plan.ip6 = true;
    w.plan.known[0] = (report_known){.relay = 2, .address = ip4(77), .rtt = 5 * NS_PER_MS};
    w.plan.known[1] = (report_known){.relay = 2, .address = ip6(78), .rtt = 6 * NS_PER_MS};
    assert_int_equal(go(), 0);
    assert_int_equal(w.started, 0);
    assert_int_equal(result()->asked, 1 << 2);
    assert_int_equal(report_latency(result(), 2), 5000);
    addr a = ip4(77);
    assert_true(addr_equal(&result()->global4, &a));
    assert_true(result()->udp6);
}

static void family_that_nobody_knows_is_asked(void **state) {
    (void)state;
    w.plan.full = w.plan.https = false;
    w.plan.ip6 = true;
    w.plan.known[0] = (report_known){.relay = 2, .address = ip4(77), .rtt = 5 * NS_PER_MS};
    w.relays[1].qad6 = 40;
    assert_int_equal(go(), 40);
    assert_int_equal(w.started_by[PROBE_QAD4], 0);
    assert_int_equal(w.started_by[PROBE_QAD6], 3);
    assert_true(result()->udp4 && result()->udp6);
}

static void full_run_believes_no_kept_connection(void **state) {
    (void)state;
    w.plan.known[0] = (report_known){.relay = 2, .address = ip4(77), .rtt = 5 * NS_PER_MS};
    w.relays[0].qad4 = w.relays[1].qad4 = 10;
    (void)go();
    addr a = ip4(1000);
    assert_true(addr_equal(&result()->global4, &a));
    assert_int_equal(w.started_by[PROBE_QAD4], 3);
}

// --- The home relay

static void home_gets_twice_the_time_of_the_first(void **state) {
    (void)state;
    w.plan.home = 2;
    w.relays[0].qad4 = 20;
    w.relays[1].qad4 = 22;
    w.relays[2].qad4 = 35;
    assert_int_equal(go(), 35);
    assert_int_equal(report_latency(result(), 2), 35000);
}

static void home_that_is_far_away_is_not_waited_for(void **state) {
    (void)state;
    w.plan.home = 2;
    w.relays[0].qad4 = 20;
    w.relays[1].qad4 = 22;
    w.relays[2].qad4 = 90;
    assert_int_equal(go(), 40);
    assert_int_equal(report_latency(result(), 2), 0);
    assert_true((result()->asked >> 2 & 1) != 0);
}

static void home_is_among_the_asked_wherever_it_stands(void **state) {
    (void)state;
    w.plan.relay_count = 9;
    w.plan.home = 8;
    w.relays[8].qad4 = 10;
    w.relays[0].qad4 = 30;
    assert_int_equal(go(), 30);
    assert_int_equal(report_latency(result(), 8), 10000);
    assert_int_equal(w.started_by[PROBE_QAD4], REPORT_QAD_RELAYS);
}

static void home_without_discovery_is_compared_by_https(void **state) {
    (void)state;
    w.plan.home = 0;
    w.plan.qad = 6;
    w.relays[1].qad4 = w.relays[2].qad4 = 10;
    w.relays[0].https = 30;
    assert_int_equal(go(), 230);
    assert_int_equal(report_latency(result(), 0), 30000);
}

// Whatever relays do, a run ends in time, what it started is answered or stopped, and its result is what was answered.
static void no_schedule_breaks_a_run(void **state) {
    (void)state;
    uint64_t seed = 12345;
    for (int round = 0; round < 3000; round++) {
        (void)set_up(NULL);
        for (int i = 0; i < 8; i++) {
            uint64_t *delays[] = {&w.relays[i].qad4, &w.relays[i].qad6, &w.relays[i].https};
            for (int k = 0; k < 3; k++) {
                seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
                unsigned draw = (unsigned)(seed >> 33);
                *delays[k] = draw % 4 == 0 ? NEVER : draw % 4 == 1 ? 0 : draw / 4 % 4000;
            }
        }
        unsigned draw = (unsigned)(seed >> 40);
        w.plan.relay_count = draw % 9;
        w.plan.ip4 = draw / 9 % 3 != 0;
        w.plan.ip6 = draw / 27 % 2 != 0;
        w.plan.full = draw / 54 % 2 != 0;
        w.plan.https = draw / 108 % 2 != 0;
        w.plan.qad = draw / 216 % 256;
        w.plan.home = w.plan.relay_count > 0 ? (int)(draw % w.plan.relay_count) : -1;
        w.plan.captive = w.plan.relay_count > 0 && draw % 5 == 0 ? 0 : -1;
        w.captive_after = draw % 3000;
        assert_true(go() <= REPORT_RUN_MAX / NS_PER_MS);
        assert_int_equal(w.started, w.stopped + w.taken);
        assert_int_equal(result()->udp4, w.run.count4 > 0);
        assert_int_equal(result()->udp6, w.run.count6 > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(two_answers_end_a_full_run, set_up),
        cmocka_unit_test_setup(both_families_are_wanted_when_there_are_both, set_up),
        cmocka_unit_test_setup(single_relay_waits_for_https, set_up),
        cmocka_unit_test_setup(single_relay_without_https_is_done_at_once, set_up),
        cmocka_unit_test_setup(https_serves_where_udp_does_not, set_up),
        cmocka_unit_test_setup(https_is_tried_three_times, set_up),
        cmocka_unit_test_setup(silence_everywhere_ends_in_time, set_up),
        cmocka_unit_test_setup(failure_everywhere_ends_at_once, set_up),
        cmocka_unit_test_setup(no_run_is_longer_than_its_limit, set_up),
        cmocka_unit_test_setup(machine_without_relays_asks_nobody, set_up),
        cmocka_unit_test_setup(mapping_that_varies_is_seen, set_up),
        cmocka_unit_test_setup(lies_about_the_address_are_failures, set_up),
        cmocka_unit_test_setup(late_answers_are_ignored, set_up),
        cmocka_unit_test_setup(an_answer_counts_once, set_up),
        cmocka_unit_test_setup(answers_of_another_kind_are_ignored, set_up),
        cmocka_unit_test_setup(login_page_is_seen, set_up),
        cmocka_unit_test_setup(working_network_is_not_asked_for_a_login, set_up),
        cmocka_unit_test_setup(one_answer_ends_another_run, set_up),
        cmocka_unit_test_setup(what_a_kept_connection_tells_is_enough, set_up),
        cmocka_unit_test_setup(family_that_nobody_knows_is_asked, set_up),
        cmocka_unit_test_setup(full_run_believes_no_kept_connection, set_up),
        cmocka_unit_test_setup(home_gets_twice_the_time_of_the_first, set_up),
        cmocka_unit_test_setup(home_that_is_far_away_is_not_waited_for, set_up),
        cmocka_unit_test_setup(home_is_among_the_asked_wherever_it_stands, set_up),
        cmocka_unit_test_setup(home_without_discovery_is_compared_by_https, set_up),
        cmocka_unit_test_setup(no_schedule_breaks_a_run, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
