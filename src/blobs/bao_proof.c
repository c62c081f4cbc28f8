#include "blobs/bao_proof.h"

#include <string.h>

#include "blobs/bao_tree.h"

void bao_proof_start(bao_proof *p, const uint8_t root[static BLAKE3_LEN]) {
    p->root = true;
    p->data_trusted = false;
    p->depth = 1;
    p->promises[0].end = UINT64_MAX;
    memcpy(p->promises[0].hash, root, BLAKE3_LEN);
}

const uint8_t *bao_proof_take(bao_proof *p, uint64_t chunk) {
    // What lies before was promised but is not wanted.
    while (p->promises[p->depth - 1].end <= chunk)
        p->depth--;
    p->root = false;
    return p->promises[--p->depth].hash;
}

void bao_proof_add(bao_proof *p, uint64_t chunk, uint64_t chunks, const uint8_t pair[static BAO_PAIR]) {
    bao_promise *right = &p->promises[p->depth++], *left = &p->promises[p->depth++];
    right->end = chunk + chunks;
    left->end = chunk + bao_left(chunks);
    memcpy(right->hash, pair + BLAKE3_LEN, BLAKE3_LEN);
    memcpy(left->hash, pair, BLAKE3_LEN);
}

static void hash_alone(const bao_item *item, bool root, uint8_t *out) {
    if (item->leaf)
        blake3_subtree(item->chunk, item->bytes, item->len, root, out);
    else
        blake3_parent(item->bytes, root, out);
}

static bool is_given(const bao_proof *p, const bao_item *item) {
    return item->leaf && p->data_trusted;
}

// Whole groups and pairs together, the rest (the root, parts of groups) one by one.
static void hash_items(const bao_proof *p, const bao_item *items, size_t count, uint8_t (*out)[BLAKE3_LEN]) {
    blake3_piece leaves[BAO_LEAVES] = {0};
    const uint8_t *pairs[BAO_ITEMS];
    size_t leaf_at[BAO_LEAVES], pair_at[BAO_ITEMS], leaf_count = 0, pair_count = 0;
    uint8_t cvs[BAO_ITEMS][BLAKE3_LEN];
    for (size_t i = 0; i < count; i++) {
        const bao_item *item = &items[i];
        if (is_given(p, item))
            continue;
        if ((p->root && i == 0) || (item->leaf && item->len < BAO_GROUP)) {
            hash_alone(item, p->root && i == 0, out[i]);
        } else if (item->leaf) {
            leaf_at[leaf_count] = i;
            leaves[leaf_count++] = (blake3_piece){.data = item->bytes, .chunk = item->chunk};
        } else {
            pair_at[pair_count] = i;
            pairs[pair_count++] = item->bytes;
        }
    }
    blake3_subtrees(leaves, leaf_count, BLAKE3_PIECE_LEVEL, cvs);
    for (size_t i = 0; i < leaf_count; i++)
        memcpy(out[leaf_at[i]], cvs[i], BLAKE3_LEN);
    blake3_parents(pairs, pair_count, cvs);
    for (size_t i = 0; i < pair_count; i++)
        memcpy(out[pair_at[i]], cvs[i], BLAKE3_LEN);
}

size_t bao_proof_check(bao_proof *p, const bao_item *items, size_t count) {
    uint8_t hashes[BAO_ITEMS][BLAKE3_LEN];
    hash_items(p, items, count, hashes);
    for (size_t i = 0; i < count; i++) {
        const bao_item *item = &items[i];
        const uint8_t *promised = bao_proof_take(p, item->chunk);
        if (!is_given(p, item) && memcmp(promised, hashes[i], BLAKE3_LEN) != 0)
            return i;
        if (!item->leaf)
            bao_proof_add(p, item->chunk, item->chunks, item->bytes);
    }
    return count;
}
