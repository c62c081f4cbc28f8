// Readers of open blobs, and reading without one.
#include <stdlib.h>
#include <string.h>

#include "blobs/store_os.h"
#include "blobs/store_state.h"

#define WINDOW_PAIRS 256  // of an outboard file, read at once: encoders go through it in order

struct store_reader {
    store_blob *blob;
    store_file *own;    // a file of the store's that holds all of the blob, or null,
    store_stamp stamp;  // and what it was when the reader came
    bool trusted;
    uint64_t window;  // index of the first pair in `pairs`
    size_t count;     // of pairs in it
    uint8_t pairs[WINDOW_PAIRS][BAO_PAIR];
};

// The data of a complete blob that nobody but the store writes to, or null; *in_memory: nobody else can.
static store_file *own_file(store_blob *b, bool *in_memory) {
    pthread_mutex_lock(&b->lock);
    bool own = b->row.state == IROH_BLOB_COMPLETE && b->row.place != STORE_EXTERNAL;
    store_file *file = own && b->data != NULL ? store_file_ref(b->data) : NULL;
    *in_memory = own && b->store->backend->in_memory;
    pthread_mutex_unlock(&b->lock);
    return file;
}

static void decide_trust(store_reader *r) {
    r->own = own_file(r->blob, &r->trusted);
    int fd = r->own != NULL && !r->trusted ? store_file_fd(r->own) : -1;
    if (fd < 0 || store_os_stamp(fd, &r->stamp) != 0) {
        store_file_unref(r->own);
        r->own = NULL;
    } else {
        r->trusted = store_known_has(&r->blob->store->known, &r->blob->hash, &r->stamp);
    }
}

// The file is what it was when the reader came.
static bool is_unchanged(const store_reader *r) {
    store_stamp now;
    return store_os_stamp(store_file_fd(r->own), &now) == 0 && store_os_same(&now, &r->stamp);
}

void store_reader_verified(store_reader *r) {
    // A file that has just been written to may be written to again without looking any newer.
    if (r->own != NULL && !r->trusted && store_os_is_settled(&r->stamp) && is_unchanged(r))
        store_known_add(&r->blob->store->known, &r->blob->hash, &r->stamp);
}

int store_reader_new(store_blob *b, store_reader **out) {
    store_reader *r = malloc(sizeof *r);
    *out = r;
    if (r == NULL)
        return IROH_ERR_NOMEM;
    pthread_mutex_lock(&b->store->lock);
    b->refs++;
    pthread_mutex_unlock(&b->store->lock);
    r->blob = b;
    r->count = 0;
    decide_trust(r);
    return 0;
}

void store_reader_free(store_reader *r) {
    if (r == NULL)
        return;
    store_file_unref(r->own);
    store_blob_close(r->blob);
    free(r);
}

// Whether [offset, offset + len) is there.
static bool is_there(const store_blob *b, uint64_t offset, size_t len) {
    if (b->row.state == IROH_BLOB_ABSENT || offset > b->row.size || len > b->row.size - offset)
        return false;
    if (len == 0 || b->row.state == IROH_BLOB_COMPLETE)
        return true;
    return ranges_covers(&b->row.have, offset / BAO_CHUNK, (offset + len - 1) / BAO_CHUNK + 1);
}

static void copy_parts(const uint8_t *from, const bao_place *parts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        memcpy(parts[i].out, from, parts[i].len);
        from += parts[i].len;
    }
}

static int read_parts(void *user, uint64_t offset, const bao_place *parts, size_t count) {
    const store_reader *reader = user;
    store_blob *b = reader->blob;
    store_file *file = NULL;
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    pthread_mutex_lock(&b->lock);
    bool there = is_there(b, offset, len);
    if (there && len > 0 && b->data != NULL)
        file = store_file_ref(b->data);
    else if (there && len > 0)
        copy_parts(b->row.data + offset, parts, count);
    pthread_mutex_unlock(&b->lock);
    if (!there)
        return IROH_ERR_NOT_FOUND;
    int result = file != NULL ? store_file_read_parts(file, offset, parts, count) : 0;
    store_file_unref(file);
    if (result == 0 && reader->own != NULL && reader->trusted && !is_unchanged(reader))
        return IROH_ERR_CHANGED;
    // The file became shorter than it was when it was opened.
    return result == IROH_ERR_NOT_FOUND ? IROH_ERR_CHANGED : result;
}

int store_reader_read(store_reader *r, uint64_t offset, void *out, size_t len) {
    bao_place part = {out, len};
    return read_parts(r, offset, &part, 1);
}

static int read_data(void *user, uint64_t offset, uint8_t *out, size_t len) {
    return store_reader_read(user, offset, out, len);
}

static int fill_window(store_reader *r, store_file *file, uint64_t size, uint64_t index) {
    uint64_t left = bao_outboard_size(size) / BAO_PAIR - index;
    size_t count = left < WINDOW_PAIRS ? (size_t)left : WINDOW_PAIRS;
    r->count = 0;
    int result = store_file_read(file, index * BAO_PAIR, r->pairs, count * BAO_PAIR);
    if (result == 0) {
        r->window = index;
        r->count = count;
    }
    return result;
}

static bool is_hole(const uint8_t pair[BAO_PAIR]) {
    static const uint8_t zeroes[BAO_PAIR];
    return memcmp(pair, zeroes, BAO_PAIR) == 0;
}

// From a file; what others are still writing is not kept in the window.
static int pair_of_file(store_reader *r, store_file *file, bool complete, uint64_t size, uint64_t index, uint8_t *out) {
    int result = 0;
    if (!complete)
        return store_file_read(file, index * BAO_PAIR, out, BAO_PAIR);
    if (index < r->window || index >= r->window + r->count)
        result = fill_window(r, file, size, index);
    if (result == 0)
        memcpy(out, r->pairs[index - r->window], BAO_PAIR);
    return result;
}

static int read_pair(void *user, uint64_t index, uint8_t out[BAO_PAIR]) {
    store_reader *r = user;
    store_blob *b = r->blob;
    store_file *file = NULL;
    pthread_mutex_lock(&b->lock);
    bool complete = b->row.state == IROH_BLOB_COMPLETE;
    uint64_t size = b->row.size;
    bool there = b->row.state != IROH_BLOB_ABSENT && index < bao_outboard_size(size) / BAO_PAIR;
    if (there && b->outboard != NULL)
        file = store_file_ref(b->outboard);
    else if (there && (there = index < b->row.outboard_len / BAO_PAIR))
        memcpy(out, b->row.outboard + index * BAO_PAIR, BAO_PAIR);
    pthread_mutex_unlock(&b->lock);
    if (!there)
        return IROH_ERR_NOT_FOUND;
    int result = file != NULL ? pair_of_file(r, file, complete, size, index, out) : 0;
    store_file_unref(file);
    return result == 0 && !complete && is_hole(out) ? IROH_ERR_NOT_FOUND : result;
}

bao_source store_reader_source(store_reader *r) {
    return (bao_source){
        .user = r, .pair = read_pair, .data = read_data, .parts = read_parts, .data_trusted = r->trusted};
}

// Without a reader of the caller's

static int reader_of_hash(iroh_store *s, const iroh_hash *hash, store_reader **reader, iroh_blob_status *status) {
    store_blob *b;
    int r = store_blob_open(s, hash, &b);
    if (r != 0)
        return r;
    (void)store_blob_state(b, status, NULL);
    r = store_reader_new(b, reader);
    store_blob_close(b);
    return r;
}

int iroh_store_status(iroh_store *s, const iroh_hash *hash, iroh_blob_status *out) {
    if (s == NULL || hash == NULL || out == NULL)
        return IROH_ERR_ARG;
    store_blob *b;
    int r = store_blob_open(s, hash, &b);
    if (r == 0)
        (void)store_blob_state(b, out, NULL);
    else
        *out = (iroh_blob_status){0};
    store_blob_close(b);
    return r;
}

// How many bytes a read gets. Where a blob ends is known once its size is proven: an end that a provider only claims
// would cut off what is not there yet.
static int64_t readable(const iroh_blob_status *status, uint64_t offset, size_t len) {
    uint64_t left = offset < status->size ? status->size - offset : 0;
    if (status->state == IROH_BLOB_ABSENT)
        return IROH_ERR_NOT_FOUND;
    if (len <= left)
        return (int64_t)len;
    return status->state == IROH_BLOB_COMPLETE || status->size_proven ? (int64_t)left : IROH_ERR_NOT_FOUND;
}

int64_t iroh_store_read(iroh_store *s, const iroh_hash *hash, uint64_t offset, void *out, size_t len) {
    if (s == NULL || hash == NULL || (out == NULL && len > 0))
        return IROH_ERR_ARG;
    store_reader *reader;
    iroh_blob_status status;
    int r = reader_of_hash(s, hash, &reader, &status);
    if (r != 0)
        return r;
    int64_t n = readable(&status, offset, len);
    if (n > 0 && (r = store_reader_read(reader, offset, out, (size_t)n)) != 0)
        n = r;
    store_reader_free(reader);
    return n;
}

int iroh_store_get(iroh_store *s, const iroh_hash *hash, size_t max, uint8_t **data, size_t *len) {
    if (s == NULL || hash == NULL || data == NULL || len == NULL)
        return IROH_ERR_ARG;
    *data = NULL;
    *len = 0;
    store_reader *reader;
    iroh_blob_status status;
    int r = reader_of_hash(s, hash, &reader, &status);
    if (r != 0)
        return r;
    if (status.state != IROH_BLOB_COMPLETE)
        r = IROH_ERR_NOT_FOUND;
    else if (status.size > max)
        r = IROH_ERR_TOO_LARGE;
    else if ((*data = malloc((size_t)status.size + 1)) == NULL)
        r = IROH_ERR_NOMEM;
    if (r == 0)
        r = store_reader_read(reader, 0, *data, (size_t)status.size);
    store_reader_free(reader);
    if (r != 0) {
        free(*data);
        *data = NULL;
    } else {
        *len = (size_t)status.size;
    }
    return r;
}

int iroh_store_next(iroh_store *s, const iroh_hash *after, iroh_hash *out, iroh_blob_status *status) {
    if (s == NULL || out == NULL)
        return IROH_ERR_ARG;
    int r = s->backend->ops->next(s->backend, after != NULL ? after->bytes : NULL, out->bytes);
    return r == 0 && status != NULL ? iroh_store_status(s, out, status) : r;
}
