// Downloads that run while memory fails at any point: the call ends with an error that says so, or goes on; what the store
// says is there is right; and the same download, run again, brings the rest.
//
// Only allocations of the thread under test fail. With an endpoint that has a thread of its own these are the downloader's
// and the store's; without one, also those of QUIC and TLS on this side, after which packets may have to come again.
#include <stdio.h>
#include <stdlib.h>

#include "blobs/bao.h"
#include "unit/blobs_scene_support.h"
#include "unit/nomem_support.h"
#include "unit/store_support.h"

#define SMALL 5000
#define MIDDLING 100000
#define BIG 400000
#define BIG_MIDDLE ((uint64_t)192)  // chunks of BIG, a bit less than half, in whole groups
#define CHILDREN 3
#define ATTEMPTS_MAX 4000
// The first so many allocations fail one by one, later ones more and more apart.
#define DENSE 24
#define DENSE_LOSSY 8  // where a failure may cost the time of a lost packet
#define STALL_MS 5000

static const size_t sizes[CHILDREN] = {SMALL, MIDDLING, BIG};

// Two have all of it, the other two a half of the big one and the other half.
enum { WHOLE_A, WHOLE_B, HALF_A, HALF_B, PROVIDERS };

static party providers[PROVIDERS];
static iroh_hash root_hash, children[CHILDREN];
static uint8_t *truth[CHILDREN];
static char scratch[STORE_PATH];

// One way to download.
typedef struct way {
    const char *name;
    bool single;      // fetched by a getter over one connection, not by a downloader
    bool own_thread;  // of the endpoint
    bool disk;        // the store is there, not in memory
    int format;
    int from[2];  // providers
    int least;    // failures that there are at least
} way;

typedef struct attempt {
    const way *how;
    iroh_endpoint *ep;
    iroh_store *here;
    iroh_downloader *downloader;
    iroh_download *download;
    iroh_addr *first;  // of the providers
    char dir[STORE_PATH + 16];
} attempt;

static iroh_content content_of(const way *how) {
    return how->format == IROH_BLOB_RAW ? blobs_raw(children[CHILDREN - 1]) : blobs_seq(root_hash);
}

static void open_store(attempt *a) {
    if (!a->how->disk) {
        assert_int_equal(iroh_store_memory(NULL, &a->here), 0);
        return;
    }
    iroh_store_config config;
    iroh_store_config_default(&config);
    config.power_safe = false;
    assert_int_equal(iroh_store_open(a->dir, &config, &a->here), 0);
}

static void open_download(attempt *a) {
    iroh_content content = content_of(a->how);
    assert_int_equal(iroh_downloader_new(a->ep, a->here, NULL, &a->downloader), 0);
    assert_int_equal(iroh_download_new(a->downloader, &content, &a->download), 0);
    for (int i = 0; i < 2; i++) {
        iroh_addr *addr = duo_addr(providers[a->how->from[i]].ep);
        assert_int_equal(iroh_download_add(a->download, addr), 0);
        iroh_addr_free(addr);
    }
}

static void close_download(attempt *a) {
    iroh_download_free(a->download);
    iroh_downloader_free(a->downloader);
}

static void open_attempt(attempt *a, const way *how, iroh_endpoint *ep, int n) {
    *a = (attempt){.how = how, .ep = ep};
    (void)snprintf(a->dir, sizeof a->dir, "%s/%d", scratch, n);
    a->first = duo_addr(providers[how->from[0]].ep);
    open_store(a);
    open_download(a);
}

static void close_attempt(attempt *a) {
    close_download(a);
    iroh_addr_free(a->first);
    iroh_store_free(a->here);
    if (a->how->disk)
        store_scratch_remove(a->dir);
}

static int get(attempt *a, const iroh_addr *from, const iroh_get_options *o) {
    iroh_content content = content_of(a->how);
    iroh_connection *c;
    int r = iroh_endpoint_connect(a->ep, from, IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN), NULL, STALL_MS, &c);
    if (r != 0)
        return r;
    r = iroh_blobs_get(c, a->here, &content, o);
    iroh_connection_free(c);
    return r;
}

static int run(attempt *a) {
    iroh_get_options o;
    iroh_get_options_default(&o);
    o.stall_ms = STALL_MS;
    o.sizes_of = CHILDREN;
    return a->how->single ? get(a, a->first, &o) : iroh_download_run(a->download, 0, &o);
}

// What the store says it has of a blob is right.
static void check_blob(const attempt *a, const iroh_hash *hash, const uint8_t *data, size_t size) {
    static uint8_t got[BIG];
    store_blob *b;
    iroh_blob_status status;
    ranges have = RANGES_INIT;
    assert_int_equal(store_blob_open(a->here, hash, &b), 0);
    assert_int_equal(store_blob_state(b, &status, &have), 0);
    store_blob_close(b);
    assert_true(status.state != IROH_BLOB_COMPLETE || status.size == size);
    for (size_t i = 0; i < ranges_count(&have); i++) {
        uint64_t at = ranges_items(&have)[i].start * BAO_CHUNK, end = ranges_items(&have)[i].end * BAO_CHUNK;
        size_t len = (size_t)((end < size ? end : size) - at);
        assert_int_equal(iroh_store_read(a->here, hash, at, got, len), len);
        assert_memory_equal(got, data + at, len);
    }
    assert_true(status.state != IROH_BLOB_COMPLETE || store_serves(a->here, hash, data, size));
    ranges_dispose(&have);
}

static void check_store(const attempt *a) {
    check_blob(a, &root_hash, children[0].bytes, sizeof children);
    for (size_t i = 0; i < CHILDREN; i++)
        check_blob(a, &children[i], truth[i], sizes[i]);
}

static void check_complete(const attempt *a) {
    iroh_content content = content_of(a->how);
    assert_int_equal(iroh_content_is_complete(a->here, &content), 1);
    check_store(a);
}

// A connection that had no memory may end, and is then what the download has to say.
static bool is_connection_failure(int error) {
    static const int errors[] = {IROH_ERR_CLOSED,    IROH_ERR_IDLE,        IROH_ERR_TIMEOUT,
                                 IROH_ERR_TRANSPORT, IROH_ERR_STATELESS,   IROH_ERR_RESET,
                                 IROH_ERR_HANDSHAKE, IROH_ERR_PEER_CLOSED, IROH_ERR_CRYPTO};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (errors[i] == error)
            return true;
    }
    return false;
}

// The result of a run of which one allocation failed.
static void check_error(const way *how, int n, int r) {
    bool fine = r == 0 || r == IROH_ERR_NOMEM || (!how->own_thread && is_connection_failure(r));
    if (!fine)
        print_message("%s, allocation %d: %s\n", how->name, n, iroh_error_name(r));
    assert_true(fine);
}

static void run_again(attempt *a, int n) {
    // Every other time, with a store and a downloader that know nothing of what happened.
    if (a->how->disk && n % 2 == 1) {
        close_download(a);
        iroh_store_free(a->here);
        open_store(a);
        check_store(a);
        open_download(a);
    }
    int r = run(a);
    if (r != 0)
        print_message("%s, again after allocation %d: %s\n", a->how->name, n, iroh_error_name(r));
    assert_int_equal(r, 0);
}

// True when the n-th allocation failed, false when there are not so many.
static bool fail_one(const way *how, iroh_endpoint *ep, int n, int *failures) {
    attempt a;
    open_attempt(&a, how, ep, n);
    nomem_arm_here(n);
    int r = run(&a);
    bool failed = nomem_disarm();
    if (failed)
        check_error(how, n, r);
    else
        assert_int_equal(r, 0);
    *failures += r != 0;
    check_store(&a);
    if (r != 0)
        run_again(&a, n);
    check_complete(&a);
    close_attempt(&a);
    return failed;
}

static void fail_everywhere(const way *how) {
    iroh_endpoint_config config;
    duo_config(&config, how->own_thread);
    iroh_endpoint *ep = duo_bind(&config);
    int failures = 0;
    bool failed = true;
    for (int n = 0; failed; n += 1 + n / (how->own_thread ? DENSE : DENSE_LOSSY)) {
        assert_true(n < ATTEMPTS_MAX);
        failed = fail_one(how, ep, n, &failures);
    }
    if (failures < how->least)
        print_message("%s: only %d failures\n", how->name, failures);
    assert_true(failures >= how->least);
    iroh_endpoint_free(ep);
}

static void blobs_survive_want_of_memory(void **state) {
    (void)state;
    static const way ways[] = {
        {"blob", false, true, false, IROH_BLOB_RAW, {WHOLE_A, WHOLE_B}, 10},
        {"halves", false, true, false, IROH_BLOB_RAW, {HALF_A, HALF_B}, 10},
        {"blob to disk", false, true, true, IROH_BLOB_RAW, {WHOLE_A, WHOLE_B}, 10},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        fail_everywhere(&ways[i]);
}

static void sequences_survive_want_of_memory(void **state) {
    (void)state;
    static const way ways[] = {
        {"sequence", false, true, false, IROH_BLOB_HASH_SEQ, {WHOLE_A, WHOLE_B}, 10},
        {"sequence of halves", false, true, false, IROH_BLOB_HASH_SEQ, {HALF_A, HALF_B}, 10},
        {"sequence to disk", false, true, true, IROH_BLOB_HASH_SEQ, {WHOLE_A, HALF_B}, 10},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        fail_everywhere(&ways[i]);
}

static void downloads_survive_connections_that_want_memory(void **state) {
    (void)state;
    static const way ways[] = {
        {"blob, all here", false, false, false, IROH_BLOB_RAW, {HALF_A, HALF_B}, 5},
        {"one getter, all here", true, false, false, IROH_BLOB_HASH_SEQ, {WHOLE_A, WHOLE_B}, 5},
        {"sequence, all here", false, false, false, IROH_BLOB_HASH_SEQ, {WHOLE_A, WHOLE_B}, 5},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        fail_everywhere(&ways[i]);
}

static int make_download(attempt *a) {
    iroh_content content = content_of(a->how);
    int r = iroh_downloader_new(a->ep, a->here, NULL, &a->downloader);
    if (r == 0)
        r = iroh_download_new(a->downloader, &content, &a->download);
    for (int i = 0; i < 2 && r == 0; i++)
        r = iroh_download_add(a->download, a->first);
    return r;
}

static void downloads_are_made_or_not(void **state) {
    (void)state;
    static const way how = {.name = "making", .format = IROH_BLOB_RAW};
    attempt a = {.how = &how, .ep = bind_blobs(), .first = duo_addr(providers[WHOLE_A].ep)};
    open_store(&a);
    int r = IROH_ERR_NOMEM, failures = 0;
    for (int n = 0; r != 0; n++) {
        nomem_arm_here(n);
        r = make_download(&a);
        bool failed = nomem_disarm();
        assert_int_equal(r, failed ? IROH_ERR_NOMEM : 0);
        failures += failed;
        if (r == 0)
            assert_int_equal(run(&a), 0);
        close_download(&a);
        a.download = NULL;
        a.downloader = NULL;
    }
    assert_true(failures >= 5);
    iroh_addr_free(a.first);
    iroh_store_free(a.here);
    iroh_endpoint_free(a.ep);
}

static void fill_whole(iroh_store *s) {
    for (size_t i = 0; i < CHILDREN; i++)
        children[i] = blobs_add(s, sizes[i]);
    assert_int_equal(iroh_store_add_bytes(s, children, sizeof children, NULL, &root_hash), 0);
}

static void fill_half(iroh_store *s, uint64_t first, uint64_t end) {
    iroh_content content = blobs_raw(children[CHILDREN - 1]);
    for (size_t i = 0; i + 1 < CHILDREN; i++)
        (void)blobs_add(s, sizes[i]);
    iroh_hash same;
    assert_int_equal(iroh_store_add_bytes(s, children, sizeof children, NULL, &same), 0);
    copy_chunks(providers[WHOLE_A].store, s, &content, first, end);
}

static int open_all(void **state) {
    (void)state;
    for (int i = 0; i < PROVIDERS; i++)
        party_open(&providers[i], NULL, 0);
    fill_whole(providers[WHOLE_A].store);
    fill_whole(providers[WHOLE_B].store);
    fill_half(providers[HALF_A].store, 0, BIG_MIDDLE);
    fill_half(providers[HALF_B].store, BIG_MIDDLE, UINT64_MAX);
    for (size_t i = 0; i < CHILDREN; i++)
        truth[i] = blobs_data(sizes[i]);
    store_scratch(scratch);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    for (int i = 0; i < PROVIDERS; i++)
        party_free(&providers[i]);
    for (size_t i = 0; i < CHILDREN; i++)
        free(truth[i]);
    store_scratch_remove(scratch);
    return 0;
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(downloads_are_made_or_not),
        cmocka_unit_test(blobs_survive_want_of_memory),
        cmocka_unit_test(sequences_survive_want_of_memory),
        cmocka_unit_test(downloads_survive_connections_that_want_memory),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
