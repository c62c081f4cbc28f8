// Names and addresses through the system's resolver, as far as no name server is needed for them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "sys/lookup.h"

#define LONG_MS 10000

static sys_loop *loop;

static int set_up(void **state) {
    (void)state;
    return sys_loop_new(&loop);
}

static int tear_down(void **state) {
    (void)state;
    sys_loop_free(loop);
    return 0;
}

// What came: the number of addresses or an error.
static int look_up(const char *host, addr *out, size_t room) {
    sys_lookup *q;
    int r;
    assert_int_equal(sys_lookup_start(loop, host, strlen(host), &q), 0);
    while ((r = sys_lookup_result(q, out, room)) == IROH_ERR_AGAIN)
        assert_int_equal(sys_loop_run(loop, LONG_MS), 0);
    sys_lookup_free(q);
    return r;
}

static void addresses_are_themselves(void **state) {
    addr a, wanted;
    (void)state;
    assert_int_equal(look_up("192.0.2.77", &a, 1), 1);
    assert_int_equal(addr_parse(&wanted, "192.0.2.77:0", 12), 0);
    assert_true(addr_equal(&a, &wanted));
    assert_int_equal(look_up("[2001:db8::77]", &a, 1), 1);
    assert_int_equal(addr_parse(&wanted, "[2001:db8::77]:0", 16), 0);
    assert_true(addr_equal(&a, &wanted));
}

static void localhost_is_known(void **state) {
    addr found[SYS_LOOKUP_MAX];
    (void)state;
    int count = look_up("localhost", found, SYS_LOOKUP_MAX);
    assert_in_range(count, 1, SYS_LOOKUP_MAX);
    for (int i = 0; i < count; i++)
        assert_true(addr_is_loopback(&found[i]));
}

static void nothing_is_found_for_nonsense(void **state) {
    addr a;
    (void)state;
    assert_int_equal(look_up("", &a, 1), IROH_ERR_NOT_FOUND);
    assert_int_equal(look_up("[]", &a, 1), IROH_ERR_NOT_FOUND);
}

static void long_names_are_refused(void **state) {
    char name[300];
    sys_lookup *q;
    (void)state;
    memset(name, 'a', sizeof name);
    assert_int_equal(sys_lookup_start(loop, name, sizeof name, &q), IROH_ERR_TOO_LARGE);
}

static void question_may_be_given_up_at_any_time(void **state) {
    (void)state;
    for (int i = 0; i < 50; i++) {
        sys_lookup *q;
        assert_int_equal(sys_lookup_start(loop, "localhost", 9, &q), 0);
        if (i % 3 == 1)
            sys_pause((uint64_t)i * 10 * NS_PER_US);
        sys_lookup_free(q);
    }
    sys_lookup_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(addresses_are_themselves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(localhost_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_found_for_nonsense, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_names_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(question_may_be_given_up_at_any_time, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
