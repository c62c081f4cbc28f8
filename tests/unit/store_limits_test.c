// What stores do when the disk is full or read-only, and when many threads use them at once.
#include "unit/store_support.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobs/bao.h"

#define LEN ((size_t)6000001)
#define SMALL_DISK "size=4m"

static char scratch[STORE_PATH], dir[STORE_PATH + 8];

static int set_up(void **state) {
    (void)state;
    store_scratch(scratch);
    (void)snprintf(dir, sizeof dir, "%s/store", scratch);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)umount2(dir, MNT_DETACH);  // only after a failed test is there anything
    store_scratch_remove(scratch);
    return 0;
}

static iroh_store *open_store(bool power_safe) {
    iroh_store_config config = {.threads = 2, .power_safe = power_safe};
    iroh_store *s;
    assert_int_equal(iroh_store_open(dir, &config, &s), 0);
    return s;
}

// Files of this process may not grow beyond `bytes`; 0: as they like.
static void limit_files(rlim_t bytes) {
    static struct rlimit before;
    if (bytes > 0) {
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        struct rlimit now = {bytes, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    } else {
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    }
}

static void large_files_that_do_not_fit_are_an_error(void **state) {
    (void)state;
    iroh_store *s = open_store(true);
    uint8_t *data = store_bytes(1, LEN);
    iroh_hash hash = store_hash(data, LEN), out;
    limit_files(3000000);
    assert_int_equal(iroh_store_add_bytes(s, data, LEN, NULL, &out), IROH_ERR_NO_SPACE);
    // A download keeps what found room.
    assert_int_equal(store_receive(s, data, LEN, 0, BAO_END), IROH_ERR_NO_SPACE);
    limit_files(0);
    int64_t have = store_verified_chunks(s, &hash);
    assert_true(have > 1000 && have < 3000000 / BAO_CHUNK);
    iroh_store_free(s);
    s = open_store(true);
    assert_true(store_verified_chunks(s, &hash) >= have);
    assert_int_equal(store_receive(s, data, LEN, 0, BAO_END), 0);
    assert_true(store_serves(s, &hash, data, LEN));
    iroh_store_free(s);
    free(data);
}

// Small blobs until the database is full: what was acknowledged stays, the rest is refused, and the store goes on.
static void fill_up(iroh_store *s, iroh_hash *hashes, size_t max, size_t *count, int expected) {
    int r = 0;
    *count = 0;
    while (r == 0 && *count < max) {
        uint8_t *data = store_bytes(*count, 16384);
        r = iroh_store_add_bytes(s, data, 16384, NULL, &hashes[*count]);
        *count += r == 0;
        free(data);
    }
    assert_int_equal(r, expected);
}

static void assert_all_there(iroh_store *s, const iroh_hash *hashes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint8_t *data = store_bytes(i, 16384);
        assert_true(store_serves(s, &hashes[i], data, 16384));
        free(data);
    }
}

enum { MANY = 2000 };

static void check_full(void (*release)(void)) {
    iroh_store *s = open_store(false);
    iroh_hash *hashes = calloc(MANY, sizeof *hashes);
    size_t count;
    fill_up(s, hashes, MANY, &count, IROH_ERR_NO_SPACE);
    assert_true(count > 10);
    assert_all_there(s, hashes, count);
    iroh_batch *batch;
    assert_int_equal(iroh_batch_new(s, &batch), 0);
    iroh_add_options o = {.batch = batch};
    int r = 0;
    for (size_t i = 0; i < 600 && r == 0; i++) {
        uint8_t *data = store_bytes(100000 + i, 16384);
        iroh_hash hash;
        r = iroh_store_add_bytes(s, data, 16384, &o, &hash);
        free(data);
    }
    assert_true(r != 0 || iroh_batch_commit(batch) != 0);
    // The batch lost something, and says so however often it is asked.
    assert_int_not_equal(iroh_batch_commit(batch), 0);
    iroh_batch_free(batch);
    release();
    iroh_hash after;
    assert_int_equal(iroh_store_add_bytes(s, "after", 5, NULL, &after), 0);
    assert_all_there(s, hashes, count);
    iroh_store_free(s);
    s = open_store(false);
    assert_all_there(s, hashes, count);
    assert_int_equal(store_status_of(s, &after).state, IROH_BLOB_COMPLETE);
    iroh_verify_stats stats;
    assert_int_equal(iroh_store_verify(s, NULL, &stats), 0);
    assert_int_equal(stats.damaged, 0);
    iroh_store_free(s);
    free(hashes);
}

static void lift_limit(void) {
    limit_files(0);
}

static void a_database_that_may_not_grow_loses_nothing(void **state) {
    (void)state;
    iroh_store_free(open_store(false));
    limit_files(2000000);
    check_full(lift_limit);
}

static void make_room(void) {
    char path[STORE_PATH + 16];
    (void)snprintf(path, sizeof path, "%s/ballast", dir);
    assert_int_equal(unlink(path), 0);
}

static void a_full_disk_loses_nothing(void **state) {
    (void)state;
    assert_int_equal(mkdir(dir, 0777), 0);
    if (mount("tmpfs", dir, "tmpfs", 0, SMALL_DISK) != 0)
        skip();  // needs the right to mount
    char path[STORE_PATH + 16];
    uint8_t *ballast = store_bytes(1, 1000000);
    (void)snprintf(path, sizeof path, "%s/ballast", dir);
    store_write_file(path, ballast, 1000000);
    free(ballast);
    check_full(make_room);
    assert_int_equal(umount(dir), 0);
}

static void a_read_only_target_is_refused(void **state) {
    (void)state;
    iroh_store *s;
    assert_int_equal(mkdir(dir, 0777), 0);
    if (mount("tmpfs", dir, "tmpfs", MS_RDONLY, SMALL_DISK) != 0)
        skip();  // needs the right to mount
    assert_int_equal(iroh_store_open(dir, NULL, &s), IROH_ERR_ACCESS);
    char path[STORE_PATH + 16];
    (void)snprintf(path, sizeof path, "%s/out", dir);
    iroh_hash hash;
    assert_int_equal(iroh_store_memory(NULL, &s), 0);
    assert_int_equal(iroh_store_add_bytes(s, "hello", 5, NULL, &hash), 0);
    assert_int_equal(iroh_store_export(s, &hash, path, NULL), IROH_ERR_ACCESS);
    iroh_store_free(s);
    assert_int_equal(umount(dir), 0);
}

static void an_export_without_room_leaves_nothing(void **state) {
    (void)state;
    iroh_store *s;
    iroh_hash hash;
    uint8_t *data = store_bytes(1, LEN);
    assert_int_equal(iroh_store_memory(NULL, &s), 0);
    assert_int_equal(iroh_store_add_bytes(s, data, LEN, NULL, &hash), 0);
    char path[STORE_PATH + 16];
    (void)snprintf(path, sizeof path, "%s/out", scratch);
    limit_files(1000000);
    assert_int_equal(iroh_store_export(s, &hash, path, NULL), IROH_ERR_NO_SPACE);
    limit_files(0);
    DIR *d = opendir(scratch);
    size_t names = 0;
    while (readdir(d) != NULL)
        names++;
    closedir(d);
    assert_int_equal(names, 2);
    iroh_store_free(s);
    free(data);
}

// Threads

#define THREADS 6
#define BLOBS 12

typedef struct crowd {
    iroh_store *store;
    uint8_t *data[BLOBS];
    size_t sizes[BLOBS];
    atomic_int failures;
} crowd;

typedef struct person {
    crowd *crowd;
    uint64_t random;
} person;

static uint64_t draw(person *p, uint64_t below) {
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return (p->random >> 11) % below;
}

// One thing that may be done to a blob at any time; false when it did what it must not.
static bool act(person *p) {
    crowd *c = p->crowd;
    size_t i = (size_t)draw(p, BLOBS);
    iroh_hash hash = store_hash(c->data[i], c->sizes[i]), out;
    uint64_t groups = bao_groups(c->sizes[i]), from = draw(p, groups) * BAO_GROUP_CHUNKS;
    iroh_temp_tag *temp;
    iroh_add_options o = {.temp_tag = &temp};
    switch (draw(p, 8)) {
    case 0:
        if (iroh_store_add_bytes(c->store, c->data[i], c->sizes[i], &o, &out) != 0)
            return false;
        bool served = store_serves(c->store, &hash, c->data[i], c->sizes[i]);
        iroh_temp_tag_free(temp);
        return served;
    case 1:
        return iroh_store_gc(c->store, NULL, NULL, NULL) == 0;
    case 2:
        return iroh_store_sync(c->store) == 0;
    case 3:
        return store_receive(c->store, c->data[i], c->sizes[i], 0, BAO_END) == 0;
    default:
        return store_receive(c->store, c->data[i], c->sizes[i], from, from + 64) == 0 &&
               store_verified_chunks(c->store, &hash) >= 0;
    }
}

static void *live(void *arg) {
    person *p = arg;
    for (int i = 0; i < 60; i++)
        if (!act(p))
            atomic_fetch_add(&p->crowd->failures, 1);
    return NULL;
}

static void crowd_in(iroh_store *s) {
    crowd c = {.store = s};
    pthread_t threads[THREADS];
    person people[THREADS];
    atomic_init(&c.failures, 0);
    for (size_t i = 0; i < BLOBS; i++) {
        c.sizes[i] = 1 + i * i * i * 200;
        c.data[i] = store_bytes(i, c.sizes[i]);
    }
    for (uint64_t i = 0; i < THREADS; i++) {
        people[i] = (person){.crowd = &c, .random = i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, live, &people[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&c.failures), 0);
    iroh_verify_stats stats;
    assert_int_equal(iroh_store_verify(s, NULL, &stats), 0);
    assert_int_equal(stats.damaged, 0);
    for (size_t i = 0; i < BLOBS; i++)
        free(c.data[i]);
    iroh_store_free(s);
}

static void many_threads_share_a_store_on_disk(void **state) {
    (void)state;
    crowd_in(open_store(true));
}

static void many_threads_share_a_store_in_memory(void **state) {
    (void)state;
    iroh_store *s;
    assert_int_equal(iroh_store_memory(NULL, &s), 0);
    crowd_in(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(large_files_that_do_not_fit_are_an_error),
        TEST(a_database_that_may_not_grow_loses_nothing),
        TEST(a_full_disk_loses_nothing),
        TEST(a_read_only_target_is_refused),
        TEST(an_export_without_room_leaves_nothing),
        TEST(many_threads_share_a_store_on_disk),
        TEST(many_threads_share_a_store_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
