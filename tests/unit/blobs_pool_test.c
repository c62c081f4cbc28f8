// The pool of connections: who shares what, and when it is closed.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "unit/pool_fake_support.h"

#define ADDRS 12

static fake_endpoint ep;
static conn_pool *pool;
static iroh_addr *addrs[ADDRS];

static int set_up(void **s) {
    (void)s;
    ep = (fake_endpoint){.dialled = 0};
    conn_pool_config config = fake_config(&ep);
    for (unsigned i = 0; i < ADDRS; i++)
        addrs[i] = fake_addr(i + 1);
    return conn_pool_new(&config, &pool);
}

static int tear_down(void **s) {
    (void)s;
    conn_pool_free(pool);
    for (unsigned i = 0; i < ADDRS; i++)
        iroh_addr_free(addrs[i]);
    return fake_open(&ep) == 0 ? 0 : -1;
}

static conn_use *take(unsigned addr_number, uint64_t now) {
    conn_use *u;
    assert_int_equal(conn_pool_take(pool, addrs[addr_number], now, &u), 0);
    return u;
}

static conn_use *connect_to(unsigned addr_number, uint64_t now) {
    conn_use *u = take(addr_number, now);
    ep.connections[fake_number(&ep, u)].state = 0;
    assert_int_equal(conn_pool_check(pool, u, now, NULL), 0);
    return u;
}

static void one_connection_to_an_id(void **state) {
    (void)state;
    conn_use *a = take(0, 0), *b = take(0, 10);
    assert_int_equal(ep.dialled, 1);
    assert_ptr_equal(conn_use_handle(a), conn_use_handle(b));
    assert_int_equal(conn_pool_check(pool, a, 20, NULL), IROH_ERR_AGAIN);
    ep.connections[0].state = 0;
    assert_int_equal(conn_pool_check(pool, a, 30, NULL), 0);
    assert_int_equal(conn_pool_check(pool, b, 30, NULL), 0);
    assert_int_equal(ep.greeted, 1);
    conn_pool_give(pool, a, false, 40);
    assert_int_equal(conn_pool_look(pool).idle, 0);
    conn_pool_give(pool, b, false, 50);
    assert_int_equal(conn_pool_look(pool).idle, 1);
    a = take(0, 60);
    assert_int_equal(ep.dialled, 1);
    conn_pool_give(pool, a, false, 70);
}

static void what_is_idle_is_closed_in_time(void **state) {
    (void)state;
    conn_use *a = connect_to(0, 0), *b = connect_to(1, 0);
    assert_true(conn_pool_turn(pool, 100 * NS_PER_S) == TIME_NEVER);
    conn_pool_give(pool, a, false, 100 * NS_PER_S);
    assert_true(conn_pool_turn(pool, 101 * NS_PER_S) == 105 * NS_PER_S);
    assert_true(ep.connections[0].open);
    assert_true(conn_pool_turn(pool, 105 * NS_PER_S) == TIME_NEVER);
    assert_false(ep.connections[0].open);
    assert_string_equal(ep.connections[0].reason, "unused");
    assert_true(ep.connections[1].open);
    conn_pool_give(pool, b, false, 106 * NS_PER_S);
}

static void dialling_has_an_end(void **state) {
    (void)state;
    uint64_t due;
    conn_use *a = take(0, 7);
    assert_int_equal(conn_pool_check(pool, a, NS_PER_S, &due), IROH_ERR_AGAIN);
    assert_true(due == NS_PER_S + 7);
    assert_int_equal(conn_pool_check(pool, a, NS_PER_S + 7, NULL), IROH_ERR_TIMEOUT);
    assert_int_equal(conn_pool_look(pool).open, 0);
    conn_use *b = take(0, NS_PER_S + 8);  // somebody else dials anew
    assert_int_equal(ep.dialled, 2);
    ep.connections[1].state = 0;
    assert_int_equal(conn_pool_check(pool, b, NS_PER_S + 8, NULL), 0);
    assert_int_equal(conn_pool_check(pool, a, NS_PER_S + 8, NULL), IROH_ERR_TIMEOUT);
    conn_pool_give(pool, a, true, NS_PER_S + 9);
    assert_int_equal(conn_pool_check(pool, b, NS_PER_S + 9, NULL), 0);
    conn_pool_give(pool, b, false, NS_PER_S + 9);
}

static void the_longest_idle_makes_room(void **state) {
    (void)state;
    conn_use *u[4], *more;
    for (unsigned i = 0; i < 4; i++)
        u[i] = connect_to(i, 0);
    assert_int_equal(conn_pool_take(pool, addrs[4], 1, &more), IROH_ERR_LIMIT);
    assert_null(more);
    conn_pool_give(pool, u[2], false, 2);
    conn_pool_give(pool, u[1], false, 3);
    more = take(4, 4);
    assert_false(ep.connections[2].open);
    assert_true(ep.connections[1].open);
    conn_pool_give(pool, more, false, 5);
    assert_string_equal(ep.connections[4].reason, "discarded");  // nobody waits for it any more
    conn_pool_give(pool, u[0], false, 5);
    conn_pool_give(pool, u[3], false, 5);
}

static void not_too_many_are_dialled_at_once(void **state) {
    (void)state;
    conn_use *a = take(0, 0), *b = take(1, 0), *c;
    assert_int_equal(conn_pool_take(pool, addrs[2], 0, &c), IROH_ERR_LIMIT);
    ep.connections[0].state = 0;
    assert_int_equal(conn_pool_check(pool, a, 1, NULL), 0);
    c = take(2, 2);
    conn_pool_give(pool, a, false, 3);
    conn_pool_give(pool, b, false, 3);
    conn_pool_give(pool, c, false, 3);
}

static void what_ended_is_not_given_out_again(void **state) {
    (void)state;
    conn_use *a = connect_to(0, 0);
    conn_pool_give(pool, a, false, 1);
    ep.connections[0].state = IROH_ERR_IDLE;
    conn_use *b = connect_to(0, 2);
    assert_int_equal(ep.dialled, 2);
    assert_false(ep.connections[0].open);
    ep.connections[1].state = IROH_ERR_PEER_CLOSED;
    assert_int_equal(conn_pool_check(pool, b, 3, NULL), IROH_ERR_PEER_CLOSED);
    ep.connections[1].state = 0;  // it stays as it was told
    assert_int_equal(conn_pool_check(pool, b, 4, NULL), IROH_ERR_PEER_CLOSED);
    conn_pool_give(pool, b, false, 5);
    conn_use *c = connect_to(0, 6), *d = take(0, 6);
    conn_pool_give(pool, c, true, 7);  // of no use to others
    conn_use *e = take(0, 8);
    assert_int_equal(ep.dialled, 4);
    assert_true(ep.connections[2].open);
    conn_pool_give(pool, d, false, 9);
    assert_false(ep.connections[2].open);
    conn_pool_give(pool, e, false, 9);
}

static void errors_of_dialling_and_greeting_are_told(void **state) {
    (void)state;
    conn_use *a;
    ep.dial_error = IROH_ERR_NO_ADDRESS;
    assert_int_equal(conn_pool_take(pool, addrs[0], 0, &a), IROH_ERR_NO_ADDRESS);
    ep.dial_error = 0;
    ep.greet_error = IROH_ERR_ACCESS;
    a = take(0, 0);
    conn_use *b = take(0, 0);
    ep.connections[0].state = 0;
    assert_int_equal(conn_pool_check(pool, a, 1, NULL), IROH_ERR_ACCESS);
    assert_int_equal(conn_pool_check(pool, b, 1, NULL), IROH_ERR_ACCESS);
    assert_int_equal(ep.greeted, 1);
    conn_pool_give(pool, a, true, 2);
    conn_pool_give(pool, b, true, 2);
    assert_int_equal(fake_open(&ep), 0);
}

static void the_end_closes_everything(void **state) {
    (void)state;
    conn_use *a = connect_to(0, 0);
    conn_use *b = connect_to(1, 0);
    conn_pool_give(pool, b, false, 1);
    (void)a;
    conn_pool_free(pool);
    pool = NULL;
    assert_string_equal(ep.connections[0].reason, "drop");
    assert_string_equal(ep.connections[1].reason, "unused");
}

// Whatever happens: no more connections than allowed, one to an id, and every count right.
static void random_use_keeps_the_counts(void **state) {
    (void)state;
    static conn_use *held[40];
    uint64_t random = 5, now = 0;
    size_t count = 0;
    for (int step = 0; step < 20000; step++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
        unsigned what = (unsigned)(random >> 40) % 8, which = (unsigned)(random >> 50);
        now += random >> 35 & 0x3fffffff;
        if (what < 3 && count < 40) {
            conn_use *u;
            if (conn_pool_take(pool, addrs[which % ADDRS], now, &u) == 0)
                held[count++] = u;
        } else if (what < 5 && count > 0) {
            size_t i = which % count;
            conn_pool_give(pool, held[i], what == 4 && which % 3 == 0, now);
            held[i] = held[--count];
        } else if (what < 7 && count > 0) {
            size_t i = which % count;
            fake *f = &ep.connections[fake_number(&ep, held[i])];
            f->state = what == 5 ? 0 : f->state == 0 && which % 5 == 0 ? IROH_ERR_IDLE : f->state;
            (void)conn_pool_check(pool, held[i], now, NULL);
        } else {
            (void)conn_pool_turn(pool, now);
        }
        conn_pool_state s = conn_pool_look(pool);
        assert_true(s.open <= 4 && s.dialling <= 2 && s.idle + s.dialling <= s.open);
        assert_true(fake_open(&ep) <= s.open + count);
    }
    while (count > 0)
        conn_pool_give(pool, held[--count], true, now);
    (void)conn_pool_turn(pool, now + 6 * NS_PER_S);
    assert_int_equal(conn_pool_look(pool).open, 0);
    assert_int_equal(fake_open(&ep), 0);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_connection_to_an_id, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_idle_is_closed_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dialling_has_an_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_longest_idle_makes_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_too_many_are_dialled_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_ended_is_not_given_out_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_of_dialling_and_greeting_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_closes_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_use_keeps_the_counts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
