// Blobs from one store to another over a connection: all of them, parts of them, and only what is missing.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit/blobs_support.h"

typedef struct tally {
    iroh_get_progress last;
} tally;

static void on_progress(void *user, const iroh_get_progress *p) {
    ((tally *)user)->last = *p;
}

static iroh_get_options counting(tally *t) {
    iroh_get_options o;
    *t = (tally){{0}};
    iroh_get_options_default(&o);
    o.progress = on_progress;
    o.user = t;
    return o;
}

static void blobs_of_all_sizes_arrive(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 32769, 100000, 1048576, 3000001};
    blobs_duo d;
    blobs_duo_open(&d, NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        iroh_content content = blobs_raw(blobs_add(d.there, sizes[i]));
        assert_int_equal(iroh_blobs_get(d.c, d.here, &content, NULL), 0);
        blobs_assert_there(d.here, sizes[i]);
    }
    blobs_duo_free(&d);
}

static void what_is_there_is_not_fetched_again(void **state) {
    (void)state;
    blobs_duo d;
    tally t;
    blobs_duo_open(&d, NULL);
    iroh_content content = blobs_raw(blobs_add(d.there, 200000));
    iroh_get_options o = counting(&t);
    uint64_t chunks[] = {20, 60};  // the groups of 16..64
    o.chunks = chunks;
    o.chunk_count = 2;
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, &o), 0);
    assert_int_equal(t.last.bytes, 48 * 1024);
    iroh_blob_status status;
    assert_int_equal(iroh_store_status(d.here, &content.hash, &status), 0);
    assert_int_equal(status.state, IROH_BLOB_PARTIAL);
    o = counting(&t);
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, &o), 0);
    assert_int_equal(t.last.bytes, 200000 - 48 * 1024);
    assert_int_equal(t.last.have, 48 * 1024);
    blobs_assert_there(d.here, 200000);
    o = counting(&t);
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, &o), 0);
    assert_int_equal(t.last.bytes, 0);
    blobs_duo_free(&d);
}

// The last chunk alone is enough to know the size.
static void asking_beyond_the_end_proves_the_size(void **state) {
    (void)state;
    blobs_duo d;
    tally t;
    blobs_duo_open(&d, NULL);
    iroh_content content = blobs_raw(blobs_add(d.there, 150001));
    iroh_get_options o = counting(&t);
    uint64_t chunks[] = {UINT64_MAX};
    o.chunks = chunks;
    o.chunk_count = 1;
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, &o), 0);
    assert_int_equal(t.last.bytes, 150001 % 1024);
    iroh_blob_status status;
    assert_int_equal(iroh_store_status(d.here, &content.hash, &status), 0);
    assert_int_equal(status.size, 150001);
    assert_true(status.size_proven);
    o.chunks = NULL;
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, &o), 0);
    blobs_assert_there(d.here, 150001);
    blobs_duo_free(&d);
}

#define CHILDREN 2500  // more than a window of hashes, and a sequence of several groups

static size_t child_size(size_t i) {
    return i % 50 == 7 ? 20000 + i : i;
}

static iroh_content add_sequence(iroh_store *s) {
    iroh_batch *batch;
    iroh_hash *hashes = malloc(CHILDREN * sizeof *hashes), root;
    iroh_add_options o = {.format = IROH_BLOB_HASH_SEQ};
    assert_non_null(hashes);
    assert_int_equal(iroh_batch_new(s, &batch), 0);
    for (size_t i = 0; i < CHILDREN; i++) {
        uint8_t *data = blobs_data(child_size(i));
        iroh_add_options child = {.batch = batch};
        assert_int_equal(iroh_store_add_bytes(s, data, child_size(i), &child, &hashes[i]), 0);
        free(data);
    }
    assert_int_equal(iroh_store_add_bytes(s, hashes, CHILDREN * sizeof *hashes, &o, &root), 0);
    iroh_batch_free(batch);
    free(hashes);
    return blobs_seq(root);
}

static void sequences_arrive_with_their_children(void **state) {
    (void)state;
    blobs_duo d;
    tally t;
    blobs_duo_open(&d, NULL);
    iroh_content content = add_sequence(d.there);
    iroh_get_options o = counting(&t);
    assert_int_equal(iroh_content_is_complete(d.here, &content), 0);
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, &o), 0);
    assert_int_equal(t.last.blobs, CHILDREN + 1);
    assert_int_equal(iroh_content_is_complete(d.here, &content), 1);
    for (size_t i = 0; i < CHILDREN; i++)
        blobs_assert_there(d.here, child_size(i));
    blobs_duo_free(&d);
}

static void only_missing_children_are_asked_for(void **state) {
    (void)state;
    blobs_duo d;
    tally t;
    blobs_duo_open(&d, NULL);
    iroh_content content = add_sequence(d.there), root = blobs_raw(content.hash);
    uint64_t missing = 0;
    assert_int_equal(iroh_blobs_get(d.c, d.here, &root, NULL), 0);
    for (size_t i = 0; i < CHILDREN; i++) {
        if (i % 3 != 0)
            (void)blobs_add(d.here, child_size(i));
        else
            missing += child_size(i);
    }
    iroh_get_options o = counting(&t);
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, &o), 0);
    assert_int_equal(t.last.bytes, missing);
    assert_int_equal(t.last.count, CHILDREN + 1);
    assert_int_equal(iroh_content_is_complete(d.here, &content), 1);
    blobs_duo_free(&d);
}

static void many_blobs_come_on_one_stream(void **state) {
    (void)state;
    enum { COUNT = 300 };
    blobs_duo d;
    iroh_hash hashes[COUNT];
    blobs_duo_open(&d, NULL);
    for (size_t i = 0; i < COUNT; i++)
        hashes[i] = blobs_add(d.there, i * 97);
    (void)blobs_add(d.here, 97 * 20);
    assert_int_equal(iroh_blobs_get_many(d.c, d.here, hashes, COUNT, NULL, NULL), 0);
    for (size_t i = 0; i < COUNT; i++)
        blobs_assert_there(d.here, i * 97);
    blobs_duo_free(&d);
}

static void what_nobody_has_is_not_found(void **state) {
    (void)state;
    blobs_duo d;
    blobs_duo_open(&d, NULL);
    iroh_hash hash;
    iroh_hash_of("nothing", 7, &hash);
    iroh_content raw = blobs_raw(hash), seq = blobs_seq(hash);
    assert_int_equal(iroh_blobs_get(d.c, d.here, &raw, NULL), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_blobs_get(d.c, d.here, &seq, NULL), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_blobs_get_many(d.c, d.here, &hash, 1, NULL, NULL), IROH_ERR_NOT_FOUND);
    blobs_duo_free(&d);
}

// Two providers with parts of a blob; the getter asks one after the other.
static void parts_from_several_providers_make_a_whole(void **state) {
    (void)state;
    blobs_duo whole, part;
    blobs_duo_open(&whole, NULL);
    blobs_duo_open(&part, NULL);
    iroh_content content = blobs_raw(blobs_add(whole.there, 500000));
    uint64_t first[] = {0, 160}, rest[] = {160};
    iroh_get_options o;
    iroh_get_options_default(&o);
    o.chunks = first;
    o.chunk_count = 2;
    // The second provider has the first 160 chunks.
    assert_int_equal(iroh_blobs_get(whole.c, part.there, &content, &o), 0);
    assert_int_equal(iroh_blobs_get(part.c, part.here, &content, &o), 0);
    o.chunks = rest;
    o.chunk_count = 1;
    assert_int_equal(iroh_blobs_get(part.c, part.here, &content, &o), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_blobs_get(whole.c, part.here, &content, &o), 0);
    blobs_assert_there(part.here, 500000);
    blobs_duo_free(&whole);
    blobs_duo_free(&part);
}

static int refuse_requests(void *user, const iroh_provider_event *e) {
    return e->kind == IROH_PROVIDER_REQUEST ? *(int *)user : 0;
}

static void refusals_are_told(void **state) {
    (void)state;
    static const int errors[] = {IROH_ERR_ACCESS, IROH_ERR_LIMIT};
    for (int i = 0; i < 2; i++) {
        blobs_duo d;
        int error = errors[i];
        iroh_provider_config config;
        iroh_provider_config_default(&config);
        config.event = refuse_requests;
        config.user = &error;
        blobs_duo_open(&d, &config);
        iroh_content content = blobs_raw(blobs_add(d.there, 1000));
        assert_int_equal(iroh_blobs_get(d.c, d.here, &content, NULL), error);
        blobs_duo_free(&d);
    }
}

static int refuse_after_some(void *user, const iroh_provider_event *e) {
    (void)user;
    return e->kind == IROH_PROVIDER_PROGRESS && e->bytes > 1000000 ? IROH_ERR_LIMIT : 0;
}

static void refusals_in_the_middle_are_told(void **state) {
    (void)state;
    blobs_duo d;
    iroh_provider_config config;
    iroh_provider_config_default(&config);
    config.event = refuse_after_some;
    blobs_duo_open(&d, &config);
    iroh_content content = blobs_raw(blobs_add(d.there, 20000000));
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, NULL), IROH_ERR_LIMIT);
    blobs_duo_free(&d);
}

static void too_many_connections_are_refused(void **state) {
    (void)state;
    blobs_duo d;
    iroh_provider_config config;
    iroh_provider_config_default(&config);
    config.max_connections = 1;
    blobs_duo_open(&d, &config);
    iroh_content content = blobs_raw(blobs_add(d.there, 1000));
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, NULL), 0);
    iroh_connection *second = blobs_duo_connect(&d);
    iroh_content other = blobs_raw(blobs_add(d.there, 1001));
    assert_int_equal(iroh_blobs_get(second, d.here, &other, NULL), IROH_ERR_LIMIT);
    iroh_connection_free(second);
    blobs_duo_free(&d);
}

static void pushes_are_refused_unless_wanted(void **state) {
    (void)state;
    blobs_duo d;
    blobs_duo_open(&d, NULL);
    iroh_content content = blobs_raw(blobs_add(d.here, 100000));
    assert_int_equal(iroh_blobs_push(d.c, d.here, &content, NULL), IROH_ERR_ACCESS);
    iroh_blob_status status;
    assert_int_equal(iroh_store_status(d.there, &content.hash, &status), 0);
    assert_int_equal(status.state, IROH_BLOB_ABSENT);
    blobs_duo_free(&d);
}

typedef struct waiter {
    int pipe[2];
} waiter;

static int note_end(void *user, const iroh_provider_event *e) {
    const waiter *w = user;
    if (e->kind == IROH_PROVIDER_DONE || e->kind == IROH_PROVIDER_FAILED)
        thread_check(write(w->pipe[1], e->kind == IROH_PROVIDER_DONE ? "d" : "f", 1) == 1, "note");
    return 0;
}

static void pushed_blobs_and_sequences_are_stored(void **state) {
    (void)state;
    blobs_duo d;
    waiter w;
    char how;
    iroh_provider_config config;
    iroh_provider_config_default(&config);
    assert_int_equal(pipe(w.pipe), 0);
    config.serve = IROH_SERVE_PUSH;
    config.event = note_end;
    config.user = &w;
    blobs_duo_open(&d, &config);
    iroh_content raw = blobs_raw(blobs_add(d.here, 700000)), seq = add_sequence(d.here);
    assert_int_equal(iroh_blobs_push(d.c, d.here, &raw, NULL), 0);
    assert_int_equal(read(w.pipe[0], &how, 1), 1);
    assert_int_equal(how, 'd');
    blobs_assert_there(d.there, 700000);
    assert_int_equal(iroh_blobs_push(d.c, d.here, &seq, NULL), 0);
    assert_int_equal(read(w.pipe[0], &how, 1), 1);
    assert_int_equal(how, 'd');
    assert_int_equal(iroh_content_is_complete(d.there, &seq), 1);
    // What is not served is refused.
    iroh_content missing = blobs_raw(blobs_add(d.there, 33333));
    assert_int_equal(iroh_blobs_get(d.c, d.here, &missing, NULL), IROH_ERR_ACCESS);
    blobs_duo_free(&d);
    close(w.pipe[0]);
    close(w.pipe[1]);
}

static void observers_hear_of_a_blob_that_comes(void **state) {
    (void)state;
    blobs_duo d;
    iroh_remote_observer *o;
    uint64_t size, boundaries[8];
    size_t count;
    bool complete;
    uint8_t *data = blobs_data(100000);
    iroh_hash hash;
    iroh_hash_of(data, 100000, &hash);
    blobs_duo_open(&d, NULL);
    assert_int_equal(iroh_remote_observer_new(d.c, &hash, LONG_MS, &o), 0);
    assert_int_equal(iroh_remote_observer_next(o, LONG_MS, &size, boundaries, 8, &count, &complete), 0);
    assert_int_equal(size, 0);
    assert_int_equal(count, 0);
    assert_false(complete);
    assert_int_equal(iroh_remote_observer_next(o, 0, &size, boundaries, 8, &count, &complete), IROH_ERR_AGAIN);
    (void)blobs_add(d.there, 100000);
    while (!complete)
        assert_int_equal(iroh_remote_observer_next(o, LONG_MS, &size, boundaries, 8, &count, &complete), 0);
    assert_int_equal(size, 100000);
    assert_int_equal(count, 1);
    assert_int_equal(boundaries[0], 0);
    iroh_remote_observer_free(o);
    // The provider goes on after the observer left.
    iroh_content content = blobs_raw(hash);
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, NULL), 0);
    blobs_duo_free(&d);
    free(data);
}

static void collections_arrive_as_they_were(void **state) {
    (void)state;
    blobs_duo d;
    iroh_collection *made, *got;
    iroh_hash root;
    blobs_duo_open(&d, NULL);
    assert_int_equal(iroh_collection_new(&made), 0);
    for (size_t i = 0; i < 100; i++) {
        char name[32];
        iroh_hash hash = blobs_add(d.there, i * 500);
        int len = snprintf(name, sizeof name, "folder/%03zu", i);
        assert_int_equal(iroh_collection_add(made, name, (size_t)len, &hash), 0);
    }
    assert_int_equal(iroh_collection_save(made, d.there, NULL, &root), 0);
    iroh_content content = blobs_seq(root);
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, NULL), 0);
    assert_int_equal(iroh_collection_load(d.here, &root, &got), 0);
    assert_int_equal(iroh_collection_count(got), 100);
    for (size_t i = 0; i < 100; i++) {
        size_t len, made_len;
        iroh_hash a = iroh_collection_hash(made, i), b = iroh_collection_hash(got, i);
        const char *name = iroh_collection_name(got, i, &len), *made_name = iroh_collection_name(made, i, &made_len);
        assert_int_equal(len, made_len);
        assert_memory_equal(name, made_name, len);
        assert_memory_equal(a.bytes, b.bytes, 32);
        blobs_assert_there(d.here, i * 500);
    }
    iroh_collection_free(made);
    iroh_collection_free(got);
    blobs_duo_free(&d);
}

static void cancelling_ends_the_call(void **state) {
    (void)state;
    blobs_duo d;
    int fds[2];
    iroh_get_options o;
    blobs_duo_open(&d, NULL);
    iroh_content content = blobs_raw(blobs_add(d.there, 30000000));
    iroh_get_options_default(&o);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "", 1), 1);
    o.cancel_fd = fds[0];
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, &o), IROH_ERR_CLOSED);
    o.cancel_fd = -1;
    assert_int_equal(iroh_blobs_get(d.c, d.here, &content, &o), 0);
    blobs_assert_there(d.here, 30000000);
    close(fds[0]);
    close(fds[1]);
    blobs_duo_free(&d);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(blobs_of_all_sizes_arrive),
        cmocka_unit_test(what_is_there_is_not_fetched_again),
        cmocka_unit_test(asking_beyond_the_end_proves_the_size),
        cmocka_unit_test(sequences_arrive_with_their_children),
        cmocka_unit_test(only_missing_children_are_asked_for),
        cmocka_unit_test(many_blobs_come_on_one_stream),
        cmocka_unit_test(what_nobody_has_is_not_found),
        cmocka_unit_test(parts_from_several_providers_make_a_whole),
        cmocka_unit_test(refusals_are_told),
        cmocka_unit_test(refusals_in_the_middle_are_told),
        cmocka_unit_test(too_many_connections_are_refused),
        cmocka_unit_test(pushes_are_refused_unless_wanted),
        cmocka_unit_test(pushed_blobs_and_sequences_are_stored),
        cmocka_unit_test(observers_hear_of_a_blob_that_comes),
        cmocka_unit_test(collections_arrive_as_they_were),
        cmocka_unit_test(cancelling_ends_the_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
