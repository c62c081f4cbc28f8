// When changes of the network are looked for and told, over a clock that the test moves.
#include "net/netwatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define START (100 * NS_PER_S)
#define WALL (UINT64_C(1700000000) * NS_PER_S)  // what the wall clock says at 0

static netwatch fresh(void) {
    netwatch w;
    netwatch_init(&w, START, WALL + START);
    return w;
}

// A look at `now` with a wall clock that goes on as it should.
static int look(netwatch *w, int change, bool way_out, uint64_t now) {
    return netwatch_looked(w, change, way_out, now, WALL + now);
}

static void looks_once_news_have_paused(void **state) {
    (void)state;
    netwatch w = fresh();
    assert_int_equal(netwatch_deadline(&w), TIME_NEVER);
    netwatch_on_news(&w, START);
    assert_int_equal(netwatch_deadline(&w), START + NETWATCH_PAUSE);
    assert_false(netwatch_wants_look(&w, false, START + NETWATCH_PAUSE - 1));
    // Further news make it wait for another pause.
    uint64_t at = START + NETWATCH_PAUSE;
    assert_false(netwatch_wants_look(&w, true, at));
    assert_int_equal(netwatch_deadline(&w), at + NETWATCH_PAUSE);
    assert_true(netwatch_wants_look(&w, false, at + NETWATCH_PAUSE));
    assert_int_equal(look(&w, NETWATCH_MAJOR, true, at + NETWATCH_PAUSE), NETWATCH_MAJOR);
    assert_int_equal(netwatch_deadline(&w), TIME_NEVER);
}

static void endless_news_do_not_put_it_off_for_ever(void **state) {
    (void)state;
    netwatch w = fresh();
    uint64_t now = START;
    int turns = 0;
    netwatch_on_news(&w, now);
    do
        now = netwatch_deadline(&w);
    while (++turns < 100 && !netwatch_wants_look(&w, true, now));
    assert_in_range(now - START, NETWATCH_BUSY_MAX, NETWATCH_BUSY_MAX + NETWATCH_PAUSE);
}

static void what_did_not_change_is_not_told(void **state) {
    (void)state;
    netwatch w = fresh();
    netwatch_on_news(&w, START);
    assert_true(netwatch_wants_look(&w, false, START + NETWATCH_PAUSE));
    assert_int_equal(look(&w, NETWATCH_NOTHING, true, START + NETWATCH_PAUSE), NETWATCH_NOTHING);
    assert_int_equal(netwatch_deadline(&w), TIME_NEVER);
}

static void change_waits_for_a_way_out(void **state) {
    (void)state;
    static const unsigned ms[] = {100, 300, 700, 1500, 2500, 3500, 4500, 5000};
    netwatch w = fresh();
    netwatch_on_news(&w, START - NETWATCH_PAUSE);
    assert_int_equal(look(&w, NETWATCH_MAJOR, false, START), NETWATCH_NOTHING);
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        uint64_t at = START + ms[i] * NS_PER_MS;
        assert_int_equal(netwatch_deadline(&w), at);
        assert_true(netwatch_wants_look(&w, false, at));
        // A network without a way out is one, too, in the end.
        assert_int_equal(look(&w, NETWATCH_NOTHING, false, at), ms[i] == 5000 ? NETWATCH_MAJOR : NETWATCH_NOTHING);
    }
    assert_int_equal(netwatch_deadline(&w), TIME_NEVER);
}

static void changes_while_waiting_are_one_and_the_major_counts(void **state) {
    (void)state;
    netwatch w = fresh();
    assert_int_equal(look(&w, NETWATCH_MAJOR, false, START), NETWATCH_NOTHING);
    assert_int_equal(look(&w, NETWATCH_MINOR, false, START + NS_PER_S), NETWATCH_NOTHING);
    assert_int_equal(look(&w, NETWATCH_NOTHING, true, START + 2 * NS_PER_S), NETWATCH_MAJOR);
    assert_int_equal(look(&w, NETWATCH_NOTHING, true, START + 3 * NS_PER_S), NETWATCH_NOTHING);
    assert_int_equal(look(&w, NETWATCH_MINOR, true, START + 4 * NS_PER_S), NETWATCH_MINOR);
}

static void looks_by_itself_while_somebody_needs_it(void **state) {
    (void)state;
    netwatch w = fresh();
    netwatch_rest(&w, false, START);
    assert_int_equal(netwatch_deadline(&w), START + NETWATCH_INTERVAL);
    netwatch_rest(&w, false, START + NS_PER_S);
    assert_int_equal(netwatch_deadline(&w), START + NETWATCH_INTERVAL);
    assert_true(netwatch_wants_look(&w, false, START + NETWATCH_INTERVAL));
    assert_int_equal(look(&w, NETWATCH_NOTHING, true, START + NETWATCH_INTERVAL), NETWATCH_NOTHING);
    assert_int_equal(netwatch_deadline(&w), START + 2 * NETWATCH_INTERVAL);
    netwatch_rest(&w, true, START + NETWATCH_INTERVAL);
    assert_int_equal(netwatch_deadline(&w), TIME_NEVER);
}

static void sleep_of_the_machine_is_a_minor_change(void **state) {
    (void)state;
    netwatch w = fresh();
    uint64_t at = START + NETWATCH_INTERVAL;
    assert_int_equal(netwatch_looked(&w, NETWATCH_NOTHING, true, at, WALL + at + 3600 * NS_PER_S), NETWATCH_MINOR);
    at += NETWATCH_INTERVAL;
    assert_int_equal(netwatch_looked(&w, NETWATCH_NOTHING, true, at, WALL + at + 3600 * NS_PER_S), NETWATCH_NOTHING);
    // Neither is a clock that was set back, nor a small correction.
    at += NETWATCH_INTERVAL;
    assert_int_equal(netwatch_looked(&w, NETWATCH_NOTHING, true, at, WALL + at), NETWATCH_NOTHING);
    at += NETWATCH_INTERVAL;
    assert_int_equal(netwatch_looked(&w, NETWATCH_NOTHING, true, at, WALL + at + NS_PER_S), NETWATCH_NOTHING);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_once_news_have_paused),
        cmocka_unit_test(endless_news_do_not_put_it_off_for_ever),
        cmocka_unit_test(what_did_not_change_is_not_told),
        cmocka_unit_test(change_waits_for_a_way_out),
        cmocka_unit_test(changes_while_waiting_are_one_and_the_major_counts),
        cmocka_unit_test(looks_by_itself_while_somebody_needs_it),
        cmocka_unit_test(sleep_of_the_machine_is_a_minor_change),
    };
    return cmocka_run_group_tests_name("netwatch", tests, NULL, NULL);
}
