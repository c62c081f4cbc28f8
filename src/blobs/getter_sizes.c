// Asking for the sizes of all children of a hash sequence before they are fetched: the sequence, and then in one request
// the last chunk of each, which proves how long it is.
#include "blobs/bao.h"
#include "blobs/getter.h"
#include "blobs/hash_seq.h"
#include "blobs/missing.h"

#define BUILT_MAX 131072  // bytes of chunk ranges after which a request is full: the total stays unknown then

static int run_built(getter *g, const iroh_hash *hash, proto_builder *b, uint64_t max_size) {
    proto_request request = {.type = PROTO_GET, .hashes = hash->bytes, .count = 1};
    incoming_limits limits = {.root = g->options->max_sequence, .blob = max_size};
    int r = proto_builder_seq(b, &request.seq);
    return r == 0 ? getter_run(g, &request, &limits) : r;
}

// Adds to the request what is missing of `wanted` chunks of one blob, which are used up.
static int add_missing(const getter *g, proto_builder *b, uint64_t index, const iroh_hash *hash, ranges *wanted) {
    bool complete;
    int r = missing_chunks(g->store, hash, wanted, NULL, &complete);
    (void)missing_fit(wanted);  // of a sequence with very many holes the rest is asked for later
    if (r == 0 && (ranges_count(wanted) > 0 || b->count > 0))
        r = proto_builder_add(b, index, wanted);
    ranges_dispose(wanted);
    return r;
}

// Ends the request and runs it, if it is about anything.
static int run_if_any(getter *g, const iroh_hash *hash, proto_builder *b, uint64_t end, uint64_t max_size) {
    ranges none = RANGES_INIT;
    if (b->count == 0)
        return 0;
    int r = proto_builder_add(b, end, &none);
    return r == 0 ? run_built(g, hash, b, max_size) : r;
}

static int get_root(getter *g, const iroh_hash *hash) {
    proto_builder b = PROTO_BUILDER_INIT;
    ranges all = RANGES_INIT;
    int r = ranges_add(&all, 0, BAO_END);
    if (r == 0)
        r = add_missing(g, &b, 0, hash, &all);
    if (r == 0)
        r = run_if_any(g, hash, &b, 1, g->options->max_sequence);
    proto_builder_dispose(&b);
    return r;
}

static int get_ends(getter *g, const iroh_hash *hash, hash_seq *q) {
    proto_builder b = PROTO_BUILDER_INIT;
    int r = 0;
    for (uint64_t i = 0; i < q->count && r == 0 && proto_builder_size(&b) <= BUILT_MAX; i++) {
        ranges last = RANGES_INIT;
        iroh_hash child;
        r = hash_seq_get(q, i, &child);
        if (r == 0)
            r = ranges_add(&last, BAO_LAST, BAO_END);
        if (r == 0)
            r = add_missing(g, &b, i + 1, &child, &last);
    }
    if (r == 0)
        r = run_if_any(g, hash, &b, q->count + 1, g->options->max_size);
    proto_builder_dispose(&b);
    // Who has not got all of it may yet have a part.
    return r == IROH_ERR_NOT_FOUND || r == IROH_ERR_FINISHED ? 0 : r;
}

static int get_sizes(getter *g, const iroh_hash *hash, uint64_t *total) {
    hash_seq q;
    int r = hash_seq_open(&q, g->store, hash);
    if (r != 0)
        return r;
    if (q.proven && q.count <= g->options->sizes_of) {
        r = get_ends(g, hash, &q);
        if (r == 0)
            r = hash_seq_total(&q, g->store, total);
    }
    hash_seq_close(&q);
    return r;
}

int getter_sizes(getter *g, const iroh_hash *hash) {
    if (g->options->sizes_of == 0)
        return 0;
    // What comes is not told piece by piece: no blob is done with its end.
    iroh_get_options options = *g->options;
    getter quiet = *g;
    options.progress = NULL;
    quiet.options = &options;
    int r = get_root(&quiet, hash);
    g->progress.blobs = quiet.progress.blobs;
    if (r == 0)
        r = get_sizes(&quiet, hash, &g->progress.total);
    g->progress.bytes = quiet.progress.bytes;
    return r;
}
