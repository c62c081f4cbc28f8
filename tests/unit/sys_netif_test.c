// The addresses of the machine that runs the test: what must hold on any, and that the loopback interface is there.
#include "sys/netif.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#include "sys/entropy.h"

#define ROOM 256

static void every_address_is_a_unicast_host_once(void **state) {
    (void)state;
    addr all[ROOM];
    int n = sys_netif_addresses(all, ROOM);
    assert_true(n > 0 && n <= ROOM);
    for (int i = 0; i < n; i++) {
        assert_true(addr_is_ip(&all[i]));
        assert_false(addr_is_unspecified(&all[i]));
        assert_false(addr_is_multicast(&all[i]));
        assert_int_equal(all[i].port, 0);
        bool scoped = all[i].kind == ADDR_IP6 && addr_is_link_local(&all[i]);
        assert_true(scoped == (all[i].scope != 0));
        for (int k = 0; k < i; k++)
            assert_false(addr_equal(&all[i], &all[k]));
    }
}

static void the_loopback_interface_is_among_them(void **state) {
    (void)state;
    static const uint8_t localhost[4] = {127, 0, 0, 1};
    addr all[ROOM], wanted = addr_ip4(localhost, 0);
    int n = sys_netif_addresses(all, ROOM);
    bool found = false;
    for (int i = 0; i < n; i++)
        found = found || addr_equal(&all[i], &wanted);
    assert_true(found);
}

static void no_more_than_the_room_is_written(void **state) {
    (void)state;
    addr all[ROOM], guard, few[2];
    int n = sys_netif_addresses(all, ROOM);
    memset(&guard, 0xa5, sizeof guard);
    few[0] = few[1] = guard;
    assert_int_equal(sys_netif_addresses(few, 0), 0);
    assert_true(addr_equal(&few[0], &guard));
    assert_int_equal(sys_netif_addresses(few, 1), 1);
    assert_true(n >= 1 && addr_equal(&few[0], &all[0]));
    assert_true(addr_equal(&few[1], &guard));
}

static void randomness_fills_all_and_does_not_repeat(void **state) {
    (void)state;
    entropy e = sys_entropy();
    uint8_t sum[64] = {0}, first[64], next[64];
    entropy_fill(&e, first, sizeof first);
    for (int i = 0; i < 32; i++) {
        entropy_fill(&e, next, sizeof next);
        assert_memory_not_equal(first, next, sizeof next);
        for (size_t k = 0; k < sizeof sum; k++)
            sum[k] |= next[k];
    }
    // A byte that is 0 in all 32 draws has a chance of 2^-256.
    for (size_t k = 0; k < sizeof sum; k++)
        assert_int_not_equal(sum[k], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_is_a_unicast_host_once),
        cmocka_unit_test(the_loopback_interface_is_among_them),
        cmocka_unit_test(no_more_than_the_room_is_written),
        cmocka_unit_test(randomness_fills_all_and_does_not_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
