// BLAKE3 in every variant that this machine runs: the official vectors, and random inputs against a plain reference.
#include "crypto/blake3.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/blake3_rows.h"
#include "unit/blake3_support.h"
#include "unit/vector_support.h"

#define INPUT (1 << 20)
#define OUTPUT 131  // bytes in the vectors

static uint8_t *input;  // the pattern

static int make_input(void **state) {
    (void)state;
    input = pattern_new(INPUT);
    return 0;
}

static int free_input(void **state) {
    (void)state;
    free(input);
    return 0;
}

// Runs `test` with each variant, and then with the best one again.
static void with_each_variant(void (*test)(void)) {
    const blake3_variant *best = blake3_best();
    for (size_t i = 0; i < blake3_variant_count; i++) {
        if (!blake3_variants[i].usable())
            continue;
        blake3_use(&blake3_variants[i]);
        test();
    }
    blake3_use(best);
}

static void check_output(const blake3 *h, const vectors *v, const char *word) {
    uint8_t wanted[OUTPUT], out[OUTPUT];
    assert_int_equal(vectors_bytes(v, word, wanted, sizeof wanted), OUTPUT);
    blake3_final(h, out, sizeof out);
    assert_memory_equal(out, wanted, OUTPUT);
    for (size_t from = 0; from < OUTPUT; from += 13) {
        blake3_final_seek(h, from, out, OUTPUT - from);
        assert_memory_equal(out, wanted + from, OUTPUT - from);
    }
}

static void check_vectors(void) {
    static const uint8_t key[] = "whats the Elvish word for friend";
    static const char context[] = "BLAKE3 2019-12-27 16:29:52 test vectors context";
    vectors v;
    size_t count = 0;
    for (vectors_open(&v, "blake3.txt"); vectors_next(&v); count++) {
        size_t len = (size_t)vectors_u64(&v, "len");
        uint8_t wanted[OUTPUT], out[BLAKE3_LEN];
        blake3 h;
        blake3_init(&h);
        blake3_update(&h, input, len);
        check_output(&h, &v, "hash");
        blake3_init_keyed(&h, key);
        blake3_update(&h, input, len);
        check_output(&h, &v, "keyed");
        blake3_init_derive(&h, context, strlen(context));
        blake3_update(&h, input, len);
        check_output(&h, &v, "derived");
        (void)vectors_bytes(&v, "hash", wanted, sizeof wanted);
        blake3_hash(input, len, out);
        assert_memory_equal(out, wanted, sizeof out);
    }
    assert_int_equal(count, 35);
}

static void official_vectors_hold_in_every_variant(void **state) {
    (void)state;
    with_each_variant(check_vectors);
}

static void check_lengths(void) {
    for (size_t chunks = 1; chunks <= 40; chunks++) {
        for (size_t len = chunks * BLAKE3_CHUNK - 1; len <= chunks * BLAKE3_CHUNK + 1; len++) {
            uint8_t out[BLAKE3_LEN], wanted[BLAKE3_LEN];
            reference_cv(0, input, len, true, wanted);
            blake3_hash(input, len, out);
            assert_memory_equal(out, wanted, sizeof out);
        }
    }
}

static void every_number_of_chunks_matches_the_reference(void **state) {
    (void)state;
    with_each_variant(check_lengths);
}

static void check_pieces(void) {
    uint64_t random = 1;
    for (int round = 0; round < 60; round++) {
        size_t len = (size_t)draw(&random, 100000), most = (size_t)1 << draw(&random, 17);
        uint8_t out[BLAKE3_LEN], wanted[BLAKE3_LEN];
        blake3 h;
        blake3_init(&h);
        for (size_t at = 0; at < len;) {
            size_t n = 1 + (size_t)draw(&random, most);
            n = n < len - at ? n : len - at;
            blake3_update(&h, input + at, n);
            at += n;
            if (most >= 8192) {
                // Asking in between changes nothing.
                blake3_final(&h, out, sizeof out);
                blake3_hash(input, at, wanted);
                assert_memory_equal(out, wanted, sizeof out);
            }
        }
        reference_cv(0, input, len, true, wanted);
        blake3_final(&h, out, sizeof out);
        assert_memory_equal(out, wanted, sizeof out);
    }
}

static void any_pieces_give_the_same_hash(void **state) {
    (void)state;
    with_each_variant(check_pieces);
}

static void check_subtrees(void) {
    uint64_t random = 2;
    for (int round = 0; round < 100; round++) {
        unsigned level = (unsigned)draw(&random, 8);
        size_t len = 1 + (size_t)draw(&random, (uint64_t)BLAKE3_CHUNK << level);
        // Beyond the first 2^32 chunks too.
        uint64_t chunk = (draw(&random, UINT64_C(1) << 40) >> level) << level;
        uint8_t out[BLAKE3_LEN], wanted[BLAKE3_LEN];
        reference_cv(chunk, input + round, len, false, wanted);
        blake3_subtree(chunk, input + round, len, false, out);
        assert_memory_equal(out, wanted, sizeof out);
    }
}

static void subtrees_match_the_reference(void **state) {
    (void)state;
    with_each_variant(check_subtrees);
}

static void check_many(void) {
    uint64_t random = 3;
    for (size_t count = 0; count <= BLAKE3_PIECES; count++) {
        for (unsigned level = 0; level <= BLAKE3_PIECE_LEVEL; level++) {
            blake3_piece pieces[BLAKE3_PIECES];
            uint8_t out[BLAKE3_PIECES][BLAKE3_LEN], wanted[BLAKE3_LEN];
            for (size_t i = 0; i < count; i++)
                pieces[i] = (blake3_piece){.data = input + draw(&random, INPUT / 2),
                                           .chunk = draw(&random, UINT64_C(1) << 40) << level};
            blake3_subtrees(pieces, count, level, out);
            for (size_t i = 0; i < count; i++) {
                reference_cv(pieces[i].chunk, pieces[i].data, (size_t)BLAKE3_CHUNK << level, false, wanted);
                assert_memory_equal(out[i], wanted, sizeof wanted);
            }
        }
    }
}

static void many_subtrees_at_once_match_the_reference(void **state) {
    (void)state;
    with_each_variant(check_many);
}

// Any number of inputs of any number of blocks, with counters around 2^32 and flags that differ from block to block.
static void check_kernels(void) {
    enum { MOST = 20, BLOCKS = 16 };
    uint32_t key[8], low[MOST], high[MOST];
    const uint8_t *inputs[MOST];
    uint64_t random = 4;
    memcpy(key, input + 77, sizeof key);
    for (size_t i = 0; i < MOST; i++) {
        uint64_t counter = UINT32_MAX - UINT64_C(7) + i;
        low[i] = (uint32_t)counter;
        high[i] = (uint32_t)(counter >> 32);
        inputs[i] = input + draw(&random, INPUT / 2);
    }
    for (size_t blocks = 1; blocks <= BLOCKS; blocks++) {
        blake3_job job = {.key = key,
                          .blocks = blocks,
                          .flags = BLAKE3_KEYED,
                          .first_flags = BLAKE3_CHUNK_START,
                          .last_flags = BLAKE3_CHUNK_END};
        uint8_t wanted[MOST * BLAKE3_LEN], out[MOST * BLAKE3_LEN];
        for (size_t i = 0; i < MOST; i++)
            blake3_kernel_generic(&job, &inputs[i], &low[i], &high[i], wanted + i * BLAKE3_LEN);
        for (size_t count = 0; count <= MOST; count++) {
            memset(out, 0, sizeof out);
            blake3_hash_many(blake3_best(), &job, inputs, &(blake3_counters){low, high}, count, out);
            assert_memory_equal(out, wanted, count * BLAKE3_LEN);
        }
    }
}

static void any_number_of_blocks_gives_what_plain_code_does(void **state) {
    (void)state;
    with_each_variant(check_kernels);
}

static void check_parents(void) {
    enum { MOST = 70 };
    uint8_t cvs[2 * MOST][BLAKE3_LEN], wanted[MOST][BLAKE3_LEN], out[BLAKE3_LEN];
    for (size_t count = 0; count <= MOST; count++) {
        const uint8_t *pairs[MOST];
        memcpy(cvs, input + count, sizeof cvs);
        for (size_t i = 0; i < count; i++) {
            pairs[i] = cvs[2 * i];
            reference_parent(cvs[2 * i], cvs[2 * i + 1], false, wanted[i]);
        }
        // In the place of their children.
        blake3_parents(pairs, count, cvs);
        assert_memory_equal(cvs, wanted, count * BLAKE3_LEN);
    }
    for (int root = 0; root < 2; root++) {
        reference_parent(input, input + BLAKE3_LEN, root != 0, wanted[0]);
        blake3_parent(input, root != 0, out);
        assert_memory_equal(out, wanted[0], sizeof out);
    }
}

static void parents_match_the_reference(void **state) {
    (void)state;
    with_each_variant(check_parents);
}

static void run_backwards(void *user, void (*task)(void *arg, size_t i), void *arg, size_t count) {
    *(size_t *)user += count;
    while (count-- > 0)
        task(arg, count);
}

static void an_executor_changes_nothing_but_who_works(void **state) {
    (void)state;
    size_t tasks = 0;
    const blake3_executor executor = {.user = &tasks, .run = run_backwards};
    for (size_t len = INPUT - 5000; len <= INPUT; len += 1000) {
        uint8_t out[BLAKE3_LEN], wanted[BLAKE3_LEN];
        blake3 h;
        blake3_hash(input, len, wanted);
        for (size_t first = 0; first <= 4096; first += 1024) {
            blake3_init(&h);
            blake3_update(&h, input, first);
            blake3_update_parallel(&h, input + first, len - first, &executor);
            blake3_final(&h, out, sizeof out);
            assert_memory_equal(out, wanted, sizeof out);
        }
    }
    assert_true(tasks > 0);
}

static void nothing_hashes_like_the_empty_input(void **state) {
    (void)state;
    uint8_t out[BLAKE3_LEN], wanted[BLAKE3_LEN];
    blake3 h;
    reference_cv(0, input, 0, true, wanted);
    blake3_init(&h);
    blake3_update(&h, NULL, 0);
    blake3_update_parallel(&h, NULL, 0, NULL);
    blake3_final(&h, out, sizeof out);
    assert_memory_equal(out, wanted, sizeof out);
    blake3_hash(NULL, 0, out);
    assert_memory_equal(out, wanted, sizeof out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(official_vectors_hold_in_every_variant),
        cmocka_unit_test(every_number_of_chunks_matches_the_reference),
        cmocka_unit_test(any_pieces_give_the_same_hash),
        cmocka_unit_test(subtrees_match_the_reference),
        cmocka_unit_test(many_subtrees_at_once_match_the_reference),
        cmocka_unit_test(any_number_of_blocks_gives_what_plain_code_does),
        cmocka_unit_test(parents_match_the_reference),
        cmocka_unit_test(an_executor_changes_nothing_but_who_works),
        cmocka_unit_test(nothing_hashes_like_the_empty_input),
    };
    return cmocka_run_group_tests_name("blake3", tests, make_input, free_input);
}
