// The store: opening, transactions, and the table of open blobs.
#include "blobs/store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "blobs/store_os.h"
#include "blobs/store_state.h"

void iroh_store_config_default(iroh_store_config *config) {
    *config = (iroh_store_config){.threads = 0, .power_safe = true};
}

static store_key blob_key(const store_node *n) {
    return (store_key){((const store_blob *)(const void *)n)->hash.bytes, 32};
}

static store_key key_of(const iroh_hash *hash) {
    return (store_key){hash->bytes, 32};
}

static uint32_t draw(iroh_store *s) {
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return (uint32_t)(s->random >> 32);
}

// Takes the backend over, also when it fails.
static int new_store(store_backend *backend, const iroh_store_config *config, iroh_store **out) {
    iroh_store *s = calloc(1, sizeof *s);
    unsigned threads = config->threads > 0 ? config->threads : store_os_processors();
    if (s == NULL || store_pool_new(threads, &s->pool) != 0) {
        free(s);
        backend->ops->free(backend);
        return IROH_ERR_NOMEM;
    }
    if (getrandom(&s->random, sizeof s->random, 0) != (ssize_t)sizeof s->random)
        s->random = (uint64_t)(uintptr_t)s;
    s->random |= 1;
    s->backend = backend;
    s->open.key = blob_key;
    pthread_mutex_init(&s->collection, NULL);
    pthread_mutex_init(&s->lock, NULL);
    store_known_init(&s->known);
    list_init(&s->temps);
    list_init(&s->batches);
    store_set_init(&s->fresh, s->random);
    *out = s;
    return 0;
}

int iroh_store_open(const char *dir, const iroh_store_config *config, iroh_store **out) {
    iroh_store_config standard;
    iroh_store_config_default(&standard);
    if (config == NULL)
        config = &standard;
    if (out == NULL || dir == NULL || dir[0] == '\0')
        return IROH_ERR_ARG;
    *out = NULL;
    store_backend *backend;
    int r = store_disk_open(dir, config->power_safe, &backend);
    return r == 0 ? new_store(backend, config, out) : r;
}

int iroh_store_memory(const iroh_store_config *config, iroh_store **out) {
    iroh_store_config standard;
    iroh_store_config_default(&standard);
    if (out == NULL)
        return IROH_ERR_ARG;
    *out = NULL;
    store_backend *backend;
    int r = store_memory_open(&backend);
    return r == 0 ? new_store(backend, config != NULL ? config : &standard, out) : r;
}

void iroh_store_free(iroh_store *s) {
    if (s == NULL)
        return;
    (void)store_commit(s, store_transaction(s));
    store_pool_free(s->pool);
    s->backend->ops->free(s->backend);
    store_set_dispose(&s->fresh);
    store_known_dispose(&s->known);
    pthread_mutex_destroy(&s->collection);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const blake3_executor *store_executor(iroh_store *s) {
    return store_pool_executor(s->pool);
}

// Transactions

uint64_t store_transaction(iroh_store *s) {
    return s->backend->ops->transaction(s->backend);
}

// Whoever has a blob open whose latest change was lost finds it closed; who opens it again gets what is left.
static void detach_lost(iroh_store *s, uint64_t transaction) {
    static const uint8_t first[32] = {0};
    store_key key = {first, 32};
    bool after = false;
    store_node *n;
    pthread_mutex_lock(&s->lock);
    while ((n = store_tree_next(&s->open, key, after)) != NULL) {
        store_blob *b = (store_blob *)(void *)n;
        key = key_of(&b->hash);
        after = true;
        if (transaction < atomic_load(&b->from) || transaction > atomic_load(&b->to))
            continue;
        atomic_store(&b->lost, true);
        b->detached = true;
        (void)store_tree_remove(&s->open, key);
    }
    pthread_mutex_unlock(&s->lock);
}

int store_commit(iroh_store *s, uint64_t from) {
    int r = s->backend->ops->commit(s->backend, from);
    uint64_t transaction;
    while (s->backend->ops->lost(s->backend, &transaction))
        detach_lost(s, transaction);
    return r;
}

int store_settle(iroh_store *s) {
    return s->backend->ops->due(s->backend) ? store_commit(s, store_transaction(s)) : 0;
}

int iroh_store_sync(iroh_store *s) {
    return s == NULL ? IROH_ERR_ARG : store_commit(s, store_transaction(s));
}

// Open blobs

static store_blob *new_blob(iroh_store *s, const iroh_hash *hash) {
    store_blob *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->store = s;
    b->hash = *hash;
    b->node.priority = draw(s);
    atomic_init(&b->from, UINT64_MAX);
    atomic_init(&b->to, 0);
    atomic_init(&b->lost, false);
    pthread_mutex_init(&b->lock, NULL);
    list_init(&b->watches);
    return b;
}

static store_blob *find_or_add(iroh_store *s, const iroh_hash *hash) {
    pthread_mutex_lock(&s->lock);
    store_blob *b = (store_blob *)(void *)store_tree_find(&s->open, key_of(hash));
    if (b == NULL && (b = new_blob(s, hash)) != NULL)
        store_tree_insert(&s->open, &b->node);
    if (b != NULL)
        b->refs++;
    if (s->collecting && store_set_add(&s->fresh, hash->bytes) < 0)
        s->fresh_failed = true;
    pthread_mutex_unlock(&s->lock);
    return b;
}

int store_blob_open(iroh_store *s, const iroh_hash *hash, store_blob **out) {
    *out = NULL;
    store_blob *b = find_or_add(s, hash);
    if (b == NULL)
        return IROH_ERR_NOMEM;
    pthread_mutex_lock(&b->lock);
    int r = b->loaded ? 0 : store_blob_load(b);
    b->loaded = r == 0;
    pthread_mutex_unlock(&b->lock);
    if (r != 0)
        store_blob_close(b);
    else
        *out = b;
    return r;
}

void store_blob_close(store_blob *b) {
    if (b == NULL)
        return;
    iroh_store *s = b->store;
    pthread_mutex_lock(&s->lock);
    bool last = --b->refs == 0;
    if (last && !b->detached)
        (void)store_tree_remove(&s->open, key_of(&b->hash));
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    store_blob_reset(b);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

const iroh_hash *store_blob_hash(const store_blob *b) {
    return &b->hash;
}
