// The items of an encoding in order. Subtrees that are still to be looked at wait on a stack, right ones below left
// ones, so that it is never deeper than the tree; ranges are passed once from left to right along with them.
#include "blobs/bao.h"
#include "blobs/bao_tree.h"

static uint64_t walk_chunks(const bao_walk *w) {
    uint64_t chunks = bao_chunks(w->size);
    return chunks > 0 ? chunks : 1;
}

static bao_subtree subtree(uint64_t chunk, uint64_t chunks, uint64_t pair) {
    return (bao_subtree){.chunk = chunk, .chunks = chunks, .pair = chunks > BAO_GROUP_CHUNKS ? pair : BAO_NO_PAIR};
}

void bao_walk_start(bao_walk *w, uint64_t size, const ranges *wanted) {
    w->size = size;
    w->wanted = wanted;
    w->whole = false;
    w->at = 0;
    w->depth = 1;
    w->todo[0] = subtree(0, walk_chunks(w), 0);
}

// Wanted chunks beyond the end stand for the last one.
static bool last_by_excess(const bao_walk *w, const bao_subtree *s) {
    size_t count = ranges_count(w->wanted);
    uint64_t chunks = walk_chunks(w);
    return s->chunk + s->chunks == chunks && count > 0 && ranges_items(w->wanted)[count - 1].end > chunks;
}

// Whether any of the subtree is wanted, and whether all of it is.
static bool touched(bao_walk *w, const bao_subtree *s, bool *all) {
    const range *r = ranges_items(w->wanted);
    size_t count = ranges_count(w->wanted);
    uint64_t end = s->chunk + s->chunks;
    while (w->at < count && r[w->at].end <= s->chunk)
        w->at++;
    bool excess = last_by_excess(w, s);
    if (w->at == count || r[w->at].start >= end) {
        *all = excess && s->chunks == 1;
        return excess;
    }
    *all = r[w->at].start <= s->chunk && r[w->at].end >= (excess ? end - 1 : end);
    return true;
}

static void split(bao_walk *w, const bao_subtree *s) {
    uint64_t left = bao_left(s->chunks);
    // Meaningless inside a group, where subtree() drops the index.
    uint64_t right_pair = s->pair + left / BAO_GROUP_CHUNKS;
    w->todo[w->depth++] = subtree(s->chunk + left, s->chunks - left, right_pair);
    w->todo[w->depth++] = subtree(s->chunk, left, s->pair + 1);
}

static size_t leaf_len(const bao_walk *w, const bao_subtree *s) {
    uint64_t start = s->chunk * BAO_CHUNK, len = s->chunks * BAO_CHUNK;
    return (size_t)(w->size - start < len ? w->size - start : len);
}

bool bao_walk_next(bao_walk *w, bao_item *item) {
    while (w->depth > 0) {
        bao_subtree s = w->todo[--w->depth];
        bool all;
        if (!touched(w, &s, &all))
            continue;
        *item = (bao_item){.chunk = s.chunk, .chunks = s.chunks, .pair = s.pair};
        item->leaf = s.chunks == 1 || (s.chunks <= BAO_GROUP_CHUNKS && (all || w->whole));
        if (item->leaf) {
            item->len = leaf_len(w, &s);
        } else {
            item->len = BAO_PAIR;
            split(w, &s);
        }
        return true;
    }
    return false;
}

void bao_walk_skip(bao_walk *w, const bao_item *parent) {
    uint64_t end = parent->chunk + parent->chunks;
    while (w->depth > 0 && w->todo[w->depth - 1].chunk < end)
        w->depth--;
}

uint64_t bao_encoded_size(uint64_t size, const ranges *wanted) {
    bao_walk w;
    bao_item item;
    uint64_t sum = BAO_HEADER;
    bao_walk_start(&w, size, wanted);
    while (bao_walk_next(&w, &item))
        sum += item.len;
    return sum;
}
