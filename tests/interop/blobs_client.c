#include "blobs_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobs_world.h"

#define NEWS_MS 20000
#define BOUNDS_MAX 64

// One case: its own store, and what went wrong first.
typedef struct play {
    iroh_connection *c;
    iroh_store *store;
    char why[200];
} play;

static bool expect(play *p, bool good, const char *format, ...) __attribute__((format(printf, 3, 4)));

static bool expect(play *p, bool good, const char *format, ...) {
    va_list args;
    if (good || p->why[0] != '\0')
        return good;
    va_start(args, format);
    (void)vsnprintf(p->why, sizeof p->why, format, args);
    va_end(args);
    return false;
}

static bool expect_error(play *p, const char *what, int got, int wanted) {
    return expect(p, got == wanted, "%s: %s, expected: %s", what, iroh_strerror(got), iroh_strerror(wanted));
}

static int get_raw(play *p, iroh_hash hash) {
    iroh_content content = {hash, IROH_BLOB_RAW};
    return iroh_blobs_get(p->c, p->store, &content, NULL);
}

static int get_chunks(play *p, iroh_hash hash, const uint64_t *chunks, size_t count) {
    iroh_content content = {hash, IROH_BLOB_RAW};
    iroh_get_options o;
    iroh_get_options_default(&o);
    o.chunks = chunks;
    o.chunk_count = count;
    return iroh_blobs_get(p->c, p->store, &content, &o);
}

static iroh_hash sequence_hash(const size_t *sizes, size_t count) {
    iroh_store *s;
    iroh_hash hash = {{0}};
    if (iroh_store_memory(NULL, &s) != 0 || world_add_sequence(s, sizes, count, &hash) != 0)
        abort();
    iroh_store_free(s);
    return hash;
}

static void expect_whole(play *p, size_t size) {
    iroh_hash hash = world_hash(size);
    uint8_t *expected = world_pattern(size), *got = NULL;
    size_t len = 0;
    int r = iroh_store_get(p->store, &hash, SIZE_MAX, &got, &len);
    if (expect_error(p, "reading", r, 0))
        (void)expect(p, len == size && memcmp(got, expected, size) == 0, "%zu bytes differ", size);
    free(got);
    free(expected);
}

// Exactly these chunks of a blob are in our store.
static void expect_chunks(play *p, iroh_hash hash, const uint64_t *bounds, size_t wanted) {
    iroh_observer *o;
    iroh_blob_status status;
    uint64_t got[BOUNDS_MAX];
    size_t count = 0;
    if (!expect_error(p, "observing", iroh_observer_new(p->store, &hash, &o), 0))
        return;
    (void)expect(p, iroh_observer_next(o, &status, got, BOUNDS_MAX, &count) == 1, "no state");
    (void)expect(p, count == wanted && memcmp(got, bounds, wanted * sizeof *bounds) == 0,
                 "other chunks are there: %zu boundaries", count);
    iroh_observer_free(o);
}

static void complete_blobs(play *p) {
    for (size_t i = 0; i < WORLD_SIZES; i++) {
        if (expect_error(p, "get", get_raw(p, world_hash(world_sizes[i])), 0))
            expect_whole(p, world_sizes[i]);
    }
}

static void count_bytes(void *user, const iroh_get_progress *progress) {
    *(uint64_t *)user = progress->bytes;
}

static void complete_sequence(play *p) {
    iroh_content content = {sequence_hash(world_sizes, WORLD_SIZES), IROH_BLOB_HASH_SEQ};
    uint64_t bytes = 0;
    iroh_get_options o;
    iroh_get_options_default(&o);
    o.progress = count_bytes;
    o.user = &bytes;
    (void)expect_error(p, "get", iroh_blobs_get(p->c, p->store, &content, &o), 0);
    (void)expect(p, bytes > 1000000, "only %llu bytes came", (unsigned long long)bytes);
    for (size_t i = 0; i < WORLD_SIZES; i++)
        expect_whole(p, world_sizes[i]);
    bytes = 0;
    (void)expect_error(p, "get again", iroh_blobs_get(p->c, p->store, &content, &o), 0);
    (void)expect(p, bytes == 0, "what is there came again");
}

// What is asked for is rounded out to groups of 16.
static void ranges(play *p) {
    static const uint64_t wanted[] = {3, 20, 100, 101}, rounded[] = {0, 32, 96, 112};
    iroh_hash hash = world_hash(1048576);
    (void)expect_error(p, "get", get_chunks(p, hash, wanted, 4), 0);
    expect_chunks(p, hash, rounded, 4);
    static const uint64_t all[] = {0};
    (void)expect_error(p, "the rest", get_raw(p, hash), 0);
    expect_chunks(p, hash, all, 1);
    expect_whole(p, 1048576);
}

static void beyond_the_end(play *p) {
    static const uint64_t last[] = {UINT64_MAX};
    iroh_hash hash = world_hash(100000);
    iroh_blob_status status;
    (void)expect_error(p, "get", get_chunks(p, hash, last, 1), 0);
    (void)expect_error(p, "status", iroh_store_status(p->store, &hash, &status), 0);
    (void)expect(p, status.size_proven && status.size == 100000, "the size is not proven");
    (void)expect(p, status.state == IROH_BLOB_PARTIAL, "more than the end came");
}

static void partial_blob(play *p) {
    static const uint64_t absent[] = {528, 544};
    iroh_hash hash = world_hash(WORLD_PARTIAL_SIZE);
    (void)expect_error(p, "get parts", get_chunks(p, hash, world_partial, WORLD_PARTIAL_BOUNDS), 0);
    expect_chunks(p, hash, world_partial, WORLD_PARTIAL_BOUNDS);
    (void)expect_error(p, "get another part", get_chunks(p, hash, absent, 2), IROH_ERR_NOT_FOUND);
    (void)expect_error(p, "get all", get_raw(p, hash), IROH_ERR_NOT_FOUND);
    expect_chunks(p, hash, world_partial, WORLD_PARTIAL_BOUNDS);
}

static void broken_sequence(play *p) {
    iroh_content content = {sequence_hash(world_broken, WORLD_BROKEN_COUNT), IROH_BLOB_HASH_SEQ};
    (void)expect_error(p, "get", iroh_blobs_get(p->c, p->store, &content, NULL), IROH_ERR_NOT_FOUND);
    (void)expect(p, iroh_content_is_complete(p->store, &content) == 0, "it is complete");
    (void)expect_error(p, "the first", get_raw(p, world_hash(WORLD_BROKEN_FIRST)), 0);
    (void)expect_error(p, "the third", get_raw(p, world_hash(16385)), 0);
}

static void many(play *p) {
    iroh_hash hashes[WORLD_SIZES];
    for (size_t i = 0; i < WORLD_SIZES; i++)
        hashes[i] = world_hash(world_sizes[i]);
    (void)expect_error(p, "get", iroh_blobs_get_many(p->c, p->store, hashes, WORLD_SIZES, NULL, NULL), 0);
    for (size_t i = 0; i < WORLD_SIZES; i++)
        expect_whole(p, world_sizes[i]);
    hashes[3] = world_hash(WORLD_ABSENT_SIZE);
    iroh_store_free(p->store);
    if (iroh_store_memory(NULL, &p->store) != 0)
        abort();
    (void)expect_error(p, "get with an absent one",
                       iroh_blobs_get_many(p->c, p->store, hashes, WORLD_SIZES, NULL, NULL), IROH_ERR_NOT_FOUND);
}

static void first_news(play *p, iroh_hash hash, uint64_t size, const uint64_t *bounds, size_t wanted, bool whole) {
    iroh_remote_observer *o;
    uint64_t got[BOUNDS_MAX], got_size = 0;
    size_t count = 0;
    bool complete = false;
    if (!expect_error(p, "observe", iroh_remote_observer_new(p->c, &hash, NEWS_MS, &o), 0))
        return;
    int r = iroh_remote_observer_next(o, NEWS_MS, &got_size, got, BOUNDS_MAX, &count, &complete);
    (void)expect_error(p, "news", r, 0);
    (void)expect(p, got_size == size && count == wanted && complete == whole, "size %llu, %zu boundaries",
                 (unsigned long long)got_size, count);
    (void)expect(p, wanted == 0 || memcmp(got, bounds, wanted * sizeof *bounds) == 0,
                 "other chunks are said to be there");
    iroh_remote_observer_free(o);
}

static void observe(play *p) {
    static const uint64_t all[] = {0};
    first_news(p, world_hash(100000), 100000, all, 1, true);
    first_news(p, world_hash(WORLD_PARTIAL_SIZE), WORLD_PARTIAL_SIZE, world_partial, WORLD_PARTIAL_BOUNDS, false);
    first_news(p, world_hash(WORLD_ABSENT_SIZE), 0, NULL, 0, false);
}

static void unknown(play *p) {
    (void)expect_error(p, "get", get_raw(p, world_hash(WORLD_ABSENT_SIZE)), IROH_ERR_NOT_FOUND);
    (void)expect_error(p, "the connection", get_raw(p, world_hash(1025)), 0);
}

// Watches a blob over there until it is complete, then gets it back.
static void expect_arrival(play *p, size_t size) {
    iroh_hash hash = world_hash(size);
    iroh_remote_observer *o;
    bool complete = false;
    int r = 0;
    if (!expect_error(p, "observe", iroh_remote_observer_new(p->c, &hash, NEWS_MS, &o), 0))
        return;
    while (r == 0 && !complete) {
        uint64_t total;
        size_t count;
        r = iroh_remote_observer_next(o, NEWS_MS, &total, NULL, 0, &count, &complete);
    }
    iroh_remote_observer_free(o);
    (void)expect_error(p, "news", r, 0);
    iroh_store_free(p->store);
    if (iroh_store_memory(NULL, &p->store) != 0)
        abort();
    (void)expect_error(p, "get back", get_raw(p, hash), 0);
    expect_whole(p, size);
}

static void push_blob(play *p) {
    iroh_content content = {.format = IROH_BLOB_RAW};
    (void)expect_error(p, "add", world_add(p->store, WORLD_PUSHED_SIZE, &content.hash), 0);
    (void)expect_error(p, "push", iroh_blobs_push(p->c, p->store, &content, NULL), 0);
    expect_arrival(p, WORLD_PUSHED_SIZE);
}

static void push_sequence(play *p) {
    iroh_content content = {.format = IROH_BLOB_HASH_SEQ};
    iroh_hash hash;
    for (size_t i = 0; i < WORLD_PUSHED_COUNT; i++)
        (void)expect_error(p, "add", world_add(p->store, world_pushed[i], &hash), 0);
    (void)expect_error(p, "add", world_add_sequence(p->store, world_pushed, WORLD_PUSHED_COUNT, &content.hash), 0);
    (void)expect_error(p, "push", iroh_blobs_push(p->c, p->store, &content, NULL), 0);
    for (size_t i = 0; i < WORLD_PUSHED_COUNT; i++)
        expect_arrival(p, world_pushed[i]);
}

static void push_refused(play *p) {
    iroh_content content = {.format = IROH_BLOB_RAW};
    (void)expect_error(p, "add", world_add(p->store, WORLD_PUSHED_SIZE, &content.hash), 0);
    (void)expect_error(p, "push", iroh_blobs_push(p->c, p->store, &content, NULL), IROH_ERR_ACCESS);
    first_news(p, content.hash, 0, NULL, 0, false);
}

typedef enum wants { ALWAYS, PUSHING, NOT_PUSHING } wants;

static const struct {
    const char *name;
    void (*run)(play *p);
    wants wants;
} cases[] = {
    {"complete-blobs", complete_blobs, ALWAYS},
    {"complete-sequence", complete_sequence, ALWAYS},
    {"ranges", ranges, ALWAYS},
    {"beyond-the-end", beyond_the_end, ALWAYS},
    {"partial-blob", partial_blob, ALWAYS},
    {"broken-sequence", broken_sequence, ALWAYS},
    {"many", many, ALWAYS},
    {"observe", observe, ALWAYS},
    {"unknown", unknown, ALWAYS},
    {"push-blob", push_blob, PUSHING},
    {"push-sequence", push_sequence, PUSHING},
    {"push-refused", push_refused, NOT_PUSHING},
};

bool blobs_client(iroh_connection *c, bool push) {
    bool good = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].wants == (push ? NOT_PUSHING : PUSHING))
            continue;
        play p = {.c = c};
        if (iroh_store_memory(NULL, &p.store) != 0)
            abort();
        cases[i].run(&p);
        iroh_store_free(p.store);
        if (p.why[0] == '\0')
            printf("ok %s\n", cases[i].name);
        else
            printf("FAIL %s: %s\n", cases[i].name, p.why);
        (void)fflush(stdout);
        good &= p.why[0] == '\0';
    }
    return good;
}
