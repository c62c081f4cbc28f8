// The store on disk: a directory with
//
//     lock        locked by the process that has the store open
//     meta.db     SQLite: rows, tags, small blobs, small outboards (store_db.c)
//     data/       HASH.data and HASH.outboard, complete or partial
//     temp/       imports that are not finished; emptied when the store is opened
//
// A file is written before its row says so, and unlinked after its row is gone; in between, at worst a file is left that
// no row names, which opening removes.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"
#include "blobs/store_backend.h"
#include "blobs/store_db.h"
#include "blobs/store_os.h"

#define INCLUDED_MAX 256  // files of a transaction that are kept open for syncing; further ones are synced at once
#define SYNC_ALL_FROM 8   // so many files are synced faster together with the whole file system
#define LOST_MAX 16       // lost transactions that are remembered
#define NAME_ROOM 96      // "/data/" + 64 digits + ".outboard"

typedef struct disk {
    store_backend base;
    char *dir;
    int lock_fd;
    atomic_ulong temporaries;
    pthread_mutex_t lock;  // of all that follows
    pthread_cond_t committed;
    store_db *db;
    uint64_t number;   // of the open transaction, or of the next one
    uint64_t started;  // ns, its first change
    size_t changes, bytes;
    bool names_changed;  // in data/
    bool committing;     // a thread syncs files, without the lock
    store_file *included[INCLUDED_MAX];
    size_t included_count;
    uint64_t lost[LOST_MAX];  // the latest, in a ring
    size_t lost_count, lost_told;
} disk;

static disk *disk_of(store_backend *b) {
    return (disk *)b;
}

static const char *const suffixes[] = {".data", ".outboard"};

// Paths are checked for length when the store is opened.
static void path_in(const disk *d, char out[PATH_MAX], const char *folder, const char *name) {
    (void)snprintf(out, PATH_MAX, "%s/%s%s", d->dir, folder, name);
}

static void path_of_blob(const disk *d, char out[PATH_MAX], const uint8_t hash[32], int kind) {
    char name[NAME_ROOM];
    hex_encode(hash, 32, name);
    (void)snprintf(name + 64, sizeof name - 64, "%s", suffixes[kind]);
    path_in(d, out, "data/", name);
}

// Transactions

static void note_lost(disk *d) {
    if (!store_db_lost(d->db))
        return;
    d->lost[d->lost_count++ % LOST_MAX] = d->number++;
    d->changes = d->bytes = 0;
}

static bool was_lost(const disk *d, uint64_t from) {
    size_t kept = d->lost_count < LOST_MAX ? d->lost_count : LOST_MAX;
    for (size_t i = 0; i < kept; i++)
        if (d->lost[i] >= from)
            return true;
    return false;
}

// After a change of `bytes`: counts it, and notices when the transaction was given up.
static int changed(disk *d, int r, size_t bytes) {
    if (d->changes++ == 0)
        d->started = store_os_now();
    d->bytes += bytes;
    note_lost(d);
    return r;
}

static int sync_files(store_file **files, size_t count) {
    if (count >= SYNC_ALL_FROM && store_os_sync_all(store_file_fd(files[0])) == 0)
        return 0;
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = store_file_sync(files[i]);
    return r;
}

static int sync_names(const disk *d) {
    char path[PATH_MAX];
    path_in(d, path, "data", "");
    return store_os_sync_directory(path);
}

// Syncs what the transaction includes. The lock is given back meanwhile, so that others can go on.
static int sync_included(disk *d) {
    int r = 0;
    while (r == 0 && (d->included_count > 0 || d->names_changed)) {
        store_file *files[INCLUDED_MAX];
        size_t count = d->included_count;
        bool names = d->names_changed;
        memcpy(files, d->included, count * sizeof *files);
        d->included_count = 0;
        d->names_changed = false;
        pthread_mutex_unlock(&d->lock);
        r = sync_files(files, count);
        if (r == 0 && names)
            r = sync_names(d);
        for (size_t i = 0; i < count; i++)
            store_file_unref(files[i]);
        pthread_mutex_lock(&d->lock);
    }
    return r;
}

static int commit_as_leader(disk *d) {
    d->committing = true;
    int r = sync_included(d);
    d->committing = false;
    uint64_t number = d->number;
    if (r == 0)
        r = store_db_commit(d->db);
    else
        store_db_rollback(d->db);
    note_lost(d);
    if (d->number == number) {
        d->number++;
        d->changes = d->bytes = 0;
    }
    pthread_cond_broadcast(&d->committed);
    return r;
}

static int disk_commit(store_backend *b, uint64_t from) {
    disk *d = disk_of(b);
    int r = 0;
    pthread_mutex_lock(&d->lock);
    // Nobody leads a transaction that another thread is at: all that is in it by then is committed together.
    uint64_t mine = d->number;
    while (d->committing)
        pthread_cond_wait(&d->committed, &d->lock);
    if (d->number == mine && (store_db_changed(d->db) || d->included_count > 0))
        r = commit_as_leader(d);
    if (r == 0 && was_lost(d, from))
        r = IROH_ERR_IO;
    pthread_mutex_unlock(&d->lock);
    return r;
}

static bool disk_due(store_backend *b) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    bool due = !d->committing && store_db_changed(d->db) &&
               (d->changes >= STORE_TRANSACTION_OPS || d->bytes >= STORE_TRANSACTION_BYTES ||
                store_os_now() - d->started >= STORE_TRANSACTION_MS * NS_PER_MS);
    pthread_mutex_unlock(&d->lock);
    return due;
}

static uint64_t disk_transaction(store_backend *b) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    uint64_t number = d->number;
    pthread_mutex_unlock(&d->lock);
    return number;
}

static bool disk_lost(store_backend *b, uint64_t *transaction) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    bool some = d->lost_told < d->lost_count;
    if (some)
        *transaction = d->lost[d->lost_told++ % LOST_MAX];
    pthread_mutex_unlock(&d->lock);
    return some;
}

// Rows and tags, each under the lock

static int disk_get(store_backend *b, const uint8_t hash[32], bool bytes, store_row *out) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    int r = store_db_get(d->db, hash, bytes, out);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int disk_put(store_backend *b, const uint8_t hash[32], const store_row *row) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    size_t bytes = (row->data != NULL ? (size_t)row->size : 0) + row->outboard_len;
    int r = changed(d, store_db_put(d->db, hash, row), bytes);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int disk_remove(store_backend *b, const uint8_t hash[32]) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    int r = changed(d, store_db_remove(d->db, hash), 0);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int disk_next(store_backend *b, const uint8_t *after, uint8_t out[32]) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    int r = store_db_next(d->db, after, out);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int disk_tag_get(store_backend *b, const void *name, size_t len, iroh_content *out) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    int r = store_db_tag_get(d->db, name, len, out);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int disk_tag_put(store_backend *b, const void *name, size_t len, const iroh_content *content) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    int r = changed(d, store_db_tag_put(d->db, name, len, content), len);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int disk_tag_remove(store_backend *b, const void *name, size_t len) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    int r = changed(d, store_db_tag_remove(d->db, name, len), 0);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int disk_tag_rename(store_backend *b, const void *from, size_t from_len, const void *to, size_t to_len) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    int r = changed(d, store_db_tag_rename(d->db, from, from_len, to, to_len), to_len);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int disk_tag_next(store_backend *b, const void *from, size_t len, bool after, iroh_tag *out) {
    disk *d = disk_of(b);
    pthread_mutex_lock(&d->lock);
    int r = store_db_tag_next(d->db, from, len, after, out);
    pthread_mutex_unlock(&d->lock);
    return r;
}

// Files

static int open_path(const char *path, int flags, const char *unlink_later, store_file **out) {
    int fd = open(path, flags | O_CLOEXEC, 0666);
    *out = NULL;
    return fd < 0 ? store_os_error(errno) : store_file_of_fd(fd, unlink_later, out);
}

static int disk_open(store_backend *b, const uint8_t hash[32], int kind, store_file **out) {
    char path[PATH_MAX];
    path_of_blob(disk_of(b), path, hash, kind);
    return open_path(path, O_RDWR, NULL, out);
}

static void note_names(disk *d) {
    pthread_mutex_lock(&d->lock);
    d->names_changed = d->base.power_safe;
    pthread_mutex_unlock(&d->lock);
}

static int disk_create(store_backend *b, const uint8_t hash[32], int kind, store_file **out) {
    char path[PATH_MAX];
    path_of_blob(disk_of(b), path, hash, kind);
    int r = open_path(path, O_RDWR | O_CREAT, NULL, out);
    if (r == 0)
        note_names(disk_of(b));
    return r;
}

static int disk_temporary(store_backend *b, store_file **out) {
    disk *d = disk_of(b);
    char path[PATH_MAX], name[32];
    (void)snprintf(name, sizeof name, "%lu", atomic_fetch_add(&d->temporaries, 1));
    path_in(d, path, "temp/", name);
    return open_path(path, O_RDWR | O_CREAT | O_EXCL, path, out);
}

static int disk_include(store_backend *b, store_file *file) {
    disk *d = disk_of(b);
    if (!d->base.power_safe)
        return 0;
    pthread_mutex_lock(&d->lock);
    bool room = d->included_count < INCLUDED_MAX;
    if (room)
        d->included[d->included_count++] = store_file_ref(file);
    pthread_mutex_unlock(&d->lock);
    return room ? 0 : store_file_sync(file);
}

static int disk_publish(store_backend *b, store_file *file, const uint8_t hash[32], int kind) {
    char path[PATH_MAX];
    path_of_blob(disk_of(b), path, hash, kind);
    int r = disk_include(b, file);
    if (r == 0 && rename(store_file_path(file), path) != 0)
        r = store_os_error(errno);
    if (r == 0) {
        store_file_keep(file);
        note_names(disk_of(b));
    }
    return r;
}

static void disk_unlink(store_backend *b, const uint8_t hash[32], int kind) {
    char path[PATH_MAX];
    path_of_blob(disk_of(b), path, hash, kind);
    (void)unlink(path);
}

static int disk_link(store_backend *b, const uint8_t hash[32], const char *target) {
    char path[PATH_MAX];
    path_of_blob(disk_of(b), path, hash, STORE_DATA);
    if (link(path, target) == 0)
        return 0;
    // Rights are checked again when the file is copied instead; some file systems refuse links that way.
    return errno == EPERM ? IROH_ERR_UNSUPPORTED : store_os_error(errno);
}

// Opening and closing

static void disk_free(store_backend *b) {
    disk *d = disk_of(b);
    for (size_t i = 0; i < d->included_count; i++)
        store_file_unref(d->included[i]);
    if (d->db != NULL)
        store_db_close(d->db);
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    pthread_cond_destroy(&d->committed);
    pthread_mutex_destroy(&d->lock);
    free(d->dir);
    free(d);
}

static int make_directory(const char *path) {
    return mkdir(path, 0777) == 0 || errno == EEXIST ? 0 : store_os_error(errno);
}

static int make_directories(const disk *d) {
    char path[PATH_MAX];
    int r = make_directory(d->dir);
    path_in(d, path, "data", "");
    if (r == 0)
        r = make_directory(path);
    path_in(d, path, "temp", "");
    return r == 0 ? make_directory(path) : r;
}

static int take_lock(disk *d) {
    char path[PATH_MAX];
    path_in(d, path, "lock", "");
    d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (d->lock_fd < 0)
        return store_os_error(errno);
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? IROH_ERR_AGAIN : store_os_error(errno);
    return 0;
}

// Calls `visit` for every name in a folder of the store; it may unlink the file.
static int for_each_name(disk *d, const char *folder, int (*visit)(disk *d, const char *name)) {
    char path[PATH_MAX];
    path_in(d, path, folder, "");
    DIR *dir = opendir(path);
    if (dir == NULL)
        return store_os_error(errno);
    const struct dirent *e;
    int r = 0;
    while (r == 0 && (e = readdir(dir)) != NULL)
        if (e->d_name[0] != '.')
            r = visit(d, e->d_name);
    closedir(dir);
    return r;
}

static int remove_temporary(disk *d, const char *name) {
    char path[PATH_MAX];
    path_in(d, path, "temp/", name);
    return unlink(path) == 0 ? 0 : store_os_error(errno);
}

// The hash and the kind that a file name says; false for a file that is not ours.
static bool parse_name(const char *name, uint8_t hash[32], int *kind) {
    if (strlen(name) < 64 || !hex_decode(name, 64, hash))
        return false;
    for (*kind = STORE_DATA; *kind <= STORE_OUTBOARD; ++*kind)
        if (strcmp(name + 64, suffixes[*kind]) == 0)
            return true;
    return false;
}

static int remove_orphan(disk *d, const char *name) {
    uint8_t hash[32];
    int kind;
    if (!parse_name(name, hash, &kind))
        return 0;
    store_row row;
    int r = store_db_get(d->db, hash, false, &row);
    bool named = r == 0 && (kind == STORE_DATA ? row.place : row.outboard_place) == STORE_FILE;
    if (r == 0)
        store_row_dispose(&row);
    // A damaged row keeps its file: verification tells what can be saved.
    if (!named && (r == 0 || r == IROH_ERR_NOT_FOUND))
        disk_unlink(&d->base, hash, kind);
    return r == IROH_ERR_NOT_FOUND || r == IROH_ERR_CORRUPT ? 0 : r;
}

static int open_all(disk *d) {
    char path[PATH_MAX];
    int r = make_directories(d);
    if (r == 0)
        r = take_lock(d);
    path_in(d, path, "meta.db", "");
    if (r == 0)
        r = store_db_open(path, d->base.power_safe, &d->db);
    if (r == 0 && d->base.power_safe)
        r = store_os_sync_directory(d->dir);
    if (r == 0)
        r = for_each_name(d, "temp", remove_temporary);
    return r == 0 ? for_each_name(d, "data", remove_orphan) : r;
}

static const store_backend_ops disk_ops = {
    .get = disk_get,
    .put = disk_put,
    .remove = disk_remove,
    .next = disk_next,
    .tag_get = disk_tag_get,
    .tag_put = disk_tag_put,
    .tag_remove = disk_tag_remove,
    .tag_rename = disk_tag_rename,
    .tag_next = disk_tag_next,
    .transaction = disk_transaction,
    .commit = disk_commit,
    .due = disk_due,
    .lost = disk_lost,
    .open = disk_open,
    .create = disk_create,
    .temporary = disk_temporary,
    .publish = disk_publish,
    .include = disk_include,
    .unlink = disk_unlink,
    .link = disk_link,
    .free = disk_free,
};

int store_disk_open(const char *dir, bool power_safe, store_backend **out) {
    *out = NULL;
    if (strlen(dir) + NAME_ROOM > PATH_MAX)
        return IROH_ERR_TOO_LARGE;
    disk *d = calloc(1, sizeof *d);
    if (d == NULL)
        return IROH_ERR_NOMEM;
    d->base = (store_backend){.ops = &disk_ops, .keeps_small = true, .power_safe = power_safe};
    d->lock_fd = -1;
    d->number = 1;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->committed, NULL);
    int r = (d->dir = strdup(dir)) != NULL ? open_all(d) : IROH_ERR_NOMEM;
    if (r != 0)
        disk_free(&d->base);
    else
        *out = &d->base;
    return r;
}
