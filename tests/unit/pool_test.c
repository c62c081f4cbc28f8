#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

#define MODEL_OBJECTS 200

typedef struct held {
    unsigned char *object;
    unsigned char fill;
} held;

static void check(const held *h, size_t size) {
    for (size_t i = 0; i < size; i++)
        assert_int_equal(h->object[i], h->fill);
}

// No two objects overlap, none changes while it is held, and they are aligned.
static void one_model(uint64_t seed, int mode) {
    pool p;
    held all[MODEL_OBJECTS] = {{0}};
    uint64_t rng = seed;
    size_t size = 1 + (size_t)draw(&rng, 100), held_count = 0;
    pool_init(&p, size, 1 + (size_t)draw(&rng, 20), mode);
    for (int step = 0; step < 1000; step++) {
        held *h = &all[draw(&rng, MODEL_OBJECTS)];
        if (h->object == NULL) {
            h->object = pool_take(&p);
            h->fill = (unsigned char)draw(&rng, 256);
            assert_non_null(h->object);
            assert_int_equal((uintptr_t)h->object % 16, 0);
            memset(h->object, h->fill, size);
            held_count++;
        } else {
            check(h, size);
            pool_give(&p, h->object);
            h->object = NULL;
            held_count--;
        }
        assert_int_equal(p.in_use, held_count);
    }
    for (size_t i = 0; i < MODEL_OBJECTS; i++) {
        if (all[i].object == NULL)
            continue;
        check(&all[i], size);
        pool_give(&p, all[i].object);
    }
    assert_int_equal(p.in_use, 0);
    pool_dispose(&p);
}

static void objects_are_apart_and_keep_their_bytes(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        one_model(seed, POOL_SLABS);
        one_model(seed, POOL_MALLOC);
    }
}

static void objects_given_back_are_taken_again(void **state) {
    (void)state;
    pool p;
    void *objects[8];
    pool_init(&p, 40, 8, POOL_SLABS);
    for (int i = 0; i < 8; i++)
        objects[i] = pool_take(&p);
    void *slab = p.slabs;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 8; i++)
            pool_give(&p, objects[i]);
        for (int i = 0; i < 8; i++)
            objects[i] = pool_take(&p);
        assert_ptr_equal(p.slabs, slab);
    }
    for (int i = 0; i < 8; i++)
        pool_give(&p, objects[i]);
    pool_give(&p, NULL);
    assert_int_equal(p.in_use, 0);
    pool_dispose(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_apart_and_keep_their_bytes),
        cmocka_unit_test(objects_given_back_are_taken_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
