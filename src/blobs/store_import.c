// Adding blobs: from memory, from files, from streams. Each is hashed in the same pass that copies it.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobs/store_os.h"
#include "blobs/store_outboard.h"
#include "blobs/store_state.h"

#define BLOCK (4 << 20)        // bytes read and hashed at a time
#define READ_PART (256 << 10)  // bytes that one thread reads of it
#define HINT_BYTES (UINT64_C(8) << 20)

static const iroh_add_options standard;

static int check_options(const iroh_add_options *o) {
    bool fine = (o->format == IROH_BLOB_RAW || o->format == IROH_BLOB_HASH_SEQ) &&
                (o->mode == IROH_ADD_COPY || o->mode == IROH_ADD_REFERENCE) && o->tag_len <= IROH_TAG_MAX &&
                (o->tag != NULL || o->tag_len == 0);
    return fine ? 0 : IROH_ERR_ARG;
}

// Installs what arrived, keeps it alive, and waits until that is durable.
static int settle_in(iroh_store *s, const store_arrival *a, const iroh_add_options *o, const iroh_hash *hash) {
    uint64_t from = store_transaction(s);
    store_blob *b;
    int r = store_blob_open(s, hash, &b);
    if (r != 0)
        return r;
    r = store_blob_install(b, a);
    if (r == 0)
        r = store_keep(s, hash, o);
    store_blob_close(b);
    if (r != 0)
        return r;
    r = o->batch != NULL ? store_settle(s) : store_commit(s, from);
    if (r != 0 && o->temp_tag != NULL) {
        iroh_temp_tag_free(*o->temp_tag);
        *o->temp_tag = NULL;
    }
    return r;
}

static bool goes_on(const iroh_add_options *o, uint64_t done, uint64_t size) {
    return o->progress == NULL || o->progress(o->user, done, size);
}

static int add_small(iroh_store *s, const void *data, size_t len, const iroh_add_options *o, iroh_hash *out) {
    store_arrival a = {.size = len, .data = data};
    blake3_hash(data, len, out->bytes);
    return goes_on(o, len, len) ? settle_in(s, &a, o, out) : IROH_ERR_CLOSED;
}

// An addition in progress

typedef struct addition {
    iroh_store *store;
    const iroh_add_options *options;
    bao_builder *builder;
    store_outboard outboard;
    store_file *copy;  // null for a reference
    bool cloned;       // the copy has the bytes already
    uint64_t size;     // 0 while unknown
    uint64_t done;
    uint8_t *block;
    size_t room;
} addition;

static int start(addition *a, iroh_store *s, const iroh_add_options *o, uint64_t size, bool copies) {
    *a = (addition){.store = s, .options = o, .size = size == BAO_SIZE_UNKNOWN ? 0 : size};
    a->room = size < BLOCK ? (size_t)size : BLOCK;
    store_outboard_start(&a->outboard, s->backend, size);
    a->block = malloc(a->room + 1);
    int r = a->block != NULL ? bao_builder_new(&a->builder) : IROH_ERR_NOMEM;
    if (r == 0 && copies)
        r = s->backend->ops->temporary(s->backend, &a->copy);
    bao_sink sink = store_outboard_sink(&a->outboard);
    if (r == 0)
        bao_builder_start(a->builder, size, &sink);
    return r;
}

static void dispose(addition *a) {
    bao_builder_free(a->builder);
    store_outboard_dispose(&a->outboard);
    store_file_unref(a->copy);
    free(a->block);
}

// The next `len` bytes are in the block.
static int take_block(addition *a, size_t len) {
    int r = 0;
    if (a->copy != NULL && !a->cloned)
        r = store_file_write_bytes(a->copy, a->done, a->block, len);
    int fd = a->copy != NULL && a->store->backend->power_safe ? store_file_fd(a->copy) : -1;
    if (fd >= 0 && (a->done + len) / HINT_BYTES != a->done / HINT_BYTES)
        store_os_start_writing(fd, 0, 0);
    if (r == 0)
        r = bao_builder_add(a->builder, a->block, len, store_executor(a->store));
    a->done += len;
    return r == 0 && !goes_on(a->options, a->done, a->size) ? IROH_ERR_CLOSED : r;
}

static int finish(addition *a, const char *path, const store_stamp *stamp, iroh_hash *out) {
    store_arrival arrival = {.data_file = a->copy, .path = path};
    int r = bao_builder_finish(a->builder, out->bytes, &arrival.size);
    if (r == 0)
        r = store_outboard_finish(&a->outboard, arrival.size);
    if (r != 0)
        return r;
    if (stamp != NULL)
        arrival.stamp = *stamp;
    arrival.outboard = a->outboard.bytes;
    arrival.outboard_len = a->outboard.bytes != NULL ? a->outboard.len : 0;
    arrival.outboard_file = a->outboard.file;
    return settle_in(a->store, &arrival, a->options, out);
}

// Memory

static int add_large_bytes(iroh_store *s, const uint8_t *data, size_t len, const iroh_add_options *o, iroh_hash *out) {
    addition a;
    int r = start(&a, s, o, len, true);
    while (r == 0 && a.done < len) {
        size_t n = len - (size_t)a.done < a.room ? len - (size_t)a.done : a.room;
        memcpy(a.block, data + a.done, n);
        r = take_block(&a, n);
    }
    if (r == 0)
        r = finish(&a, NULL, NULL, out);
    dispose(&a);
    return r;
}

int iroh_store_add_bytes(iroh_store *s, const void *data, size_t len, const iroh_add_options *o, iroh_hash *out) {
    if (o == NULL)
        o = &standard;
    if (s == NULL || out == NULL || (data == NULL && len > 0) || check_options(o) != 0)
        return IROH_ERR_ARG;
    return len <= STORE_INLINE_MAX ? add_small(s, data, len, o, out) : add_large_bytes(s, data, len, o, out);
}

// Files

// Reads a block in parts, which several threads do at once.
typedef struct block_read {
    int fd;
    uint64_t offset;
    uint8_t *block;
    size_t len;
    atomic_int error;
} block_read;

static int read_all(int fd, uint64_t offset, uint8_t *out, size_t len) {
    while (len > 0) {
        ssize_t n = pread(fd, out, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return store_os_error(errno);
        if (n == 0)
            return IROH_ERR_CHANGED;  // shorter than it was
        out += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static void read_part(void *arg, size_t i) {
    block_read *b = arg;
    size_t from = i * READ_PART, len = b->len - from < READ_PART ? b->len - from : READ_PART;
    int r = read_all(b->fd, b->offset + from, b->block + from, len);
    if (r != 0)
        atomic_store(&b->error, r);
}

static int read_block(addition *a, int fd, size_t len) {
    const blake3_executor *e = store_executor(a->store);
    if (e == NULL || len < 2 * READ_PART)
        return read_all(fd, a->done, a->block, len);
    block_read b = {.fd = fd, .offset = a->done, .block = a->block, .len = len};
    atomic_init(&b.error, 0);
    e->run(e->user, read_part, &b, (len + READ_PART - 1) / READ_PART);
    return atomic_load(&b.error);
}

// Whether the file is still what it was before it was read.
static int check_unchanged(int fd, const store_stamp *before) {
    store_stamp now;
    int r = store_os_stamp(fd, &now);
    return r == 0 && !store_os_same(&now, before) ? IROH_ERR_CHANGED : r;
}

static int read_file(addition *a, int fd, const store_stamp *stamp) {
    int copy = a->copy != NULL ? store_file_fd(a->copy) : -1;
    a->cloned = copy >= 0 && store_os_clone(copy, fd) == 0;
    // The clone cannot change any more, so it is what is read.
    int from = a->cloned ? copy : fd, r = 0;
    while (r == 0 && a->done < stamp->size) {
        size_t len = stamp->size - a->done < a->room ? (size_t)(stamp->size - a->done) : a->room;
        r = read_block(a, from, len);
        if (r == 0)
            r = take_block(a, len);
    }
    return r == 0 ? check_unchanged(fd, stamp) : r;
}

static int add_small_file(iroh_store *s, int fd, const store_stamp *stamp, const char *reference,
                          const iroh_add_options *o, iroh_hash *out) {
    uint8_t bytes[STORE_INLINE_MAX];
    int r = read_all(fd, 0, bytes, (size_t)stamp->size);
    if (r == 0)
        r = check_unchanged(fd, stamp);
    if (r != 0 || reference == NULL)
        return r != 0 ? r : add_small(s, bytes, (size_t)stamp->size, o, out);
    store_arrival a = {.size = stamp->size, .path = reference, .stamp = *stamp};
    blake3_hash(bytes, (size_t)stamp->size, out->bytes);
    return settle_in(s, &a, o, out);
}

static int add_file(iroh_store *s, int fd, const store_stamp *stamp, const char *reference, const iroh_add_options *o,
                    iroh_hash *out) {
    if (stamp->size <= STORE_INLINE_MAX)
        return add_small_file(s, fd, stamp, s->backend->keeps_small ? NULL : reference, o, out);
    addition a;
    int r = start(&a, s, o, stamp->size, reference == NULL);
    if (r == 0)
        r = read_file(&a, fd, stamp);
    if (r == 0)
        r = finish(&a, reference, stamp, out);
    dispose(&a);
    return r;
}

int iroh_store_add_path(iroh_store *s, const char *path, const iroh_add_options *o, iroh_hash *out) {
    if (o == NULL)
        o = &standard;
    if (s == NULL || path == NULL || out == NULL || check_options(o) != 0)
        return IROH_ERR_ARG;
    int fd;
    store_stamp stamp;
    int r = store_os_open(path, &fd, &stamp);
    if (r != 0)
        return r;
    char *absolute = NULL;
    const char *reference = NULL;
    if (o->mode == IROH_ADD_REFERENCE) {
        // A path that depends on the working directory would mean another file later.
        reference = path[0] == '/' ? path : (absolute = realpath(path, NULL));
        r = reference != NULL ? 0 : IROH_ERR_NOMEM;
    }
    if (r == 0)
        r = add_file(s, fd, &stamp, reference, o, out);
    free(absolute);
    close(fd);
    return r;
}

// Streams

// Fills the block, unless the stream ends: *len bytes.
static int fill_block(const iroh_byte_source *source, uint8_t *block, size_t room, size_t *len) {
    *len = 0;
    while (*len < room) {
        size_t want = room - *len < INT_MAX ? room - *len : INT_MAX;
        int n = source->read(source->user, block + *len, want);
        if (n < 0)
            return n;
        if ((size_t)n > want)
            return IROH_ERR_ARG;
        if (n == 0)
            return 0;
        *len += (size_t)n;
    }
    return 0;
}

// `head` is full: more may follow.
static int add_long_stream(iroh_store *s, const iroh_byte_source *source, const uint8_t *head, size_t head_len,
                           const iroh_add_options *o, iroh_hash *out) {
    addition a;
    int r = start(&a, s, o, BAO_SIZE_UNKNOWN, true);
    if (r == 0)
        memcpy(a.block, head, head_len);
    size_t len = 0;
    if (r == 0)
        r = fill_block(source, a.block + head_len, a.room - head_len, &len);
    len += head_len;
    while (r == 0 && len > 0) {
        r = take_block(&a, len);
        if (r == 0)
            r = fill_block(source, a.block, a.room, &len);
    }
    if (r == 0)
        r = finish(&a, NULL, NULL, out);
    dispose(&a);
    return r;
}

int iroh_store_add_stream(iroh_store *s, const iroh_byte_source *source, const iroh_add_options *o, iroh_hash *out) {
    if (o == NULL)
        o = &standard;
    if (s == NULL || source == NULL || source->read == NULL || out == NULL || check_options(o) != 0)
        return IROH_ERR_ARG;
    uint8_t head[STORE_INLINE_MAX + 1];
    size_t len;
    int r = fill_block(source, head, sizeof head, &len);
    if (r != 0)
        return r;
    return len <= STORE_INLINE_MAX ? add_small(s, head, len, o, out) : add_long_stream(s, source, head, len, o, out);
}
