// Getting blobs and hash sequences: asking for what is missing until nothing is, and keeping it.
#include <stdlib.h>
#include <string.h>

#include "blobs/getter.h"
#include "blobs/missing.h"

#define MANY_MAX 16384    // hashes in one request
#define BUILT_MAX 131072  // bytes of chunk ranges after which it is full; another set may follow

static incoming_limits limits_of(const getter *g) {
    return (incoming_limits){.root = g->options->max_sequence, .blob = g->options->max_size};
}

// One request about `hash`, for what was built.
static int run_built(getter *g, const iroh_hash *hash, proto_builder *b) {
    proto_request request = {.type = PROTO_GET, .hashes = hash->bytes, .count = 1};
    incoming_limits limits = limits_of(g);
    int r = proto_builder_seq(b, &request.seq);
    return r == 0 ? getter_run(g, &request, &limits) : r;
}

int getter_wanted(const iroh_get_options *o, ranges *out) {
    if (o->chunks == NULL)
        return ranges_add(out, 0, BAO_END);
    int r = 0;
    for (size_t i = 0; i < o->chunk_count && r == 0; i += 2) {
        uint64_t start = o->chunks[i] < BAO_LAST ? o->chunks[i] : BAO_LAST;
        uint64_t end = i + 1 < o->chunk_count ? o->chunks[i + 1] : BAO_END;
        r = start < end ? ranges_add(out, start, end) : IROH_ERR_ARG;
    }
    return r;
}

static int request_chunks(getter *g, const iroh_hash *hash, const ranges *wanted) {
    ranges none = RANGES_INIT;
    proto_builder b = PROTO_BUILDER_INIT;
    int r = proto_builder_add(&b, 0, wanted);
    if (r == 0)
        r = proto_builder_add(&b, 1, &none);
    if (r == 0)
        r = run_built(g, hash, &b);
    proto_builder_dispose(&b);
    return r;
}

static int get_blob(getter *g, const iroh_hash *hash) {
    bool whole = false, complete = false;
    int r = 0;
    g->progress.count = 1;
    while (r == 0 && !whole) {
        ranges wanted = RANGES_INIT;
        r = getter_wanted(g->options, &wanted);
        if (r == 0)
            r = missing_chunks(g->store, hash, &wanted, &g->progress.have, &complete);
        whole = missing_fit(&wanted);
        if (r == 0 && ranges_count(&wanted) > 0)
            r = request_chunks(g, hash, &wanted);
        ranges_dispose(&wanted);
    }
    return r;
}

static int get_sequence(getter *g, const iroh_hash *hash) {
    missing_sequence m = MISSING_SEQUENCE_INIT;
    int r = getter_sizes(g, hash);
    uint64_t came = g->progress.bytes;
    r = r == 0 ? 1 : r;
    while (r == 1 && !m.all_done) {
        proto_builder b = PROTO_BUILDER_INIT;
        r = missing_sequence_next(&m, g->store, hash, &b);
        g->progress.count = m.count > 0 ? m.count + 1 : 0;
        g->progress.have = m.there > came ? m.there - came : 0;
        if (r == 1) {
            r = run_built(g, hash, &b);
            r = r == 0 ? 1 : r;
        }
        proto_builder_dispose(&b);
    }
    return r == 1 ? 0 : r;
}

int getter_keep(iroh_store *s, const iroh_content *content, const iroh_get_options *o) {
    if (o->tag_len > 0)
        return iroh_tag_set(s, o->tag, o->tag_len, content);
    if (o->temp_tag != NULL)
        return iroh_store_sync(s);
    return iroh_tag_create(s, content, NULL);
}

static int get(getter *g, const iroh_content *content) {
    iroh_temp_tag *t;
    int r = iroh_temp_tag_new(g->store, content, &t);
    if (r != 0)
        return r;
    r = content->format == IROH_BLOB_RAW ? get_blob(g, &content->hash) : get_sequence(g, &content->hash);
    if (r == 0 && g->options->chunks == NULL)
        r = getter_keep(g->store, content, g->options);
    if (r == 0 && g->options->temp_tag != NULL)
        *g->options->temp_tag = t;
    else
        iroh_temp_tag_free(t);
    return r;
}

int iroh_blobs_get(iroh_connection *c, iroh_store *s, const iroh_content *content, const iroh_get_options *o) {
    getter g;
    bool raw = content != NULL && content->format == IROH_BLOB_RAW;
    if (content == NULL || (!raw && (content->format != IROH_BLOB_HASH_SEQ || (o != NULL && o->chunks != NULL))))
        return IROH_ERR_ARG;
    if (o != NULL && o->temp_tag != NULL)
        *o->temp_tag = NULL;
    int r = getter_init(&g, c, s, o);
    if (r == 0)
        r = get(&g, content);
    getter_dispose(&g);
    return r;
}

int iroh_content_is_complete(iroh_store *s, const iroh_content *content) {
    if (s == NULL || content == NULL)
        return IROH_ERR_ARG;
    iroh_blob_status status;
    int r = iroh_store_status(s, &content->hash, &status);
    if (r != 0 || status.state != IROH_BLOB_COMPLETE)
        return r;
    if (content->format == IROH_BLOB_RAW)
        return 1;
    missing_sequence m = MISSING_SEQUENCE_INIT;
    proto_builder b = PROTO_BUILDER_INIT;
    r = missing_sequence_next(&m, s, &content->hash, &b);
    proto_builder_dispose(&b);
    return r < 0 ? r : r == 0;
}

// Many

typedef struct many {
    iroh_hash *hashes;  // that go into the request
    size_t count;
    proto_builder built;
    ranges wanted;
} many;

// 1 when that was all of it, 0 when more will be missing.
static int many_add(many *m, getter *g, const iroh_hash *hash) {
    uint64_t there;
    bool complete;
    ranges_clear(&m->wanted);
    int r = ranges_add(&m->wanted, 0, BAO_END);
    if (r == 0)
        r = missing_chunks(g->store, hash, &m->wanted, &there, &complete);
    if (r != 0)
        return r;
    g->progress.have += there;
    if (complete)
        return 1;
    bool whole = missing_fit(&m->wanted);
    r = proto_builder_add(&m->built, m->count, &m->wanted);
    m->hashes[m->count++] = *hash;
    return r == 0 ? whole : r;
}

// Fills a request from hash number *at on.
static int many_fill(many *m, getter *g, const iroh_hash *hashes, size_t count, size_t *at) {
    int r = 1;
    m->count = 0;
    while (*at < count && m->count < MANY_MAX && proto_builder_size(&m->built) < BUILT_MAX && r == 1) {
        r = many_add(m, g, &hashes[*at]);
        *at += r == 1;
    }
    ranges_clear(&m->wanted);
    return r >= 0 ? proto_builder_add(&m->built, m->count, &m->wanted) : r;
}

static int many_run(many *m, getter *g) {
    proto_request request = {.type = PROTO_GET_MANY, .hashes = m->hashes[0].bytes, .count = m->count};
    incoming_limits limits = limits_of(g);
    int r = proto_builder_seq(&m->built, &request.seq);
    return r == 0 ? getter_run(g, &request, &limits) : r;
}

static int get_many(getter *g, const iroh_hash *hashes, size_t count) {
    many m = {.hashes = malloc(MANY_MAX * sizeof *m.hashes), .wanted = RANGES_INIT};
    int r = m.hashes != NULL ? 0 : IROH_ERR_NOMEM;
    g->progress.count = count;
    for (size_t at = 0; at < count && r == 0;) {
        m.built = PROTO_BUILDER_INIT;
        r = many_fill(&m, g, hashes, count, &at);
        if (r == 0 && m.count > 0)
            r = many_run(&m, g);
        proto_builder_dispose(&m.built);
    }
    ranges_dispose(&m.wanted);
    free(m.hashes);
    return r;
}

static int protect(iroh_batch *batch, const iroh_hash *hashes, size_t count) {
    int r = 0;
    for (size_t i = 0; batch != NULL && i < count && r == 0; i++) {
        iroh_content content = {hashes[i], IROH_BLOB_RAW};
        r = iroh_batch_add(batch, &content);
    }
    return r;
}

int iroh_blobs_get_many(iroh_connection *c, iroh_store *s, const iroh_hash *hashes, size_t count, iroh_batch *batch,
                        const iroh_get_options *o) {
    getter g;
    if ((hashes == NULL && count > 0) || (o != NULL && o->chunks != NULL))
        return IROH_ERR_ARG;
    int r = getter_init(&g, c, s, o);
    if (r == 0)
        r = protect(batch, hashes, count);
    if (r == 0)
        r = get_many(&g, hashes, count);
    if (r == 0 && batch == NULL)
        r = iroh_store_sync(s);
    getter_dispose(&g);
    return r;
}
