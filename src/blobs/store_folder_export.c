// From a collection into a folder. The names are somebody else's: none may lead out of the folder, neither by itself nor
// through a symbolic link.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobs/bao.h"
#include "blobs/store_folder.h"
#include "blobs/store_os.h"

#define BLOCK (1 << 20)

typedef struct export {
    const iroh_collection *collection;
    iroh_store *store;
    const char *dir;
    const iroh_folder_options *options;
    const char *name;  // terminated copy of the current one
    char *names;       // room for the longest
    size_t parent;     // bytes of the name that are its folder, which was made last: `made`
    char *made;
    char path[PATH_MAX];
}
export;

// Names

static int compare_names(const iroh_collection *c, size_t a, size_t b) {
    size_t len_a, len_b;
    const char *name_a = iroh_collection_name(c, a, &len_a), *name_b = iroh_collection_name(c, b, &len_b);
    int order = memcmp(name_a, name_b, len_a < len_b ? len_a : len_b);
    return order != 0 ? order : (len_a > len_b) - (len_a < len_b);
}

// The first of two equal names that stand side by side, or SIZE_MAX; *ascending, whether all are in order.
static size_t find_pair(const iroh_collection *c, bool *ascending) {
    *ascending = true;
    for (size_t i = 1; i < iroh_collection_count(c); i++) {
        int order = compare_names(c, i - 1, i);
        if (order == 0)
            return i;
        *ascending = *ascending && order < 0;
    }
    return SIZE_MAX;
}

static int copy_names(const iroh_collection *c, iroh_collection *to) {
    int r = 0;
    for (size_t i = 0; i < iroh_collection_count(c) && r == 0; i++) {
        size_t len;
        const char *name = iroh_collection_name(c, i, &len);
        iroh_hash hash = iroh_collection_hash(c, i);
        r = iroh_collection_add(to, name, len, &hash);
    }
    return r;
}

static int refuse_pair(const export *e, const iroh_collection *c, size_t i) {
    size_t len;
    const char *name = iroh_collection_name(c, i, &len);
    store_folder_where(e->options, name, len);
    return IROH_ERR_ARG;
}

// In order of names, those that are equal stand side by side; most collections are made in that order.
static int check_twice(const export *e) {
    bool ascending;
    iroh_collection *sorted;
    size_t i = find_pair(e->collection, &ascending);
    if (i != SIZE_MAX)
        return refuse_pair(e, e->collection, i);
    if (ascending)
        return 0;
    int r = iroh_collection_new(&sorted);
    if (r == 0)
        r = copy_names(e->collection, sorted);
    if (r == 0) {
        iroh_collection_sort(sorted);
        i = find_pair(sorted, &ascending);
        r = i != SIZE_MAX ? refuse_pair(e, sorted, i) : 0;
    }
    iroh_collection_free(sorted);
    return r;
}

static int check_names(const export *e, size_t *longest) {
    *longest = 0;
    for (size_t i = 0; i < iroh_collection_count(e->collection); i++) {
        size_t len;
        const char *name = iroh_collection_name(e->collection, i, &len);
        if (!iroh_name_is_safe(name, len)) {
            store_folder_where(e->options, name, len);
            return IROH_ERR_ARG;
        }
        *longest = len > *longest ? len : *longest;
    }
    return check_twice(e);
}

// Folders

static int open_folder(int parent, const char *name) {
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

// Opens the folder `name` in `parent`, which is closed, and makes it if it is not there.
static int enter(int parent, const char *name, int *out) {
    int fd = open_folder(parent, name);
    if (fd < 0 && errno == ENOENT && (mkdirat(parent, name, 0777) == 0 || errno == EEXIST))
        fd = open_folder(parent, name);
    int error = errno;
    close(parent);
    *out = fd;
    if (fd >= 0)
        return 0;
    return error == ELOOP || error == ENOTDIR ? IROH_ERR_ACCESS : store_os_error(error);
}

static int make_parents(export *e) {
    const char *slash = strrchr(e->name, '/');
    size_t len = slash != NULL ? (size_t)(slash - e->name) : 0;
    if (len == e->parent && memcmp(e->made, e->name, len) == 0)
        return 0;
    memcpy(e->made, e->name, len);
    e->made[len] = '\0';
    e->parent = 0;
    int fd = open(e->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    if (fd < 0)
        return store_os_error(errno);
    for (char *part = e->made, *end; r == 0 && part != NULL; part = end != NULL ? end + 1 : NULL) {
        if ((end = strchr(part, '/')) != NULL)
            *end = '\0';
        r = enter(fd, part, &fd);
        if (end != NULL)
            *end = '/';
    }
    if (fd >= 0)
        close(fd);
    if (r == 0)
        e->parent = len;
    return r;
}

// Files

static int hash_file(int fd, uint8_t *block, bao_builder *b, iroh_hash *out) {
    static const bao_sink no_sink;
    bao_builder_start(b, BAO_SIZE_UNKNOWN, &no_sink);
    for (;;) {
        ssize_t n = read(fd, block, BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        int r = n < 0 ? store_os_error(errno) : bao_builder_add(b, block, (size_t)n, NULL);
        if (r != 0)
            return r;
        if (n == 0)
            return bao_builder_finish(b, out->bytes, NULL);
    }
}

// True when the file that is there already is what would be written: that of an export that did not come to its end.
static bool is_same(const export *e, const iroh_hash *hash) {
    iroh_blob_status status;
    iroh_hash found;
    struct stat st;
    bao_builder *b = NULL;
    int fd = open(e->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    uint8_t *block = malloc(BLOCK);
    bool same = fd >= 0 && block != NULL && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                iroh_store_status(e->store, hash, &status) == 0 && (uint64_t)st.st_size == status.size &&
                bao_builder_new(&b) == 0 && hash_file(fd, block, b, &found) == 0 &&
                memcmp(found.bytes, hash->bytes, sizeof found.bytes) == 0;
    bao_builder_free(b);
    free(block);
    if (fd >= 0)
        close(fd);
    return same;
}

static bool on_progress(void *user, uint64_t done, uint64_t size) {
    const export *e = user;
    return e->options->progress(e->options->user, e->name, done, size);
}

static int write_file(export *e, const iroh_hash *hash) {
    iroh_export_options o = {.mode = e->options->mode, .user = e};
    int r = make_parents(e);
    if (r != 0)
        return r;
    int n = snprintf(e->path, sizeof e->path, "%s/%s", e->dir, e->name);
    if (n < 0 || (size_t)n >= sizeof e->path)
        return IROH_ERR_TOO_LARGE;
    if (e->options->progress != NULL) {
        o.progress = on_progress;
        if (!on_progress(e, 0, 0))
            return IROH_ERR_CLOSED;
    }
    r = iroh_store_export(e->store, hash, e->path, &o);
    return r == IROH_ERR_EXISTS && is_same(e, hash) ? 0 : r;
}

static int write_all(export *e) {
    for (size_t i = 0; i < iroh_collection_count(e->collection); i++) {
        size_t len;
        const char *name = iroh_collection_name(e->collection, i, &len);
        iroh_hash hash = iroh_collection_hash(e->collection, i);
        memcpy(e->names, name, len);
        e->names[len] = '\0';
        int r = write_file(e, &hash);
        if (r != 0) {
            store_folder_where(e->options, name, len);
            return r;
        }
    }
    return 0;
}

int iroh_collection_export(const iroh_collection *c, iroh_store *s, const char *dir, const iroh_folder_options *o) {
    static const iroh_folder_options standard;
    size_t longest;
    if (c == NULL || s == NULL || dir == NULL)
        return IROH_ERR_ARG;
    export *e = calloc(1, sizeof *e);
    if (e == NULL)
        return IROH_ERR_NOMEM;
    *e = (export){.collection = c, .store = s, .dir = dir, .options = o != NULL ? o : &standard};
    int r = check_names(e, &longest);
    if (r == 0) {
        e->names = malloc(longest + 1);
        e->made = calloc(1, longest + 1);
        e->name = e->names;
        r = e->names != NULL && e->made != NULL ? write_all(e) : IROH_ERR_NOMEM;
    }
    free(e->names);
    free(e->made);
    free(e);
    return r;
}
