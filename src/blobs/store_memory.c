// The store in memory. An entry is kept small, for trees of many little files that are referred to: what only some blobs
// have hangs on pointers.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "blobs/store_backend.h"
#include "blobs/store_tree.h"

// What blobs of some size or state have, and files that are referred to do not.
typedef struct extras {
    uint8_t *data;  // inline: `size` bytes
    uint8_t *outboard;
    size_t outboard_len;
    ranges have;  // partial
} extras;

typedef struct entry {
    store_node node;
    uint8_t hash[32];
    uint64_t size;
    int64_t modified;
    extras *extras;  // null when there would be nothing in it
    uint8_t state, place, outboard_place;
    bool proven, has_path;
    char path[];
} entry;

typedef struct named_file {
    store_node node;
    uint8_t key[33];  // hash and kind
    store_file *file;
} named_file;

typedef struct tag {
    store_node node;
    iroh_content content;
    size_t len;
    uint8_t name[];
} tag;

typedef struct memory {
    store_backend base;
    pthread_mutex_t lock;
    store_tree entries, files, tags;
    uint64_t random;  // for priorities
} memory;

static memory *memory_of(store_backend *b) {
    return (memory *)b;
}

static store_key entry_key(const store_node *n) {
    return (store_key){((const entry *)(const void *)n)->hash, 32};
}

static store_key file_key(const store_node *n) {
    return (store_key){((const named_file *)(const void *)n)->key, 33};
}

static store_key tag_key(const store_node *n) {
    const tag *t = (const tag *)(const void *)n;
    return (store_key){t->name, t->len};
}

static store_key hash_key(const uint8_t hash[32]) {
    return (store_key){hash, 32};
}

// Priorities need not be secret, only independent of the order in which keys come (xorshift64).
static uint32_t draw(memory *m) {
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (uint32_t)(m->random >> 32);
}

// Rows

static void *copied(const void *bytes, size_t len) {
    void *copy = bytes != NULL ? malloc(len > 0 ? len : 1) : NULL;
    if (copy != NULL && len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

static int copy_ranges(const ranges *from, ranges *to) {
    for (size_t i = 0; i < ranges_count(from); i++) {
        int r = ranges_add(to, ranges_items(from)[i].start, ranges_items(from)[i].end);
        if (r != 0)
            return r;
    }
    return 0;
}

static void free_extras(extras *c) {
    if (c == NULL)
        return;
    free(c->data);
    free(c->outboard);
    ranges_dispose(&c->have);
    free(c);
}

static void free_entry(entry *e) {
    if (e != NULL)
        free_extras(e->extras);
    free(e);
}

static bool has_extras(const store_row *row) {
    return row->data != NULL || row->outboard_len > 0 || ranges_count(&row->have) > 0;
}

static extras *extras_of(const store_row *row) {
    extras *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->data = copied(row->data, row->data != NULL ? (size_t)row->size : 0);
    c->outboard = copied(row->outboard, row->outboard_len);
    c->outboard_len = row->outboard_len;
    if ((row->data == NULL) == (c->data == NULL) && (row->outboard == NULL) == (c->outboard == NULL) &&
        copy_ranges(&row->have, &c->have) == 0)
        return c;
    free_extras(c);
    return NULL;
}

// All but the node, as copies.
static entry *entry_of(const uint8_t hash[32], const store_row *row) {
    size_t path_len = row->path != NULL ? strlen(row->path) : 0;
    entry *e = calloc(1, sizeof *e + path_len + 1);
    if (e == NULL)
        return NULL;
    memcpy(e->hash, hash, 32);
    e->state = row->state;
    e->place = row->place;
    e->outboard_place = row->outboard_place;
    e->proven = row->proven;
    e->size = row->size;
    e->modified = row->stamp.modified;
    e->has_path = row->path != NULL;
    if (path_len > 0)
        memcpy(e->path, row->path, path_len);
    if (has_extras(row) && (e->extras = extras_of(row)) == NULL) {
        free(e);
        return NULL;
    }
    return e;
}

static int memory_put(store_backend *b, const uint8_t hash[32], const store_row *row) {
    memory *m = memory_of(b);
    entry *e = entry_of(hash, row);
    if (e == NULL)
        return IROH_ERR_NOMEM;
    pthread_mutex_lock(&m->lock);
    entry *old = (entry *)store_tree_remove(&m->entries, hash_key(hash));
    e->node.priority = draw(m);
    store_tree_insert(&m->entries, &e->node);
    pthread_mutex_unlock(&m->lock);
    free_entry(old);
    return 0;
}

static int row_of_extras(const extras *c, size_t size, bool bytes, store_row *out) {
    if (bytes) {
        out->data = copied(c->data, c->data != NULL ? size : 0);
        out->outboard = copied(c->outboard, c->outboard_len);
        out->outboard_len = c->outboard_len;
        if ((out->data == NULL) != (c->data == NULL) || (out->outboard == NULL) != (c->outboard == NULL))
            return IROH_ERR_NOMEM;
    }
    return copy_ranges(&c->have, &out->have);
}

static int row_of_entry(const entry *e, bool bytes, store_row *out) {
    *out = (store_row){
        .state = e->state,
        .place = e->place,
        .outboard_place = e->outboard_place,
        .proven = e->proven,
        .size = e->size,
        .stamp = {.size = e->size, .modified = e->modified},
    };
    if (e->has_path)
        out->path = copied(e->path, strlen(e->path) + 1);
    int r = e->has_path && out->path == NULL ? IROH_ERR_NOMEM : 0;
    if (r == 0 && e->extras != NULL)
        r = row_of_extras(e->extras, (size_t)e->size, bytes, out);
    if (r != 0)
        store_row_dispose(out);
    return r;
}

static int memory_get(store_backend *b, const uint8_t hash[32], bool bytes, store_row *out) {
    memory *m = memory_of(b);
    *out = (store_row){.have = RANGES_INIT};
    pthread_mutex_lock(&m->lock);
    const entry *e = (entry *)store_tree_find(&m->entries, hash_key(hash));
    int r = e != NULL ? row_of_entry(e, bytes, out) : IROH_ERR_NOT_FOUND;
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int memory_remove(store_backend *b, const uint8_t hash[32]) {
    memory *m = memory_of(b);
    pthread_mutex_lock(&m->lock);
    entry *e = (entry *)store_tree_remove(&m->entries, hash_key(hash));
    pthread_mutex_unlock(&m->lock);
    free_entry(e);
    return 0;
}

static int memory_next(store_backend *b, const uint8_t *after, uint8_t out[32]) {
    memory *m = memory_of(b);
    pthread_mutex_lock(&m->lock);
    const store_node *n = store_tree_next(&m->entries, (store_key){after, after != NULL ? 32 : 0}, after != NULL);
    if (n != NULL)
        memcpy(out, ((const entry *)(const void *)n)->hash, 32);
    pthread_mutex_unlock(&m->lock);
    return n != NULL ? 0 : IROH_ERR_NOT_FOUND;
}

// Tags

static int memory_tag_get(store_backend *b, const void *name, size_t len, iroh_content *out) {
    memory *m = memory_of(b);
    pthread_mutex_lock(&m->lock);
    const tag *t = (tag *)store_tree_find(&m->tags, (store_key){name, len});
    if (t != NULL)
        *out = t->content;
    pthread_mutex_unlock(&m->lock);
    return t != NULL ? 0 : IROH_ERR_NOT_FOUND;
}

// With the lock held.
static int put_tag(memory *m, const void *name, size_t len, const iroh_content *value) {
    tag *t = (tag *)store_tree_find(&m->tags, (store_key){name, len});
    if (t != NULL) {
        t->content = *value;
        return 0;
    }
    t = malloc(sizeof *t + len);
    if (t == NULL)
        return IROH_ERR_NOMEM;
    t->node.priority = draw(m);
    t->content = *value;
    t->len = len;
    if (len > 0)
        memcpy(t->name, name, len);
    store_tree_insert(&m->tags, &t->node);
    return 0;
}

static int memory_tag_put(store_backend *b, const void *name, size_t len, const iroh_content *value) {
    memory *m = memory_of(b);
    pthread_mutex_lock(&m->lock);
    int r = put_tag(m, name, len, value);
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int memory_tag_remove(store_backend *b, const void *name, size_t len) {
    memory *m = memory_of(b);
    pthread_mutex_lock(&m->lock);
    store_node *n = store_tree_remove(&m->tags, (store_key){name, len});
    pthread_mutex_unlock(&m->lock);
    free(n);
    return n != NULL ? 0 : IROH_ERR_NOT_FOUND;
}

static int memory_tag_rename(store_backend *b, const void *from, size_t from_len, const void *to, size_t to_len) {
    memory *m = memory_of(b);
    store_key old = {from, from_len}, fresh = {to, to_len};
    pthread_mutex_lock(&m->lock);
    const tag *t = (tag *)store_tree_find(&m->tags, old);
    int r = t != NULL ? 0 : IROH_ERR_NOT_FOUND;
    if (r == 0 && store_key_compare(old, fresh) != 0) {
        r = put_tag(m, to, to_len, &t->content);
        if (r == 0)
            free(store_tree_remove(&m->tags, old));
    }
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int memory_tag_next(store_backend *b, const void *from, size_t len, bool after, iroh_tag *out) {
    memory *m = memory_of(b);
    pthread_mutex_lock(&m->lock);
    const tag *t = (tag *)store_tree_next(&m->tags, (store_key){from, len}, after);
    if (t != NULL) {
        out->content = t->content;
        out->len = t->len;
        memcpy(out->name, t->name, t->len);
    }
    pthread_mutex_unlock(&m->lock);
    return t != NULL ? 0 : IROH_ERR_NOT_FOUND;
}

// Transactions: all is as durable as it will ever be.

static uint64_t memory_transaction(store_backend *b) {
    (void)b;
    return 0;
}

static int memory_commit(store_backend *b, uint64_t from) {
    (void)b, (void)from;
    return 0;
}

static bool memory_due(store_backend *b) {
    (void)b;
    return false;
}

static bool memory_lost(store_backend *b, uint64_t *transaction) {
    (void)b, (void)transaction;
    return false;
}

// Files

static void key_of_file(uint8_t key[33], const uint8_t hash[32], int kind) {
    memcpy(key, hash, 32);
    key[32] = (uint8_t)kind;
}

// With the lock held.
static int name_file(memory *m, const uint8_t key[33], store_file *file) {
    named_file *n = (named_file *)store_tree_find(&m->files, (store_key){key, 33});
    if (n != NULL) {
        store_file_unref(n->file);
        n->file = store_file_ref(file);
        return 0;
    }
    n = malloc(sizeof *n);
    if (n == NULL)
        return IROH_ERR_NOMEM;
    n->node.priority = draw(m);
    n->file = store_file_ref(file);
    memcpy(n->key, key, 33);
    store_tree_insert(&m->files, &n->node);
    return 0;
}

static int memory_open_file(store_backend *b, const uint8_t hash[32], int kind, store_file **out) {
    memory *m = memory_of(b);
    uint8_t key[33];
    key_of_file(key, hash, kind);
    pthread_mutex_lock(&m->lock);
    const named_file *n = (named_file *)store_tree_find(&m->files, (store_key){key, 33});
    *out = n != NULL ? store_file_ref(n->file) : NULL;
    pthread_mutex_unlock(&m->lock);
    return n != NULL ? 0 : IROH_ERR_NOT_FOUND;
}

static int memory_publish(store_backend *b, store_file *file, const uint8_t hash[32], int kind) {
    memory *m = memory_of(b);
    uint8_t key[33];
    key_of_file(key, hash, kind);
    pthread_mutex_lock(&m->lock);
    int r = name_file(m, key, file);
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int memory_temporary(store_backend *b, store_file **out) {
    (void)b;
    return store_file_of_pages(out);
}

static int memory_create(store_backend *b, const uint8_t hash[32], int kind, store_file **out) {
    int r = memory_open_file(b, hash, kind, out);
    if (r != IROH_ERR_NOT_FOUND)
        return r;
    r = store_file_of_pages(out);
    if (r == 0 && (r = memory_publish(b, *out, hash, kind)) != 0) {
        store_file_unref(*out);
        *out = NULL;
    }
    return r;
}

static int memory_include(store_backend *b, store_file *file) {
    (void)b, (void)file;
    return 0;
}

static void forget_file(named_file *n) {
    if (n != NULL)
        store_file_unref(n->file);
    free(n);
}

static void memory_unlink(store_backend *b, const uint8_t hash[32], int kind) {
    memory *m = memory_of(b);
    uint8_t key[33];
    key_of_file(key, hash, kind);
    pthread_mutex_lock(&m->lock);
    named_file *n = (named_file *)store_tree_remove(&m->files, (store_key){key, 33});
    pthread_mutex_unlock(&m->lock);
    forget_file(n);
}

static int memory_link(store_backend *b, const uint8_t hash[32], const char *target) {
    (void)b, (void)hash, (void)target;
    return IROH_ERR_UNSUPPORTED;
}

static void memory_free(store_backend *b) {
    memory *m = memory_of(b);
    while (m->entries.root != NULL)
        free_entry((entry *)store_tree_remove(&m->entries, entry_key(m->entries.root)));
    while (m->files.root != NULL)
        forget_file((named_file *)store_tree_remove(&m->files, file_key(m->files.root)));
    while (m->tags.root != NULL)
        free(store_tree_remove(&m->tags, tag_key(m->tags.root)));
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static const store_backend_ops memory_ops = {
    .get = memory_get,
    .put = memory_put,
    .remove = memory_remove,
    .next = memory_next,
    .tag_get = memory_tag_get,
    .tag_put = memory_tag_put,
    .tag_remove = memory_tag_remove,
    .tag_rename = memory_tag_rename,
    .tag_next = memory_tag_next,
    .transaction = memory_transaction,
    .commit = memory_commit,
    .due = memory_due,
    .lost = memory_lost,
    .open = memory_open_file,
    .create = memory_create,
    .temporary = memory_temporary,
    .publish = memory_publish,
    .include = memory_include,
    .unlink = memory_unlink,
    .link = memory_link,
    .free = memory_free,
};

int store_memory_open(store_backend **out) {
    memory *m = calloc(1, sizeof *m);
    *out = m != NULL ? &m->base : NULL;
    if (m == NULL)
        return IROH_ERR_NOMEM;
    m->base.ops = &memory_ops;
    m->base.in_memory = true;
    m->entries.key = entry_key;
    m->files.key = file_key;
    m->tags.key = tag_key;
    m->random = (uint64_t)(uintptr_t)m | 1;
    pthread_mutex_init(&m->lock, NULL);
    return 0;
}
