// Both stores: adding, reading, receiving, exporting, and what they do when something is wrong.
#include "unit/store_support.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const size_t sizes[] = {0, 1, 1024, 16383, 16384, 16385, 32769, 100000, 1 << 20, 4300000, 6000001};

#define SIZES (sizeof sizes / sizeof *sizes)

typedef struct world {
    bool disk;
    char scratch[STORE_PATH];  // files beside the store
    char dir[STORE_PATH + 8];
    iroh_store *store;
} world;

static void open_store(world *w) {
    iroh_store_config config;
    iroh_store_config_default(&config);
    config.threads = 2;
    config.power_safe = false;
    assert_int_equal(w->disk ? iroh_store_open(w->dir, &config, &w->store) : iroh_store_memory(&config, &w->store), 0);
}

static int set_up(void **state, bool disk) {
    world *w = calloc(1, sizeof *w);
    w->disk = disk;
    store_scratch(w->scratch);
    (void)snprintf(w->dir, sizeof w->dir, "%s/store", w->scratch);
    open_store(w);
    *state = w;
    return 0;
}

static int on_disk(void **state) {
    return set_up(state, true);
}

static int in_memory(void **state) {
    return set_up(state, false);
}

static int tear_down(void **state) {
    world *w = *state;
    iroh_store_free(w->store);
    store_scratch_remove(w->scratch);
    free(w);
    return 0;
}

static void reopen(world *w) {
    if (!w->disk)
        return;
    iroh_store_free(w->store);
    open_store(w);
}

static void path_in(const world *w, char out[STORE_PATH + 64], const char *name) {
    (void)snprintf(out, STORE_PATH + 64, "%s/%s", w->scratch, name);
}

static void assert_complete(iroh_store *s, const uint8_t *data, size_t len) {
    iroh_hash hash = store_hash(data, len);
    iroh_blob_status status = store_status_of(s, &hash);
    assert_int_equal(status.state, IROH_BLOB_COMPLETE);
    assert_int_equal(status.size, len);
    assert_true(store_serves(s, &hash, data, len));
    uint8_t *got;
    size_t n;
    assert_int_equal(iroh_store_get(s, &hash, len, &got, &n), 0);
    assert_int_equal(n, len);
    assert_memory_equal(got, data, len);
    free(got);
}

static void what_was_added_as_bytes_comes_out_verified(void **state) {
    world *w = *state;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < SIZES; i++) {
            uint8_t *data = store_bytes(i, sizes[i]);
            iroh_hash hash, expected = store_hash(data, sizes[i]);
            if (round == 0) {
                assert_int_equal(iroh_store_add_bytes(w->store, data, sizes[i], NULL, &hash), 0);
                assert_memory_equal(hash.bytes, expected.bytes, 32);
            }
            assert_complete(w->store, data, sizes[i]);
            free(data);
        }
        reopen(w);
    }
}

static void files_are_added_by_copy_and_by_reference(void **state) {
    world *w = *state;
    for (int mode = IROH_ADD_COPY; mode <= IROH_ADD_REFERENCE; mode++) {
        for (size_t i = 0; i < SIZES; i++) {
            uint8_t *data = store_bytes(100 * (uint64_t)mode + i, sizes[i]);
            char path[STORE_PATH + 64];
            path_in(w, path, "file");
            store_write_file(path, data, sizes[i]);
            iroh_add_options o = {.mode = mode};
            iroh_hash hash;
            assert_int_equal(iroh_store_add_path(w->store, path, &o, &hash), 0);
            reopen(w);
            assert_complete(w->store, data, sizes[i]);
            assert_int_equal(unlink(path), 0);
            bool kept = mode == IROH_ADD_COPY || sizes[i] == 0 || (w->disk && sizes[i] <= 16384);
            assert_int_equal(store_status_of(w->store, &hash).state, kept ? IROH_BLOB_COMPLETE : IROH_BLOB_ABSENT);
            free(data);
        }
    }
}

static void a_file_that_changed_is_not_served(void **state) {
    world *w = *state;
    uint8_t *data = store_bytes(1, 50000);
    char path[STORE_PATH + 64];
    path_in(w, path, "file");
    store_write_file(path, data, 50000);
    iroh_add_options o = {.mode = IROH_ADD_REFERENCE};
    iroh_hash hash;
    assert_int_equal(iroh_store_add_path(w->store, path, &o, &hash), 0);
    store_write_file(path, data, 49999);
    assert_int_equal(store_status_of(w->store, &hash).state, IROH_BLOB_ABSENT);
    uint8_t byte;
    assert_int_equal(iroh_store_read(w->store, &hash, 0, &byte, 1), IROH_ERR_NOT_FOUND);
    // It can be added again, or fetched.
    assert_int_equal(store_receive(w->store, data, 50000, 0, BAO_END), 0);
    assert_complete(w->store, data, 50000);
    free(data);
}

static void paths_that_are_no_files_are_refused(void **state) {
    world *w = *state;
    char path[STORE_PATH + 64];
    iroh_hash hash;
    path_in(w, path, "nothing");
    assert_int_equal(iroh_store_add_path(w->store, path, NULL, &hash), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_store_add_path(w->store, w->scratch, NULL, &hash), IROH_ERR_KIND);
    path_in(w, path, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(iroh_store_add_path(w->store, path, NULL, &hash), IROH_ERR_KIND);
    assert_int_equal(iroh_store_add_path(w->store, NULL, NULL, &hash), IROH_ERR_ARG);
}

// Changes the file after the first block of a large one was read.
typedef struct meddler {
    const char *path;
    bool done;
} meddler;

static bool meddle(void *user, uint64_t done, uint64_t size) {
    meddler *m = user;
    if (!m->done && done < size) {
        int fd = open(m->path, O_WRONLY | O_APPEND);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "x", 1), 1);
        close(fd);
        m->done = true;
    }
    return true;
}

static void a_file_that_changes_during_reading_is_an_error(void **state) {
    world *w = *state;
    char path[STORE_PATH + 64];
    path_in(w, path, "file");
    uint8_t *data = store_bytes(1, 6000000);
    for (int mode = IROH_ADD_COPY; mode <= IROH_ADD_REFERENCE; mode++) {
        store_write_file(path, data, 6000000);
        meddler m = {.path = path};
        iroh_add_options o = {.mode = mode, .progress = meddle, .user = &m};
        iroh_hash hash;
        assert_int_equal(iroh_store_add_path(w->store, path, &o, &hash), IROH_ERR_CHANGED);
        assert_true(m.done);
    }
    iroh_hash any;
    assert_int_equal(iroh_store_next(w->store, NULL, &any, NULL), IROH_ERR_NOT_FOUND);
    free(data);
}

typedef struct faucet {
    const uint8_t *data;
    size_t len, at, step;
    int end;
} faucet;

static int pour(void *user, void *out, size_t room) {
    faucet *f = user;
    size_t n = f->len - f->at < f->step ? f->len - f->at : f->step;
    n = n < room ? n : room;
    if (n == 0)
        return f->end;
    memcpy(out, f->data + f->at, n);
    f->at += n;
    return (int)n;
}

static void streams_of_unknown_size_are_added(void **state) {
    world *w = *state;
    for (size_t i = 0; i < SIZES; i++) {
        uint8_t *data = store_bytes(i, sizes[i]);
        faucet f = {.data = data, .len = sizes[i], .step = i % 2 == 0 ? 1000 : 1 << 20};
        iroh_byte_source source = {&f, pour};
        iroh_hash hash;
        assert_int_equal(iroh_store_add_stream(w->store, &source, NULL, &hash), 0);
        assert_complete(w->store, data, sizes[i]);
        free(data);
    }
}

static void a_stream_that_fails_leaves_nothing(void **state) {
    world *w = *state;
    uint8_t *data = store_bytes(1, 100000);
    faucet f = {.data = data, .len = 100000, .step = 5000, .end = IROH_ERR_RESET};
    iroh_byte_source source = {&f, pour};
    iroh_hash hash;
    assert_int_equal(iroh_store_add_stream(w->store, &source, NULL, &hash), IROH_ERR_RESET);
    assert_int_equal(iroh_store_next(w->store, NULL, &hash, NULL), IROH_ERR_NOT_FOUND);
    free(data);
}

static void received_chunks_are_there_and_last(void **state) {
    world *w = *state;
    for (size_t i = 1; i < SIZES; i++) {
        uint8_t *data = store_bytes(i, sizes[i]);
        iroh_hash hash = store_hash(data, sizes[i]);
        uint64_t chunks = bao_chunks(sizes[i]), half = chunks / 2 / 16 * 16;
        if (half > 0) {
            assert_int_equal(store_receive(w->store, data, sizes[i], 0, half), 0);
            assert_int_equal(store_status_of(w->store, &hash).state, IROH_BLOB_PARTIAL);
            assert_false(store_status_of(w->store, &hash).size_proven);
            assert_int_equal(store_verified_chunks(w->store, &hash), half);
            reopen(w);
            assert_int_equal(store_verified_chunks(w->store, &hash), half);
            uint8_t byte;
            assert_int_equal(iroh_store_read(w->store, &hash, half * 1024, &byte, 1), IROH_ERR_NOT_FOUND);
            assert_int_equal(iroh_store_read(w->store, &hash, half * 1024 - 1, &byte, 1), 1);
            assert_int_equal(byte, data[half * 1024 - 1]);
        }
        assert_int_equal(store_receive(w->store, data, sizes[i], half, BAO_END), 0);
        assert_complete(w->store, data, sizes[i]);
        reopen(w);
        assert_complete(w->store, data, sizes[i]);
        free(data);
    }
}

static void single_chunks_inside_a_group_add_up(void **state) {
    world *w = *state;
    static const size_t small[] = {5000, 16384, 40000};
    for (size_t i = 0; i < 3; i++) {
        uint8_t *data = store_bytes(i + 50, small[i]);
        iroh_hash hash = store_hash(data, small[i]);
        uint64_t chunks = bao_chunks(small[i]);
        for (uint64_t c = chunks; c-- > 0;) {
            assert_int_equal(store_receive(w->store, data, small[i], c, c + 1), 0);
            iroh_blob_status status = store_status_of(w->store, &hash);
            assert_int_equal(status.state, c == 0 ? IROH_BLOB_COMPLETE : IROH_BLOB_PARTIAL);
            assert_true(status.size_proven);
            if (c == chunks / 2)
                reopen(w);
        }
        assert_complete(w->store, data, small[i]);
        free(data);
    }
}

static void a_lie_about_the_size_spoils_nothing(void **state) {
    world *w = *state;
    size_t len = 100000, encoded;
    uint8_t *data = store_bytes(7, len);
    iroh_hash hash = store_hash(data, len);
    assert_int_equal(store_receive(w->store, data, len, 0, 32), 0);
    static const uint64_t claims[] = {1,        16384, 16385, 33000, 49152, 70000, 99000, 200000, UINT64_C(1) << 40,
                                      INT64_MAX};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        uint8_t *bytes = store_encode(data, len, 0, BAO_END, &encoded);
        for (int k = 0; k < 8; k++)
            bytes[k] = (uint8_t)(claims[i] >> 8 * k);
        // Whatever was verified under the claim may be there; the rest must be refused.
        assert_int_not_equal(store_decode(w->store, &hash, bytes, encoded, 0, BAO_END, 65536), 0);
        assert_int_not_equal(store_status_of(w->store, &hash).state, IROH_BLOB_COMPLETE);
        assert_true(store_verified_chunks(w->store, &hash) >= 32);
        free(bytes);
    }
    assert_int_equal(store_receive(w->store, data, len, 96, BAO_END), 0);
    assert_true(store_status_of(w->store, &hash).size_proven);
    store_blob *b;
    store_writer *writer;
    assert_int_equal(store_blob_open(w->store, &hash, &b), 0);
    assert_int_equal(store_writer_new(b, 99999, &writer), IROH_ERR_PROTOCOL);
    store_blob_close(b);
    assert_int_equal(store_receive(w->store, data, len, 0, BAO_END), 0);
    assert_complete(w->store, data, len);
    free(data);
}

// Two that write to the same blob and disagree about its size: the honest one gets through.
static void an_honest_writer_gets_past_a_liar(void **state) {
    world *w = *state;
    size_t len = 100000, encoded;
    uint8_t *data = store_bytes(8, len);
    iroh_hash hash = store_hash(data, len);
    uint8_t *bytes = store_encode(data, len, 0, BAO_END, &encoded);
    // Up to the last group, 90000 bytes look the same; only its last group would not verify.
    uint8_t *lie = malloc(encoded);
    memcpy(lie, bytes, encoded);
    uint64_t claim = 110000;
    for (int k = 0; k < 8; k++)
        lie[k] = (uint8_t)(claim >> 8 * k);
    for (size_t step = 20000; step < 90000; step += 20000) {
        (void)store_decode(w->store, &hash, lie, step, 0, BAO_END, 7000);
        (void)store_decode(w->store, &hash, bytes, step + 5000, 0, BAO_END, 9000);
        assert_true(store_verified_chunks(w->store, &hash) > 0);
    }
    assert_int_equal(store_decode(w->store, &hash, bytes, encoded, 0, BAO_END, 30000), 0);
    assert_complete(w->store, data, len);
    free(lie);
    free(bytes);
    free(data);
}

static void corrupt_bytes_are_never_stored(void **state) {
    world *w = *state;
    size_t len = 300000, encoded;
    uint8_t *data = store_bytes(9, len);
    iroh_hash hash = store_hash(data, len);
    uint8_t *bytes = store_encode(data, len, 0, BAO_END, &encoded);
    bytes[encoded / 2] ^= 1;
    assert_int_equal(store_decode(w->store, &hash, bytes, encoded, 0, BAO_END, 10000), IROH_ERR_PROTOCOL);
    int64_t have = store_verified_chunks(w->store, &hash);
    assert_true(have > 100 && have < 200);
    reopen(w);
    assert_int_equal(store_verified_chunks(w->store, &hash), have);
    free(bytes);
    free(data);
}

static void exports_are_whole(void **state) {
    world *w = *state;
    for (size_t i = 0; i < SIZES; i++) {
        uint8_t *data = store_bytes(i, sizes[i]);
        iroh_hash hash;
        char path[STORE_PATH + 64];
        path_in(w, path, "copy");
        assert_int_equal(iroh_store_add_bytes(w->store, data, sizes[i], NULL, &hash), 0);
        assert_int_equal(iroh_store_export(w->store, &hash, path, NULL), 0);
        assert_true(store_file_is(path, data, sizes[i]));
        assert_int_equal(iroh_store_export(w->store, &hash, path, NULL), IROH_ERR_EXISTS);
        iroh_export_options o = {.mode = IROH_EXPORT_REFERENCE, .replace = true};
        assert_int_equal(iroh_store_export(w->store, &hash, path, &o), 0);
        assert_true(store_file_is(path, data, sizes[i]));
        reopen(w);
        assert_complete(w->store, data, sizes[i]);
        assert_int_equal(unlink(path), 0);
        // The small ones are in the store still; the others were moved.
        bool moved = w->disk && sizes[i] > 16384;
        assert_int_equal(store_status_of(w->store, &hash).state, moved ? IROH_BLOB_ABSENT : IROH_BLOB_COMPLETE);
        free(data);
    }
}

static void exports_that_cannot_be_are_refused(void **state) {
    world *w = *state;
    uint8_t *data = store_bytes(3, 100000);
    iroh_hash hash = store_hash(data, 100000);
    char path[STORE_PATH + 64];
    path_in(w, path, "out");
    assert_int_equal(iroh_store_export(w->store, &hash, path, NULL), IROH_ERR_NOT_FOUND);
    assert_int_equal(store_receive(w->store, data, 100000, 0, 16), 0);
    assert_int_equal(iroh_store_export(w->store, &hash, path, NULL), IROH_ERR_NOT_FOUND);
    assert_int_equal(store_receive(w->store, data, 100000, 16, BAO_END), 0);
    path_in(w, path, "no/such/directory");
    assert_int_equal(iroh_store_export(w->store, &hash, path, NULL), IROH_ERR_NOT_FOUND);
    assert_int_equal(access("/proc/version", F_OK), 0);
    assert_true(iroh_store_export(w->store, &hash, "/proc/version-of-iroh", NULL) < 0);
    iroh_export_options o = {.replace = true};
    assert_true(iroh_store_export(w->store, &hash, w->scratch, &o) < 0);
    free(data);
}

static void the_list_is_complete_and_in_order(void **state) {
    world *w = *state;
    iroh_batch *batch;
    assert_int_equal(iroh_batch_new(w->store, &batch), 0);
    iroh_add_options o = {.batch = batch};
    for (uint32_t i = 0; i < 500; i++) {
        iroh_hash hash;
        assert_int_equal(iroh_store_add_bytes(w->store, &i, sizeof i, &o, &hash), 0);
    }
    assert_int_equal(iroh_batch_commit(batch), 0);
    iroh_batch_free(batch);
    iroh_hash at, before;
    iroh_blob_status status;
    size_t count = 0;
    int r = iroh_store_next(w->store, NULL, &at, &status);
    while (r == 0) {
        assert_true(count == 0 || memcmp(before.bytes, at.bytes, 32) < 0);
        assert_int_equal(status.state, IROH_BLOB_COMPLETE);
        assert_int_equal(status.size, 4);
        before = at;
        count++;
        r = iroh_store_next(w->store, &before, &at, &status);
    }
    assert_int_equal(r, IROH_ERR_NOT_FOUND);
    assert_int_equal(count, 500);
}

static void the_empty_blob_is_always_there(void **state) {
    world *w = *state;
    iroh_hash hash;
    iroh_hash_of(NULL, 0, &hash);
    assert_complete(w->store, (const uint8_t *)"", 0);
    assert_int_equal(iroh_store_next(w->store, NULL, &hash, NULL), IROH_ERR_NOT_FOUND);
}

static void reading_keeps_to_the_blob(void **state) {
    world *w = *state;
    iroh_hash hash, other;
    uint8_t out[16];
    assert_int_equal(iroh_store_add_bytes(w->store, "hello world", 11, NULL, &hash), 0);
    assert_int_equal(iroh_store_read(w->store, &hash, 0, out, sizeof out), 11);
    assert_int_equal(iroh_store_read(w->store, &hash, 6, out, sizeof out), 5);
    assert_memory_equal(out, "world", 5);
    assert_int_equal(iroh_store_read(w->store, &hash, 11, out, sizeof out), 0);
    assert_int_equal(iroh_store_read(w->store, &hash, UINT64_MAX, out, sizeof out), 0);
    memset(&other, 1, sizeof other);
    assert_int_equal(iroh_store_read(w->store, &other, 0, out, sizeof out), IROH_ERR_NOT_FOUND);
    uint8_t *data;
    size_t len;
    assert_int_equal(iroh_store_get(w->store, &hash, 10, &data, &len), IROH_ERR_TOO_LARGE);
    assert_null(data);
}

static void a_directory_has_one_store(void **state) {
    world *w = *state;
    iroh_store *second;
    assert_int_equal(iroh_store_open(w->dir, NULL, &second), IROH_ERR_AGAIN);
    assert_null(second);
    assert_int_equal(iroh_store_open("", NULL, &second), IROH_ERR_ARG);
    assert_int_equal(iroh_store_open("/proc/iroh/none", NULL, &second), IROH_ERR_NOT_FOUND);
}

static void hashes_have_texts(void **state) {
    (void)state;
    iroh_content c, back;
    char text[IROH_CONTENT_TEXT_SIZE];
    iroh_hash_of("hello", 5, &c.hash);
    c.format = IROH_BLOB_RAW;
    iroh_content_to_text(&c, text);
    assert_string_equal(text, "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f");
    assert_int_equal(iroh_content_from_text(&back, text), 0);
    assert_memory_equal(back.hash.bytes, c.hash.bytes, 32);
    assert_int_equal(back.format, IROH_BLOB_RAW);
    c.format = IROH_BLOB_HASH_SEQ;
    iroh_content_to_text(&c, text);
    assert_int_equal(text[0], 's');
    assert_int_equal(iroh_content_from_text(&back, text), 0);
    assert_int_equal(back.format, IROH_BLOB_HASH_SEQ);
    assert_int_equal(iroh_hash_from_text(&c.hash, "KAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 0);
    assert_int_equal(c.hash.bytes[0], 0x50);
    assert_int_equal(iroh_hash_from_text(&c.hash, "abc"), IROH_ERR_LENGTH);
    assert_int_equal(iroh_hash_from_text(&c.hash, "zz8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"),
                     IROH_ERR_SYNTAX);
}

#define BOTH(test)                                                                                                     \
    {#test "_on_disk", test, on_disk, tear_down, NULL}, {                                                              \
#test "_in_memory", test, in_memory, tear_down, NULL                                                           \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(what_was_added_as_bytes_comes_out_verified),
        BOTH(files_are_added_by_copy_and_by_reference),
        BOTH(a_file_that_changed_is_not_served),
        BOTH(paths_that_are_no_files_are_refused),
        BOTH(a_file_that_changes_during_reading_is_an_error),
        BOTH(streams_of_unknown_size_are_added),
        BOTH(a_stream_that_fails_leaves_nothing),
        BOTH(received_chunks_are_there_and_last),
        BOTH(single_chunks_inside_a_group_add_up),
        BOTH(a_lie_about_the_size_spoils_nothing),
        BOTH(an_honest_writer_gets_past_a_liar),
        BOTH(corrupt_bytes_are_never_stored),
        BOTH(exports_are_whole),
        BOTH(exports_that_cannot_be_are_refused),
        BOTH(the_list_is_complete_and_in_order),
        BOTH(the_empty_blob_is_always_there),
        BOTH(reading_keeps_to_the_blob),
        cmocka_unit_test_setup_teardown(a_directory_has_one_store, on_disk, tear_down),
        cmocka_unit_test(hashes_have_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
