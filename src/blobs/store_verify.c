// Verification: everything is read again and compared with its hash. The store stays in use meanwhile; locks are taken only
// to repair.
#include <stdlib.h>
#include <string.h>

#include "blobs/store_outboard.h"
#include "blobs/store_state.h"

#define BLOCK (1 << 20)

typedef struct verification {
    iroh_store *store;
    const iroh_verify_options *options;
    iroh_verify_stats stats;
    bao_checker *checker;
} verification;

// What was found out about a blob.
typedef struct finding {
    int result;               // IROH_VERIFY_...
    uint64_t bad;             // chunks
    ranges good;              // chunks that are there and not known to be bad
    store_outboard outboard;  // for IROH_VERIFY_OUTBOARD: the right one
} finding;

// Looking

// What cannot be read is as bad as what is not there, and no reason to end.
static int lenient(int r) {
    return r == 0 || r == IROH_ERR_NOMEM ? r : IROH_ERR_NOT_FOUND;
}

static int lenient_pair(void *user, uint64_t index, uint8_t out[BAO_PAIR]) {
    bao_source inner = store_reader_source(user);
    return lenient(inner.pair(inner.user, index, out));
}

static int lenient_data(void *user, uint64_t offset, uint8_t *out, size_t len) {
    return lenient(store_reader_read(user, offset, out, len));
}

static int valid_chunks(verification *v, store_blob *b, store_reader *reader, uint64_t size, ranges *valid) {
    ranges all = RANGES_INIT;
    bao_source source = {.user = reader, .pair = lenient_pair, .data = lenient_data};
    int r = ranges_add(&all, 0, BAO_END);
    if (r == 0)
        r = bao_checker_start(v->checker, b->hash.bytes, size, &all, &source, true);
    while (r == 0)
        r = bao_checker_step(v->checker, valid);
    ranges_dispose(&all);
    return r < 0 ? r : 0;
}

static int data_root(store_reader *reader, uint64_t size, store_outboard *outboard, const blake3_executor *e,
                     uint8_t root[BLAKE3_LEN]) {
    bao_builder *builder = NULL;
    uint8_t *block = malloc(BLOCK);
    bao_sink sink = store_outboard_sink(outboard);
    int r = block != NULL ? bao_builder_new(&builder) : IROH_ERR_NOMEM;
    if (r == 0)
        bao_builder_start(builder, size, &sink);
    for (uint64_t at = 0; at < size && r == 0; at += BLOCK) {
        size_t len = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
        r = store_reader_read(reader, at, block, len);
        if (r == 0)
            r = bao_builder_add(builder, block, len, e);
    }
    if (r == 0)
        r = bao_builder_finish(builder, root, NULL);
    if (r == 0)
        r = store_outboard_finish(outboard, size);
    bao_builder_free(builder);
    free(block);
    return r;
}

// Some chunks of a complete blob cannot be proven: is it the data or the outboard?
static int blame(verification *v, store_blob *b, store_reader *reader, uint64_t size, finding *f) {
    uint8_t root[BLAKE3_LEN];
    int r = data_root(reader, size, &f->outboard, store_executor(v->store), root);
    if (r == IROH_ERR_CHANGED || r == IROH_ERR_IO) {  // the data cannot even be read
        f->result = IROH_VERIFY_DAMAGED;
        return 0;
    }
    bool fine = r == 0 && memcmp(root, b->hash.bytes, sizeof root) == 0;
    f->result = fine ? IROH_VERIFY_OUTBOARD : IROH_VERIFY_DAMAGED;
    return r;
}

static uint64_t count_chunks(const ranges *set) {
    uint64_t sum = 0;
    for (size_t i = 0; i < ranges_count(set); i++)
        sum += ranges_items(set)[i].end - ranges_items(set)[i].start;
    return sum;
}

static int look_at_complete(verification *v, store_blob *b, store_reader *reader, uint64_t size, finding *f) {
    int r = size > 0 ? valid_chunks(v, b, reader, size, &f->good) : 0;
    if (r != 0 || size == 0)
        return r;
    uint64_t chunks = bao_chunks(size);
    f->bad = chunks - count_chunks(&f->good);
    return f->bad == 0 ? 0 : blame(v, b, reader, size, f);
}

// Groups that are there as a whole must verify. Of others nothing can be said: they are taken as they are.
static int look_at_partial(verification *v, store_blob *b, store_reader *reader, uint64_t size, const ranges *have,
                           finding *f) {
    ranges valid = RANGES_INIT;
    int r = valid_chunks(v, b, reader, size, &valid);
    uint64_t chunks = bao_chunks(size);
    for (size_t i = 0; i < ranges_count(have) && r == 0; i++) {
        range left = ranges_items(have)[i];
        while (left.start < left.end && r == 0) {
            uint64_t first = left.start - left.start % BAO_GROUP_CHUNKS, last = first + BAO_GROUP_CHUNKS;
            last = last < chunks ? last : chunks;
            uint64_t end = left.end < last ? left.end : last;
            if (end <= left.start)
                break;
            bool whole = left.start == first && end == last;
            if (whole && !ranges_covers(&valid, first, last))
                f->bad += end - left.start;
            else
                r = ranges_add(&f->good, left.start, end);
            left.start = end;
        }
    }
    ranges_dispose(&valid);
    f->result = f->bad > 0 ? IROH_VERIFY_DAMAGED : IROH_VERIFY_PARTIAL;
    return r;
}

static int look(verification *v, store_blob *b, finding *f) {
    iroh_blob_status status;
    ranges have = RANGES_INIT;
    store_reader *reader = NULL;
    int r = store_blob_state(b, &status, &have);
    if (r == 0 && status.state == IROH_BLOB_ABSENT) {
        f->result = IROH_VERIFY_MISSING;
        return 0;
    }
    store_outboard_start(&f->outboard, v->store->backend, status.size);
    if (r == 0)
        r = store_reader_new(b, &reader);
    if (r == 0 && status.state == IROH_BLOB_COMPLETE)
        r = look_at_complete(v, b, reader, status.size, f);
    else if (r == 0)
        r = look_at_partial(v, b, reader, status.size, &have, f);
    store_reader_free(reader);
    v->stats.bytes += status.state == IROH_BLOB_COMPLETE ? status.size : count_chunks(&have) * BAO_CHUNK;
    ranges_dispose(&have);
    return r;
}

// Repairing, under the blob's lock

static int forget(store_blob *b) {
    store_backend *backend = b->store->backend;
    store_blob_reset(b);
    return backend->ops->remove(backend, b->hash.bytes);
}

// Only files of our own can be filled up again.
static int keep_good(store_blob *b, finding *f) {
    if (b->row.place != STORE_FILE || ranges_count(&f->good) == 0)
        return forget(b);
    b->row.state = IROH_BLOB_PARTIAL;
    ranges_dispose(&b->row.have);
    b->row.have = f->good;
    f->good = RANGES_INIT;
    return store_blob_put(b);
}

static int renew_outboard(store_blob *b, finding *f) {
    store_backend *backend = b->store->backend;
    if (f->outboard.file != NULL) {
        int r = backend->ops->publish(backend, f->outboard.file, b->hash.bytes, STORE_OUTBOARD);
        if (r != 0)
            return r;
        store_file_unref(b->outboard);
        b->outboard = store_file_ref(f->outboard.file);
    }
    free(b->row.outboard);
    b->row.outboard = f->outboard.bytes;
    b->row.outboard_len = f->outboard.bytes != NULL ? f->outboard.len : 0;
    b->row.outboard_place = f->outboard.file != NULL ? STORE_FILE : STORE_INLINE;
    f->outboard.bytes = NULL;
    if (b->row.outboard_place == STORE_INLINE) {
        store_file_unref(b->outboard);
        b->outboard = NULL;
    }
    return store_blob_put(b);
}

static int repair(store_blob *b, finding *f) {
    pthread_mutex_lock(&b->lock);
    int r = 0;
    // Who writes to it at the moment makes it good anyway.
    if (b->writers == 0 && !atomic_load(&b->lost)) {
        if (f->result == IROH_VERIFY_OUTBOARD)
            r = renew_outboard(b, f);
        else
            r = f->result == IROH_VERIFY_DAMAGED ? keep_good(b, f) : forget(b);
        store_blob_notify(b);
    }
    pthread_mutex_unlock(&b->lock);
    return r;
}

// All blobs

static int verify_open(verification *v, store_blob *b) {
    finding f = {.result = IROH_VERIFY_GOOD, .good = RANGES_INIT};
    int r = look(v, b, &f);
    bool damaged = f.result != IROH_VERIFY_GOOD && f.result != IROH_VERIFY_PARTIAL;
    if (r == 0) {
        v->stats.blobs++;
        v->stats.damaged += damaged;
        if (damaged)
            store_known_forget(&v->store->known, &b->hash);
        if (v->options->report != NULL && !v->options->report(v->options->user, &b->hash, f.result, f.bad))
            r = IROH_ERR_CLOSED;
    }
    if (r == 0 && damaged && v->options->repair) {
        r = repair(b, &f);
        v->stats.repaired += r == 0;
    }
    ranges_dispose(&f.good);
    store_outboard_dispose(&f.outboard);
    return r;
}

static int verify_all(verification *v) {
    store_backend *backend = v->store->backend;
    iroh_hash hash;
    int r = backend->ops->next(backend, NULL, hash.bytes);
    while (r == 0) {
        store_blob *b;
        r = store_blob_open(v->store, &hash, &b);
        if (r == 0)
            r = verify_open(v, b);
        store_blob_close(b);
        if (r == IROH_ERR_NOT_FOUND)
            r = IROH_ERR_INTERNAL;  // must not be taken for the end
        if (r == 0)
            r = backend->ops->next(backend, hash.bytes, hash.bytes);
    }
    return r == IROH_ERR_NOT_FOUND ? 0 : r;
}

int iroh_store_verify(iroh_store *s, const iroh_verify_options *o, iroh_verify_stats *out) {
    static const iroh_verify_options standard;
    if (s == NULL)
        return IROH_ERR_ARG;
    verification v = {.store = s, .options = o != NULL ? o : &standard};
    uint64_t from = store_transaction(s);
    pthread_mutex_lock(&s->collection);
    int r = bao_checker_new(&v.checker);
    if (r == 0)
        r = verify_all(&v);
    if (r == 0 && v.stats.repaired > 0)
        r = store_commit(s, from);
    bao_checker_free(v.checker);
    pthread_mutex_unlock(&s->collection);
    if (out != NULL)
        *out = v.stats;
    return r;
}
