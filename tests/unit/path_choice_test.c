#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/path_choice.h"

enum { RELAY = 0, IP4 = 4, IP6 = 6 };

// The address numbered `n` of a kind.
static path_ends ends(int kind, uint8_t n) {
    path_ends e = {0};
    if (kind == IP4)
        e.remote = addr_ip4((const uint8_t[]){192, 0, 2, n}, 443);
    else if (kind == IP6)
        e.remote = addr_ip6((const uint8_t[16]){0x20, 1, 0x0d, 0xb8, [15] = n}, 443, 0);
    else
        e.remote = (addr){.kind = ADDR_RELAY, .scope = n};
    return e;
}

static path_candidate path(int kind, uint8_t n, uint64_t ms) {
    return (path_candidate){.ends = ends(kind, n), .rtt = ms * NS_PER_MS};
}

// Without a current path, of two candidates, in both orders.
static void first_of_two(path_candidate a, path_candidate b, bool a_wins) {
    const path_candidate list[] = {a, b}, turned[] = {b, a};
    assert_int_equal(path_choose(list, 2, NULL), a_wins ? 0 : 1);
    assert_int_equal(path_choose(turned, 2, NULL), a_wins ? 1 : 0);
}

// The vectors of the specification.
static void direct_wins_and_ip6_has_a_bonus(void **state) {
    (void)state;
    first_of_two(path(IP4, 1, 10), path(IP6, 2, 10), false);
    first_of_two(path(IP4, 1, 10), path(IP6, 2, 12), false);
    first_of_two(path(IP4, 1, 10), path(IP6, 2, 20), true);
    first_of_two(path(IP4, 1, 1000), path(RELAY, 2, 1), true);
    first_of_two(path(RELAY, 1, 10), path(RELAY, 2, 5), false);
}

static void with_current(path_candidate current, path_candidate other, bool changes) {
    const path_candidate list[] = {current, other}, turned[] = {other, current};
    assert_int_equal(path_choose(list, 2, &current.ends), changes ? 1 : -1);
    assert_int_equal(path_choose(turned, 2, &current.ends), changes ? 0 : -1);
}

static void change_must_be_worth_it(void **state) {
    (void)state;
    with_current(path(IP4, 1, 20), path(IP4, 2, 18), false);
    with_current(path(IP4, 1, 20), path(IP4, 2, 16), false);
    with_current(path(IP4, 1, 20), path(IP4, 2, 15), true);
    with_current(path(RELAY, 1, 5), path(IP4, 2, 500), true);
    with_current(path(IP4, 1, 500), path(RELAY, 2, 5), false);
    with_current(path(IP4, 1, 10), path(IP6, 2, 9), false);
    with_current(path(IP4, 1, 10), path(IP6, 2, 8), true);
    with_current(path(RELAY, 1, 10), path(RELAY, 2, 6), false);
}

static void first_of_equals_is_chosen(void **state) {
    (void)state;
    const path_candidate list[] = {path(IP4, 1, 10), path(IP4, 2, 10), path(IP4, 3, 10)};
    assert_int_equal(path_choose(list, 3, NULL), 0);
}

static void lost_current_path_is_replaced(void **state) {
    (void)state;
    const path_candidate list[] = {path(RELAY, 1, 100)};
    path_ends gone = ends(IP4, 9);
    assert_int_equal(path_choose(list, 1, &gone), 0);
    assert_int_equal(path_choose(list, 0, &gone), -1);
    assert_int_equal(path_choose(list, 0, NULL), -1);
}

// Several connections have a path between the same ends: the best of them speaks for the current one.
static void current_path_counts_by_its_best(void **state) {
    (void)state;
    const path_candidate list[] = {path(IP4, 1, 90), path(IP4, 2, 17), path(IP4, 1, 20)};
    path_ends current = ends(IP4, 1);
    assert_int_equal(path_choose(list, 3, &current), -1);
}

static void unknown_local_addresses_match_any(void **state) {
    (void)state;
    path_ends a = ends(IP4, 1), b = a, c = a;
    b.local = addr_ip4((const uint8_t[]){10, 0, 0, 1}, 1);
    c.local = addr_ip4((const uint8_t[]){10, 0, 0, 2}, 1);
    assert_true(path_ends_equal(&a, &b));
    assert_true(path_ends_equal(&b, &a));
    assert_false(path_ends_equal(&b, &c));
    c.local = addr_ip4((const uint8_t[]){10, 0, 0, 1}, 2);
    assert_true(path_ends_equal(&b, &c));
    b.remote = ends(IP4, 2).remote;
    assert_false(path_ends_equal(&b, &c));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_wins_and_ip6_has_a_bonus), cmocka_unit_test(change_must_be_worth_it),
        cmocka_unit_test(first_of_equals_is_chosen),       cmocka_unit_test(lost_current_path_is_replaced),
        cmocka_unit_test(current_path_counts_by_its_best), cmocka_unit_test(unknown_local_addresses_match_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
