// Collection: mark what is kept, then sweep the rest, a few rows at a time. The store stays in use meanwhile: what is
// open, was opened or got a name since the collection began is left alone.
#include <stdlib.h>
#include <string.h>

#include "blobs/store_state.h"

#define SWEEP 100     // rows in a transaction
#define CHILDREN 512  // hashes of a sequence read at once

typedef struct collection {
    iroh_store *store;
    store_set live;
    store_set walked;  // sequences whose children are live
    iroh_gc_stats stats;
} collection;

static int keep(void *arg, const iroh_hash *hash) {
    int r = store_set_add(&((collection *)arg)->live, hash->bytes);
    return r < 0 ? r : 0;
}

// Marking

static int keep_hashes(collection *c, const uint8_t *bytes, size_t len) {
    int r = 0;
    for (size_t at = 0; at + 32 <= len && r == 0; at += 32) {
        iroh_hash child;
        memcpy(child.bytes, bytes + at, 32);
        r = keep(c, &child);
    }
    return r;
}

// Reads a sequence chunk by chunk as far as it is there; what is missing cannot have been asked for.
static int keep_children(collection *c, const iroh_hash *hash) {
    uint8_t bytes[CHILDREN * 32];
    store_blob *b;
    store_reader *reader = NULL;
    iroh_blob_status status;
    ranges have = RANGES_INIT;
    int r = store_blob_open(c->store, hash, &b);
    if (r != 0)
        return r;
    r = store_blob_state(b, &status, &have);
    if (r == 0)
        r = store_reader_new(b, &reader);
    for (size_t i = 0; i < ranges_count(&have) && r == 0; i++) {
        uint64_t at = ranges_items(&have)[i].start * BAO_CHUNK, end = ranges_items(&have)[i].end * BAO_CHUNK;
        end = end < status.size ? end : status.size;
        while (at < end && r == 0) {
            size_t len = end - at < sizeof bytes ? (size_t)(end - at) : sizeof bytes;
            r = store_reader_read(reader, at, bytes, len);
            if (r == 0)
                r = keep_hashes(c, bytes, len);
            at += len;
        }
    }
    store_reader_free(reader);
    store_blob_close(b);
    ranges_dispose(&have);
    return r;
}

static int mark(collection *c, const iroh_content *content) {
    int r = keep(c, &content->hash);
    if (r != 0 || content->format != IROH_BLOB_HASH_SEQ)
        return r;
    r = store_set_add(&c->walked, content->hash.bytes);
    return r == 0 ? keep_children(c, &content->hash) : r < 0 ? r : 0;
}

static int mark_tags(collection *c) {
    store_backend *backend = c->store->backend;
    iroh_tag *tag = malloc(sizeof *tag);
    if (tag == NULL)
        return IROH_ERR_NOMEM;
    int r = backend->ops->tag_next(backend, NULL, 0, false, tag);
    while (r == 0) {
        r = mark(c, &tag->content);
        if (r == 0)
            r = backend->ops->tag_next(backend, tag->name, tag->len, true, tag);
        else if (r == IROH_ERR_NOT_FOUND)
            r = IROH_ERR_INTERNAL;
    }
    free(tag);
    return r == IROH_ERR_NOT_FOUND ? 0 : r;
}

// They are copied first: marking needs the lock that they are under. More that come now are fresh.
static int mark_temps(collection *c) {
    size_t count = iroh_store_temp_contents(c->store, NULL, 0), room = count;
    iroh_content *all = malloc((room + 1) * sizeof *all);
    if (all == NULL)
        return IROH_ERR_NOMEM;
    count = iroh_store_temp_contents(c->store, all, room);
    int r = 0;
    for (size_t i = 0; i < count && i < room && r == 0; i++)
        r = mark(c, &all[i]);
    free(all);
    return r;
}

// Sweeping

static bool is_open(iroh_store *s, const uint8_t hash[32]) {
    return store_tree_find(&s->open, (store_key){hash, 32}) != NULL;
}

// Removes the rows of those that are not in use, and moves them to the front: their number.
static int remove_rows(iroh_store *s, uint8_t (*hashes)[32], size_t *count) {
    size_t removed = 0;
    pthread_mutex_lock(&s->lock);
    int r = s->fresh_failed ? IROH_ERR_NOMEM : 0;
    for (size_t i = 0; i < *count && r == 0; i++) {
        if (is_open(s, hashes[i]) || store_set_has(&s->fresh, hashes[i]))
            continue;
        r = s->backend->ops->remove(s->backend, hashes[i]);
        if (r == 0)
            memmove(hashes[removed++], hashes[i], 32);
    }
    pthread_mutex_unlock(&s->lock);
    *count = removed;
    return r;
}

// After the rows are gone for good. A blob that has come back meanwhile has its row again, or is open.
static void unlink_files(iroh_store *s, uint8_t (*hashes)[32], size_t count) {
    store_backend *backend = s->backend;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < count; i++) {
        store_row row;
        if (is_open(s, hashes[i]))
            continue;
        int r = backend->ops->get(backend, hashes[i], false, &row);
        if (r == IROH_ERR_NOT_FOUND) {
            backend->ops->unlink(backend, hashes[i], STORE_DATA);
            backend->ops->unlink(backend, hashes[i], STORE_OUTBOARD);
        } else if (r == 0) {
            store_row_dispose(&row);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

static int sweep_some(collection *c, uint8_t (*hashes)[32], size_t count) {
    size_t removed = count;
    uint64_t from = store_transaction(c->store);
    int r = remove_rows(c->store, hashes, &removed);
    if (r == 0 && removed > 0)
        r = store_commit(c->store, from);
    if (r != 0)
        return r;
    unlink_files(c->store, hashes, removed);
    c->stats.removed += removed;
    c->stats.kept += count - removed;
    return 0;
}

static int sweep(collection *c) {
    store_backend *backend = c->store->backend;
    uint8_t dead[SWEEP][32], hash[32];
    size_t count = 0;
    int r = backend->ops->next(backend, NULL, hash);
    while (r == 0) {
        if (store_set_has(&c->live, hash))
            c->stats.kept++;
        else
            memcpy(dead[count++], hash, 32);
        if (count == SWEEP) {
            r = sweep_some(c, dead, count);
            count = 0;
        }
        if (r == 0)
            r = backend->ops->next(backend, hash, hash);
    }
    if (r == IROH_ERR_NOT_FOUND)
        r = sweep_some(c, dead, count);
    return r;
}

static void set_collecting(iroh_store *s, bool on) {
    pthread_mutex_lock(&s->lock);
    s->collecting = on;
    s->fresh_failed = false;
    store_set_dispose(&s->fresh);
    pthread_mutex_unlock(&s->lock);
}

int iroh_store_gc(iroh_store *s, iroh_gc_roots roots, void *user, iroh_gc_stats *out) {
    if (s == NULL)
        return IROH_ERR_ARG;
    collection c = {.store = s};
    pthread_mutex_lock(&s->collection);
    store_set_init(&c.live, s->fresh.seed);
    store_set_init(&c.walked, s->fresh.seed);
    set_collecting(s, true);
    int r = roots != NULL ? roots(user, keep, &c) : 0;
    if (r >= 0)
        r = mark_tags(&c);
    if (r == 0)
        r = mark_temps(&c);
    if (r == 0)
        r = sweep(&c);
    set_collecting(s, false);
    store_set_dispose(&c.live);
    store_set_dispose(&c.walked);
    pthread_mutex_unlock(&s->collection);
    if (out != NULL)
        *out = c.stats;
    return r;
}
