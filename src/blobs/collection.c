// Collections: a blob with a header and all names, and a hash sequence of that blob and the named ones.
#include <stdlib.h>
#include <string.h>

#include <iroh/blobs_transfer.h>

#include "base/postcard.h"
#include "base/utf8.h"
#include "blobs/hash_seq.h"

static const char header[] = "CollectionV0.";
#define HEADER_LEN (sizeof header - 1)
#define NAMES_MAX (UINT64_C(1) << 30)  // bytes
#define ENTRIES_MAX (UINT64_C(1) << 32)
#define FIRST_ENTRIES 16
#define FIRST_NAMES 256  // bytes

typedef struct entry {
    uint32_t name, len;  // in `names`
    iroh_hash hash;
} entry;

struct iroh_collection {
    entry *entries;
    size_t count, room;
    char *names;
    size_t names_len, names_room;
};

int iroh_collection_new(iroh_collection **out) {
    *out = calloc(1, sizeof **out);
    return *out != NULL ? 0 : IROH_ERR_NOMEM;
}

void iroh_collection_free(iroh_collection *c) {
    if (c == NULL)
        return;
    free(c->entries);
    free(c->names);
    free(c);
}

static int reserve(iroh_collection *c, size_t len) {
    if (c->count == c->room) {
        size_t room = c->room > 0 ? c->room * 2 : FIRST_ENTRIES;
        entry *entries = realloc(c->entries, room * sizeof *entries);
        if (entries == NULL)
            return IROH_ERR_NOMEM;
        c->entries = entries;
        c->room = room;
    }
    if (c->names_room - c->names_len < len || c->names == NULL) {
        size_t room = c->names_room * 2 > FIRST_NAMES ? c->names_room * 2 : FIRST_NAMES;
        room = room - c->names_len < len ? c->names_len + len : room;
        char *names = realloc(c->names, room);
        if (names == NULL)
            return IROH_ERR_NOMEM;
        c->names = names;
        c->names_room = room;
    }
    return 0;
}

int iroh_collection_add(iroh_collection *c, const char *name, size_t len, const iroh_hash *hash) {
    if (c == NULL || (name == NULL && len > 0) || hash == NULL)
        return IROH_ERR_ARG;
    if (len > NAMES_MAX || c->names_len > NAMES_MAX - len)
        return IROH_ERR_TOO_LARGE;
    if (!utf8_valid(name, len))
        return IROH_ERR_UTF8;
    int r = reserve(c, len);
    if (r != 0)
        return r;
    if (len > 0)
        memcpy(c->names + c->names_len, name, len);
    c->entries[c->count++] = (entry){.name = (uint32_t)c->names_len, .len = (uint32_t)len, .hash = *hash};
    c->names_len += len;
    return 0;
}

size_t iroh_collection_count(const iroh_collection *c) {
    return c->count;
}

const char *iroh_collection_name(const iroh_collection *c, size_t i, size_t *len) {
    *len = c->entries[i].len;
    return c->names + c->entries[i].name;
}

iroh_hash iroh_collection_hash(const iroh_collection *c, size_t i) {
    return c->entries[i].hash;
}

// Order. A merge sort, since qsort passes no context and the names are not in the entries.

static int compare(const iroh_collection *c, const entry *a, const entry *b) {
    size_t common = a->len < b->len ? a->len : b->len;
    int order = common > 0 ? memcmp(c->names + a->name, c->names + b->name, common) : 0;
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static void merge(const iroh_collection *c, const entry *from, entry *to, size_t start, size_t middle, size_t end) {
    size_t i = start, j = middle;
    for (size_t k = start; k < end; k++) {
        bool left = i < middle && (j == end || compare(c, &from[i], &from[j]) <= 0);
        to[k] = left ? from[i++] : from[j++];
    }
}

// Adding in order is the usual case, which needs no memory; without memory for another the order is found slowly.
static bool is_sorted(const iroh_collection *c) {
    for (size_t i = 1; i < c->count; i++) {
        if (compare(c, &c->entries[i - 1], &c->entries[i]) > 0)
            return false;
    }
    return true;
}

static void sort_in_place(iroh_collection *c) {
    for (size_t i = 1; i < c->count; i++) {
        entry e = c->entries[i];
        size_t at = i;
        for (; at > 0 && compare(c, &c->entries[at - 1], &e) > 0; at--)
            c->entries[at] = c->entries[at - 1];
        c->entries[at] = e;
    }
}

void iroh_collection_sort(iroh_collection *c) {
    if (is_sorted(c))
        return;
    entry *other = malloc(c->room * sizeof *other);
    if (other == NULL) {
        sort_in_place(c);
        return;
    }
    for (size_t width = 1; width < c->count; width *= 2) {
        for (size_t start = 0; start < c->count; start += 2 * width) {
            size_t middle = start + width < c->count ? start + width : c->count;
            size_t end = middle + width < c->count ? middle + width : c->count;
            merge(c, c->entries, other, start, middle, end);
        }
        entry *sorted = other;
        other = c->entries;
        c->entries = sorted;
    }
    free(other);
}

// Saving

static size_t names_size(const iroh_collection *c) {
    size_t size = HEADER_LEN + postcard_u64_size(c->count);
    for (size_t i = 0; i < c->count; i++)
        size += postcard_u64_size(c->entries[i].len) + c->entries[i].len;
    return size;
}

static int save_names(const iroh_collection *c, iroh_store *s, iroh_batch *batch, iroh_hash *out) {
    size_t size = names_size(c);
    uint8_t *bytes = malloc(size);
    if (bytes == NULL)
        return IROH_ERR_NOMEM;
    writer w = writer_of(bytes, size);
    writer_bytes(&w, header, HEADER_LEN);
    postcard_write_u64(&w, c->count);
    for (size_t i = 0; i < c->count; i++)
        postcard_write_bytes(&w, c->names + c->entries[i].name, c->entries[i].len);
    iroh_add_options o = {.format = IROH_BLOB_RAW, .batch = batch};
    int r = iroh_store_add_bytes(s, bytes, size, &o, out);
    free(bytes);
    return r;
}

static int save_sequence(const iroh_collection *c, iroh_store *s, const iroh_hash *names, const iroh_add_options *o,
                         iroh_hash *out) {
    iroh_hash *hashes = malloc((c->count + 1) * sizeof *hashes);
    if (hashes == NULL)
        return IROH_ERR_NOMEM;
    hashes[0] = *names;
    for (size_t i = 0; i < c->count; i++)
        hashes[i + 1] = c->entries[i].hash;
    iroh_add_options root = o != NULL ? *o : (iroh_add_options){0};
    root.format = IROH_BLOB_HASH_SEQ;
    int r = iroh_store_add_bytes(s, hashes, (c->count + 1) * sizeof *hashes, &root, out);
    free(hashes);
    return r;
}

int iroh_collection_save(const iroh_collection *c, iroh_store *s, const iroh_add_options *o, iroh_hash *out) {
    iroh_batch *batch;  // keeps the names until the sequence does
    iroh_hash names;
    if (c == NULL || s == NULL || out == NULL)
        return IROH_ERR_ARG;
    int r = iroh_batch_new(s, &batch);
    if (r != 0)
        return r;
    r = save_names(c, s, o != NULL && o->batch != NULL ? o->batch : batch, &names);
    if (r == 0)
        r = save_sequence(c, s, &names, o, out);
    iroh_batch_free(batch);
    return r;
}

// Loading

static int read_names(iroh_collection *c, hash_seq *q, const uint8_t *bytes, size_t len) {
    postcard p = postcard_of(bytes, len);
    const uint8_t *start = reader_bytes(&p.in, HEADER_LEN);
    if (start == NULL || memcmp(start, header, HEADER_LEN) != 0)
        return IROH_ERR_SYNTAX;
    uint64_t count = postcard_u64(&p);
    if (p.error != 0 || count + 1 != q->count)
        return IROH_ERR_SYNTAX;
    for (uint64_t i = 0; i < count; i++) {
        size_t name_len;
        iroh_hash hash;
        const char *name = postcard_str(&p, &name_len);
        int r = p.error == 0 ? hash_seq_get(q, i + 1, &hash) : p.error == IROH_ERR_UTF8 ? p.error : IROH_ERR_SYNTAX;
        if (r == 0)
            r = iroh_collection_add(c, name, name_len, &hash);
        if (r != 0)
            return r;
    }
    return 0;
}

static int load(iroh_collection *c, iroh_store *s, hash_seq *q) {
    iroh_hash names;
    uint8_t *bytes;
    size_t len;
    if (q->count > ENTRIES_MAX)
        return IROH_ERR_TOO_LARGE;
    int r = hash_seq_get(q, 0, &names);
    if (r != 0)
        return r == IROH_ERR_RANGE ? IROH_ERR_SYNTAX : r;
    r = iroh_store_get(s, &names, NAMES_MAX, &bytes, &len);
    if (r != 0)
        return r;
    r = read_names(c, q, bytes, len);
    free(bytes);
    return r;
}

int iroh_collection_load(iroh_store *s, const iroh_hash *hash, iroh_collection **out) {
    hash_seq q;
    if (s == NULL || hash == NULL || out == NULL)
        return IROH_ERR_ARG;
    int r = iroh_collection_new(out);
    if (r != 0)
        return r;
    r = hash_seq_open(&q, s, hash);
    if (r == 0) {
        r = load(*out, s, &q);
        hash_seq_close(&q);
    }
    if (r != 0) {
        iroh_collection_free(*out);
        *out = NULL;
    }
    return r == IROH_ERR_LENGTH ? IROH_ERR_SYNTAX : r;
}

// Names

static bool part_is_safe(const char *part, size_t len) {
    bool dots = (len == 1 || len == 2) && part[0] == '.' && part[len - 1] == '.';
    return len > 0 && !dots && memchr(part, '\\', len) == NULL && memchr(part, '\0', len) == NULL;
}

bool iroh_name_is_safe(const char *name, size_t len) {
    size_t start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && name[i] != '/')
            continue;
        if (!part_is_safe(name + start, i - start))
            return false;
        start = i + 1;
    }
    return true;
}
