#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

static void the_earliest_comes_first(void **state) {
    (void)state;
    heap h = HEAP_INIT;
    heap_item items[3] = {{0}};
    assert_null(heap_first(&h));
    assert_int_equal(heap_set(&h, &items[0], 30), 0);
    assert_int_equal(heap_set(&h, &items[1], 10), 0);
    assert_int_equal(heap_set(&h, &items[2], 20), 0);
    assert_ptr_equal(heap_first(&h), &items[1]);
    assert_int_equal(heap_set(&h, &items[1], 40), 0);
    assert_ptr_equal(heap_first(&h), &items[2]);
    assert_int_equal(heap_set(&h, &items[0], 5), 0);
    assert_ptr_equal(heap_first(&h), &items[0]);
    heap_remove(&h, &items[0]);
    heap_remove(&h, &items[0]);
    assert_ptr_equal(heap_first(&h), &items[2]);
    heap_dispose(&h);
    assert_int_equal(items[1].index, 0);
    assert_null(heap_first(&h));
}

static void reserved_room_is_enough(void **state) {
    (void)state;
    heap h = HEAP_INIT;
    heap_item items[100] = {{0}};
    assert_int_equal(heap_reserve(&h, 100), 0);
    heap_item **at = h.items;
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(heap_set(&h, &items[i], 100 - i), 0);
    assert_ptr_equal(h.items, at);
    assert_ptr_equal(heap_first(&h), &items[99]);
    heap_dispose(&h);
}

static void the_object_is_found_from_its_item(void **state) {
    (void)state;
    struct object {
        int before;
        heap_item timer;
    } o = {.before = 7};
    heap_item *item = &o.timer;
    assert_ptr_equal(heap_entry(item, struct object, timer), &o);
    assert_int_equal(o.before, 7);
}

// --- Against a model: a plain array that is searched

#define MODEL_ITEMS 60

typedef struct model {
    heap_item item;
    uint64_t at;
    bool in;
} model;

static void check(const heap *h, const model *m) {
    const model *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < MODEL_ITEMS; i++) {
        assert_int_equal(m[i].item.index != 0, m[i].in);
        if (!m[i].in)
            continue;
        count++;
        assert_ptr_equal(h->items[m[i].item.index - 1], &m[i].item);
        assert_int_equal(m[i].item.at, m[i].at);
        if (first == NULL || m[i].at < first->at)
            first = &m[i];
    }
    assert_int_equal(h->count, count);
    if (first == NULL)
        assert_null(heap_first(h));
    else
        assert_int_equal(heap_first(h)->at, first->at);
}

static void one_model(uint64_t seed) {
    heap h = HEAP_INIT;
    model m[MODEL_ITEMS] = {{{0}}};
    uint64_t rng = seed, span = 1 + draw(&rng, 100);
    for (int step = 0; step < 500; step++) {
        model *one = &m[draw(&rng, MODEL_ITEMS)];
        if (draw(&rng, 3) == 0) {
            heap_remove(&h, &one->item);
            one->in = false;
        } else {
            one->at = draw(&rng, span);
            one->in = true;
            assert_int_equal(heap_set(&h, &one->item, one->at), 0);
        }
        check(&h, m);
    }
    uint64_t last = 0;
    for (heap_item *first; (first = heap_first(&h)) != NULL; heap_remove(&h, first)) {
        assert_true(first->at >= last);
        last = first->at;
    }
    heap_dispose(&h);
}

static void agrees_with_a_model_over_random_changes(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++)
        one_model(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_earliest_comes_first),
        cmocka_unit_test(reserved_room_is_enough),
        cmocka_unit_test(the_object_is_found_from_its_item),
        cmocka_unit_test(agrees_with_a_model_over_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
