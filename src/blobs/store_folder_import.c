// From a folder into a collection.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "blobs/store_folder.h"
#include "blobs/store_os.h"

typedef struct import {
    iroh_collection *collection;
    iroh_store *store;
    const iroh_folder_options *options;
    iroh_batch *batch;
    size_t name;          // where the names in the collection begin in `path`
    size_t len;           // of `path`
    char path[PATH_MAX];  // where the walk is
} import;

void store_folder_where(const iroh_folder_options *o, const char *text, size_t len) {
    if (o->where == NULL)
        return;
    len = len < IROH_FOLDER_WHERE ? len : IROH_FOLDER_WHERE - 1;
    memcpy(o->where, text, len);
    o->where[len] = '\0';
}

static int fail(const import *w, int error) {
    if (error != 0)
        store_folder_where(w->options, w->path, w->len);
    return error;
}

static int check_name(const import *w) {
    const char *name = w->path + w->name;
    size_t len = w->len - w->name;
    if (!utf8_valid(name, len))
        return IROH_ERR_UTF8;
    return iroh_name_is_safe(name, len) ? 0 : IROH_ERR_ARG;
}

static bool on_progress(void *user, uint64_t done, uint64_t size) {
    const import *w = user;
    return w->options->progress(w->options->user, w->path + w->name, done, size);
}

static int add_file(import *w) {
    const iroh_folder_options *o = w->options;
    iroh_add_options add = {.mode = o->mode, .batch = w->batch, .user = w};
    iroh_hash hash;
    int r = check_name(w);
    if (r == 0 && o->progress != NULL) {
        add.progress = on_progress;
        r = on_progress(w, 0, 0) ? 0 : IROH_ERR_CLOSED;
    }
    if (r == 0)
        r = iroh_store_add_path(w->store, w->path, &add, &hash);
    if (r == 0)
        r = iroh_collection_add(w->collection, w->path + w->name, w->len - w->name, &hash);
    return fail(w, r);
}

static int add_folder(import *w, int parent, const char *name, int depth);

// A file that is gone by the time it is looked at was not there.
static int add_entry(import *w, int folder, const struct dirent *e, int depth) {
    struct stat st;
    size_t before = w->len, len = strlen(e->d_name);
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
        return 0;
    if (before + 1 + len >= sizeof w->path)
        return fail(w, IROH_ERR_TOO_LARGE);
    w->path[before] = '/';
    memcpy(w->path + before + 1, e->d_name, len + 1);
    w->len = before + 1 + len;
    int r = 0;
    if (fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        r = errno == ENOENT ? 0 : fail(w, store_os_error(errno));
    else if (S_ISREG(st.st_mode))
        r = add_file(w);
    else if (S_ISDIR(st.st_mode))
        r = add_folder(w, folder, e->d_name, depth + 1);
    w->len = before;
    w->path[before] = '\0';
    return r;
}

static int add_entries(import *w, DIR *d, int depth) {
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (e == NULL)
            return errno == 0 ? 0 : fail(w, store_os_error(errno));
        int r = add_entry(w, dirfd(d), e, depth);
        if (r != 0)
            return r;
    }
}

static int add_folder(import *w, int parent, const char *name, int depth) {
    if (depth > FOLDER_DEPTH_MAX)
        return fail(w, IROH_ERR_LIMIT);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL) {
        int r = fail(w, store_os_error(errno));
        if (fd >= 0)
            close(fd);
        return r;
    }
    int r = add_entries(w, d, depth);
    closedir(d);
    return r;
}

static int add_root(import *w, const char *path) {
    struct stat st;
    store_folder_where(w->options, path, strlen(path));
    if (realpath(path, w->path) == NULL)
        return store_os_error(errno);
    w->len = strlen(w->path);
    const char *slash = strrchr(w->path, '/');
    w->name = slash != NULL ? (size_t)(slash - w->path) + 1 : 0;
    if (w->name == w->len)
        return IROH_ERR_ARG;  // the root has no name
    if (stat(w->path, &st) != 0)
        return store_os_error(errno);
    if (S_ISREG(st.st_mode))
        return add_file(w);
    return S_ISDIR(st.st_mode) ? add_folder(w, AT_FDCWD, w->path, 1) : IROH_ERR_KIND;
}

int iroh_collection_import(iroh_collection *c, iroh_store *s, const char *path, const iroh_folder_options *o) {
    static const iroh_folder_options standard;
    if (c == NULL || s == NULL || path == NULL)
        return IROH_ERR_ARG;
    import *w = calloc(1, sizeof *w);
    iroh_batch *own = NULL;
    if (w == NULL)
        return IROH_ERR_NOMEM;
    *w = (import){.collection = c, .store = s, .options = o != NULL ? o : &standard};
    int r = w->options->batch == NULL ? iroh_batch_new(s, &own) : 0;
    w->batch = own != NULL ? own : w->options->batch;
    if (r == 0)
        r = add_root(w, path);
    iroh_batch_free(own);
    free(w);
    return r;
}
