#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

static const uint64_t seed_of_map[2] = {0x1234, 0x5678};

static void values_are_found_replaced_and_removed(void **state) {
    (void)state;
    map m;
    int a, b;
    map_init(&m, seed_of_map);
    assert_null(map_get(&m, 1));
    assert_null(map_remove(&m, 1));
    assert_int_equal(map_put(&m, 0, &a), 0);
    assert_int_equal(map_put(&m, UINT64_MAX, &b), 0);
    assert_ptr_equal(map_get(&m, 0), &a);
    assert_ptr_equal(map_get(&m, UINT64_MAX), &b);
    assert_int_equal(map_put(&m, 0, &b), 0);
    assert_int_equal(m.count, 2);
    assert_ptr_equal(map_remove(&m, 0), &b);
    assert_null(map_get(&m, 0));
    assert_ptr_equal(map_remove(&m, UINT64_MAX), &b);
    assert_int_equal(m.count, 0);
    assert_null(m.slots);
    map_dispose(&m);
}

static void a_map_that_shrinks_in_use_shrinks_in_memory(void **state) {
    (void)state;
    map m;
    int value;
    map_init(&m, seed_of_map);
    for (uint64_t key = 0; key < 1000; key++)
        assert_int_equal(map_put(&m, 8 * key, &value), 0);
    size_t large = m.capacity;
    assert_true(large >= 1000 && large <= 4096);
    for (uint64_t key = 10; key < 1000; key++)
        assert_ptr_equal(map_remove(&m, 8 * key), &value);
    assert_true(m.capacity <= 128);
    for (uint64_t key = 0; key < 10; key++)
        assert_ptr_equal(map_get(&m, 8 * key), &value);
    map_dispose(&m);
}

// --- Against a model: an array indexed by a small key

#define MODEL_KEYS 400

// Keys that differ in few bits, in high bits only, or at random.
static uint64_t key_of(uint64_t index, uint64_t kind) {
    if (kind == 0)
        return index;
    return kind == 1 ? index << 55 : (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void check(const map *m, void *const *model, uint64_t kind) {
    size_t at = 0, count = 0, expected = 0;
    uint64_t key;
    for (void *value; (value = map_next(m, &at, &key)) != NULL; count++)
        assert_ptr_equal(map_get(m, key), value);
    for (uint64_t i = 0; i < MODEL_KEYS; i++) {
        assert_ptr_equal(map_get(m, key_of(i, kind)), model[i]);
        expected += model[i] != NULL;
    }
    assert_int_equal(m->count, expected);
    assert_int_equal(count, expected);
}

static void one_model(uint64_t seed) {
    map m;
    static char values[1000];
    void *model[MODEL_KEYS] = {NULL};
    uint64_t rng = seed, kind = seed % 3, target = draw(&rng, 100);
    const uint64_t seeds[2] = {seed, ~seed};
    map_init(&m, seeds);
    for (int step = 0; step < 2000; step++) {
        uint64_t i = draw(&rng, MODEL_KEYS);
        if (draw(&rng, 100) < target) {
            model[i] = &values[draw(&rng, sizeof values)];
            assert_int_equal(map_put(&m, key_of(i, kind), model[i]), 0);
        } else {
            assert_ptr_equal(map_remove(&m, key_of(i, kind)), model[i]);
            model[i] = NULL;
        }
        if (step % 100 == 0)
            target = draw(&rng, 100);
        if (step % 10 == 0)
            check(&m, model, kind);
    }
    map_dispose(&m);
}

static void agrees_with_a_model_over_random_changes(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        one_model(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_replaced_and_removed),
        cmocka_unit_test(a_map_that_shrinks_in_use_shrinks_in_memory),
        cmocka_unit_test(agrees_with_a_model_over_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
