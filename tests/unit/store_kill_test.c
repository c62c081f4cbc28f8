// A process that uses a store is killed at random moments, hundreds of times. After each, the store must open, hold what
// was acknowledged, and give out nothing that does not verify.
//
// What was acknowledged is kept in memory that both processes share. A field is set to "unknown" before a call that changes
// it, and to what the call promised after it has returned.
#include "unit/store_support.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/ranges.h"
#include "blobs/bao.h"

#define ROUNDS 300
#define KILL_US 60000  // latest moment
#define VERIFY_EVERY 20
#define LONG ((size_t)9000000)  // its outboard is in a file
#define SEGMENTS 4              // parts of a blob that are received one by one
#define SLOTS 14
#define SYNC_US 500  // between two commits of the second thread
#define EXPORT_MAX 200000

static const size_t sizes[SLOTS] = {1,      900,    5000,   16384,   16385,   20000,   40000,
                                    100000, 150000, 400000, 1000000, 4210688, 4210689, 5000000};

enum { NO = 0, YES = 1, UNKNOWN = 2 };

typedef struct slot {
    volatile int tagged;
    volatile int present;  // YES: complete; NO: absent
    volatile bool segments[SEGMENTS];
} slot;

typedef struct model {
    slot slots[SLOTS];
    volatile int failed_line, failed_code;  // in the child
    volatile unsigned calls;
} model;

typedef struct world {
    char scratch[STORE_PATH];
    char dir[STORE_PATH + 8];
    uint8_t *data[SLOTS];
    iroh_hash hashes[SLOTS];
    model *model;
    iroh_store *store;
    uint64_t random;
} world;

static uint64_t draw(world *w, uint64_t below) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (w->random >> 11) % below;
}

static int open_store(world *w, unsigned threads, bool power_safe) {
    iroh_store_config config = {.threads = threads, .power_safe = power_safe};
    return iroh_store_open(w->dir, &config, &w->store);
}

static void source_path(const world *w, int i, char out[STORE_PATH + 64]) {
    (void)snprintf(out, STORE_PATH + 64, "%s/source-%d", w->scratch, i);
}

// The segment of groups that is received at once; the last one has no end.
static void segment(size_t size, int k, uint64_t *from, uint64_t *to) {
    uint64_t groups = bao_groups(size);
    *from = groups * (uint64_t)k / SEGMENTS * BAO_GROUP_CHUNKS;
    *to = k == SEGMENTS - 1 ? BAO_END : groups * (uint64_t)(k + 1) / SEGMENTS * BAO_GROUP_CHUNKS;
}

// What the child does

#define TRY(call) try_call(w, __LINE__, call)

static int try_call(world *w, int line, int r) {
    w->model->calls++;
    if (r < 0 && w->model->failed_line == 0) {
        w->model->failed_code = r;
        w->model->failed_line = line;
        _exit(1);
    }
    return r;
}

static void add(world *w, int i, int how) {
    slot *s = &w->model->slots[i];
    uint8_t name = (uint8_t)i;
    iroh_add_options o = {.tag = &name, .tag_len = 1, .mode = how == 2 ? IROH_ADD_REFERENCE : IROH_ADD_COPY};
    iroh_hash hash;
    char path[STORE_PATH + 64];
    source_path(w, i, path);
    s->tagged = UNKNOWN;
    s->present = s->present == YES ? YES : UNKNOWN;
    if (how == 0)
        TRY(iroh_store_add_bytes(w->store, w->data[i], sizes[i], &o, &hash));
    else
        TRY(iroh_store_add_path(w->store, path, &o, &hash));
    s->present = YES;
    s->tagged = YES;
}

static void add_batch(world *w) {
    iroh_batch *batch;
    int first = (int)draw(w, SLOTS - 4);
    TRY(iroh_batch_new(w->store, &batch));
    for (int i = first; i < first + 4; i++) {
        slot *s = &w->model->slots[i];
        iroh_add_options o = {.batch = batch};
        iroh_hash hash;
        s->present = s->present == YES ? YES : UNKNOWN;
        TRY(iroh_store_add_bytes(w->store, w->data[i], sizes[i], &o, &hash));
    }
    TRY(iroh_batch_commit(batch));
    for (int i = first; i < first + 4; i++)
        w->model->slots[i].present = YES;
    iroh_batch_free(batch);
}

static void receive(world *w, int i, int k) {
    slot *s = &w->model->slots[i];
    uint64_t from, to;
    segment(sizes[i], k, &from, &to);
    if (from == to)
        return;
    s->present = s->present == YES ? YES : UNKNOWN;
    TRY(store_receive(w->store, w->data[i], sizes[i], from, to));
    if (draw(w, 3) > 0)
        return;
    TRY(iroh_store_sync(w->store));
    s->segments[k] = true;
}

static void tag(world *w, int i) {
    uint8_t name = (uint8_t)i;
    iroh_content c = {.hash = w->hashes[i]};
    w->model->slots[i].tagged = UNKNOWN;
    TRY(iroh_tag_set(w->store, &name, 1, &c));
    w->model->slots[i].tagged = YES;
}

static void untag(world *w, int i) {
    uint8_t name = (uint8_t)i;
    w->model->slots[i].tagged = UNKNOWN;
    TRY(iroh_tag_remove(w->store, &name, 1));
    w->model->slots[i].tagged = NO;
}

static void collect(world *w) {
    for (int i = 0; i < SLOTS; i++) {
        slot *s = &w->model->slots[i];
        if (s->tagged == YES)
            continue;
        s->present = UNKNOWN;
        for (int k = 0; k < SEGMENTS; k++)
            s->segments[k] = false;
    }
    TRY(iroh_store_gc(w->store, NULL, NULL, NULL));
    for (int i = 0; i < SLOTS; i++)
        if (w->model->slots[i].tagged == NO)
            w->model->slots[i].present = NO;
}

static void export(world *w, int i) {
    char path[STORE_PATH + 64];
    // Under a new name each time; so only small ones, which are let be afterwards.
    (void)snprintf(path, sizeof path, "%s/out-%u", w->scratch, w->model->calls);
    iroh_export_options o = {.mode = IROH_EXPORT_REFERENCE};
    int r = sizes[i] < EXPORT_MAX ? iroh_store_export(w->store, &w->hashes[i], path, &o) : 0;
    if (r != IROH_ERR_NOT_FOUND)
        TRY(r);
}

// Commits at any moment, also in the middle of what the other thread does.
static void *keep_syncing(void *arg) {
    world *w = arg;
    for (;;) {
        TRY(iroh_store_sync(w->store));
        usleep(SYNC_US);
    }
    return NULL;
}

static void child(world *w, bool power_safe, bool syncs) {
    pthread_t syncer;
    TRY(open_store(w, 2, power_safe));
    if (syncs)
        TRY(-pthread_create(&syncer, NULL, keep_syncing, w));
    for (;;) {
        int i = (int)draw(w, SLOTS);
        switch (draw(w, 12)) {
        case 0:
        case 1:
        case 2:
            add(w, i, (int)draw(w, 3));
            break;
        case 3:
            add_batch(w);
            break;
        case 4:
        case 5:
        case 6:
        case 7:
            receive(w, i, (int)draw(w, SEGMENTS));
            break;
        case 8:
            tag(w, i);
            break;
        case 9:
            untag(w, i);
            break;
        case 10:
            export(w, i);
            break;
        default:
            collect(w);
        }
    }
}

// What the parent checks

static void check_segments(world *w, int i) {
    store_blob *b;
    iroh_blob_status status;
    ranges have = RANGES_INIT;
    assert_int_equal(store_blob_open(w->store, &w->hashes[i], &b), 0);
    assert_int_equal(store_blob_state(b, &status, &have), 0);
    for (int k = 0; k < SEGMENTS; k++) {
        uint64_t from, to;
        segment(sizes[i], k, &from, &to);
        to = to == BAO_END ? bao_chunks(sizes[i]) : to;
        if (w->model->slots[i].segments[k] && from < to)
            assert_true(ranges_covers(&have, from, to));
    }
    ranges_dispose(&have);
    store_blob_close(b);
}

static void check_slot(world *w, int i) {
    const slot *s = &w->model->slots[i];
    iroh_blob_status status = store_status_of(w->store, &w->hashes[i]);
    if (s->present == YES)
        assert_int_equal(status.state, IROH_BLOB_COMPLETE);
    if (s->present == NO)
        assert_int_equal(status.state, IROH_BLOB_ABSENT);
    if (status.state == IROH_BLOB_COMPLETE)
        assert_true(store_serves(w->store, &w->hashes[i], w->data[i], sizes[i]));
    if (status.state == IROH_BLOB_PARTIAL)
        assert_true(store_verified_chunks(w->store, &w->hashes[i]) >= 0);
    check_segments(w, i);
    uint8_t name = (uint8_t)i;
    iroh_content content;
    int r = iroh_tag_get(w->store, &name, 1, &content);
    if (s->tagged != UNKNOWN)
        assert_int_equal(r, s->tagged == YES ? 0 : IROH_ERR_NOT_FOUND);
}

static size_t count_names(const world *w, const char *folder) {
    char path[STORE_PATH + 64];
    (void)snprintf(path, sizeof path, "%s/%s", w->dir, folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t count = 0;
    const struct dirent *e;
    while ((e = readdir(dir)) != NULL)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void check(world *w, int round) {
    assert_int_equal(open_store(w, 1, false), 0);
    assert_int_equal(count_names(w, "temp"), 0);
    assert_true(count_names(w, "data") <= (size_t)2 * SLOTS);
    for (int i = 0; i < SLOTS; i++)
        check_slot(w, i);
    if (round % VERIFY_EVERY == 0) {
        iroh_verify_stats stats;
        assert_int_equal(iroh_store_verify(w->store, NULL, &stats), 0);
        assert_int_equal(stats.damaged, 0);
    }
    iroh_store_free(w->store);
}

static void killed_stores_keep_their_promises(void **state) {
    (void)state;
    world w = {.random = 0x9e3779b97f4a7c15u};
    store_scratch(w.scratch);
    (void)snprintf(w.dir, sizeof w.dir, "%s/store", w.scratch);
    w.model = mmap(NULL, sizeof *w.model, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(w.model != MAP_FAILED);
    for (int i = 0; i < SLOTS; i++) {
        char path[STORE_PATH + 64];
        w.data[i] = store_bytes((uint64_t)i, sizes[i]);
        w.hashes[i] = store_hash(w.data[i], sizes[i]);
        source_path(&w, i, path);
        store_write_file(path, w.data[i], sizes[i]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        w.random += (uint64_t)round;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            child(&w, round % 2 == 0, round % 3 != 0);
        usleep((useconds_t)draw(&w, KILL_US));
        kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (w.model->failed_line != 0)
            print_message("line %d: %s\n", w.model->failed_line, iroh_error_name(w.model->failed_code));
        assert_int_equal(w.model->failed_line, 0);
        assert_true(WIFSIGNALED(status));
        check(&w, round);
    }
    print_message("%d rounds, %u calls\n", ROUNDS, w.model->calls);
    assert_true(w.model->calls > ROUNDS);
    for (int i = 0; i < SLOTS; i++)
        free(w.data[i]);
    munmap(w.model, sizeof *w.model);
    store_scratch_remove(w.scratch);
}

// A writer that never comes to its end: it is killed after its mark is durable, and its chunks are not in the row.
static void write_and_die(world *w, const uint8_t *encoded, size_t len, const ranges *wanted) {
    store_blob *b;
    store_writer *writer;
    bao_decoder *d;
    if (open_store(w, 1, false) != 0 || store_blob_open(w->store, &w->hashes[0], &b) != 0 ||
        store_writer_new(b, LONG, &writer) != 0 || bao_decoder_new(&d) != 0)
        _exit(1);
    bao_decoder_start(d, w->hashes[0].bytes, wanted);
    for (size_t at = 0; at < len;) {
        const bao_item *items;
        size_t used, count;
        bool first = at == 0;
        if (bao_decoder_read(d, encoded + at, len - at, &used, &items, &count) < 0 ||
            store_writer_put(writer, items, count) != 0 || (first && iroh_store_sync(w->store) != 0))
            _exit(1);
        at += used;
    }
    kill(getpid(), SIGKILL);
}

static void turn_a_byte(const world *w, long offset) {
    char path[STORE_PATH + 128], hex[IROH_HASH_HEX_SIZE];
    iroh_hash_to_hex(&w->hashes[0], hex);
    (void)snprintf(path, sizeof path, "%s/data/%s.data", w->dir, hex);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    int byte = fgetc(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 1, f), EOF);
    fclose(f);
}

static void chunks_without_a_row_are_looked_for_and_verified(void **state) {
    (void)state;
    world w = {.random = 1};
    size_t len;
    uint64_t chunks = bao_chunks(LONG), half = chunks / 2 / BAO_GROUP_CHUNKS * BAO_GROUP_CHUNKS;
    store_scratch(w.scratch);
    (void)snprintf(w.dir, sizeof w.dir, "%s/store", w.scratch);
    w.data[0] = store_bytes(1, LONG);
    w.hashes[0] = store_hash(w.data[0], LONG);
    uint8_t *encoded = store_encode(w.data[0], LONG, 0, half, &len);
    ranges wanted = RANGES_INIT;
    assert_int_equal(ranges_add(&wanted, 0, half), 0);
    pid_t pid = fork();
    if (pid == 0)
        write_and_die(&w, encoded, len, &wanted);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    // What is not as it was written does not count, whoever changed it.
    turn_a_byte(&w, (long)(half / 2) * BAO_CHUNK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(open_store(&w, 1, false), 0);
        assert_int_equal(store_verified_chunks(w.store, &w.hashes[0]), half - BAO_GROUP_CHUNKS);
        iroh_store_free(w.store);
    }
    assert_int_equal(open_store(&w, 1, false), 0);
    assert_int_equal(store_receive(w.store, w.data[0], LONG, half / 2, BAO_END), 0);
    assert_true(store_serves(w.store, &w.hashes[0], w.data[0], LONG));
    iroh_store_free(w.store);
    ranges_dispose(&wanted);
    free(encoded);
    free(w.data[0]);
    store_scratch_remove(w.scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(chunks_without_a_row_are_looked_for_and_verified),
                                       cmocka_unit_test(killed_stores_keep_their_promises)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
