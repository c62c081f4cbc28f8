// An open blob: what its row says, its files, and its way from absent to complete.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobs/store_os.h"
#include "blobs/store_state.h"

void store_row_dispose(store_row *row) {
    ranges_dispose(&row->have);
    free(row->data);
    free(row->outboard);
    free(row->path);
    *row = (store_row){.have = RANGES_INIT};
}

bool store_is_empty_hash(const iroh_hash *hash) {
    static const uint8_t empty[32] = {0xaf, 0x13, 0x49, 0xb9, 0xf5, 0xf9, 0xa1, 0xa6, 0xa0, 0x40, 0x4d,
                                      0xea, 0x36, 0xdc, 0xc9, 0x49, 0x9b, 0xcb, 0x25, 0xc9, 0xad, 0xc1,
                                      0x12, 0xb7, 0xcc, 0x9a, 0x93, 0xca, 0xe4, 0x1f, 0x32, 0x62};
    return memcmp(hash->bytes, empty, sizeof empty) == 0;
}

static store_backend *backend_of(store_blob *b) {
    return b->store->backend;
}

void store_blob_reset(store_blob *b) {
    store_row_dispose(&b->row);
    store_file_unref(b->data);
    store_file_unref(b->outboard);
    b->data = b->outboard = NULL;
    b->unsaved = b->unhinted = 0;
}

void store_blob_notify(store_blob *b) {
    for (list_link *l = b->watches.next; l != &b->watches; l = l->next) {
        store_watch *w = list_entry(l, store_watch, link);
        w->wake(w->user);
    }
}

void store_blob_know(store_blob *b) {
    store_stamp stamp;
    int fd = b->data != NULL && b->row.place == STORE_FILE ? store_file_fd(b->data) : -1;
    if (fd >= 0 && store_os_mark(fd, &stamp) == 0)
        store_known_add(&b->store->known, &b->hash, &stamp);
}

// Loading

// IROH_ERR_CHANGED when the file is not the one that was added.
static int open_external(store_blob *b) {
    int fd;
    store_stamp now;
    int r = store_os_open(b->row.path, &fd, &now);
    if (r == 0 && !store_os_same(&now, &b->row.stamp)) {
        close(fd);
        r = IROH_ERR_CHANGED;
    }
    return r == 0 ? store_file_of_fd(fd, NULL, &b->data) : r;
}

static int open_files(store_blob *b) {
    const store_backend_ops *ops = backend_of(b)->ops;
    int r = 0;
    if (b->row.place == STORE_EXTERNAL)
        r = open_external(b);
    else if (b->row.place == STORE_FILE)
        r = ops->open(backend_of(b), b->hash.bytes, STORE_DATA, &b->data);
    if (r == 0 && b->row.outboard_place == STORE_FILE)
        r = ops->open(backend_of(b), b->hash.bytes, STORE_OUTBOARD, &b->outboard);
    uint64_t size = 0;
    if (r == 0 && b->row.state == IROH_BLOB_COMPLETE && b->row.place == STORE_FILE) {
        r = store_file_size(b->data, &size);
        r = r == 0 && size != b->row.size ? IROH_ERR_CHANGED : r;
    }
    return r;
}

// A partial blob that lacks nothing: its last chunk came when there was no room for saying that it is whole.
static bool is_unfinished(const store_blob *b) {
    return b->row.state == IROH_BLOB_PARTIAL && b->row.proven && !atomic_load(&b->lost) && store_blob_covered(b);
}

int store_blob_finish(store_blob *b) {
    pthread_mutex_lock(&b->lock);
    int r = is_unfinished(b) ? store_blob_complete(b) : 0;
    pthread_mutex_unlock(&b->lock);
    return r;
}

// A writer did not come to its end: what it wrote and did not report is looked for.
static int recover(store_blob *b) {
    bool proven = false;
    int r = store_blob_recheck(b, &proven);
    if (r != 0)
        return r;
    b->row.proven |= proven;
    b->row.dirty = false;
    // A row that cannot be put now, for want of space, stays dirty and is looked at again.
    if (b->row.proven && store_blob_covered(b))
        (void)store_blob_complete(b);
    else
        (void)store_blob_put(b);
    return 0;
}

int store_blob_load(store_blob *b) {
    store_blob_reset(b);
    if (store_is_empty_hash(&b->hash)) {
        b->row = (store_row){.state = IROH_BLOB_COMPLETE, .proven = true};
        b->row.data = calloc(1, 1);
        return b->row.data != NULL ? 0 : IROH_ERR_NOMEM;
    }
    int r = backend_of(b)->ops->get(backend_of(b), b->hash.bytes, true, &b->row);
    if (r == 0)
        r = open_files(b);
    bool broken = r == IROH_ERR_NOT_FOUND || r == IROH_ERR_CHANGED || r == IROH_ERR_CORRUPT || r == IROH_ERR_ACCESS ||
                  r == IROH_ERR_KIND;
    if (r != 0)
        store_blob_reset(b);
    b->inherited = b->row.state == IROH_BLOB_PARTIAL;
    if (r == 0 && b->row.state == IROH_BLOB_PARTIAL && b->row.dirty)
        r = recover(b);
    if (r == 0 && is_unfinished(b))
        (void)store_blob_complete(b);
    return broken ? 0 : r;
}

// State

int store_blob_put(store_blob *b) {
    store_backend *backend = backend_of(b);
    int r = 0;
    // Others may commit, or lose what they commit, in between.
    atomic_store(&b->from, backend->ops->transaction(backend));
    atomic_store(&b->to, UINT64_MAX);
    if (b->data != NULL && b->row.place == STORE_FILE)
        r = backend->ops->include(backend, b->data);
    if (r == 0 && b->outboard != NULL)
        r = backend->ops->include(backend, b->outboard);
    if (r == 0)
        r = backend->ops->put(backend, b->hash.bytes, &b->row);
    atomic_store(&b->to, backend->ops->transaction(backend));
    if (r == 0)
        b->unsaved = 0;
    return r;
}

int store_blob_have(const store_blob *b, ranges *out) {
    if (b->row.state == IROH_BLOB_ABSENT || b->row.size == 0)
        return 0;
    if (b->row.state == IROH_BLOB_COMPLETE)
        return ranges_add(out, 0, bao_chunks(b->row.size));
    int r = 0;
    for (size_t i = 0; i < ranges_count(&b->row.have) && r == 0; i++)
        r = ranges_add(out, ranges_items(&b->row.have)[i].start, ranges_items(&b->row.have)[i].end);
    return r;
}

bool store_blob_covered(const store_blob *b) {
    return b->row.size > 0 && ranges_covers(&b->row.have, 0, bao_chunks(b->row.size));
}

int store_blob_complete(store_blob *b) {
    store_row before = b->row;
    b->row.state = IROH_BLOB_COMPLETE;
    b->row.proven = true;
    b->row.dirty = false;
    b->row.have = RANGES_INIT;
    int r = store_blob_put(b);
    if (r != 0) {
        b->row = before;
        return r;
    }
    ranges_dispose(&before.have);
    if (!b->inherited)
        store_blob_know(b);
    return 0;
}

int store_blob_state(store_blob *b, iroh_blob_status *status, ranges *have) {
    pthread_mutex_lock(&b->lock);
    *status = (iroh_blob_status){.state = b->row.state, .size = b->row.size, .size_proven = b->row.proven};
    int r = have != NULL ? store_blob_have(b, have) : 0;
    pthread_mutex_unlock(&b->lock);
    return r;
}

// Reading without regard to what is there

static int raw_pair(void *user, uint64_t index, uint8_t out[BAO_PAIR]) {
    store_blob *b = user;
    if (b->outboard != NULL)
        return store_file_read(b->outboard, index * BAO_PAIR, out, BAO_PAIR);
    if (index >= b->row.outboard_len / BAO_PAIR)
        return IROH_ERR_NOT_FOUND;
    memcpy(out, b->row.outboard + index * BAO_PAIR, BAO_PAIR);
    return 0;
}

static int raw_data(void *user, uint64_t offset, uint8_t *out, size_t len) {
    store_blob *b = user;
    if (b->data != NULL)
        return store_file_read(b->data, offset, out, len);
    if (b->row.data == NULL || offset > b->row.size || len > b->row.size - offset)
        return IROH_ERR_NOT_FOUND;
    memcpy(out, b->row.data + offset, len);
    return 0;
}

bao_source store_blob_raw_source(store_blob *b) {
    return (bao_source){.user = b, .pair = raw_pair, .data = raw_data};
}

// The valid chunks of the blob as it lies there.
static int check_all(store_blob *b, bao_checker *c, ranges *valid) {
    ranges all = RANGES_INIT;
    bao_source source = store_blob_raw_source(b);
    int r = ranges_add(&all, 0, BAO_END);
    if (r == 0)
        r = bao_checker_start(c, b->hash.bytes, b->row.size, &all, &source, true);
    while (r == 0)
        r = bao_checker_step(c, valid);
    ranges_dispose(&all);
    return r < 0 ? r : 0;
}

int store_blob_recheck(store_blob *b, bool *proven) {
    ranges valid = RANGES_INIT;
    bao_checker *c;
    int r = bao_checker_new(&c);
    if (r == 0)
        r = check_all(b, c, &valid);
    bao_checker_free(c);
    for (size_t i = 0; i < ranges_count(&valid) && r == 0; i++)
        r = ranges_add(&b->row.have, ranges_items(&valid)[i].start, ranges_items(&valid)[i].end);
    uint64_t chunks = bao_chunks(b->row.size);
    *proven = chunks > 0 && ranges_contains(&valid, chunks - 1);
    ranges_dispose(&valid);
    return r;
}

// Installing

// The row that the blob gets; the caller's memory is copied.
static int arrival_row(const store_arrival *a, store_row *row) {
    *row = (store_row){.state = IROH_BLOB_COMPLETE, .proven = true, .size = a->size, .stamp = a->stamp};
    row->place = a->data_file != NULL ? STORE_FILE : a->path != NULL ? STORE_EXTERNAL : STORE_INLINE;
    row->outboard_place = a->outboard_file != NULL ? STORE_FILE : STORE_INLINE;
    if (row->place == STORE_INLINE && (row->data = malloc(a->size + 1)) != NULL && a->size > 0)
        memcpy(row->data, a->data, a->size);
    if (row->place == STORE_EXTERNAL)
        row->path = strdup(a->path);
    if (a->outboard_len > 0 && (row->outboard = malloc(a->outboard_len)) != NULL)
        memcpy(row->outboard, a->outboard, row->outboard_len = a->outboard_len);
    if ((row->place == STORE_INLINE && row->data == NULL) || (row->place == STORE_EXTERNAL && row->path == NULL) ||
        (a->outboard_len > 0 && row->outboard == NULL)) {
        store_row_dispose(row);
        return IROH_ERR_NOMEM;
    }
    return 0;
}

static int publish(store_blob *b, const store_arrival *a) {
    store_backend *backend = backend_of(b);
    int r = 0;
    if (a->data_file != NULL)
        r = backend->ops->publish(backend, a->data_file, b->hash.bytes, STORE_DATA);
    if (r == 0 && a->outboard_file != NULL)
        r = backend->ops->publish(backend, a->outboard_file, b->hash.bytes, STORE_OUTBOARD);
    return r;
}

static int replace(store_blob *b, const store_arrival *a) {
    store_row row;
    int r = arrival_row(a, &row);
    if (r != 0)
        return r;
    r = publish(b, a);
    if (r != 0) {
        store_row_dispose(&row);
        return r;
    }
    store_row before = b->row;
    store_file *data = b->data, *outboard = b->outboard;
    b->row = row;
    b->data = a->data_file != NULL ? store_file_ref(a->data_file) : NULL;
    b->outboard = a->outboard_file != NULL ? store_file_ref(a->outboard_file) : NULL;
    if (row.place == STORE_EXTERNAL)
        r = open_external(b);
    if (r == 0)
        r = store_blob_put(b);
    if (r != 0) {
        // The files under the names have the same bytes as before, or more of them.
        store_row_dispose(&b->row);
        store_file_unref(b->data);
        store_file_unref(b->outboard);
        b->row = before;
        b->data = data;
        b->outboard = outboard;
        return r;
    }
    // Files that the row no longer names stay until the next opening: unlinking them now would be too early.
    store_row_dispose(&before);
    store_file_unref(data);
    store_file_unref(outboard);
    b->unsaved = b->unhinted = 0;
    store_blob_know(b);
    return 0;
}

int store_blob_install(store_blob *b, const store_arrival *a) {
    pthread_mutex_lock(&b->lock);
    int r = atomic_load(&b->lost) ? IROH_ERR_IO : 0;
    // What is complete stays, but for a file of others that gives way to one of ours.
    bool better = b->row.state != IROH_BLOB_COMPLETE || (b->row.place == STORE_EXTERNAL && a->path == NULL);
    if (r == 0 && better) {
        r = replace(b, a);
        if (r == 0)
            store_blob_notify(b);
    }
    pthread_mutex_unlock(&b->lock);
    return r;
}
