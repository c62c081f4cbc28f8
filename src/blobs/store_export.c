// Writing blobs to files of others. A target appears whole, by link or rename, or not at all.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobs/store_os.h"
#include "blobs/store_state.h"

#define BLOCK (1 << 20)
#define NAME_ROOM 48  // what the unfinished file has in addition to the name of the target

static const iroh_export_options standard;

typedef struct export {
    store_blob *blob;
    uint64_t size;
    const char *target;
    const iroh_export_options *options;
    char unfinished[PATH_MAX];
}
export;

// Beside the target, so that a rename does; with as much of its name as leaves room for what is added.
static int name_unfinished(export *e) {
    static atomic_uint count;
    const char *slash = strrchr(e->target, '/');
    size_t start = slash != NULL ? (size_t)(slash - e->target) + 1 : 0, len = strlen(e->target + start);
    if (len > NAME_MAX - NAME_ROOM)
        len = NAME_MAX - NAME_ROOM;
    if (start + len + NAME_ROOM > sizeof e->unfinished)
        return IROH_ERR_TOO_LARGE;
    (void)snprintf(e->unfinished, sizeof e->unfinished, "%.*s.part-%ld-%u", (int)(start + len), e->target,
                   (long)getpid(), atomic_fetch_add(&count, 1));
    return 0;
}

static int sync_target_directory(const export *e) {
    if (!e->blob->store->backend->power_safe)
        return 0;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s", e->target);
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        slash[slash == path ? 1 : 0] = '\0';
    return store_os_sync_directory(slash != NULL ? path : ".");
}

// Gives the unfinished file its name.
static int finish_name(const export *e) {
    if (e->options->replace)
        return rename(e->unfinished, e->target) == 0 ? 0 : store_os_error(errno);
    int r = store_os_rename_new(e->unfinished, e->target);
    if (r != IROH_ERR_UNSUPPORTED)
        return r;
    if (link(e->unfinished, e->target) == 0) {
        (void)unlink(e->unfinished);
        return 0;
    }
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
        return store_os_error(errno);
    // A file system without links: this leaves a moment in which another program's file could be lost.
    struct stat st;
    if (lstat(e->target, &st) == 0)
        return IROH_ERR_EXISTS;
    return rename(e->unfinished, e->target) == 0 ? 0 : store_os_error(errno);
}

static bool goes_on(const export *e, uint64_t done) {
    return e->options->progress == NULL || e->options->progress(e->options->user, done, e->size);
}

static int copy_bytes(const export *e, store_file *to) {
    store_reader *reader;
    uint8_t *block = malloc(BLOCK);
    int r = block != NULL ? store_reader_new(e->blob, &reader) : IROH_ERR_NOMEM;
    if (r != 0) {
        free(block);
        return r;
    }
    for (uint64_t done = 0; done < e->size && r == 0;) {
        size_t len = e->size - done < BLOCK ? (size_t)(e->size - done) : BLOCK;
        r = store_reader_read(reader, done, block, len);
        if (r == 0)
            r = store_file_write_bytes(to, done, block, len);
        done += len;
        if (r == 0 && !goes_on(e, done))
            r = IROH_ERR_CLOSED;
    }
    store_reader_free(reader);
    free(block);
    return r;
}

static int clone_file(const export *e, store_file *to) {
    pthread_mutex_lock(&e->blob->lock);
    store_file *from = e->blob->data != NULL ? store_file_ref(e->blob->data) : NULL;
    pthread_mutex_unlock(&e->blob->lock);
    int fd = from != NULL ? store_file_fd(from) : -1;
    int r = fd >= 0 ? store_os_clone(store_file_fd(to), fd) : IROH_ERR_UNSUPPORTED;
    store_file_unref(from);
    return r;
}

static int fill(const export *e, store_file *to) {
    int r = clone_file(e, to);
    if (r != 0)
        r = copy_bytes(e, to);
    else if (!goes_on(e, e->size))
        r = IROH_ERR_CLOSED;
    return r == 0 && e->blob->store->backend->power_safe ? store_file_sync(to) : r;
}

static int copy_to_target(export *e) {
    int fd = open(e->unfinished, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return store_os_error(errno);
    store_file *file;
    int r = store_file_of_fd(fd, NULL, &file);
    if (r == 0)
        r = fill(e, file);
    store_file_unref(file);
    if (r == 0)
        r = finish_name(e);
    if (r != 0)
        (void)unlink(e->unfinished);
    return r == 0 ? sync_target_directory(e) : r;
}

// Referring to the target

static int absolute_target(const export *e, char **out) {
    *out = realpath(e->target, NULL);
    return *out != NULL ? 0 : store_os_error(errno);
}

// Under the blob's lock: the row says where the file is now.
static int refer(store_blob *b, char *path) {
    store_stamp stamp;
    int fd, r = store_os_open(path, &fd, &stamp);
    if (r != 0)
        return r;
    store_file *file;
    r = store_file_of_fd(fd, NULL, &file);
    if (r != 0)
        return r;
    store_row before = b->row;
    store_file *data = b->data;
    b->row.place = STORE_EXTERNAL;
    b->row.path = path;
    b->row.stamp = stamp;
    b->data = file;
    r = store_blob_put(b);
    if (r != 0) {
        b->row = before;
        b->data = data;
        store_file_unref(file);
        return r;
    }
    store_file_unref(data);
    return 0;
}

// The file of the store goes when the row that refers to the target is durable.
static void drop_own_file(store_blob *b) {
    pthread_mutex_lock(&b->lock);
    if (b->row.state == IROH_BLOB_COMPLETE && b->row.place == STORE_EXTERNAL && !atomic_load(&b->lost))
        b->store->backend->ops->unlink(b->store->backend, b->hash.bytes, STORE_DATA);
    pthread_mutex_unlock(&b->lock);
}

// Gives the store's file the target's name. IROH_ERR_UNSUPPORTED: it has to be copied.
static int move_to_target(export *e) {
    store_blob *b = e->blob;
    store_backend *backend = b->store->backend;
    pthread_mutex_lock(&b->lock);
    bool own = b->row.state == IROH_BLOB_COMPLETE && b->row.place == STORE_FILE;
    int r = own ? backend->ops->link(backend, b->hash.bytes, e->unfinished) : IROH_ERR_UNSUPPORTED;
    pthread_mutex_unlock(&b->lock);
    if (r != 0)
        return r;
    r = finish_name(e);
    if (r != 0)
        (void)unlink(e->unfinished);
    if (r == 0)
        r = sync_target_directory(e);
    char *path = NULL;
    if (r == 0)
        r = absolute_target(e, &path);
    uint64_t from = store_transaction(b->store);
    if (r == 0) {
        pthread_mutex_lock(&b->lock);
        r = refer(b, path);
        pthread_mutex_unlock(&b->lock);
        if (r != 0)
            free(path);
    }
    if (r == 0)
        r = store_commit(b->store, from);
    if (r == 0)
        drop_own_file(b);
    if (r == 0 && !goes_on(e, e->size))
        r = IROH_ERR_CLOSED;
    return r;
}

static int check_target(const export *e) {
    struct stat st;
    if (lstat(e->target, &st) != 0)
        return errno == ENOENT ? 0 : store_os_error(errno);
    return e->options->replace ? 0 : IROH_ERR_EXISTS;
}

int iroh_store_export(iroh_store *s, const iroh_hash *hash, const char *target, const iroh_export_options *o) {
    if (s == NULL || hash == NULL || target == NULL || target[0] == '\0')
        return IROH_ERR_ARG;
    export e = {.target = target, .options = o != NULL ? o : &standard};
    int r = store_blob_open(s, hash, &e.blob);
    if (r != 0)
        return r;
    iroh_blob_status status;
    (void)store_blob_state(e.blob, &status, NULL);
    e.size = status.size;
    r = status.state == IROH_BLOB_COMPLETE ? check_target(&e) : IROH_ERR_NOT_FOUND;
    if (r == 0)
        r = name_unfinished(&e);
    if (r == 0) {
        r = e.options->mode == IROH_EXPORT_REFERENCE ? move_to_target(&e) : IROH_ERR_UNSUPPORTED;
        if (r == IROH_ERR_UNSUPPORTED)
            r = copy_to_target(&e);
    }
    store_blob_close(e.blob);
    return r;
}
