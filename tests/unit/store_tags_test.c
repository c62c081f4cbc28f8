// What keeps blobs alive, and what collection takes away, in both stores.
#include "unit/store_support.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blobs/bao.h"

static char scratch[STORE_PATH];

static int on_disk(void **state) {
    store_scratch(scratch);
    iroh_store_config config = {.threads = 1};
    return iroh_store_open(scratch, &config, (iroh_store **)state);
}

static int in_memory(void **state) {
    store_scratch(scratch);
    return iroh_store_memory(NULL, (iroh_store **)state);
}

static int tear_down(void **state) {
    iroh_store_free(*state);
    store_scratch_remove(scratch);
    return 0;
}

static iroh_content content_of(const char *text, int format) {
    iroh_content c = {.format = format};
    iroh_hash_of(text, strlen(text), &c.hash);
    return c;
}

static bool same(const iroh_content *a, const iroh_content *b) {
    return memcmp(a->hash.bytes, b->hash.bytes, 32) == 0 && a->format == b->format;
}

static void a_tag_is_set_replaced_and_removed(void **state) {
    iroh_store *s = *state;
    iroh_content a = content_of("a", IROH_BLOB_RAW), b = content_of("b", IROH_BLOB_HASH_SEQ), got;
    assert_int_equal(iroh_tag_get(s, "x", 1, &got), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_tag_set(s, "x", 1, &a), 0);
    assert_int_equal(iroh_tag_get(s, "x", 1, &got), 0);
    assert_true(same(&got, &a));
    assert_int_equal(iroh_tag_set(s, "x", 1, &b), 0);
    assert_int_equal(iroh_tag_get(s, "x", 1, &got), 0);
    assert_true(same(&got, &b));
    assert_int_equal(iroh_tag_remove(s, "x", 1), 1);
    assert_int_equal(iroh_tag_remove(s, "x", 1), 0);
    assert_int_equal(iroh_tag_get(s, "x", 1, &got), IROH_ERR_NOT_FOUND);
}

static void names_are_any_bytes_in_order(void **state) {
    iroh_store *s = *state;
    static const struct {
        const char *bytes;
        size_t len;
    } names[] = {{"", 0}, {"\0", 1}, {"\0\xff", 2}, {"a", 1}, {"a\0", 2}, {"ab", 2}, {"b", 1}, {"\xff", 1}};
    size_t count = sizeof names / sizeof *names;
    iroh_content c = content_of("c", IROH_BLOB_RAW);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(iroh_tag_set(s, names[(i * 5 + 3) % count].bytes, names[(i * 5 + 3) % count].len, &c), 0);
    iroh_tag *tag = malloc(sizeof *tag);
    assert_int_equal(iroh_tag_next(s, NULL, 0, false, tag), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(tag->len, names[i].len);
        assert_memory_equal(tag->name, names[i].bytes, tag->len);
        iroh_tag before = *tag;
        assert_int_equal(iroh_tag_next(s, before.name, before.len, true, tag), i + 1 < count ? 0 : IROH_ERR_NOT_FOUND);
    }
    assert_int_equal(iroh_tag_next(s, "aa", 2, false, tag), 0);
    assert_int_equal(tag->len, 2);
    assert_memory_equal(tag->name, "ab", 2);
    free(tag);
}

static void prefixes_remove_what_begins_with_them(void **state) {
    iroh_store *s = *state;
    iroh_content c = content_of("c", IROH_BLOB_RAW), got;
    assert_int_equal(iroh_tag_set(s, "a\xff", 2, &c), 0);
    assert_int_equal(iroh_tag_set(s, "a\xff\xff", 3, &c), 0);
    assert_int_equal(iroh_tag_set(s, "a\xffz", 3, &c), 0);
    assert_int_equal(iroh_tag_set(s, "b", 1, &c), 0);
    assert_int_equal(iroh_tag_remove_prefix(s, "a\xff", 2), 3);
    assert_int_equal(iroh_tag_get(s, "b", 1, &got), 0);
    assert_int_equal(iroh_tag_remove_prefix(s, "zz", 2), 0);
    assert_int_equal(iroh_tag_remove_prefix(s, NULL, 0), 1);
}

static void renaming_moves_and_overwrites(void **state) {
    iroh_store *s = *state;
    iroh_content a = content_of("a", IROH_BLOB_RAW), b = content_of("b", IROH_BLOB_RAW), got;
    assert_int_equal(iroh_tag_rename(s, "x", 1, "y", 1), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_tag_set(s, "x", 1, &a), 0);
    assert_int_equal(iroh_tag_set(s, "y", 1, &b), 0);
    assert_int_equal(iroh_tag_rename(s, "x", 1, "y", 1), 0);
    assert_int_equal(iroh_tag_get(s, "x", 1, &got), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_tag_get(s, "y", 1, &got), 0);
    assert_true(same(&got, &a));
    assert_int_equal(iroh_tag_rename(s, "y", 1, "y", 1), 0);
    assert_int_equal(iroh_tag_get(s, "y", 1, &got), 0);
}

static void automatic_names_differ(void **state) {
    iroh_store *s = *state;
    iroh_content c = content_of("c", IROH_BLOB_RAW);
    iroh_tag *tags = calloc(2, sizeof *tags);
    for (int i = 0; i < 50; i++)
        assert_int_equal(iroh_tag_create(s, &c, &tags[0]), 0);
    assert_memory_equal(tags[0].name, "auto-2", 6);
    assert_int_equal(tags[0].name[15], 'T');
    assert_int_equal(iroh_tag_remove_prefix(s, "auto-", 5), 50);
    free(tags);
}

static void bad_arguments_are_refused(void **state) {
    iroh_store *s = *state;
    static const uint8_t name[IROH_TAG_MAX + 1];
    iroh_content c = content_of("c", 7);
    assert_int_equal(iroh_tag_set(s, "x", 1, &c), IROH_ERR_ARG);
    c.format = IROH_BLOB_RAW;
    assert_int_equal(iroh_tag_set(s, name, sizeof name, &c), IROH_ERR_ARG);
    assert_int_equal(iroh_tag_set(s, NULL, 1, &c), IROH_ERR_ARG);
    assert_int_equal(iroh_tag_set(s, name, IROH_TAG_MAX, &c), 0);
    assert_int_equal(iroh_tag_set(NULL, "x", 1, &c), IROH_ERR_ARG);
}

// Collection

static iroh_hash add(iroh_store *s, uint64_t seed, size_t len, const iroh_add_options *o) {
    uint8_t *data = store_bytes(seed, len);
    iroh_hash hash;
    assert_int_equal(iroh_store_add_bytes(s, data, len, o, &hash), 0);
    free(data);
    return hash;
}

static int state_of(iroh_store *s, const iroh_hash *hash) {
    return store_status_of(s, hash).state;
}

static iroh_gc_stats collect(iroh_store *s) {
    iroh_gc_stats stats;
    assert_int_equal(iroh_store_gc(s, NULL, NULL, &stats), 0);
    return stats;
}

static size_t files(iroh_store *s) {
    (void)s;
    char path[STORE_PATH + 8];
    (void)snprintf(path, sizeof path, "%s/data", scratch);
    DIR *dir = opendir(path);
    size_t count = 0;
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        closedir(dir);
    return dir != NULL ? count - 2 : 0;
}

static void tags_of_all_kinds_protect(void **state) {
    iroh_store *s = *state;
    iroh_temp_tag *temp;
    iroh_batch *batch;
    assert_int_equal(iroh_batch_new(s, &batch), 0);
    iroh_add_options by_batch = {.batch = batch}, by_name = {.tag = "n", .tag_len = 1}, by_temp = {.temp_tag = &temp};
    iroh_hash a = add(s, 1, 100000, NULL), b = add(s, 2, 100000, &by_batch), c = add(s, 3, 100000, &by_name),
              d = add(s, 4, 100000, &by_temp);
    iroh_content protected = iroh_temp_tag_content(temp);
    assert_memory_equal(protected.hash.bytes, d.bytes, 32);
    assert_int_equal(iroh_store_temp_contents(s, NULL, 0), 2);
    assert_int_equal(collect(s).kept, 4);
    iroh_temp_tag_free(temp);
    assert_int_equal(collect(s).removed, 1);
    assert_int_equal(state_of(s, &d), IROH_BLOB_ABSENT);
    iroh_batch_free(batch);
    assert_int_equal(collect(s).removed, 1);
    assert_int_equal(state_of(s, &b), IROH_BLOB_ABSENT);
    assert_int_equal(iroh_tag_remove(s, "n", 1), 1);
    assert_int_equal(collect(s).removed, 1);
    assert_int_equal(state_of(s, &c), IROH_BLOB_ABSENT);
    assert_int_equal(state_of(s, &a), IROH_BLOB_COMPLETE);
    assert_int_equal(iroh_tag_remove_prefix(s, NULL, 0), 1);
    assert_int_equal(collect(s).removed, 1);
    assert_int_equal(files(s), 0);
    assert_int_equal(iroh_store_next(s, NULL, &a, NULL), IROH_ERR_NOT_FOUND);
}

// A sequence of 3000 hashes, of which two are those of blobs.
static iroh_hash add_sequence(iroh_store *s, const iroh_hash *first, const iroh_hash *last, const iroh_add_options *o) {
    enum { COUNT = 3000 };
    iroh_hash *all = (iroh_hash *)store_bytes(9, COUNT * sizeof *all);
    all[0] = *first;
    all[COUNT - 1] = *last;
    iroh_hash hash;
    assert_int_equal(iroh_store_add_bytes(s, all, COUNT * sizeof *all, o, &hash), 0);
    free(all);
    return hash;
}

static void sequences_keep_their_children(void **state) {
    iroh_store *s = *state;
    iroh_batch *batch;
    assert_int_equal(iroh_batch_new(s, &batch), 0);
    iroh_add_options by_batch = {.batch = batch};
    iroh_hash a = add(s, 1, 10, &by_batch), b = add(s, 2, 50000, &by_batch), c = add(s, 3, 10, &by_batch);
    iroh_add_options as_raw = {.tag = "0 raw", .tag_len = 5};
    iroh_add_options as_sequence = {.tag = "1 seq", .tag_len = 5, .format = IROH_BLOB_HASH_SEQ};
    // Alive as raw bytes first: that must not hide the children.
    iroh_hash sequence = add_sequence(s, &a, &b, &as_raw);
    (void)add_sequence(s, &a, &b, &as_sequence);
    iroh_batch_free(batch);
    iroh_gc_stats stats = collect(s);
    assert_int_equal(stats.kept, 3);
    assert_int_equal(stats.removed, 1);
    assert_int_equal(state_of(s, &c), IROH_BLOB_ABSENT);
    assert_int_equal(state_of(s, &a), IROH_BLOB_COMPLETE);
    assert_int_equal(iroh_tag_remove(s, "1 seq", 5), 1);
    assert_int_equal(collect(s).removed, 2);
    assert_int_equal(state_of(s, &sequence), IROH_BLOB_COMPLETE);
}

static void partial_sequences_keep_the_children_that_are_known(void **state) {
    iroh_store *s = *state;
    iroh_batch *batch;
    assert_int_equal(iroh_batch_new(s, &batch), 0);
    iroh_add_options by_batch = {.batch = batch};
    iroh_hash a = add(s, 1, 10, &by_batch), b = add(s, 2, 10, &by_batch);
    enum { COUNT = 3000 };
    iroh_hash *all = (iroh_hash *)store_bytes(9, COUNT * sizeof *all);
    all[0] = a;
    all[COUNT - 1] = b;
    iroh_content c = {.hash = store_hash((uint8_t *)all, COUNT * sizeof *all), .format = IROH_BLOB_HASH_SEQ};
    assert_int_equal(store_receive(s, (uint8_t *)all, COUNT * sizeof *all, BAO_LAST, BAO_END), 0);
    assert_int_equal(iroh_tag_set(s, "t", 1, &c), 0);
    iroh_batch_free(batch);
    assert_int_equal(collect(s).removed, 1);
    assert_int_equal(state_of(s, &a), IROH_BLOB_ABSENT);
    assert_int_equal(state_of(s, &b), IROH_BLOB_COMPLETE);
    assert_int_equal(state_of(s, &c.hash), IROH_BLOB_PARTIAL);
    free(all);
}

static void open_blobs_are_left_alone(void **state) {
    iroh_store *s = *state;
    uint8_t *data = store_bytes(1, 100000);
    iroh_hash hash = store_hash(data, 100000);
    store_blob *b;
    assert_int_equal(store_receive(s, data, 100000, 0, 16), 0);
    assert_int_equal(store_blob_open(s, &hash, &b), 0);
    assert_int_equal(collect(s).removed, 0);
    assert_int_equal(store_verified_chunks(s, &hash), 16);
    store_blob_close(b);
    assert_int_equal(collect(s).removed, 1);
    assert_int_equal(state_of(s, &hash), IROH_BLOB_ABSENT);
    // And it can come back.
    assert_int_equal(store_receive(s, data, 100000, 0, BAO_END), 0);
    assert_true(store_serves(s, &hash, data, 100000));
    free(data);
}

typedef struct extra {
    iroh_store *store;
    iroh_hash root, fresh;
    int result;
} extra;

static int more_roots(void *user, int (*keep)(void *arg, const iroh_hash *hash), void *arg) {
    extra *e = user;
    int r = keep(arg, &e->root);
    // What comes while the collection runs is safe as well.
    iroh_temp_tag *temp;
    iroh_add_options o = {.temp_tag = &temp};
    assert_int_equal(iroh_store_add_bytes(e->store, "fresh", 5, &o, &e->fresh), 0);
    iroh_temp_tag_free(temp);
    return r < 0 ? r : e->result;
}

static void the_program_names_more_roots(void **state) {
    iroh_store *s = *state;
    iroh_batch *batch;
    assert_int_equal(iroh_batch_new(s, &batch), 0);
    iroh_add_options by_batch = {.batch = batch};
    extra e = {.store = s, .root = add(s, 1, 10, &by_batch), .result = IROH_ERR_CLOSED};
    iroh_hash other = add(s, 2, 10, &by_batch);
    iroh_batch_free(batch);
    assert_int_equal(iroh_store_gc(s, more_roots, &e, NULL), IROH_ERR_CLOSED);
    assert_int_equal(state_of(s, &other), IROH_BLOB_COMPLETE);
    e.result = 0;
    assert_int_equal(iroh_store_gc(s, more_roots, &e, NULL), 0);
    assert_int_equal(state_of(s, &other), IROH_BLOB_ABSENT);
    assert_int_equal(state_of(s, &e.root), IROH_BLOB_COMPLETE);
    assert_int_equal(state_of(s, &e.fresh), IROH_BLOB_COMPLETE);
}

static void many_blobs_are_collected_in_steps(void **state) {
    iroh_store *s = *state;
    iroh_batch *batch;
    assert_int_equal(iroh_batch_new(s, &batch), 0);
    iroh_add_options by_batch = {.batch = batch};
    for (uint64_t i = 0; i < 1050; i++)
        (void)add(s, i, 8 + i, i % 3 == 0 ? NULL : &by_batch);
    iroh_batch_free(batch);
    iroh_gc_stats stats = collect(s);
    assert_int_equal(stats.kept, 350);
    assert_int_equal(stats.removed, 700);
}

#define BOTH(test)                                                                                                     \
    {#test "_on_disk", test, on_disk, tear_down, NULL}, {                                                              \
#test "_in_memory", test, in_memory, tear_down, NULL                                                           \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(a_tag_is_set_replaced_and_removed),
        BOTH(names_are_any_bytes_in_order),
        BOTH(prefixes_remove_what_begins_with_them),
        BOTH(renaming_moves_and_overwrites),
        BOTH(automatic_names_differ),
        BOTH(bad_arguments_are_refused),
        BOTH(tags_of_all_kinds_protect),
        BOTH(sequences_keep_their_children),
        BOTH(partial_sequences_keep_the_children_that_are_known),
        BOTH(open_blobs_are_left_alone),
        BOTH(the_program_names_more_roots),
        BOTH(many_blobs_are_collected_in_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
