// What a store knows to be right is not verified again when it is sent, and only as long as it cannot have changed.
#include "unit/store_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blobs/bao.h"
#include "blobs/store_known.h"

#define LEN ((size_t)3000001)

typedef struct world {
    char scratch[STORE_PATH];
    iroh_store *store;
    uint8_t *data;
    iroh_hash hash;
} world;

static world w;

static void open_store(void) {
    iroh_store_config config = {.threads = 1};
    assert_int_equal(iroh_store_open(w.scratch, &config, &w.store), 0);
}

static int set_up(void **state) {
    (void)state;
    store_scratch(w.scratch);
    open_store();
    w.data = store_bytes(1, LEN);
    w.hash = store_hash(w.data, LEN);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    iroh_store_free(w.store);
    free(w.data);
    store_scratch_remove(w.scratch);
    return 0;
}

static void add(void) {
    iroh_hash hash;
    assert_int_equal(iroh_store_add_bytes(w.store, w.data, LEN, NULL, &hash), 0);
    assert_memory_equal(&hash, &w.hash, sizeof hash);
}

static store_reader *reader(void) {
    store_blob *b;
    store_reader *r;
    assert_int_equal(store_blob_open(w.store, &w.hash, &b), 0);
    assert_int_equal(store_reader_new(b, &r), 0);
    store_blob_close(b);
    return r;
}

static bool is_trusted(void) {
    store_reader *r = reader();
    bool trusted = store_reader_source(r).data_trusted;
    store_reader_free(r);
    return trusted;
}

static void damage(long offset) {
    char path[STORE_PATH + 128], hex[IROH_HASH_HEX_SIZE];
    iroh_hash_to_hex(&w.hash, hex);
    (void)snprintf(path, sizeof path, "%s/data/%s.data", w.scratch, hex);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(w.data[offset] ^ 1, f), EOF);
    fclose(f);
}

static void what_was_added_is_known_until_it_is_written_to(void **state) {
    (void)state;
    add();
    assert_true(is_trusted());
    assert_true(store_serves(w.store, &w.hash, w.data, LEN));
    damage(2000000);
    assert_false(is_trusted());
    assert_false(store_serves(w.store, &w.hash, w.data, LEN));
}

static void a_change_while_it_is_read_is_noticed(void **state) {
    (void)state;
    uint8_t byte;
    bao_place part = {&byte, 1};
    add();
    store_reader *r = reader();
    bao_source source = store_reader_source(r);
    assert_true(source.data_trusted);
    assert_int_equal(source.parts(source.user, 0, &part, 1), 0);
    damage(1000);
    assert_int_equal(source.parts(source.user, 0, &part, 1), IROH_ERR_CHANGED);
    assert_int_equal(source.data(source.user, 5, &byte, 1), IROH_ERR_CHANGED);
    store_reader_free(r);
}

static void another_opening_knows_nothing(void **state) {
    (void)state;
    add();
    iroh_store_free(w.store);
    open_store();
    assert_false(is_trusted());
    assert_true(store_serves(w.store, &w.hash, w.data, LEN));
}

static void what_was_received_is_known(void **state) {
    (void)state;
    assert_int_equal(store_receive(w.store, w.data, LEN, 0, BAO_END), 0);
    assert_true(is_trusted());
    assert_true(store_serves(w.store, &w.hash, w.data, LEN));
}

static void what_was_half_there_is_not_known(void **state) {
    (void)state;
    assert_int_equal(store_receive(w.store, w.data, LEN, 0, 1024), 0);
    assert_false(is_trusted());
    iroh_store_free(w.store);
    open_store();
    assert_int_equal(store_receive(w.store, w.data, LEN, 1024, BAO_END), 0);
    assert_false(is_trusted());
    assert_true(store_serves(w.store, &w.hash, w.data, LEN));
}

static void files_of_others_are_never_known(void **state) {
    (void)state;
    char path[STORE_PATH + 16];
    iroh_hash hash;
    iroh_add_options o = {.mode = IROH_ADD_REFERENCE};
    (void)snprintf(path, sizeof path, "%s/file", w.scratch);
    store_write_file(path, w.data, LEN);
    assert_int_equal(iroh_store_add_path(w.store, path, &o, &hash), 0);
    assert_false(is_trusted());
}

static void memory_is_always_trusted(void **state) {
    (void)state;
    iroh_store_free(w.store);
    assert_int_equal(iroh_store_memory(NULL, &w.store), 0);
    add();
    assert_true(is_trusted());
    assert_true(store_serves(w.store, &w.hash, w.data, LEN));
}

static iroh_hash hash_of(unsigned i) {
    iroh_hash hash = {{(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16)}};
    return hash;
}

static void the_table_remembers_the_newest(void **state) {
    (void)state;
    store_known k;
    store_stamp stamp = {.size = 7, .modified = 8}, other = {.size = 7, .modified = 9};
    iroh_hash first = hash_of(1), same_place = hash_of(1 + 65536), another = hash_of(2);
    store_known_init(&k);
    store_known_forget(&k, &first);
    assert_false(store_known_has(&k, &first, &stamp));
    store_known_add(&k, &first, &stamp);
    store_known_add(&k, &another, &stamp);
    assert_true(store_known_has(&k, &first, &stamp));
    assert_false(store_known_has(&k, &first, &other));
    store_known_forget(&k, &same_place);
    assert_true(store_known_has(&k, &first, &stamp));
    store_known_add(&k, &same_place, &other);
    assert_false(store_known_has(&k, &first, &stamp));
    assert_true(store_known_has(&k, &same_place, &other));
    store_known_forget(&k, &another);
    assert_false(store_known_has(&k, &another, &stamp));
    store_known_dispose(&k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_added_is_known_until_it_is_written_to, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_while_it_is_read_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_opening_knows_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_received_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_half_there_is_not_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_of_others_are_never_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_always_trusted, set_up, tear_down),
        cmocka_unit_test(the_table_remembers_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
