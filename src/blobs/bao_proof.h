// What items are checked against: the hashes that pairs promised and no item has used yet.
//
// Items are checked many at once, because hashing is fastest then. That is sound in any order: what an item must hash
// to is known from the pairs before it, and none is given out unless all before it hold.
#ifndef BLOBS_BAO_PROOF_H
#define BLOBS_BAO_PROOF_H

#include "blobs/bao.h"

#define BAO_LEAVES BLAKE3_PIECES  // most whole groups that are hashed at once

typedef struct bao_promise {
    uint64_t end;  // one past the last chunk of the subtree
    uint8_t hash[BLAKE3_LEN];
} bao_promise;

typedef struct bao_proof {
    bool root;          // the next item is the root
    bool data_trusted;  // leaves hold without being hashed; set after the start
    size_t depth;
    bao_promise promises[BAO_DEPTH];
} bao_proof;

void bao_proof_start(bao_proof *p, const uint8_t root[static BLAKE3_LEN]);

// Checks `count` <= BAO_ITEMS items in walking order, at most BAO_LEAVES of them leaves, whose bytes are set. Returns
// how many hold before the first that does not; the proof is of no use after that one.
size_t bao_proof_check(bao_proof *p, const bao_item *items, size_t count);

// What the next item, which starts at `chunk`, must hash to; used up by that.
const uint8_t *bao_proof_take(bao_proof *p, uint64_t chunk);

// Takes both halves of a pair that holds: of the subtree of `chunks` >= 2 chunks from `chunk` on.
void bao_proof_add(bao_proof *p, uint64_t chunk, uint64_t chunks, const uint8_t pair[static BAO_PAIR]);

#endif
