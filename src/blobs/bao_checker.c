// Checker: a walk that leaves out what is below a pair that does not hold. Groups are read into one buffer and hashed
// together.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "blobs/bao.h"
#include "blobs/bao_proof.h"

#define PAIRS_PER_STEP 256  // so that a step ends soon even where nothing is valid

typedef struct bao_pending {
    bao_item item;
    uint8_t hash[BLAKE3_LEN];  // what it must have
} bao_pending;

struct bao_checker {
    bao_source source;
    bao_walk walk;
    bao_proof proof;
    int error;
    bool with_data;
    size_t count;  // of `pending`
    bao_pending pending[BAO_LEAVES];
    uint8_t data[BAO_LEAVES][BAO_GROUP];
};

int bao_checker_new(bao_checker **out) {
    *out = malloc(sizeof **out);
    return *out != NULL ? 0 : IROH_ERR_NOMEM;
}

void bao_checker_free(bao_checker *c) {
    free(c);
}

int bao_checker_start(bao_checker *c, const uint8_t root[static BLAKE3_LEN], uint64_t size, const ranges *wanted,
                      const bao_source *source, bool data) {
    c->error = size > BAO_SIZE_MAX ? IROH_ERR_RANGE : 0;
    if (c->error != 0)
        return c->error;
    c->source = *source;
    c->with_data = data;
    c->count = 0;
    bao_walk_start(&c->walk, size, wanted);
    c->walk.whole = true;
    bao_proof_start(&c->proof, root);
    return 0;
}

static int check_parent(bao_checker *c, const bao_item *item) {
    uint8_t pair[BAO_PAIR], cv[BLAKE3_LEN];
    bool root = c->proof.root;
    const uint8_t *wanted = bao_proof_take(&c->proof, item->chunk);
    int error = c->source.pair(c->source.user, item->pair, pair);
    if (error == 0) {
        blake3_parent(pair, root, cv);
        if (memcmp(cv, wanted, BLAKE3_LEN) == 0) {
            bao_proof_add(&c->proof, item->chunk, item->chunks, pair);
            return 0;
        }
    }
    bao_walk_skip(&c->walk, item);
    return error == IROH_ERR_NOT_FOUND ? 0 : error;
}

static int add_valid(const bao_item *item, ranges *valid) {
    return ranges_add(valid, item->chunk, item->chunk + item->chunks);
}

// A leaf waits for others to be hashed with, unless it has a shape of its own.
static int check_leaf(bao_checker *c, const bao_item *item, ranges *valid) {
    bool root = c->proof.root;
    const uint8_t *wanted = bao_proof_take(&c->proof, item->chunk);
    if (!c->with_data)
        return add_valid(item, valid);
    uint8_t *data = c->data[c->count], cv[BLAKE3_LEN];
    int error = item->len > 0 ? c->source.data(c->source.user, item->chunk * BAO_CHUNK, data, item->len) : 0;
    if (error != 0)
        return error == IROH_ERR_NOT_FOUND ? 0 : error;
    if (!root && item->len == BAO_GROUP) {
        bao_pending *p = &c->pending[c->count++];
        p->item = *item;
        memcpy(p->hash, wanted, BLAKE3_LEN);
        return 0;
    }
    blake3_subtree(item->chunk, data, item->len, root, cv);
    return memcmp(cv, wanted, BLAKE3_LEN) == 0 ? add_valid(item, valid) : 0;
}

static int check_pending(bao_checker *c, ranges *valid) {
    blake3_piece pieces[BAO_LEAVES];
    uint8_t cvs[BAO_LEAVES][BLAKE3_LEN];
    int error = 0;
    for (size_t i = 0; i < c->count; i++)
        pieces[i] = (blake3_piece){.data = c->data[i], .chunk = c->pending[i].item.chunk};
    blake3_subtrees(pieces, c->count, BLAKE3_PIECE_LEVEL, cvs);
    for (size_t i = 0; i < c->count && error == 0; i++)
        if (memcmp(cvs[i], c->pending[i].hash, BLAKE3_LEN) == 0)
            error = add_valid(&c->pending[i].item, valid);
    c->count = 0;
    return error;
}

int bao_checker_step(bao_checker *c, ranges *valid) {
    bool more = true;
    size_t looked = 0;
    while (c->error == 0 && c->count < BAO_LEAVES && looked++ < PAIRS_PER_STEP) {
        bao_item item;
        more = bao_walk_next(&c->walk, &item);
        if (!more)
            break;
        c->error = item.leaf ? check_leaf(c, &item, valid) : check_parent(c, &item);
    }
    int error = check_pending(c, valid);
    if (c->error == 0)
        c->error = error;
    if (c->error != 0)
        return c->error;
    return more ? 0 : 1;
}
