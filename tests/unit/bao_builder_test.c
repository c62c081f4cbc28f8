// Outboards made in one pass: the original's, in any pieces, with and without the size, by one thread or many.
#include "blobs/bao.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/bao_support.h"

// Both outboards of a blob, and what was said about their order.
typedef struct kept {
    uint8_t *pre, *post;
    uint64_t size, next;
    bool known;
    int error;  // to return instead
} kept;

static int keep(void *user, uint64_t pre, uint64_t post, const uint8_t pair[BAO_PAIR]) {
    kept *k = user;
    if (k->error != 0)
        return k->error;
    assert_true(post < bao_outboard_size(k->size) / BAO_PAIR);
    assert_int_equal(post, k->next++);
    memcpy(k->post + post * BAO_PAIR, pair, BAO_PAIR);
    if (k->known) {
        assert_true(pre < bao_outboard_size(k->size) / BAO_PAIR);
        memcpy(k->pre + pre * BAO_PAIR, pair, BAO_PAIR);
    } else {
        assert_int_equal(pre, BAO_NO_PAIR);
    }
    return 0;
}

static void kept_make(kept *k, uint64_t size, bool known) {
    *k = (kept){.size = size, .known = known};
    k->pre = calloc(1, (size_t)bao_outboard_size(size) + 1);
    k->post = calloc(1, (size_t)bao_outboard_size(size) + 1);
    assert_true(k->pre != NULL && k->post != NULL);
}

static void kept_free(kept *k) {
    free(k->pre);
    free(k->post);
}

// An outboard in post-order is brought into pre-order where that was not known at once.
static void reorder(kept *k) {
    for (uint64_t i = 0; i < bao_outboard_size(k->size) / BAO_PAIR; i++)
        memcpy(k->pre + i * BAO_PAIR, k->post + bao_pre_to_post(k->size, i) * BAO_PAIR, BAO_PAIR);
}

static bao_builder *builder;

static int make_builder(void **state) {
    (void)state;
    return bao_builder_new(&builder);
}

static int free_builder(void **state) {
    (void)state;
    bao_builder_free(builder);
    return 0;
}

static void run_backwards(void *user, void (*task)(void *arg, size_t i), void *arg, size_t count) {
    *(size_t *)user += count;
    while (count-- > 0)
        task(arg, count);
}

// Adds `data` in pieces of 1..`most` bytes.
static void build(kept *k, const uint8_t *data, size_t most, uint64_t *random, const blake3_executor *executor,
                  uint8_t root[static BLAKE3_LEN]) {
    const bao_sink sink = {.user = k, .pair = keep};
    uint64_t size;
    bao_builder_start(builder, k->known ? k->size : BAO_SIZE_UNKNOWN, &sink);
    for (size_t at = 0; at < k->size;) {
        size_t n = 1 + (size_t)draw(random, most);
        n = n < k->size - at ? n : (size_t)k->size - at;
        assert_int_equal(bao_builder_add(builder, data + at, n, executor), 0);
        at += n;
    }
    assert_int_equal(bao_builder_finish(builder, root, &size), 0);
    assert_int_equal(size, k->size);
    assert_int_equal(k->next, bao_outboard_size(size) / BAO_PAIR);
    if (!k->known)
        reorder(k);
}

static void assert_hash(const vectors *v, const char *word, const uint8_t *bytes, size_t len) {
    uint8_t wanted[BLAKE3_LEN], hash[BLAKE3_LEN];
    assert_int_equal(vectors_bytes(v, word, wanted, sizeof wanted), BLAKE3_LEN);
    blake3_hash(bytes, len, hash);
    assert_memory_equal(hash, wanted, BLAKE3_LEN);
}

static size_t check_outboards(const char *file) {
    vectors v;
    size_t count = 0;
    uint64_t random = 20;
    for (vectors_open(&v, file); vectors_next(&v);) {
        if (!vectors_is(&v, "kind", "outboard"))
            continue;
        size_t size = (size_t)vectors_u64(&v, "size"), len = (size_t)bao_outboard_size(size);
        uint8_t *data = pattern_new(size), root[BLAKE3_LEN], wanted[BLAKE3_LEN];
        assert_int_equal(len, vectors_u64(&v, "len"));
        for (int known = 0; known < 2; known++) {
            kept k;
            kept_make(&k, size, known != 0);
            build(&k, data, 1 << 20, &random, NULL, root);
            assert_hash(&v, "pre", k.pre, len);
            assert_hash(&v, "post", k.post, len);
            if (vectors_has(&v, "root")) {
                (void)vectors_bytes(&v, "root", wanted, sizeof wanted);
                assert_memory_equal(root, wanted, BLAKE3_LEN);
            }
            kept_free(&k);
        }
        free(data);
        count++;
    }
    return count;
}

static void outboards_are_those_of_the_original(void **state) {
    (void)state;
    assert_int_equal(check_outboards("bao.txt"), 27);
}

static void outboards_are_those_of_the_rules(void **state) {
    (void)state;
    assert_int_equal(check_outboards("bao_rules.txt"), 6);
}

static void roots_pairs_and_values_are_those_of_the_rules(void **state) {
    (void)state;
    vectors v;
    size_t roots = 0, pairs = 0, values = 0;
    for (vectors_open(&v, "bao_rules.txt"); vectors_next(&v);) {
        uint8_t wanted[1024], out[BLAKE3_LEN];
        blob b;
        blob_make(&b, (size_t)vectors_u64(&v, "size"));
        if (vectors_is(&v, "kind", "root")) {
            (void)vectors_bytes(&v, "root", wanted, sizeof wanted);
            assert_memory_equal(b.root, wanted, BLAKE3_LEN);
            roots++;
        } else if (vectors_is(&v, "kind", "pairs")) {
            assert_int_equal(vectors_bytes(&v, "pairs", wanted, sizeof wanted), b.memory.outboard_size);
            assert_memory_equal(b.outboard, wanted, b.memory.outboard_size);
            pairs++;
        } else if (vectors_is(&v, "kind", "cv")) {
            uint64_t chunk = vectors_u64(&v, "chunk");
            blake3_subtree(chunk, b.data + chunk * BAO_CHUNK, (size_t)vectors_u64(&v, "len"), false, out);
            (void)vectors_bytes(&v, "cv", wanted, sizeof wanted);
            assert_memory_equal(out, wanted, BLAKE3_LEN);
            values++;
        }
        blob_free(&b);
    }
    assert_true(roots == 11 && pairs == 1 && values == 6);
}

static void pieces_size_and_threads_do_not_matter(void **state) {
    (void)state;
    uint64_t random = 21;
    size_t tasks = 0;
    const blake3_executor executor = {.user = &tasks, .run = run_backwards};
    for (int round = 0; round < 80; round++) {
        size_t size = (size_t)draw(&random, round % 8 == 0 ? 6000000 : 300000);
        // Whole groups are where something is held back.
        if (round % 3 == 0)
            size -= size % BAO_GROUP;
        blob b;
        kept k;
        uint8_t root[BLAKE3_LEN];
        blob_make(&b, size);
        kept_make(&k, size, draw(&random, 2) != 0);
        size_t most = (size_t)1 << (round % 8 == 0 ? 15 + draw(&random, 9) : 9 + draw(&random, 14));
        build(&k, b.data, most, &random, draw(&random, 2) != 0 ? &executor : NULL, root);
        assert_memory_equal(root, b.root, BLAKE3_LEN);
        assert_memory_equal(k.pre, b.outboard, b.memory.outboard_size);
        kept_free(&k);
        blob_free(&b);
    }
    assert_true(tasks > 0);
}

static void a_size_that_is_not_kept_is_an_error(void **state) {
    (void)state;
    uint8_t root[BLAKE3_LEN];
    blob b;
    const bao_sink none = {.pair = NULL};
    blob_make(&b, 40000);
    bao_builder_start(builder, 39999, &none);
    assert_int_equal(bao_builder_add(builder, b.data, 40000, NULL), IROH_ERR_LENGTH);
    assert_int_equal(bao_builder_add(builder, b.data, 1, NULL), IROH_ERR_LENGTH);
    bao_builder_start(builder, 40001, &none);
    assert_int_equal(bao_builder_add(builder, b.data, 40000, NULL), 0);
    assert_int_equal(bao_builder_finish(builder, root, NULL), IROH_ERR_LENGTH);
    bao_builder_start(builder, 40000, &none);
    assert_int_equal(bao_builder_add(builder, b.data, 40000, NULL), 0);
    assert_int_equal(bao_builder_finish(builder, root, NULL), 0);
    assert_memory_equal(root, b.root, BLAKE3_LEN);
    blob_free(&b);
}

static void an_error_of_the_sink_ends_all(void **state) {
    (void)state;
    kept k = {.error = IROH_ERR_IO};
    const bao_sink sink = {.user = &k, .pair = keep};
    uint8_t root[BLAKE3_LEN], *data = pattern_new(100000);
    bao_builder_start(builder, BAO_SIZE_UNKNOWN, &sink);
    assert_int_equal(bao_builder_add(builder, data, 100000, NULL), IROH_ERR_IO);
    assert_int_equal(bao_builder_add(builder, data, 1, NULL), IROH_ERR_IO);
    assert_int_equal(bao_builder_finish(builder, root, NULL), IROH_ERR_IO);
    // Its only pair comes at the end.
    bao_builder_start(builder, 20000, &sink);
    assert_int_equal(bao_builder_add(builder, data, 20000, NULL), 0);
    assert_int_equal(bao_builder_finish(builder, root, NULL), IROH_ERR_IO);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outboards_are_those_of_the_original),
        cmocka_unit_test(outboards_are_those_of_the_rules),
        cmocka_unit_test(roots_pairs_and_values_are_those_of_the_rules),
        cmocka_unit_test(pieces_size_and_threads_do_not_matter),
        cmocka_unit_test(a_size_that_is_not_kept_is_an_error),
        cmocka_unit_test(an_error_of_the_sink_ends_all),
    };
    return cmocka_run_group_tests_name("bao_builder", tests, make_builder, free_builder);
}
