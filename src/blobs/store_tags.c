// Tags, temporary tags and batches: what keeps blobs alive.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blobs/store_state.h"

#define AUTO_ROOM 64  // bytes of an automatic name

struct iroh_temp_tag {
    list_link link;  // in store->temps
    iroh_store *store;
    iroh_content content;
};

// Formats are kept apart, so that an addition costs 32 bytes.
typedef struct hashes {
    iroh_hash *items;
    size_t count, capacity;
} hashes;

struct iroh_batch {
    list_link link;  // in store->batches
    iroh_store *store;
    uint64_t from;      // the transaction that was open when the batch was made
    hashes formats[2];  // by format, under the store's lock
};

static bool name_fits(const void *name, size_t len) {
    return len <= IROH_TAG_MAX && (name != NULL || len == 0);
}

static bool content_fits(const iroh_content *c) {
    return c != NULL && (c->format == IROH_BLOB_RAW || c->format == IROH_BLOB_HASH_SEQ);
}

// What gets a name while a collection is under way is safe from it.
static void protect(iroh_store *s, const iroh_hash *hash) {
    if (s->collecting && store_set_add(&s->fresh, hash->bytes) < 0)
        s->fresh_failed = true;
}

static void protect_unlocked(iroh_store *s, const iroh_hash *hash) {
    pthread_mutex_lock(&s->lock);
    protect(s, hash);
    pthread_mutex_unlock(&s->lock);
}

// Tags

int iroh_tag_set(iroh_store *s, const void *name, size_t len, const iroh_content *content) {
    if (s == NULL || !name_fits(name, len) || !content_fits(content))
        return IROH_ERR_ARG;
    protect_unlocked(s, &content->hash);
    uint64_t from = store_transaction(s);
    int r = s->backend->ops->tag_put(s->backend, name, len, content);
    return r == 0 ? store_commit(s, from) : r;
}

int iroh_tag_get(iroh_store *s, const void *name, size_t len, iroh_content *out) {
    if (s == NULL || !name_fits(name, len) || out == NULL)
        return IROH_ERR_ARG;
    return s->backend->ops->tag_get(s->backend, name, len, out);
}

int iroh_tag_rename(iroh_store *s, const void *from, size_t from_len, const void *to, size_t to_len) {
    if (s == NULL || !name_fits(from, from_len) || !name_fits(to, to_len))
        return IROH_ERR_ARG;
    uint64_t transaction = store_transaction(s);
    int r = s->backend->ops->tag_rename(s->backend, from, from_len, to, to_len);
    return r == 0 ? store_commit(s, transaction) : r;
}

int iroh_tag_next(iroh_store *s, const void *from, size_t len, bool after, iroh_tag *out) {
    if (s == NULL || !name_fits(from, len) || out == NULL)
        return IROH_ERR_ARG;
    return s->backend->ops->tag_next(s->backend, from, len, after, out);
}

int iroh_tag_remove(iroh_store *s, const void *name, size_t len) {
    if (s == NULL || !name_fits(name, len))
        return IROH_ERR_ARG;
    uint64_t from = store_transaction(s);
    int r = s->backend->ops->tag_remove(s->backend, name, len);
    if (r != 0)
        return r == IROH_ERR_NOT_FOUND ? 0 : r;
    r = store_commit(s, from);
    return r == 0 ? 1 : r;
}

int64_t iroh_tag_remove_prefix(iroh_store *s, const void *prefix, size_t len) {
    if (s == NULL || !name_fits(prefix, len))
        return IROH_ERR_ARG;
    uint64_t from = store_transaction(s);
    int64_t removed = 0;
    iroh_tag tag;
    int r;
    while ((r = s->backend->ops->tag_next(s->backend, prefix, len, false, &tag)) == 0) {
        if (tag.len < len || (len > 0 && memcmp(tag.name, prefix, len) != 0))
            break;
        r = s->backend->ops->tag_remove(s->backend, tag.name, tag.len);
        if (r != 0 && r != IROH_ERR_NOT_FOUND)
            return r;
        removed += r == 0;
    }
    if (r != 0 && r != IROH_ERR_NOT_FOUND)
        return r;
    r = removed > 0 ? store_commit(s, from) : 0;
    return r == 0 ? removed : r;
}

static size_t auto_name(char out[AUTO_ROOM], unsigned attempt) {
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(out, AUTO_ROOM, "auto-%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf(out + len, AUTO_ROOM - len, ".%03ldZ", now.tv_nsec / 1000000);
    if (attempt > 0)
        len += (size_t)snprintf(out + len, AUTO_ROOM - len, "-%u", attempt);
    return len;
}

// Without waiting until it is durable. Names are looked for under the store's lock, so that two never find the same.
static int create_tag(iroh_store *s, const iroh_content *content, iroh_tag *out) {
    char name[AUTO_ROOM];
    iroh_content other;
    size_t len;
    int r;
    unsigned attempt = 0;
    pthread_mutex_lock(&s->lock);
    protect(s, &content->hash);
    do {
        len = auto_name(name, attempt++);
        r = s->backend->ops->tag_get(s->backend, name, len, &other);
    } while (r == 0);
    if (r == IROH_ERR_NOT_FOUND)
        r = s->backend->ops->tag_put(s->backend, name, len, content);
    pthread_mutex_unlock(&s->lock);
    if (r == 0 && out != NULL) {
        memcpy(out->name, name, len);
        out->len = len;
        out->content = *content;
    }
    return r;
}

int iroh_tag_create(iroh_store *s, const iroh_content *content, iroh_tag *out) {
    if (s == NULL || !content_fits(content))
        return IROH_ERR_ARG;
    uint64_t from = store_transaction(s);
    int r = create_tag(s, content, out);
    return r == 0 ? store_commit(s, from) : r;
}

// Temporary tags

int iroh_temp_tag_new(iroh_store *s, const iroh_content *content, iroh_temp_tag **out) {
    if (s == NULL || !content_fits(content) || out == NULL)
        return IROH_ERR_ARG;
    iroh_temp_tag *t = calloc(1, sizeof *t);
    *out = t;
    if (t == NULL)
        return IROH_ERR_NOMEM;
    t->store = s;
    t->content = *content;
    pthread_mutex_lock(&s->lock);
    list_push_back(&s->temps, &t->link);
    protect(s, &content->hash);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

iroh_content iroh_temp_tag_content(const iroh_temp_tag *t) {
    return t->content;
}

void iroh_temp_tag_free(iroh_temp_tag *t) {
    if (t == NULL)
        return;
    pthread_mutex_lock(&t->store->lock);
    list_remove(&t->link);
    pthread_mutex_unlock(&t->store->lock);
    free(t);
}

// Batches

int iroh_batch_new(iroh_store *s, iroh_batch **out) {
    if (s == NULL || out == NULL)
        return IROH_ERR_ARG;
    iroh_batch *b = calloc(1, sizeof *b);
    *out = b;
    if (b == NULL)
        return IROH_ERR_NOMEM;
    b->store = s;
    b->from = store_transaction(s);
    pthread_mutex_lock(&s->lock);
    list_push_back(&s->batches, &b->link);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static int push(hashes *h, const iroh_hash *hash) {
    if (h->count == h->capacity) {
        // By a quarter: the memory that waits for more is part of what a small file costs.
        size_t capacity = h->capacity + h->capacity / 4 + 16;
        iroh_hash *items = realloc(h->items, capacity * sizeof *items);
        if (items == NULL)
            return IROH_ERR_NOMEM;
        h->items = items;
        h->capacity = capacity;
    }
    h->items[h->count++] = *hash;
    return 0;
}

int iroh_batch_add(iroh_batch *b, const iroh_content *content) {
    if (b == NULL || !content_fits(content))
        return IROH_ERR_ARG;
    pthread_mutex_lock(&b->store->lock);
    int r = push(&b->formats[content->format], &content->hash);
    protect(b->store, &content->hash);
    pthread_mutex_unlock(&b->store->lock);
    return r;
}

int iroh_batch_commit(iroh_batch *b) {
    return b == NULL ? IROH_ERR_ARG : store_commit(b->store, b->from);
}

void iroh_batch_free(iroh_batch *b) {
    if (b == NULL)
        return;
    pthread_mutex_lock(&b->store->lock);
    list_remove(&b->link);
    pthread_mutex_unlock(&b->store->lock);
    free(b->formats[0].items);
    free(b->formats[1].items);
    free(b);
}

// All of them

static int each_of_batch(const iroh_batch *b, int (*visit)(void *user, const iroh_content *c), void *user) {
    int r = 0;
    for (int format = 0; format < 2; format++)
        for (size_t i = 0; i < b->formats[format].count && r == 0; i++) {
            iroh_content c = {.hash = b->formats[format].items[i], .format = format};
            r = visit(user, &c);
        }
    return r;
}

int store_each_temp(iroh_store *s, int (*visit)(void *user, const iroh_content *c), void *user) {
    int r = 0;
    pthread_mutex_lock(&s->lock);
    for (list_link *l = s->temps.next; l != &s->temps && r == 0; l = l->next)
        r = visit(user, &list_entry(l, iroh_temp_tag, link)->content);
    for (list_link *l = s->batches.next; l != &s->batches && r == 0; l = l->next)
        r = each_of_batch(list_entry(l, iroh_batch, link), visit, user);
    pthread_mutex_unlock(&s->lock);
    return r;
}

typedef struct copy {
    iroh_content *out;
    size_t room, count;
} copy;

static int copy_one(void *user, const iroh_content *c) {
    copy *to = user;
    if (to->count < to->room)
        to->out[to->count] = *c;
    to->count++;
    return 0;
}

size_t iroh_store_temp_contents(iroh_store *s, iroh_content *out, size_t room) {
    copy to = {out, out != NULL ? room : 0, 0};
    if (s != NULL)
        (void)store_each_temp(s, copy_one, &to);
    return to.count;
}

int store_keep(iroh_store *s, const iroh_hash *hash, const iroh_add_options *o) {
    iroh_content content = {.hash = *hash, .format = o->format};
    bool named = o->tag != NULL;
    int r = 0;
    if (o->batch != NULL)
        r = iroh_batch_add(o->batch, &content);
    if (r == 0 && named)
        r = s->backend->ops->tag_put(s->backend, o->tag, o->tag_len, &content);
    if (r == 0 && o->batch == NULL && !named && o->temp_tag == NULL)
        r = create_tag(s, &content, NULL);
    // Last, because after an error the caller has no tag to free.
    if (r == 0 && o->temp_tag != NULL)
        r = iroh_temp_tag_new(s, &content, o->temp_tag);
    return r;
}
