// The plan of downloads and the pool of connections when memory fails at any point: an error, nothing lost or leaked.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <iroh/error.h>

#include "base/clock.h"
#include "unit/nomem_support.h"
#include "unit/plan_model_support.h"
#include "unit/pool_fake_support.h"

static model m;

static void set_world(bool whole, int how) {
    model_init(&m, whole);
    for (size_t i = 0; i < (whole ? 60 : 1); i++)
        model_add_blob(&m, !whole ? 4000 : i == 30 ? 5000 : 1 + i % 40);
    for (unsigned i = 0; i < 2; i++) {
        model_provider p = {.rate = 8000000, .latency = NS_PER_MS * 10, .modulo = 2, .rest = i, .observable = true};
        model_add_provider(&m, p);
    }
    model_add_provider(&m, (model_provider){.rate = 6000000, .latency = NS_PER_MS * 20, .how = how, .limit = 500000});
}

// Fails the first allocation, then the second, and so on, until a run needs no more than it gets.
static void fail_everywhere(bool whole, int how) {
    bool ran_out = true;
    for (int n = 0; ran_out; n++) {
        set_world(whole, how);
        nomem_arm(n);
        int r = model_run(&m, 300, false);
        ran_out = nomem_disarm();
        // A download that got all its memory ends as ever.
        assert_int_equal(r, ran_out ? IROH_ERR_NOMEM : 1);
        assert_true(ran_out || model_left(&m) == 0);
        model_dispose(&m);
    }
}

static void plans_of_one_blob_end_with_an_error(void **state) {
    (void)state;
    fail_everywhere(false, MODEL_DIES);
    fail_everywhere(false, MODEL_STALLS);
}

static void plans_of_many_blobs_end_with_an_error(void **state) {
    (void)state;
    fail_everywhere(true, MODEL_LIES);
    fail_everywhere(true, MODEL_STALLS);
}

static void a_pool_without_memory_says_so(void **state) {
    (void)state;
    fake_endpoint e = {.dialled = 0};
    conn_pool_config config = fake_config(&e);
    iroh_addr *a = fake_addr(1), *b = fake_addr(2);
    conn_pool *pool;
    conn_use *u, *v;
    nomem_arm(0);
    assert_int_equal(conn_pool_new(&config, &pool), IROH_ERR_NOMEM);
    assert_null(pool);
    (void)nomem_disarm();
    assert_int_equal(conn_pool_new(&config, &pool), 0);
    assert_int_equal(conn_pool_take(pool, a, 0, &u), 0);
    nomem_arm(0);
    assert_int_equal(conn_pool_take(pool, b, 0, &v), IROH_ERR_NOMEM);
    assert_null(v);
    assert_int_equal(conn_pool_look(pool).open, 1);
    // What is there already needs no memory.
    nomem_arm(0);
    assert_int_equal(conn_pool_take(pool, a, 0, &v), 0);
    (void)nomem_disarm();
    conn_pool_give(pool, v, false, 1);
    conn_pool_give(pool, u, false, 1);
    conn_pool_free(pool);
    iroh_addr_free(a);
    iroh_addr_free(b);
    assert_int_equal(fake_open(&e), 0);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_of_one_blob_end_with_an_error),
        cmocka_unit_test(plans_of_many_blobs_end_with_an_error),
        cmocka_unit_test(a_pool_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
