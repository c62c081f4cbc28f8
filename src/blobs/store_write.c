// Writing verified chunks to a partial blob.
//
// Data and pairs are written outside the locks, since all who write to a place write the same bytes there; chunks count as
// there afterwards. A blob of one group stays in memory and goes to its row. A larger one gets its file with the first
// chunk, and a row that says that somebody is writing: after a crash, what is in the files is verified again.
#include <stdlib.h>
#include <string.h>

#include "blobs/store_os.h"
#include "blobs/store_state.h"

#define HINT_BYTES (UINT64_C(8) << 20)  // after so many, the disk may begin to write

// Disk space is taken ahead of what comes, which spares the file system most of its work. It is never more than what this
// writer has written, so that a claimed size takes nothing.
#define RESERVE_MIN (UINT64_C(1) << 20)
#define RESERVE_MAX (UINT64_C(64) << 20)

// Where a pair lies follows from the claimed size, which may be a lie. But a leaf verifies only in its true place, and then
// the pairs above it are in theirs. So pairs wait here until the leaf comes that they lead to.
typedef struct waiting_pair {
    uint64_t index;
    uint8_t bytes[BAO_PAIR];
} waiting_pair;

struct store_writer {
    store_blob *blob;
    uint64_t size;  // the claim
    int error;
    bool started;                     // counted in blob->writers
    uint64_t written;                 // bytes of data
    uint64_t reserved, reserved_end;  // space that was taken latest: [reserved, reserved_end)
    size_t waiting_count;
    waiting_pair waiting[BAO_DEPTH];
};

int store_writer_new(store_blob *b, uint64_t size, store_writer **out) {
    *out = NULL;
    if (size > BAO_SIZE_MAX || (size == 0 && !store_is_empty_hash(&b->hash)))
        return IROH_ERR_PROTOCOL;
    store_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return IROH_ERR_NOMEM;
    pthread_mutex_lock(&b->lock);
    int r = b->row.proven && b->row.size != size ? IROH_ERR_PROTOCOL : 0;
    pthread_mutex_unlock(&b->lock);
    if (r != 0) {
        free(w);
        return r;
    }
    pthread_mutex_lock(&b->store->lock);
    b->refs++;
    pthread_mutex_unlock(&b->store->lock);
    w->blob = b;
    w->size = size;
    *out = w;
    return 0;
}

// The place for the chunks, under the blob's lock

static int to_data_file(store_blob *b) {
    store_backend *backend = b->store->backend;
    backend->ops->unlink(backend, b->hash.bytes, STORE_DATA);  // there may be what is left of a damaged blob
    int r = backend->ops->create(backend, b->hash.bytes, STORE_DATA, &b->data);
    if (r == 0 && b->row.data != NULL)
        r = store_file_write_bytes(b->data, 0, b->row.data, (size_t)b->row.size);
    if (r != 0) {
        store_file_unref(b->data);
        b->data = NULL;
        return r;
    }
    free(b->row.data);
    b->row.data = NULL;
    b->row.place = STORE_FILE;
    return 0;
}

static int to_outboard_file(store_blob *b) {
    store_backend *backend = b->store->backend;
    backend->ops->unlink(backend, b->hash.bytes, STORE_OUTBOARD);  // there may be what is left of a damaged blob
    int r = backend->ops->create(backend, b->hash.bytes, STORE_OUTBOARD, &b->outboard);
    if (r == 0 && b->row.outboard_len > 0)
        r = store_file_write_bytes(b->outboard, 0, b->row.outboard, b->row.outboard_len);
    if (r != 0) {
        store_file_unref(b->outboard);
        b->outboard = NULL;
        return r;
    }
    free(b->row.outboard);
    b->row.outboard = NULL;
    b->row.outboard_len = 0;
    b->row.outboard_place = STORE_FILE;
    return 0;
}

// Bytes that grow are zeroes; at least one is allocated, so that null means none.
static int resize(uint8_t **bytes, size_t from, size_t to) {
    uint8_t *fresh = realloc(*bytes, to > 0 ? to : 1);
    if (fresh == NULL)
        return IROH_ERR_NOMEM;
    if (to > from)
        memset(fresh + from, 0, to - from);
    *bytes = fresh;
    return 0;
}

static int fit_data(store_blob *b, uint64_t size) {
    if (b->row.place == STORE_FILE && b->data != NULL)
        return 0;
    if (size > STORE_INLINE_MAX)
        return to_data_file(b);
    return resize(&b->row.data, b->row.data != NULL ? (size_t)b->row.size : 0, (size_t)size);
}

static int fit_outboard(store_blob *b, uint64_t size) {
    uint64_t len = bao_outboard_size(size);
    if (b->row.outboard_place == STORE_FILE && b->outboard != NULL)
        return 0;
    if (len > STORE_INLINE_MAX)
        return to_outboard_file(b);
    if (len == b->row.outboard_len)
        return 0;
    int r = resize(&b->row.outboard, b->row.outboard_len, (size_t)len);
    if (r == 0)
        b->row.outboard_len = (size_t)len;
    return r;
}

// Takes over the claim. Verified leaves lie in their place whatever the size, as do the pairs above them; so a claim may
// still change as long as it leaves room for them.
static int adopt_size(store_blob *b, uint64_t size) {
    size_t count = ranges_count(&b->row.have);
    uint64_t end = count > 0 ? ranges_items(&b->row.have)[count - 1].end : 0;
    if (b->row.proven || end > bao_chunks(size))
        return IROH_ERR_PROTOCOL;
    int r = fit_data(b, size);
    if (r == 0)
        r = fit_outboard(b, size);
    if (r == 0)
        b->row.size = size;
    return r;
}

// Says in the row that the files may hold more than it knows. That helps only where the outboard is in a file too.
static int mark_dirty(store_blob *b) {
    if (b->row.dirty || b->row.place != STORE_FILE || b->row.outboard_place != STORE_FILE)
        return 0;
    b->row.dirty = true;
    int r = store_blob_put(b);
    b->row.dirty = r == 0;
    return r;
}

static int begin(store_blob *b, uint64_t size) {
    bool first = b->row.state == IROH_BLOB_ABSENT;
    int r = 0;
    if (first)
        store_blob_reset(b);
    if (first || b->row.size != size)
        r = adopt_size(b, size);
    if (r == 0) {
        b->row.state = IROH_BLOB_PARTIAL;
        r = mark_dirty(b);
    }
    if (r != 0 && first)
        store_blob_reset(b);
    return r;
}

// Writing, without the lock

typedef struct run {
    store_file *file;
    uint64_t offset, end;
    store_piece pieces[STORE_PIECES];
    size_t count;
} run;

static int flush(run *r) {
    int result = r->count > 0 ? store_file_write(r->file, r->offset, r->pieces, r->count) : 0;
    r->count = 0;
    return result;
}

static int add_piece(run *r, uint64_t offset, const void *bytes, size_t len) {
    int result = 0;
    if (r->count > 0 && (r->end != offset || r->count == STORE_PIECES))
        result = flush(r);
    if (r->count == 0)
        r->offset = offset;
    r->pieces[r->count++] = (store_piece){bytes, len};
    r->end = offset + len;
    return result;
}

static void reserve(store_writer *w, store_file *data, const run *r) {
    uint64_t room = w->written < RESERVE_MAX ? w->written : RESERVE_MAX;
    if (room < RESERVE_MIN || r->count == 0 || (r->offset >= w->reserved && r->end <= w->reserved_end))
        return;
    w->reserved = r->offset;
    w->reserved_end = w->size - r->offset < room ? w->size : r->offset + room;
    store_file_reserve(data, w->reserved, w->reserved_end - w->reserved);
}

static int write_files(store_writer *w, store_file *data, store_file *outboard, const bao_item *items, size_t count) {
    run leaves = {.file = data}, pairs = {.file = outboard};
    int r = 0;
    for (size_t i = 0; i < w->waiting_count && outboard != NULL && r == 0; i++)
        r = add_piece(&pairs, w->waiting[i].index * BAO_PAIR, w->waiting[i].bytes, BAO_PAIR);
    for (size_t i = 0; i < count && r == 0; i++) {
        const bao_item *item = &items[i];
        if (item->leaf && data != NULL && item->len > 0)
            r = add_piece(&leaves, item->chunk * BAO_CHUNK, item->bytes, item->len);
        else if (!item->leaf && outboard != NULL && item->pair != BAO_NO_PAIR)
            r = add_piece(&pairs, item->pair * BAO_PAIR, item->bytes, item->len);
    }
    if (r == 0 && data != NULL)
        reserve(w, data, &leaves);
    w->written += leaves.count > 0 ? leaves.end - leaves.offset : 0;
    if (r == 0)
        r = flush(&leaves);
    return r == 0 ? flush(&pairs) : r;
}

// Under the lock again

static void copy_inline(store_blob *b, const bao_item *item) {
    if (item->leaf && b->data == NULL && item->len > 0)
        memcpy(b->row.data + item->chunk * BAO_CHUNK, item->bytes, item->len);
    if (!item->leaf && b->outboard == NULL && item->pair != BAO_NO_PAIR)
        memcpy(b->row.outboard + item->pair * BAO_PAIR, item->bytes, BAO_PAIR);
}

static void copy_waiting(const store_writer *w) {
    store_blob *b = w->blob;
    for (size_t i = 0; i < w->waiting_count && b->outboard == NULL; i++)
        memcpy(b->row.outboard + w->waiting[i].index * BAO_PAIR, w->waiting[i].bytes, BAO_PAIR);
}

static int record(store_blob *b, const bao_item *items, size_t count) {
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        copy_inline(b, &items[i]);
        if (!items[i].leaf || items[i].len == 0)
            continue;
        uint64_t chunks = (items[i].len + BAO_CHUNK - 1) / BAO_CHUNK;
        r = ranges_add(&b->row.have, items[i].chunk, items[i].chunk + chunks);
        if (r == 0 && bao_item_ends(&items[i], b->row.size))
            b->row.proven = true;
        b->unsaved += items[i].len;
        b->unhinted += items[i].len;
    }
    return r;
}

static void hint(store_blob *b) {
    int fd = b->data != NULL ? store_file_fd(b->data) : -1;
    if (fd >= 0 && b->store->backend->power_safe)
        store_os_start_writing(fd, 0, 0);
    b->unhinted = 0;
}

static int advance(const store_writer *w, const bao_item *items, size_t count) {
    store_blob *b = w->blob;
    copy_waiting(w);
    int r = record(b, items, count);
    if (r == 0 && b->row.proven && store_blob_covered(b))
        r = store_blob_complete(b);
    else if (r == 0 && b->unsaved >= STORE_SAVE_BYTES)
        r = store_blob_put(b);
    if (b->unhinted >= HINT_BYTES)
        hint(b);
    store_blob_notify(b);
    return r;
}

// 1 when there is nothing to write to: the blob is complete.
static int prepare(store_writer *w) {
    store_blob *b = w->blob;
    if (atomic_load(&b->lost))
        return IROH_ERR_IO;
    if (b->row.state == IROH_BLOB_COMPLETE)
        return b->row.size == w->size ? 1 : IROH_ERR_PROTOCOL;
    int r = begin(b, w->size);
    if (r == 0 && !w->started) {
        b->writers++;
        w->started = true;
    }
    return r;
}

// Writes outside the lock. 2 when another writer's claim changed the storage meanwhile, even if its size is back.
static int write_unlocked(store_writer *w, const bao_item *items, size_t count) {
    store_blob *b = w->blob;
    store_file *data = b->data != NULL ? store_file_ref(b->data) : NULL;
    store_file *outboard = b->outboard != NULL ? store_file_ref(b->outboard) : NULL;
    pthread_mutex_unlock(&b->lock);
    int r = write_files(w, data, outboard, items, count);
    pthread_mutex_lock(&b->lock);
    bool moved = b->row.size != w->size || b->data != data || b->outboard != outboard;
    store_file_unref(data);
    store_file_unref(outboard);
    if (r == 0 && atomic_load(&b->lost))
        r = IROH_ERR_IO;
    if (r == 0 && b->row.state == IROH_BLOB_COMPLETE)
        return 1;
    return r == 0 && moved ? 2 : r;
}

static int put_items(store_writer *w, const bao_item *items, size_t count) {
    store_blob *b = w->blob;
    pthread_mutex_lock(&b->lock);
    int r = prepare(w);
    if (r == 0)
        r = write_unlocked(w, items, count);
    if (r == 2) {  // not again: two that disagree would never end
        r = prepare(w);
        if (r == 0)
            r = write_files(w, b->data, b->outboard, items, count);
    }
    if (r == 0)
        r = advance(w, items, count);
    pthread_mutex_unlock(&b->lock);
    w->waiting_count = 0;
    return r > 0 ? 0 : r;
}

static int let_wait(store_writer *w, const bao_item *items, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (items[i].pair == BAO_NO_PAIR)
            continue;
        if (w->waiting_count == BAO_DEPTH)
            return IROH_ERR_ARG;
        waiting_pair *p = &w->waiting[w->waiting_count++];
        p->index = items[i].pair;
        memcpy(p->bytes, items[i].bytes, BAO_PAIR);
    }
    return 0;
}

int store_writer_put(store_writer *w, const bao_item *items, size_t count) {
    size_t end = count;
    while (end > 0 && !items[end - 1].leaf)
        end--;
    if (w->error == 0 && end > 0)
        w->error = put_items(w, items, end);
    if (w->error == 0)
        w->error = let_wait(w, items + end, count - end);
    if (w->error == 0 && end > 0)
        w->error = store_settle(w->blob->store);
    return w->error;
}

int store_writer_close(store_writer *w) {
    store_blob *b = w->blob;
    int r = 0;
    pthread_mutex_lock(&b->lock);
    bool last = w->started && --b->writers == 0;
    if (last && b->row.state == IROH_BLOB_PARTIAL && !atomic_load(&b->lost) && (b->unsaved > 0 || b->row.dirty)) {
        b->row.dirty = false;
        // When the last chunk came, there may have been no room for saying so.
        bool whole = b->row.proven && store_blob_covered(b);
        r = whole ? store_blob_complete(b) : store_blob_put(b);
        b->row.dirty = r != 0;
        if (whole && r == 0)
            store_blob_notify(b);
    }
    pthread_mutex_unlock(&b->lock);
    store_blob_close(b);
    free(w);
    return r;
}
