// Encoder: items are laid out where they are sent from, read there from the source, leaves that follow on each other at
// once, and checked there together. Of a group that is not sent whole, a copy is read and checked first, and its items are
// made from that.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "blobs/bao.h"
#include "blobs/bao_group.h"
#include "blobs/bao_proof.h"

struct bao_encoder {
    bao_source source;
    bao_walk walk;
    bao_proof proof;
    int error;  // that stays
    bao_fault fault;
    uint64_t where;
    uint64_t size;
    bool has_item;  // `item` is what comes next
    bool in_group;  // `group` holds what `item` is part of, if its chunks are in there
    bao_item item;
    size_t carry_at, carry_len;  // bytes of `carry` that are sent, and there
    bao_item items[BAO_ITEMS];
    uint8_t carry[BAO_GROUP];
    bao_group group;
};

int bao_encoder_new(bao_encoder **out) {
    *out = malloc(sizeof **out);
    return *out != NULL ? 0 : IROH_ERR_NOMEM;
}

void bao_encoder_free(bao_encoder *e) {
    free(e);
}

int bao_encoder_start(bao_encoder *e, const uint8_t root[static BLAKE3_LEN], uint64_t size, const ranges *wanted,
                      const bao_source *source) {
    e->error = 0;
    e->fault = BAO_FINE;
    e->where = 0;
    e->has_item = e->in_group = false;
    e->carry_at = e->carry_len = 0;
    if (size > BAO_SIZE_MAX) {
        e->error = IROH_ERR_RANGE;
        return e->error;
    }
    e->source = *source;
    e->size = size;
    bao_walk_start(&e->walk, size, wanted);
    bao_proof_start(&e->proof, root);
    e->proof.data_trusted = source->data_trusted;
    e->has_item = bao_walk_next(&e->walk, &e->item);
    for (size_t i = 0; i < BAO_HEADER; i++)
        e->carry[i] = (uint8_t)(size >> (8 * i));
    e->carry_len = BAO_HEADER;
    return 0;
}

bao_fault bao_encoder_fault(const bao_encoder *e, uint64_t *where) {
    if (where != NULL)
        *where = e->where;
    return e->fault;
}

static int mismatch(bao_encoder *e, const bao_item *item) {
    e->fault = item->leaf ? BAO_LEAF_MISMATCH : BAO_PARENT_MISMATCH;
    e->where = item->leaf ? item->chunk : bao_node(item->chunk, item->chunks);
    e->error = IROH_ERR_CRYPTO;
    return e->error;
}

static int source_error(bao_encoder *e, int error) {
    if (error != IROH_ERR_AGAIN)
        e->error = error;
    return error;
}

static uint64_t group_chunks(const bao_encoder *e, uint64_t first) {
    uint64_t chunks = bao_chunks(e->size);
    return chunks - first < BAO_GROUP_CHUNKS ? chunks - first : BAO_GROUP_CHUNKS;
}

// Items that neither the outboard nor a whole group gives.
static bool inside_group(const bao_encoder *e, const bao_item *item) {
    if (!item->leaf)
        return item->pair == BAO_NO_PAIR;
    uint64_t first = item->chunk - item->chunk % BAO_GROUP_CHUNKS;
    return e->size > 0 && item->chunks < group_chunks(e, first);
}

static int read_item(bao_encoder *e, const bao_item *item, uint8_t *out) {
    if (!item->leaf)
        return e->source.pair(e->source.user, item->pair, out);
    return item->len > 0 ? e->source.data(e->source.user, item->chunk * BAO_CHUNK, out, item->len) : 0;
}

// `item` is the first of its group: reads the group and checks it.
static int open_group(bao_encoder *e) {
    bao_group *g = &e->group;
    uint64_t start = e->item.chunk * BAO_CHUNK;
    bool root = e->proof.root;
    uint8_t cv[BLAKE3_LEN];
    e->in_group = false;
    g->chunk = e->item.chunk;
    g->len = (size_t)(e->size - start < BAO_GROUP ? e->size - start : BAO_GROUP);
    int error = e->source.data(e->source.user, start, g->data, g->len);
    if (error != 0)
        return source_error(e, error);
    bao_group_hash(g);
    bao_group_cv(g, g->chunk, g->chunks, root, cv);
    if (memcmp(cv, bao_proof_take(&e->proof, g->chunk), BLAKE3_LEN) != 0) {
        // What does not match is the data, all of it.
        bao_item leaf = {.leaf = true, .chunk = g->chunk};
        return mismatch(e, &leaf);
    }
    e->in_group = true;
    return 0;
}

static bool is_open(const bao_encoder *e) {
    return e->in_group && e->item.chunk >= e->group.chunk && e->item.chunk < e->group.chunk + e->group.chunks;
}

// Writes the next item, which is inside a checked group.
static void write_inside(bao_encoder *e, uint8_t *out) {
    if (e->item.leaf)
        memcpy(out, e->group.data + (e->item.chunk - e->group.chunk) * BAO_CHUNK, e->item.len);
    else
        bao_group_pair(&e->group, e->item.chunk, e->item.chunks, out);
}

// Gives the next items their places in `out`, as many as fit into `room` and are checked at once; their number.
static size_t lay_out(bao_encoder *e, const uint8_t *out, size_t room) {
    size_t count = 0, leaves = 0, filled = 0;
    while (e->has_item && count < BAO_ITEMS && leaves < BAO_LEAVES && room - filled >= e->item.len &&
           !inside_group(e, &e->item)) {
        e->item.bytes = out + filled;
        filled += e->item.len;
        leaves += e->item.leaf;
        e->items[count++] = e->item;
        e->has_item = bao_walk_next(&e->walk, &e->item);
    }
    return count;
}

// Reads the leaves among the items that are laid out from `out` on; false when that did not succeed for all of them.
static bool read_leaves(bao_encoder *e, uint8_t *out, size_t count) {
    bao_place parts[BAO_LEAVES];
    uint64_t start = 0, end = 0;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const bao_item *item = &e->items[i];
        uint64_t at = item->chunk * BAO_CHUNK;
        if (item->leaf && n > 0 && at != end) {
            if (e->source.parts(e->source.user, start, parts, n) != 0)
                return false;
            n = 0;
        }
        if (item->leaf && n == 0)
            start = at;
        if (item->leaf) {
            parts[n++] = (bao_place){out, item->len};
            end = at + item->len;
        }
        out += item->len;
    }
    return n == 0 || e->source.parts(e->source.user, start, parts, n) == 0;
}

// Reads the items in order up to the first that cannot be had. *good: how many there are now.
static int read_items(bao_encoder *e, uint8_t *out, size_t count, size_t *good) {
    bool leaves = count > 1 && e->source.parts != NULL && read_leaves(e, out, count);
    for (*good = 0; *good < count; (*good)++) {
        const bao_item *item = &e->items[*good];
        int error = item->leaf && leaves ? 0 : read_item(e, item, out);
        if (error != 0)
            return error;
        out += item->len;
    }
    return 0;
}

// As many of the next items as fit into `room` and are checked at once. `*written` counts only bytes that hold.
static int write_items(bao_encoder *e, uint8_t *out, size_t room, size_t *written) {
    bao_walk walk = e->walk;
    bao_item first = e->item;
    size_t there, count = lay_out(e, out, room);
    int error = read_items(e, out, count, &there);
    if (error != 0) {
        // The one that could not be read comes next.
        e->walk = walk;
        e->item = first;
        e->has_item = true;
        for (size_t i = 0; i < there; i++)
            e->has_item = bao_walk_next(&e->walk, &e->item);
    }
    size_t good = bao_proof_check(&e->proof, e->items, there);
    *written = 0;
    for (size_t i = 0; i < good; i++)
        *written += e->items[i].len;
    if (good < there)
        return mismatch(e, &e->items[good]);
    return error != 0 ? source_error(e, error) : 0;
}

static int write_group_items(bao_encoder *e, uint8_t *out, size_t room, size_t *written) {
    *written = 0;
    int error = is_open(e) ? 0 : open_group(e);
    while (error == 0 && e->has_item && is_open(e) && room - *written >= e->item.len) {
        write_inside(e, out + *written);
        *written += e->item.len;
        e->has_item = bao_walk_next(&e->walk, &e->item);
    }
    return error;
}

static int write_some(bao_encoder *e, uint8_t *out, size_t room, size_t *written) {
    return inside_group(e, &e->item) ? write_group_items(e, out, room, written) : write_items(e, out, room, written);
}

static size_t drain_carry(bao_encoder *e, uint8_t *out, size_t room) {
    size_t n = e->carry_len - e->carry_at;
    n = n < room ? n : room;
    if (n > 0)
        memcpy(out, e->carry + e->carry_at, n);
    e->carry_at += n;
    return n;
}

int bao_encoder_write(bao_encoder *e, uint8_t *out, size_t room, size_t *len) {
    *len = drain_carry(e, out, room);
    int error = e->error;
    while (error == 0 && e->has_item && e->carry_at == e->carry_len) {
        size_t n, left = room - *len;
        if (left >= e->item.len) {
            error = write_some(e, out + *len, left, &n);
            *len += n;
        } else if (*len == 0 && room > 0) {
            // Not even one item fits: it is made aside and given out in parts.
            error = write_some(e, e->carry, e->item.len, &e->carry_len);
            e->carry_at = 0;
            *len = drain_carry(e, out, room);
        } else {
            break;
        }
    }
    if (error != 0)
        return error;
    return e->has_item || e->carry_at < e->carry_len ? 0 : 1;
}

// Sources in memory

static int memory_pair(void *user, uint64_t index, uint8_t out[BAO_PAIR]) {
    const bao_memory *m = user;
    if (index >= m->outboard_size / BAO_PAIR)
        return IROH_ERR_NOT_FOUND;
    memcpy(out, m->outboard + index * BAO_PAIR, BAO_PAIR);
    return 0;
}

static int memory_data(void *user, uint64_t offset, uint8_t *out, size_t len) {
    const bao_memory *m = user;
    if (offset > m->size || m->size - offset < len)
        return IROH_ERR_NOT_FOUND;
    if (len > 0)
        memcpy(out, m->data + offset, len);
    return 0;
}

static int memory_parts(void *user, uint64_t offset, const bao_place *parts, size_t count) {
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        r = memory_data(user, offset, parts[i].out, parts[i].len);
        offset += parts[i].len;
    }
    return r;
}

bao_source bao_memory_source(const bao_memory *m) {
    return (bao_source){.user = (void *)(uintptr_t)m, .pair = memory_pair, .data = memory_data, .parts = memory_parts};
}
