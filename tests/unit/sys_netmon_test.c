// The state of the machine's network and the news of it, in a network of the test's own if the system allows one.
#include "sys/netmon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <iroh/error.h>

#include "netns_support.h"

#define LONG_MS 20000

static sys_netstate now(void) {
    sys_netstate s;
    assert_int_equal(sys_netstate_read(&s), 0);
    return s;
}

// What `args` change, after the news of it have come. Null: no monitor here.
static int change_by(sys_loop *l, sys_netmon *m, const char *args) {
    sys_netstate before = now(), after;
    netns_ip(args);
    for (int i = 0; m != NULL && !sys_netmon_has_news(m) && i < 100; i++)
        assert_int_equal(sys_loop_run(l, LONG_MS), 0);
    if (m != NULL) {
        assert_true(sys_netmon_has_news(m));
        assert_true(sys_netmon_take(m));
        assert_false(sys_netmon_has_news(m));
        sys_netmon_listen(m);
    }
    after = now();
    assert_int_equal(sys_netstate_compare(&after, &after), SYS_NET_SAME);
    assert_int_equal(sys_netstate_compare(&after, &before), sys_netstate_compare(&before, &after));
    return sys_netstate_compare(&before, &after);
}

static void state_of_this_machine_can_be_read(void **state) {
    (void)state;
    sys_netstate s = now();
    assert_true(s.route4.kind == ADDR_NONE || (s.route4.kind == ADDR_IP4 && s.route4.port == 0));
    assert_true(s.route6.kind == ADDR_NONE || (s.route6.kind == ADDR_IP6 && s.route6.port == 0));
    assert_int_equal(sys_netstate_leads_out(&s), s.route4.kind != ADDR_NONE || s.route6.kind != ADDR_NONE);
}

static void every_part_counts(void **state) {
    (void)state;
    sys_netstate a = now(), b = a;
    b.rest++;
    assert_int_equal(sys_netstate_compare(&a, &b), SYS_NET_MINOR);
    b.links++;
    assert_int_equal(sys_netstate_compare(&a, &b), SYS_NET_MAJOR);
    b = a;
    b.ip4 = !b.ip4;
    assert_int_equal(sys_netstate_compare(&a, &b), SYS_NET_MAJOR);
    b = a;
    b.ip6 = !b.ip6;
    assert_int_equal(sys_netstate_compare(&a, &b), SYS_NET_MAJOR);
    b = a;
    b.route4.bytes[0]++;
    assert_int_equal(sys_netstate_compare(&a, &b), SYS_NET_MAJOR);
    b = a;
    b.route6.bytes[0]++;
    assert_int_equal(sys_netstate_compare(&a, &b), SYS_NET_MAJOR);
}

static void links_addresses_and_routes_are_noticed(void **state) {
    (void)state;
    sys_loop *l;
    sys_netmon *m = NULL;
    netns_needed();
    assert_int_equal(sys_loop_new(&l), 0);
    int r = sys_netmon_open(l, &m);
    assert_true(r == 0 || r == IROH_ERR_UNSUPPORTED);
    assert_int_equal(change_by(l, m, "link add ve0 type veth peer name ve1"), SYS_NET_MAJOR);
    assert_int_equal(change_by(l, m, "link set ve0 address 02:00:00:00:00:01"), SYS_NET_MAJOR);
    (void)change_by(l, m, "link set ve1 up");
    assert_int_equal(change_by(l, m, "link set ve0 up"), SYS_NET_MAJOR);
    assert_false(now().ip4);
    assert_int_equal(change_by(l, m, "addr add 192.0.2.1/24 dev ve0"), SYS_NET_MAJOR);
    assert_true(now().ip4);
    assert_int_equal(now().route4.kind, ADDR_NONE);
    assert_int_equal(change_by(l, m, "route add default dev ve0"), SYS_NET_MAJOR);
    assert_int_equal(now().route4.bytes[3], 1);
    assert_int_equal(change_by(l, m, "addr add 169.254.1.1/16 dev ve0"), SYS_NET_MINOR);
    assert_int_equal(change_by(l, m, "route add 203.0.113.0/24 dev ve0"), SYS_NET_SAME);
    assert_int_equal(change_by(l, m, "addr del 192.0.2.1/24 dev ve0"), SYS_NET_MAJOR);
    assert_false(now().ip4);
    assert_int_equal(change_by(l, m, "link del ve0"), SYS_NET_MAJOR);
    sys_netmon_close(m);
    sys_loop_free(l);
}

static void monitor_is_silent_until_it_listens(void **state) {
    (void)state;
    sys_loop *l;
    sys_netmon *m = NULL;
    netns_needed();
    assert_int_equal(sys_loop_new(&l), 0);
    if (sys_netmon_open(l, &m) == IROH_ERR_UNSUPPORTED) {
        sys_loop_free(l);
        skip();
    }
    netns_ip("link add ve0 type veth peer name ve1");
    while (!sys_netmon_has_news(m))
        assert_int_equal(sys_loop_run(l, LONG_MS), 0);
    assert_true(sys_netmon_take(m));
    netns_ip("link del ve0");
    assert_int_equal(sys_loop_run(l, 0), 0);
    assert_false(sys_netmon_has_news(m));
    sys_netmon_listen(m);
    while (!sys_netmon_has_news(m))
        assert_int_equal(sys_loop_run(l, LONG_MS), 0);
    assert_true(sys_netmon_take(m));
    sys_netmon_close(m);
    sys_netmon_close(NULL);
    sys_loop_free(l);
}

int main(void) {
    (void)netns_enter();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_of_this_machine_can_be_read),
        cmocka_unit_test(every_part_counts),
        cmocka_unit_test(links_addresses_and_routes_are_noticed),
        cmocka_unit_test(monitor_is_silent_until_it_listens),
    };
    return cmocka_run_group_tests_name("sys_netmon", tests, NULL, NULL);
}
