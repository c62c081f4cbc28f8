// Files over descriptors; the pages are in store_pages.c.
#include "blobs/store_file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <iroh/error.h>

#include "blobs/store_os.h"

typedef struct fd_file {
    store_file base;
    int fd;
    char *path;  // unlinked at the end; null: kept
} fd_file;

store_file *store_file_ref(store_file *f) {
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void store_file_unref(store_file *f) {
    if (f != NULL && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
        f->ops->dispose(f);
}

int store_file_read(store_file *f, uint64_t offset, void *out, size_t len) {
    bao_place part = {out, len};
    return f->ops->read(f, offset, &part, 1);
}

int store_file_read_parts(store_file *f, uint64_t offset, const bao_place *parts, size_t count) {
    return f->ops->read(f, offset, parts, count);
}

int store_file_write(store_file *f, uint64_t offset, const store_piece *pieces, size_t count) {
    return f->ops->write(f, offset, pieces, count);
}

int store_file_write_bytes(store_file *f, uint64_t offset, const void *data, size_t len) {
    store_piece piece = {data, len};
    return f->ops->write(f, offset, &piece, 1);
}

void store_file_reserve(store_file *f, uint64_t offset, uint64_t len) {
    f->ops->reserve(f, offset, len);
}

int store_file_size(store_file *f, uint64_t *out) {
    return f->ops->size(f, out);
}

int store_file_sync(store_file *f) {
    return f->ops->sync(f);
}

// Drops `done` bytes from the front: the index of the first piece with something left.
static size_t advance(struct iovec *v, size_t at, size_t count, size_t done) {
    while (at < count && done >= v[at].iov_len)
        done -= v[at++].iov_len;
    if (at < count) {
        v[at].iov_base = (char *)v[at].iov_base + done;
        v[at].iov_len -= done;
    }
    return at;
}

static int fd_read(store_file *f, uint64_t offset, const bao_place *parts, size_t count) {
    struct iovec v[STORE_PIECES];
    if (count > STORE_PIECES || offset > INT64_MAX)
        return IROH_ERR_ARG;
    for (size_t i = 0; i < count; i++)
        v[i] = (struct iovec){parts[i].out, parts[i].len};
    size_t at = advance(v, 0, count, 0);
    while (at < count) {
        ssize_t n = preadv(((fd_file *)f)->fd, v + at, (int)(count - at), (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return store_os_error(errno);
        if (n == 0)
            return IROH_ERR_NOT_FOUND;
        offset += (uint64_t)n;
        at = advance(v, at, count, (size_t)n);
    }
    return 0;
}

static int fd_write(store_file *f, uint64_t offset, const store_piece *pieces, size_t count) {
    struct iovec v[STORE_PIECES];
    if (count > STORE_PIECES || offset > INT64_MAX)
        return IROH_ERR_ARG;
    for (size_t i = 0; i < count; i++)
        v[i] = (struct iovec){(void *)(uintptr_t)pieces[i].data, pieces[i].len};
    size_t at = advance(v, 0, count, 0);
    while (at < count) {
        ssize_t n = pwritev(((fd_file *)f)->fd, v + at, (int)(count - at), (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return store_os_error(errno);
        offset += (uint64_t)n;
        at = advance(v, at, count, (size_t)n);
    }
    return 0;
}

static void fd_reserve(store_file *f, uint64_t offset, uint64_t len) {
    if (offset <= INT64_MAX && len <= INT64_MAX - offset)
        store_os_reserve(((fd_file *)f)->fd, offset, len);
}

static int fd_size(store_file *f, uint64_t *out) {
    store_stamp stamp;
    int r = store_os_stamp(((fd_file *)f)->fd, &stamp);
    *out = r == 0 ? stamp.size : 0;
    return r;
}

static int fd_sync(store_file *f) {
    while (fdatasync(((fd_file *)f)->fd) != 0)
        if (errno != EINTR)
            return store_os_error(errno);
    return 0;
}

static void fd_dispose(store_file *f) {
    fd_file *file = (fd_file *)f;
    close(file->fd);
    if (file->path != NULL)
        unlink(file->path);
    free(file->path);
    free(file);
}

static const store_file_ops fd_ops = {fd_read, fd_write, fd_reserve, fd_size, fd_sync, fd_dispose};

int store_file_of_fd(int fd, const char *path, store_file **out) {
    fd_file *f = calloc(1, sizeof *f);
    *out = NULL;
    if (f != NULL && path != NULL && (f->path = strdup(path)) == NULL) {
        free(f);
        f = NULL;
    }
    if (f == NULL) {
        close(fd);
        if (path != NULL)
            unlink(path);
        return IROH_ERR_NOMEM;
    }
    f->base.ops = &fd_ops;
    atomic_init(&f->base.refs, 1);
    f->fd = fd;
    *out = &f->base;
    return 0;
}

int store_file_fd(const store_file *f) {
    return f->ops == &fd_ops ? ((const fd_file *)f)->fd : -1;
}

const char *store_file_path(const store_file *f) {
    return f->ops == &fd_ops ? ((const fd_file *)f)->path : NULL;
}

void store_file_keep(store_file *f) {
    if (f->ops == &fd_ops) {
        free(((fd_file *)f)->path);
        ((fd_file *)f)->path = NULL;
    }
}
