// Stores when memory fails at any point: an error, nothing lost, nothing half done, and it works when it is tried again.
#include "unit/nomem_support.h"
#include "unit/store_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobs/bao.h"

#define SMALL ((size_t)5000)
#define LARGE ((size_t)4300000)  // its outboard is in a file

static char scratch[STORE_PATH], dir[STORE_PATH + 8], file[STORE_PATH + 8], target[STORE_PATH + 8];
static uint8_t *small, *large, *encoded;
static size_t encoded_len;
static iroh_hash small_hash, large_hash;
static bool disk;
static iroh_store *store;

static int open_store(void) {
    iroh_store_config config = {.threads = 1};
    return disk ? iroh_store_open(dir, &config, &store) : iroh_store_memory(&config, &store);
}

static int add_small(void) {
    iroh_hash hash;
    return iroh_store_add_bytes(store, small, SMALL, NULL, &hash);
}

static int add_large(void) {
    iroh_hash hash;
    return iroh_store_add_bytes(store, large, LARGE, NULL, &hash);
}

static int add_path(void) {
    iroh_hash hash;
    iroh_add_options o = {.mode = IROH_ADD_REFERENCE};
    return iroh_store_add_path(store, file, &o, &hash);
}

static size_t poured;

static int pour(void *user, void *out, size_t room) {
    (void)user;
    size_t n = LARGE - poured < room ? LARGE - poured : room;
    memcpy(out, large + poured, n);
    poured += n;
    return (int)n;
}

static int add_stream(void) {
    iroh_byte_source source = {NULL, pour};
    iroh_hash hash;
    poured = 0;
    return iroh_store_add_stream(store, &source, NULL, &hash);
}

static int add_batch(void) {
    iroh_batch *batch;
    iroh_hash hash;
    int r = iroh_batch_new(store, &batch);
    if (r != 0)
        return r;
    iroh_add_options o = {.batch = batch, .tag = "named", .tag_len = 5};
    r = iroh_store_add_bytes(store, small, SMALL, &o, &hash);
    if (r == 0)
        r = iroh_batch_commit(batch);
    iroh_batch_free(batch);
    return r;
}

static int receive_with(bao_decoder *d, store_blob *b) {
    store_writer *w;
    int r = store_writer_new(b, LARGE, &w), more = 0;
    if (r != 0)
        return r;
    for (size_t at = 0; r == 0 && more == 0;) {
        const bao_item *items;
        size_t used, count;
        more = bao_decoder_read(d, encoded + at, encoded_len - at, &used, &items, &count);
        at += used;
        r = store_writer_put(w, items, count);
    }
    int closed = store_writer_close(w);
    return r != 0 ? r : more < 0 ? more : closed;
}

static int receive(void) {
    bao_decoder *d = NULL;
    store_blob *b = NULL;
    ranges all = RANGES_INIT;
    int r = ranges_add(&all, 0, BAO_END);
    if (r == 0)
        r = bao_decoder_new(&d);
    if (r == 0)
        r = store_blob_open(store, &large_hash, &b);
    if (r == 0) {
        bao_decoder_start(d, large_hash.bytes, &all);
        r = receive_with(d, b);
    }
    store_blob_close(b);
    bao_decoder_free(d);
    ranges_dispose(&all);
    return r;
}

static int get(void) {
    uint8_t *data;
    size_t len;
    int r = iroh_store_get(store, &small_hash, SMALL, &data, &len);
    free(data);
    return r;
}

static int export(void) {
    iroh_export_options o = {.replace = true};
    return iroh_store_export(store, &small_hash, target, &o);
}

static int tags(void) {
    iroh_content c = {.hash = small_hash, .format = IROH_BLOB_RAW};
    iroh_temp_tag *temp;
    int r = iroh_temp_tag_new(store, &c, &temp);
    if (r != 0)
        return r;
    iroh_temp_tag_free(temp);
    r = iroh_tag_create(store, &c, NULL);
    return r == 0 ? iroh_tag_set(store, "keep", 4, &c) : r;
}

static int collect(void) {
    return iroh_store_gc(store, NULL, NULL, NULL);
}

static int verify(void) {
    iroh_verify_options o = {.repair = true};
    return iroh_store_verify(store, &o, NULL);
}

static int observe(void) {
    iroh_observer *o;
    iroh_blob_status status;
    int r = iroh_observer_new(store, &large_hash, &o);
    if (r != 0)
        return r;
    r = iroh_observer_next(o, &status, NULL, 0, NULL);
    iroh_observer_free(o);
    return r < 0 ? r : 0;
}

static const struct {
    const char *name;
    int (*run)(void);
    bool small, large;  // what is there already
    int least;          // allocations that it makes
} operations[] = {
    {"add small bytes", add_small, false, false, 3},
    {"add large bytes", add_large, false, false, 4},
    {"add a path", add_path, false, false, 4},
    {"add a stream", add_stream, false, false, 4},
    {"add in a batch", add_batch, false, false, 4},
    {"receive", receive, false, false, 4},
    {"get", get, true, false, 3},
    {"export", export, true, false, 3},
    {"tags", tags, true, false, 1},
    {"collect", collect, true, true, 3},
    {"verify", verify, true, true, 5},
    {"observe", observe, true, true, 3},
};

static void prepare(bool with_small, bool with_large) {
    assert_int_equal(open_store(), 0);
    if (with_small)
        assert_int_equal(add_small(), 0);
    if (with_large)
        assert_int_equal(receive(), 0);
}

static void check(iroh_store *s, const iroh_hash *hash, const uint8_t *data, size_t len) {
    int state = store_status_of(s, hash).state;
    if (state == IROH_BLOB_COMPLETE)
        assert_true(store_serves(s, hash, data, len));
    else
        assert_true(store_verified_chunks(s, hash) >= 0);
}

static void finish(void) {
    check(store, &small_hash, small, SMALL);
    check(store, &large_hash, large, LARGE);
    iroh_store_free(store);
    if (!disk)
        return;
    assert_int_equal(open_store(), 0);
    check(store, &small_hash, small, SMALL);
    check(store, &large_hash, large, LARGE);
    iroh_store_free(store);
    store_scratch_remove(dir);
}

// Fails the n-th allocation, for every small n and then for some, until there are no more; then tries again in the same
// store.
static void fail_everywhere(size_t i) {
    int failures = 0, r = IROH_ERR_NOMEM;
    for (int n = 0; r != 0; n += 1 + n / 24) {
        prepare(operations[i].small, operations[i].large);
        nomem_arm(n);
        r = operations[i].run();
        bool failed = nomem_disarm();
        if (r != 0) {
            if (r != IROH_ERR_NOMEM || !failed)
                print_message("%s, allocation %d: %s\n", operations[i].name, n, iroh_error_name(r));
            assert_int_equal(r, IROH_ERR_NOMEM);
            failures++;
            assert_int_equal(operations[i].run(), 0);
        }
        finish();
    }
    if (failures < operations[i].least)
        print_message("%s: only %d failures\n", operations[i].name, failures);
    assert_true(failures >= operations[i].least);
}

static void opening_fails_cleanly(void) {
    int r = IROH_ERR_NOMEM;
    for (int n = 0; r != 0; n++) {
        nomem_arm(n);
        r = open_store();
        (void)nomem_disarm();
        assert_true(r == 0 || (r == IROH_ERR_NOMEM && store == NULL));
    }
    finish();
}

static void run_all(void) {
    store_scratch(scratch);
    (void)snprintf(dir, sizeof dir, "%s/store", scratch);
    (void)snprintf(file, sizeof file, "%s/file", scratch);
    (void)snprintf(target, sizeof target, "%s/target", scratch);
    small = store_bytes(1, SMALL);
    large = store_bytes(2, LARGE);
    small_hash = store_hash(small, SMALL);
    large_hash = store_hash(large, LARGE);
    encoded = store_encode(large, LARGE, 0, BAO_END, &encoded_len);
    store_write_file(file, large, LARGE);
    opening_fails_cleanly();
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        fail_everywhere(i);
    free(small);
    free(large);
    free(encoded);
    store_scratch_remove(scratch);
}

static void the_store_on_disk_survives_want_of_memory(void **state) {
    (void)state;
    disk = true;
    run_all();
}

static void the_store_in_memory_survives_want_of_memory(void **state) {
    (void)state;
    disk = false;
    run_all();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_on_disk_survives_want_of_memory),
        cmocka_unit_test(the_store_in_memory_survives_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
