// Buffers that are lent come back whenever they like.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "blobs/buffers.h"

#define SIZE 1000
#define MANY (3 * BUFFERS_SPARE)

static void they_are_used_again(void **state) {
    (void)state;
    buffers *b = buffers_new(SIZE);
    assert_non_null(b);
    uint8_t *first = buffers_take(b), *second = buffers_take(b);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    memset(first, 1, SIZE);
    buffers_give(b, first);
    assert_ptr_equal(buffers_take(b), first);
    buffers_give(b, first);
    buffers_release(b, second);
    buffers_give(b, NULL);
    buffers_free(b);
    buffers_free(NULL);
}

static void many_are_out_at_once(void **state) {
    (void)state;
    uint8_t *taken[MANY];
    buffers *b = buffers_new(SIZE);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            taken[i] = buffers_take(b);
            memset(taken[i], (int)i, SIZE);
        }
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(taken[i][SIZE - 1], i);
            buffers_give(b, taken[i]);
        }
    }
    buffers_free(b);
}

static void the_owner_may_go_first(void **state) {
    (void)state;
    buffers *b = buffers_new(SIZE);
    uint8_t *first = buffers_take(b), *second = buffers_take(b), *third = buffers_take(b);
    buffers_give(b, third);
    buffers_free(b);
    memset(first, 1, SIZE);
    buffers_release(b, first);
    memset(second, 1, SIZE);
    buffers_release(b, second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_used_again),
        cmocka_unit_test(many_are_out_at_once),
        cmocka_unit_test(the_owner_may_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
