// Which chunks of a damaged or partial copy count as valid.
#include "blobs/bao.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/bao_support.h"

static bao_checker *checker;

static int make_checker(void **state) {
    (void)state;
    return bao_checker_new(&checker);
}

static int free_checker(void **state) {
    (void)state;
    bao_checker_free(checker);
    return 0;
}

// The result of the last step; `valid` is to be disposed of.
static int check(const blob *b, const ranges *wanted, const bao_source *source, bool data, ranges *valid) {
    int result;
    *valid = RANGES_INIT;
    assert_int_equal(bao_checker_start(checker, b->root, b->memory.size, wanted, source, data), 0);
    do
        result = bao_checker_step(checker, valid);
    while (result == 0);
    return result;
}

static void assert_ranges(const ranges *r, const uint64_t *bounds, size_t count) {
    assert_int_equal(ranges_count(r) * 2, count);
    for (size_t i = 0; i < count / 2; i++) {
        assert_int_equal(ranges_items(r)[i].start, bounds[2 * i]);
        assert_int_equal(ranges_items(r)[i].end, bounds[2 * i + 1]);
    }
}

static void damage_is_found_as_the_original_finds_it(void **state) {
    (void)state;
    vectors v;
    size_t count = 0;
    ranges all = everything(), valid;
    for (vectors_open(&v, "bao.txt"); vectors_next(&v);) {
        if (!vectors_is(&v, "kind", "valid"))
            continue;
        uint64_t bounds[BOUNDS_MAX];
        size_t bound_count = vectors_bounds(&v, "valid", bounds);
        blob b;
        blob_make(&b, (size_t)vectors_u64(&v, "size"));
        b.data[vectors_u64(&v, "bad")] ^= 1;
        if (vectors_has(&v, "pair"))
            b.outboard[vectors_u64(&v, "pair")] ^= 1;
        assert_int_equal(check(&b, &all, &b.source, true, &valid), 1);
        assert_ranges(&valid, bounds, bound_count);
        ranges_dispose(&valid);
        blob_free(&b);
        count++;
    }
    assert_int_equal(count, 24);
}

static void whole_blobs_are_valid(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 1024, 16384, 16385, 100000, 1 << 20, 5000000};
    ranges all = everything(), valid;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t bounds[] = {0, sizes[i] > 0 ? bao_chunks(sizes[i]) : 1};
        blob b;
        blob_make(&b, sizes[i]);
        for (int data = 0; data < 2; data++) {
            assert_int_equal(check(&b, &all, &b.source, data != 0, &valid), 1);
            assert_ranges(&valid, bounds, 2);
            ranges_dispose(&valid);
        }
        blob_free(&b);
    }
}

static void only_groups_with_wanted_chunks_are_looked_at(void **state) {
    (void)state;
    static const uint64_t wanted[] = {17, 18, 47, 49}, bounds[] = {16, 64};
    static const uint64_t last[] = {UINT64_MAX}, last_bounds[] = {96, 98};
    ranges r, valid;
    blob b;
    blob_make(&b, 100000);
    b.data[0] ^= 1;
    ranges_from_bounds(&r, wanted, 4);
    assert_int_equal(check(&b, &r, &b.source, true, &valid), 1);
    assert_ranges(&valid, bounds, 2);
    ranges_dispose(&valid);
    ranges_dispose(&r);
    ranges_from_bounds(&r, last, 1);
    assert_int_equal(check(&b, &r, &b.source, true, &valid), 1);
    assert_ranges(&valid, last_bounds, 2);
    ranges_dispose(&valid);
    ranges_dispose(&r);
    blob_free(&b);
}

// Has what it has, and fails with `error` for the rest.
typedef struct holey {
    const blob *b;
    uint64_t data_end, pair_end;
    int error;
} holey;

static int holey_pair(void *user, uint64_t index, uint8_t out[BAO_PAIR]) {
    holey *h = user;
    return index >= h->pair_end ? h->error : h->b->source.pair(h->b->source.user, index, out);
}

static int holey_data(void *user, uint64_t offset, uint8_t *out, size_t len) {
    holey *h = user;
    return offset + len > h->data_end ? h->error : h->b->source.data(h->b->source.user, offset, out, len);
}

static void what_is_missing_is_not_valid(void **state) {
    (void)state;
    // Pair 4 is that of groups 4..6, pair 5 that of groups 4 and 5.
    static const uint64_t by_data[] = {0, 48}, by_pair[] = {0, 64, 96, 98}, outboard[] = {0, 64};
    ranges all = everything(), valid;
    blob b;
    blob_make(&b, 100000);
    holey h = {.b = &b, .data_end = 50000, .pair_end = 100, .error = IROH_ERR_NOT_FOUND};
    const bao_source source = {.user = &h, .pair = holey_pair, .data = holey_data};
    assert_int_equal(check(&b, &all, &source, true, &valid), 1);
    assert_ranges(&valid, by_data, 2);
    ranges_dispose(&valid);
    h.data_end = 100000;
    h.pair_end = 5;
    assert_int_equal(check(&b, &all, &source, true, &valid), 1);
    assert_ranges(&valid, by_pair, 4);
    ranges_dispose(&valid);
    h.pair_end = 4;
    assert_int_equal(check(&b, &all, &source, false, &valid), 1);
    assert_ranges(&valid, outboard, 2);
    ranges_dispose(&valid);
    // Any other error is the caller's to hear.
    h.error = IROH_ERR_IO;
    assert_int_equal(check(&b, &all, &source, true, &valid), IROH_ERR_IO);
    assert_int_equal(bao_checker_step(checker, &valid), IROH_ERR_IO);
    ranges_dispose(&valid);
    blob_free(&b);
}

static void another_root_leaves_nothing_valid(void **state) {
    (void)state;
    ranges all = everything(), valid;
    blob b;
    blob_make(&b, 100000);
    b.root[0] ^= 1;
    assert_int_equal(check(&b, &all, &b.source, true, &valid), 1);
    assert_int_equal(ranges_count(&valid), 0);
    assert_int_equal(bao_checker_start(checker, b.root, (uint64_t)BAO_SIZE_MAX + 1, &all, &b.source, true),
                     IROH_ERR_RANGE);
    blob_free(&b);
}

// Groups that are each damaged or not, by chance.
static void any_damage_costs_its_groups_alone(void **state) {
    (void)state;
    uint64_t random = 30;
    ranges all = everything(), valid;
    for (int round = 0; round < 30; round++) {
        blob b;
        blob_make(&b, 1 + (size_t)draw(&random, 1 << 20));
        size_t groups = (size_t)bao_groups(b.memory.size);
        bool bad[64] = {false};
        for (size_t g = 0; g < groups; g++) {
            bad[g] = draw(&random, 3) == 0;
            if (bad[g])
                b.data[g * BAO_GROUP] ^= 0x80;
        }
        assert_int_equal(check(&b, &all, &b.source, true, &valid), 1);
        for (size_t g = 0; g < groups; g++) {
            uint64_t end = (g + 1) * BAO_GROUP_CHUNKS < bao_chunks(b.memory.size) ? (g + 1) * BAO_GROUP_CHUNKS
                                                                                  : bao_chunks(b.memory.size);
            for (uint64_t chunk = g * BAO_GROUP_CHUNKS; chunk < end; chunk++)
                assert_int_equal(ranges_contains(&valid, chunk), !bad[g]);
        }
        ranges_dispose(&valid);
        blob_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_found_as_the_original_finds_it),
        cmocka_unit_test(whole_blobs_are_valid),
        cmocka_unit_test(only_groups_with_wanted_chunks_are_looked_at),
        cmocka_unit_test(what_is_missing_is_not_valid),
        cmocka_unit_test(another_root_leaves_nothing_valid),
        cmocka_unit_test(any_damage_costs_its_groups_alone),
    };
    return cmocka_run_group_tests_name("bao_checker", tests, make_checker, free_checker);
}
