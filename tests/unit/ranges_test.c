#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/ranges.h"

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

static void touching_ranges_become_one(void **state) {
    (void)state;
    ranges r = RANGES_INIT;
    assert_int_equal(ranges_add(&r, 10, 20), 0);
    assert_int_equal(ranges_add(&r, 30, 40), 0);
    assert_int_equal(ranges_count(&r), 2);
    assert_int_equal(ranges_add(&r, 20, 30), 0);
    assert_int_equal(ranges_count(&r), 1);
    assert_int_equal(ranges_items(&r)->start, 10);
    assert_int_equal(ranges_items(&r)->end, 40);
    ranges_dispose(&r);
}

static void few_ranges_take_no_memory(void **state) {
    (void)state;
    ranges r = RANGES_INIT;
    for (uint64_t i = 0; i < RANGES_INLINE; i++)
        assert_int_equal(ranges_add(&r, 10 * i, 10 * i + 1), 0);
    assert_null(r.heap);
    assert_int_equal(ranges_add(&r, 1000, 1001), 0);
    assert_non_null(r.heap);
    ranges_clear(&r);
    assert_int_equal(ranges_count(&r), 0);
    assert_non_null(r.heap);
    ranges_dispose(&r);
    assert_null(r.heap);
}

static void highest_values_are_held(void **state) {
    (void)state;
    ranges r = RANGES_INIT;
    assert_int_equal(ranges_add(&r, UINT64_MAX - 2, UINT64_MAX), 0);
    assert_true(ranges_contains(&r, UINT64_MAX - 1));
    assert_true(ranges_covers(&r, UINT64_MAX - 2, UINT64_MAX));
    assert_false(ranges_contains(&r, UINT64_MAX - 3));
    assert_int_equal(ranges_remove(&r, 0, UINT64_MAX), 0);
    assert_int_equal(ranges_count(&r), 0);
    ranges_drop_first(&r);
    assert_true(ranges_covers(&r, 7, 7));
    ranges_dispose(&r);
}

// --- Against a model: one flag for each value

#define MODEL_VALUES 300

static void check(const ranges *r, const bool *have) {
    const range *items = ranges_items(r);
    size_t at = 0;
    for (uint64_t v = 0; v < MODEL_VALUES; v++) {
        assert_int_equal(ranges_contains(r, v), have[v]);
        if (!have[v] || (v > 0 && have[v - 1]))
            continue;
        uint64_t end = v;
        while (end < MODEL_VALUES && have[end])
            end++;
        assert_true(at < ranges_count(r));
        assert_int_equal(items[at].start, v);
        assert_int_equal(items[at].end, end);
        at++;
    }
    assert_int_equal(ranges_count(r), at);
}

static bool model_covers(const bool *have, uint64_t start, uint64_t end) {
    bool all = true;
    for (uint64_t v = start; v < end; v++)
        all &= have[v];
    return all;
}

static void one_model(uint64_t seed) {
    ranges r = RANGES_INIT;
    bool have[MODEL_VALUES] = {false};
    uint64_t rng = seed, longest = 1 + draw(&rng, 20);
    for (int step = 0; step < 300; step++) {
        uint64_t start = draw(&rng, MODEL_VALUES - 1);
        uint64_t end = start + 1 + draw(&rng, draw(&rng, 20) == 0 ? MODEL_VALUES : longest);
        end = end < MODEL_VALUES ? end : MODEL_VALUES;
        assert_int_equal(ranges_covers(&r, start, end), model_covers(have, start, end));
        uint64_t what = draw(&rng, 100);
        if (what < 60) {
            assert_int_equal(ranges_add(&r, start, end), 0);
            memset(have + start, 1, end - start);
        } else if (what < 95) {
            assert_int_equal(ranges_remove(&r, start, end), 0);
            memset(have + start, 0, end - start);
        } else if (what < 99) {
            size_t v = 0;
            while (v < MODEL_VALUES && !have[v])
                v++;
            while (v < MODEL_VALUES && have[v])
                have[v++] = false;
            ranges_drop_first(&r);
        } else {
            memset(have, 0, sizeof have);
            ranges_clear(&r);
        }
        check(&r, have);
    }
    ranges_dispose(&r);
}

static void agrees_with_a_model_over_random_changes(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++)
        one_model(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(touching_ranges_become_one),
        cmocka_unit_test(few_ranges_take_no_memory),
        cmocka_unit_test(highest_values_are_held),
        cmocka_unit_test(agrees_with_a_model_over_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
