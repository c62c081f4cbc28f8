// Whole chunks to CVs: the part of the tree that runs on all lanes, in any mode.
#ifndef CRYPTO_BLAKE3_TREE_H
#define CRYPTO_BLAKE3_TREE_H

#include "crypto/blake3_rows.h"

typedef struct blake3_tree {
    const blake3_variant *variant;
    const uint32_t *key;  // 8 words
    uint32_t flags;       // of the mode
} blake3_tree;

// The CVs of `n` <= BLAKE3_LANES_MAX neighbouring chunks, the first of which has index `chunk`.
void blake3_tree_chunks(const blake3_tree *t, const uint8_t *data, uint64_t chunk, size_t n,
                        uint8_t (*out)[BLAKE3_LEN]);

// The parents of `n` <= BLAKE3_LANES_MAX neighbouring pairs, in their place.
void blake3_tree_merge(const blake3_tree *t, uint8_t (*cvs)[BLAKE3_LEN], size_t n);

// The CV, or with `root` the hash, of the subtree over `len` <= BLAKE3_LANES_MAX * BLAKE3_CHUNK bytes whose first chunk has
// index `chunk`.
void blake3_tree_small(const blake3_tree *t, uint64_t chunk, const uint8_t *data, size_t len, bool root,
                       uint8_t out[BLAKE3_LEN]);

// The CVs of both halves of a subtree of `n` chunks: a power of two, at least BLAKE3_LANES_MAX. `executor` may be
// null.
void blake3_tree_pair(const blake3_tree *t, const uint8_t *data, uint64_t chunk, uint64_t n,
                      const blake3_executor *executor, uint8_t out[BLAKE3_PAIR]);

#endif
