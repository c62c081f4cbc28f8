// Where things are: outboards, node numbers, and the items of a walk.
#include "blobs/bao.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/bao_support.h"

static void sizes_count_chunks_groups_and_pairs(void **state) {
    (void)state;
    static const struct {
        uint64_t size, chunks, groups, outboard;
    } rows[] = {
        {0, 0, 1, 0},         {1, 1, 1, 0},
        {1024, 1, 1, 0},      {1025, 2, 1, 0},
        {16384, 16, 1, 0},    {16385, 17, 2, 64},
        {100000, 98, 7, 384}, {BAO_SIZE_MAX, UINT64_C(1) << 53, UINT64_C(1) << 49, ((UINT64_C(1) << 49) - 1) * 64},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(bao_chunks(rows[i].size), rows[i].chunks);
        assert_int_equal(bao_groups(rows[i].size), rows[i].groups);
        assert_int_equal(bao_outboard_size(rows[i].size), rows[i].outboard);
    }
}

// Node, chunks, and both indices, of a blob of seven groups.
static void pairs_have_their_places_in_both_orders(void **state) {
    (void)state;
    static const struct {
        uint64_t node, group, groups, pre, post;
    } rows[] = {{63, 0, 7, 0, 5}, {31, 0, 4, 1, 2}, {15, 0, 2, 2, 0},
                {47, 2, 2, 3, 1}, {95, 4, 3, 4, 4}, {79, 4, 2, 5, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(bao_node(rows[i].group * 16, rows[i].groups * 16), rows[i].node);
        assert_int_equal(bao_pre_index(100000, rows[i].group, rows[i].groups), rows[i].pre);
        assert_int_equal(bao_post_index(rows[i].group, rows[i].groups), rows[i].post);
        assert_int_equal(bao_pre_to_post(100000, rows[i].pre), rows[i].post);
    }
    assert_int_equal(bao_pre_index(100000, 6, 1), BAO_NO_PAIR);
    assert_int_equal(bao_pre_index(100000, 2, 4), BAO_NO_PAIR);
}

static void every_pair_has_one_place_in_each_order(void **state) {
    (void)state;
    for (uint64_t groups = 1; groups < 200; groups++) {
        uint64_t size = groups * BAO_GROUP - 5;
        bool seen[200] = {false};
        bao_walk w;
        bao_item item;
        ranges all = everything();
        uint64_t next = 0;
        for (bao_walk_start(&w, size, &all); bao_walk_next(&w, &item);) {
            if (item.leaf)
                continue;
            uint64_t whole = (item.chunks + 15) / 16, post = bao_post_index(item.chunk / 16, whole);
            assert_int_equal(item.pair, next++);
            assert_int_equal(bao_pre_index(size, item.chunk / 16, whole), item.pair);
            assert_int_equal(bao_pre_to_post(size, item.pair), post);
            assert_true(post < groups - 1 && !seen[post]);
            seen[post] = true;
        }
        assert_int_equal(next, groups - 1);
    }
}

static size_t append_item(char *text, const bao_item *item, const char *separator) {
    if (item->leaf)
        return (size_t)sprintf(text, "%sL[%llu+%zu]", separator, (unsigned long long)item->chunk, item->len);
    return (size_t)sprintf(text, "%sP%llu", separator, (unsigned long long)bao_node(item->chunk, item->chunks));
}

static void walks_give_the_items_of_the_vectors(void **state) {
    (void)state;
    vectors v;
    size_t count = 0;
    for (vectors_open(&v, "bao_rules.txt"); vectors_next(&v);) {
        if (!vectors_is(&v, "kind", "items"))
            continue;
        uint64_t bounds[BOUNDS_MAX], bytes = 0;
        char text[1024] = "", wanted[1024];
        size_t len = 0;
        bao_walk w;
        bao_item item;
        ranges r;
        ranges_from_bounds(&r, bounds, vectors_bounds(&v, "bounds", bounds));
        for (bao_walk_start(&w, vectors_u64(&v, "size"), &r); bao_walk_next(&w, &item); bytes += item.len)
            len += append_item(text + len, &item, len > 0 ? "," : "");
        (void)vectors_text(&v, "items", wanted, sizeof wanted);
        assert_string_equal(text, wanted);
        assert_int_equal(bytes, vectors_u64(&v, "bytes"));
        assert_int_equal(bao_encoded_size(vectors_u64(&v, "size"), &r), bytes + BAO_HEADER);
        ranges_dispose(&r);
        count++;
    }
    assert_int_equal(count, 6);
}

// 7 chunks: what a set of boundaries means once it is cut to the blob.
static void chunks_beyond_the_end_mean_the_last_one(void **state) {
    (void)state;
    static const struct {
        uint64_t bounds[5];
        size_t count;
        unsigned chunks;  // a bit each
    } rows[] = {
        {{0, 6}, 2, 0x3f},
        {{0, 7}, 2, 0x7f},
        {{0, 10, 11, 12}, 4, 0x7f},
        {{0, 6, 7, 10}, 4, 0x7f},
        {{3, 6, 7, 10}, 4, 0x78},
        {{0, 5, 7, 10}, 4, 0x5f},
        {{2}, 1, 0x7c},
        {{100}, 1, 0x40},
        {{6}, 1, 0x40},
        {{6, 7}, 2, 0x40},
        {{7, 8}, 2, 0x40},
        {{UINT64_MAX}, 1, 0x40},
        {{0, 1, 3, 4}, 4, 0x09},
        {{0}, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned chunks = 0;
        bao_walk w;
        bao_item item;
        ranges r;
        ranges_from_bounds(&r, rows[i].bounds, rows[i].count);
        for (bao_walk_start(&w, 6 * BAO_CHUNK + 1, &r); bao_walk_next(&w, &item);)
            for (uint64_t c = 0; item.leaf && c < item.chunks; c++)
                chunks |= 1U << (item.chunk + c);
        assert_int_equal(chunks, rows[i].chunks);
        ranges_dispose(&r);
    }
}

static void the_largest_blob_can_be_walked(void **state) {
    (void)state;
    static const uint64_t last = UINT64_MAX;
    bao_walk w;
    bao_item item = {0};
    ranges r;
    size_t parents = 0;
    ranges_from_bounds(&r, &last, 1);
    for (bao_walk_start(&w, BAO_SIZE_MAX, &r); bao_walk_next(&w, &item);)
        parents += !item.leaf;
    assert_int_equal(parents, 53);
    assert_true(bao_item_ends(&item, BAO_SIZE_MAX));
    assert_int_equal(item.len, BAO_CHUNK - 1);
    ranges_dispose(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_count_chunks_groups_and_pairs),
        cmocka_unit_test(pairs_have_their_places_in_both_orders),
        cmocka_unit_test(every_pair_has_one_place_in_each_order),
        cmocka_unit_test(walks_give_the_items_of_the_vectors),
        cmocka_unit_test(chunks_beyond_the_end_mean_the_last_one),
        cmocka_unit_test(the_largest_blob_can_be_walked),
    };
    return cmocka_run_group_tests_name("bao_tree", tests, NULL, NULL);
}
