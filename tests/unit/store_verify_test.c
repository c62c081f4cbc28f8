// Damage is found, told apart and repaired; changes are observed.
#include "unit/store_support.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobs/bao.h"

#define LEN ((size_t)6000001)  // its outboard is in a file

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

// Turns a byte of the file of a blob.
static void damage(const iroh_hash *hash, const char *suffix, long offset) {
    char path[STORE_PATH + 128], hex[IROH_HASH_HEX_SIZE];
    iroh_hash_to_hex(hash, hex);
    (void)snprintf(path, sizeof path, "%s/data/%s%s", scratch, hex, suffix);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    int byte = fgetc(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 1, f), EOF);
    fclose(f);
}

typedef struct report {
    int count, result;
    uint64_t bad;
} report;

static bool note(void *user, const iroh_hash *hash, int result, uint64_t bad) {
    (void)hash;
    report *r = user;
    r->count++;
    r->result = result;
    r->bad = bad;
    return true;
}

static report verify(iroh_store *s, bool repair) {
    report found = {0};
    iroh_verify_options o = {.repair = repair, .report = note, .user = &found};
    iroh_verify_stats stats;
    assert_int_equal(iroh_store_verify(s, &o, &stats), 0);
    bool damaged = found.count > 0 && found.result != IROH_VERIFY_GOOD && found.result != IROH_VERIFY_PARTIAL;
    assert_int_equal(stats.damaged, damaged);
    assert_int_equal(stats.repaired, damaged && repair);
    return found;
}

static void what_is_good_stays(void **state) {
    iroh_store *s = *state;
    static const size_t sizes[] = {0, 1, 20000, LEN};
    for (size_t i = 0; i < 4; i++) {
        uint8_t *data = store_bytes(i, sizes[i]);
        iroh_hash hash;
        assert_int_equal(iroh_store_add_bytes(s, data, sizes[i], NULL, &hash), 0);
        free(data);
    }
    iroh_verify_options o = {.repair = true};
    iroh_verify_stats stats;
    assert_int_equal(iroh_store_verify(s, &o, &stats), 0);
    assert_int_equal(stats.blobs, 3);  // the empty one needs no place
    assert_int_equal(stats.bytes, LEN + 20001);
    assert_int_equal(stats.damaged, 0);
}

static void damaged_data_is_fetched_again(void **state) {
    iroh_store *s = *state;
    uint8_t *data = store_bytes(1, LEN);
    iroh_hash hash;
    assert_int_equal(iroh_store_add_bytes(s, data, LEN, NULL, &hash), 0);
    damage(&hash, ".data", 3000000);
    assert_false(store_serves(s, &hash, data, LEN));
    report found = verify(s, false);
    assert_int_equal(found.result, IROH_VERIFY_DAMAGED);
    assert_int_equal(found.bad, BAO_GROUP_CHUNKS);
    found = verify(s, true);
    assert_int_equal(found.result, IROH_VERIFY_DAMAGED);
    assert_int_equal(verify(s, false).result, IROH_VERIFY_PARTIAL);
    uint64_t first = 3000000 / BAO_GROUP * BAO_GROUP_CHUNKS;
    assert_int_equal(store_verified_chunks(s, &hash), bao_chunks(LEN) - BAO_GROUP_CHUNKS);
    assert_int_equal(store_receive(s, data, LEN, first, first + BAO_GROUP_CHUNKS), 0);
    assert_true(store_serves(s, &hash, data, LEN));
    assert_int_equal(verify(s, false).result, IROH_VERIFY_GOOD);
    free(data);
}

static void damaged_outboards_are_made_anew(void **state) {
    iroh_store *s = *state;
    uint8_t *data = store_bytes(2, LEN);
    iroh_hash hash;
    assert_int_equal(iroh_store_add_bytes(s, data, LEN, NULL, &hash), 0);
    damage(&hash, ".outboard", 64);
    assert_false(store_serves(s, &hash, data, LEN));
    assert_int_equal(verify(s, true).result, IROH_VERIFY_OUTBOARD);
    assert_true(store_serves(s, &hash, data, LEN));
    assert_int_equal(verify(s, false).result, IROH_VERIFY_GOOD);
    free(data);
}

static void damaged_partial_blobs_lose_what_is_damaged(void **state) {
    iroh_store *s = *state;
    uint8_t *data = store_bytes(3, LEN);
    iroh_hash hash = store_hash(data, LEN);
    assert_int_equal(store_receive(s, data, LEN, 160, 1600), 0);
    assert_int_equal(verify(s, false).result, IROH_VERIFY_PARTIAL);
    damage(&hash, ".data", 1000 * 1024);
    report found = verify(s, true);
    assert_int_equal(found.result, IROH_VERIFY_DAMAGED);
    assert_int_equal(found.bad, BAO_GROUP_CHUNKS);
    assert_int_equal(store_verified_chunks(s, &hash), 1440 - BAO_GROUP_CHUNKS);
    free(data);
}

static void missing_files_are_noticed_and_forgotten(void **state) {
    iroh_store *s = *state;
    uint8_t *data = store_bytes(4, 100000);
    iroh_hash hash;
    assert_int_equal(iroh_store_add_bytes(s, data, 100000, NULL, &hash), 0);
    char path[STORE_PATH + 128], hex[IROH_HASH_HEX_SIZE];
    iroh_hash_to_hex(&hash, hex);
    (void)snprintf(path, sizeof path, "%s/data/%s.data", scratch, hex);
    assert_int_equal(truncate(path, 99999), 0);
    assert_int_equal(store_status_of(s, &hash).state, IROH_BLOB_ABSENT);
    assert_int_equal(verify(s, false).result, IROH_VERIFY_MISSING);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(verify(s, true).result, IROH_VERIFY_MISSING);
    assert_int_equal(verify(s, false).count, 0);
    assert_int_equal(store_receive(s, data, 100000, 0, BAO_END), 0);
    assert_true(store_serves(s, &hash, data, 100000));
    free(data);
}

static void a_damaged_database_is_an_error(void **state) {
    iroh_store_free(*state);
    char path[STORE_PATH + 16];
    (void)snprintf(path, sizeof path, "%s/meta.db", scratch);
    uint8_t *junk = store_bytes(1, 50000);
    store_write_file(path, junk, 50000);
    iroh_store *s;
    assert_int_equal(iroh_store_open(scratch, NULL, &s), IROH_ERR_CORRUPT);
    assert_null(s);
    free(junk);
    *state = NULL;
}

// Observing

static bool is_readable(const iroh_observer *o) {
    struct pollfd p = {.fd = iroh_observer_fd(o), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void observers_see_every_change(void **state) {
    iroh_store *s = *state;
    size_t len = 100000;
    uint8_t *data = store_bytes(5, len);
    iroh_hash hash = store_hash(data, len);
    iroh_observer *o;
    iroh_blob_status status;
    uint64_t b[8];
    size_t count;
    assert_int_equal(iroh_observer_new(s, &hash, &o), 0);
    assert_true(is_readable(o));
    assert_int_equal(iroh_observer_next(o, &status, b, 8, &count), 1);
    assert_int_equal(status.state, IROH_BLOB_ABSENT);
    assert_int_equal(count, 0);
    assert_false(is_readable(o));
    assert_int_equal(iroh_observer_next(o, &status, b, 8, &count), 0);
    assert_int_equal(store_receive(s, data, len, 16, 32), 0);
    assert_true(is_readable(o));
    assert_int_equal(iroh_observer_next(o, &status, b, 8, &count), 1);
    assert_int_equal(status.state, IROH_BLOB_PARTIAL);
    assert_int_equal(status.size, len);
    assert_int_equal(count, 2);
    assert_int_equal(b[0], 16);
    assert_int_equal(b[1], 32);
    assert_int_equal(store_receive(s, data, len, 96, BAO_END), 0);
    assert_int_equal(iroh_observer_next(o, &status, b, 8, &count), 1);
    assert_true(status.size_proven);
    assert_int_equal(count, 3);
    assert_int_equal(b[2], 96);
    assert_int_equal(store_receive(s, data, len, 0, BAO_END), 0);
    assert_true(is_readable(o));
    assert_int_equal(iroh_observer_next(o, &status, b, 8, &count), 1);
    assert_int_equal(status.state, IROH_BLOB_COMPLETE);
    assert_int_equal(count, 1);
    assert_int_equal(b[0], 0);
    assert_int_equal(iroh_observer_next(o, &status, NULL, 0, NULL), 0);
    iroh_observer_free(o);
    free(data);
}

static void observers_see_imports(void **state) {
    iroh_store *s = *state;
    iroh_hash hash, same;
    iroh_hash_of("hello", 5, &hash);
    iroh_observer *o;
    iroh_blob_status status;
    size_t count;
    assert_int_equal(iroh_observer_new(s, &hash, &o), 0);
    assert_int_equal(iroh_observer_next(o, &status, NULL, 0, &count), 1);
    assert_int_equal(iroh_store_add_bytes(s, "hello", 5, NULL, &same), 0);
    assert_true(is_readable(o));
    assert_int_equal(iroh_observer_next(o, &status, NULL, 0, &count), 1);
    assert_int_equal(status.state, IROH_BLOB_COMPLETE);
    assert_int_equal(count, 1);
    iroh_observer_free(o);
}

#define BOTH(test)                                                                                                     \
    {#test "_on_disk", test, on_disk, tear_down, NULL}, {                                                              \
#test "_in_memory", test, in_memory, tear_down, NULL                                                           \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(what_is_good_stays),
        BOTH(observers_see_every_change),
        BOTH(observers_see_imports),
        cmocka_unit_test_setup_teardown(damaged_data_is_fetched_again, on_disk, tear_down),
        cmocka_unit_test_setup_teardown(damaged_outboards_are_made_anew, on_disk, tear_down),
        cmocka_unit_test_setup_teardown(damaged_partial_blobs_lose_what_is_damaged, on_disk, tear_down),
        cmocka_unit_test_setup_teardown(missing_files_are_noticed_and_forgotten, on_disk, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_database_is_an_error, on_disk, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
