// Transfers when memory fails at any point: an error of the call, nothing unverified stored, nothing leaked, and the same
// call works when it is made again. Only allocations of the thread under test fail.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit/blobs_support.h"
#include "unit/nomem_support.h"

#include "blobs/bao.h"
#include "blobs/incoming.h"
#include "blobs/missing.h"
#include "blobs/outgoing.h"

#define SMALL 5000
#define LARGE 400000
#define ATTEMPTS_MAX 2000
#define PATIENCE_MS 20000

// What the operations work on: blobs over there, an empty store here.
static blobs_duo both;
static iroh_store *there, *here;
static iroh_connection *connection;
static iroh_hash small_hash, large_hash, root_hash;
static char ticket[512], scratch[64];

// --- Without a connection

static int tickets(void) {
    iroh_addr *from;
    iroh_content content;
    char text[sizeof ticket];
    int r = iroh_blob_ticket_parse(ticket, &from, &content);
    if (r != 0)
        return r;
    r = iroh_blob_ticket_format(from, &content, text, sizeof text);
    iroh_addr_free(from);
    return r > 0 ? 0 : r;
}

static int collection(void) {
    iroh_collection *c, *loaded = NULL;
    iroh_hash hash;
    int r = iroh_collection_new(&c);
    if (r != 0)
        return r;
    r = iroh_collection_add(c, "z", 1, &large_hash);
    if (r == 0)
        r = iroh_collection_add(c, "a", 1, &small_hash);
    iroh_collection_sort(c);
    if (r == 0)
        r = iroh_collection_save(c, here, NULL, &hash);
    if (r == 0)
        r = iroh_collection_load(here, &hash, &loaded);
    iroh_collection_free(loaded);
    iroh_collection_free(c);
    return r;
}

// Out of a folder and into another one, which is away afterwards.
static int folders(void) {
    iroh_collection *c;
    char target[80], file[96], command[256];
    iroh_folder_options o = {.mode = IROH_ADD_COPY};
    int r = iroh_collection_new(&c);
    if (r != 0)
        return r;
    (void)snprintf(target, sizeof target, "%s/out", scratch);
    (void)snprintf(file, sizeof file, "%s/in", scratch);
    r = iroh_collection_import(c, here, file, &o);
    if (r == 0)
        r = iroh_collection_export(c, here, target, &o);
    iroh_collection_free(c);
    nomem_spare(true);
    (void)snprintf(command, sizeof command, "rm -rf %s; mkdir %s", target, target);
    assert_int_equal(system(command), 0);
    nomem_spare(false);
    return r;
}

static int sequence_request(proto_builder *b, proto_request *q) {
    ranges all = RANGES_INIT;
    int r = ranges_add(&all, 0, BAO_END);
    if (r == 0)
        r = proto_builder_add(b, 0, &all);
    if (r == 0)
        r = proto_builder_seq(b, &q->seq);
    ranges_dispose(&all);
    return r;
}

// From store to store, without what is between them.
static int move_all(outgoing *out, incoming *in) {
    uint8_t *room = malloc(OUTGOING_ROOM_MIN);
    int r = room != NULL ? 0 : IROH_ERR_NOMEM, last = 0;
    while (r == 0 && last == 0) {
        size_t len, used;
        last = outgoing_write(out, room, OUTGOING_ROOM_MIN, &len);
        r = last < 0 ? last : incoming_take(in, room, len, &used);
    }
    free(room);
    return r == 1 ? 0 : r == 0 ? incoming_end(in) : r;
}

static int halves(void) {
    proto_builder b = PROTO_BUILDER_INIT;
    proto_request q = {.type = PROTO_GET, .hashes = root_hash.bytes, .count = 1};
    incoming_limits limits = {UINT64_MAX, UINT64_MAX};
    outgoing *out = NULL;
    incoming *in = NULL;
    int r = sequence_request(&b, &q);
    if (r == 0)
        r = outgoing_new(there, &q, &out);
    if (r == 0)
        r = incoming_new(here, &q, &limits, &in);
    if (r == 0)
        r = move_all(out, in);
    incoming_free(in);
    outgoing_free(out);
    proto_builder_dispose(&b);
    return r;
}

static int missing_of(iroh_store *store) {
    proto_builder b = PROTO_BUILDER_INIT;
    missing_sequence m = MISSING_SEQUENCE_INIT;
    int r = missing_sequence_next(&m, store, &root_hash, &b);
    proto_builder_dispose(&b);
    return r < 0 ? r : 0;
}

static int missing(void) {
    ranges wanted = RANGES_INIT;
    bool complete;
    int r = ranges_add(&wanted, 3, 50);
    if (r == 0)
        r = missing_chunks(here, &large_hash, &wanted, NULL, &complete);
    ranges_dispose(&wanted);
    if (r == 0)
        r = missing_of(there);
    return r == 0 ? missing_of(here) : r;
}

// A set with many holes, which does not fit into the structure itself.
static int requests(void) {
    enum { WIDTHS = 100 };
    uint8_t body[32 + 3 + WIDTHS + 2];
    proto_request q;
    memset(body, 1, sizeof body);
    memcpy(body, root_hash.bytes, 32);
    body[32] = 2;  // entries
    body[33] = 0;
    body[34] = WIDTHS;
    body[35 + WIDTHS + 1] = 0;  // nothing of what follows
    int r = proto_request_read(PROTO_GET, body, sizeof body, &q);
    if (r != 0)
        return r;
    proto_walk w;
    uint64_t index;
    proto_walk_start(&w, &q.seq);
    while ((r = proto_walk_next(&w, &index)) == 1)
        continue;
    proto_walk_dispose(&w);
    return r;
}

// --- Over a connection

static int get(iroh_hash hash, int format) {
    iroh_content content = {hash, format};
    return iroh_blobs_get(connection, here, &content, NULL);
}

static int get_blob(void) {
    return get(large_hash, IROH_BLOB_RAW);
}

static int get_sequence(void) {
    return get(root_hash, IROH_BLOB_HASH_SEQ);
}

static int get_many(void) {
    const iroh_hash hashes[] = {small_hash, large_hash};
    return iroh_blobs_get_many(connection, here, hashes, 2, NULL, NULL);
}

static int push(void) {
    iroh_content content = {root_hash, IROH_BLOB_HASH_SEQ};
    return iroh_blobs_push(connection, there, &content, NULL);
}

static int observe(void) {
    iroh_remote_observer *o;
    uint64_t size;
    size_t count;
    bool complete;
    int r = iroh_remote_observer_new(connection, &large_hash, PATIENCE_MS, &o);
    if (r != 0)
        return r;
    r = iroh_remote_observer_next(o, PATIENCE_MS, &size, NULL, 0, &count, &complete);
    iroh_remote_observer_free(o);
    return r;
}

static const struct {
    const char *name;
    int (*run)(void);
    bool far;   // needs a connection
    int least;  // allocations that it makes
} operations[] = {
    {"tickets", tickets, false, 3},  {"collection", collection, false, 3},    {"folders", folders, false, 10},
    {"halves", halves, false, 10},   {"missing", missing, false, 2},          {"requests", requests, false, 1},
    {"get blob", get_blob, true, 8}, {"get sequence", get_sequence, true, 8}, {"get many", get_many, true, 8},
    {"push", push, true, 8},         {"observe", observe, true, 2},
};

// What is said to be there is right.
static void check(iroh_store *s, const iroh_hash *hash, size_t size) {
    iroh_blob_status status;
    assert_int_equal(iroh_store_status(s, hash, &status), 0);
    if (status.state == IROH_BLOB_COMPLETE)
        blobs_assert_there(s, size);
}

static void prepare(bool far) {
    assert_int_equal(iroh_store_memory(NULL, &here), 0);
    connection = far ? blobs_duo_connect(&both) : NULL;
}

static void finish(void) {
    check(here, &small_hash, SMALL);
    check(here, &large_hash, LARGE);
    iroh_connection_free(connection);
    iroh_store_free(here);
}

static void fail_everywhere(size_t i) {
    int failures = 0, r = IROH_ERR_NOMEM;
    for (int n = 0; r != 0; n += 1 + n / 24) {
        assert_true(n < ATTEMPTS_MAX);
        prepare(operations[i].far);
        nomem_arm_here(n);
        r = operations[i].run();
        bool failed = nomem_disarm();
        if (r != 0) {
            if (r != IROH_ERR_NOMEM || !failed)
                print_message("%s, allocation %d: %s\n", operations[i].name, n, iroh_error_name(r));
            assert_int_equal(r, IROH_ERR_NOMEM);
            failures++;
            r = operations[i].run();
            if (r != 0)
                print_message("%s, again after allocation %d: %s\n", operations[i].name, n, iroh_error_name(r));
            assert_int_equal(r, 0);
            r = IROH_ERR_NOMEM;
        }
        finish();
    }
    if (failures < operations[i].least)
        print_message("%s: only %d failures\n", operations[i].name, failures);
    assert_true(failures >= operations[i].least);
}

static void make_folder(void) {
    char command[256];
    strcpy(scratch, "/tmp/blobs-nomem-XXXXXX");
    assert_non_null(mkdtemp(scratch));
    (void)snprintf(command, sizeof command,
                   "cd %s && mkdir -p in/deep out && echo one > in/a && head -c 70000 /dev/zero > in/deep/b", scratch);
    assert_int_equal(system(command), 0);
}

static void make_ticket(void) {
    iroh_addr *from;
    iroh_content content = {root_hash, IROH_BLOB_HASH_SEQ};
    assert_int_equal(iroh_endpoint_addr(both.server, &from), 0);
    assert_true(iroh_blob_ticket_format(from, &content, ticket, sizeof ticket) > 0);
    iroh_addr_free(from);
}

static int open_all(void **state) {
    iroh_provider_config config;
    (void)state;
    iroh_provider_config_default(&config);
    config.serve |= IROH_SERVE_PUSH;
    blobs_duo_open(&both, &config);
    there = both.there;
    small_hash = blobs_add(there, SMALL);
    large_hash = blobs_add(there, LARGE);
    iroh_hash children[] = {small_hash, large_hash};
    assert_int_equal(iroh_store_add_bytes(there, children, sizeof children, NULL, &root_hash), 0);
    make_folder();
    make_ticket();
    return 0;
}

static int close_all(void **state) {
    char command[256];
    (void)state;
    blobs_duo_free(&both);
    (void)snprintf(command, sizeof command, "rm -rf %s", scratch);
    return system(command);
}

static void what_is_local_survives_want_of_memory(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (!operations[i].far)
            fail_everywhere(i);
}

static void getters_survive_want_of_memory(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (operations[i].far)
            fail_everywhere(i);
}

// --- Providers: the thread under test serves, and another one asks.

typedef struct asker {
    iroh_endpoint *from;
    iroh_addr *to;
    int done;  // written to at the end
    int result;
    pthread_t thread;
} asker;

static int ask_all(const asker *a) {
    iroh_connection *c;
    iroh_store *store;
    iroh_content content = {root_hash, IROH_BLOB_HASH_SEQ};
    iroh_hash hashes[] = {small_hash, large_hash};
    iroh_get_options o;
    iroh_get_options_default(&o);
    o.stall_ms = PATIENCE_MS;
    int r = iroh_endpoint_connect(a->from, a->to, IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN), NULL, PATIENCE_MS, &c);
    if (r != 0)
        return r;
    thread_check(iroh_store_memory(NULL, &store) == 0, "store");
    r = iroh_blobs_get(c, store, &content, &o);
    if (r == 0)
        r = iroh_blobs_get_many(c, store, hashes, 2, NULL, &o);
    iroh_store_free(store);
    iroh_connection_free(c);
    return r;
}

static void *ask(void *user) {
    asker *a = user;
    a->result = ask_all(a);
    thread_check(write(a->done, "", 1) == 1, "pipe");
    return NULL;
}

// Serves one asker, with the n-th allocation failing: what that one got, and whether an allocation failed.
static int serve_one(iroh_store *s, iroh_endpoint *ep, asker *a, int n, bool *failed) {
    iroh_provider *p;
    int stop[2];
    char byte;
    assert_int_equal(pipe(stop), 0);
    a->done = stop[1];
    assert_int_equal(iroh_provider_new(s, NULL, &p), 0);
    assert_int_equal(pthread_create(&a->thread, NULL, ask, a), 0);
    nomem_arm_here(n);
    int r = iroh_provider_run(p, ep, stop[0], PATIENCE_MS);
    *failed = nomem_disarm();
    // A provider that cannot even wait says so, and may be run again.
    assert_true(r == 0 || (r == IROH_ERR_NOMEM && *failed));
    if (r != 0)
        assert_int_equal(iroh_provider_run(p, ep, stop[0], PATIENCE_MS), 0);
    assert_int_equal(read(stop[0], &byte, 1), 1);
    assert_int_equal(pthread_join(a->thread, NULL), 0);
    iroh_provider_free(p);
    close(stop[0]);
    close(stop[1]);
    return a->result;
}

static void providers_survive_want_of_memory(void **state) {
    (void)state;
    iroh_endpoint_config config;
    iroh_slice alpn = {IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN)};
    duo_config(&config, OWN_THREAD);
    config.alpns = &alpn;
    config.alpn_count = 1;
    iroh_endpoint *server = duo_bind(&config);
    asker a = {.from = duo_bind(&config)};
    assert_int_equal(iroh_endpoint_addr(server, &a.to), 0);
    int failures = 0;
    bool failed = true;
    for (int n = 0; failed; n += 1 + n / 24) {
        assert_true(n < ATTEMPTS_MAX);
        int r = serve_one(there, server, &a, n, &failed);
        failures += r != 0;
        assert_true(r == 0 || failed);
        if (r != 0) {
            bool again;
            assert_int_equal(serve_one(there, server, &a, -1, &again), 0);
        }
    }
    assert_true(failures >= 5);
    iroh_addr_free(a.to);
    iroh_endpoint_free(a.from);
    iroh_endpoint_free(server);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_local_survives_want_of_memory),
        cmocka_unit_test(getters_survive_want_of_memory),
        cmocka_unit_test(providers_survive_want_of_memory),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
