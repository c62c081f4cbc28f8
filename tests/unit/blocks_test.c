#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "endpoint/blocks.h"
#include "sys/udp.h"

// Keeps a part of the current block, as a stream does. Returns what to release it with.
static void *keep_one(blocks *b) {
    const quic_lender *l = blocks_lender(b);
    if (l == NULL)
        return NULL;
    l->keep(l->user);
    return l->loan_user;
}

static void what_is_kept_is_not_written_over(void **state) {
    (void)state;
    blocks b;
    assert_int_equal(blocks_init(&b), 0);
    uint8_t *first = blocks_room(&b);
    memset(first, 1, SYS_UDP_BATCH);
    void *one = keep_one(&b), *two = keep_one(&b);
    assert_ptr_equal(one, two);
    blocks_next(&b);
    assert_ptr_not_equal(blocks_room(&b), first);
    memset(blocks_room(&b), 2, SYS_UDP_BATCH);
    assert_int_equal(first[0], 1);
    b.lender.release(one, first);
    assert_int_equal(b.spare_count, 0);
    b.lender.release(two, first + 1);
    assert_int_equal(b.spare_count, 1);
    blocks_dispose(&b);
    assert_int_equal(b.count, 0);
    blocks_dispose(&b);
}

static void what_nobody_keeps_is_used_again(void **state) {
    (void)state;
    blocks b;
    assert_int_equal(blocks_init(&b), 0);
    const uint8_t *first = blocks_room(&b);
    b.lender.release(keep_one(&b), first);
    blocks_next(&b);
    assert_ptr_equal(blocks_room(&b), first);
    blocks_dispose(&b);
}

static void there_is_a_limit_and_a_room_beyond_it(void **state) {
    (void)state;
    blocks b;
    void *kept[BLOCKS_MAX];
    size_t count = 0;
    assert_int_equal(blocks_init(&b), 0);
    while ((kept[count] = keep_one(&b)) != NULL) {
        count++;
        blocks_next(&b);
    }
    assert_int_equal(count, BLOCKS_MAX - 1);
    assert_int_equal(b.count, BLOCKS_MAX);
    memset(blocks_room(&b), 3, SYS_UDP_BATCH);
    b.lender.release(kept[0], NULL);
    assert_non_null(blocks_lender(&b));
    for (size_t i = 1; i < count; i++)
        b.lender.release(kept[i], NULL);
    assert_int_equal(b.spare_count, BLOCKS_SPARE);
    while (b.spare_count > 0)
        blocks_shrink(&b);
    blocks_shrink(&b);
    assert_int_equal(b.count, 1);
    blocks_dispose(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_not_written_over),
        cmocka_unit_test(what_nobody_keeps_is_used_again),
        cmocka_unit_test(there_is_a_limit_and_a_room_beyond_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
