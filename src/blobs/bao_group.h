// One group taken apart: the chaining values of everything below it, which no outboard stores.
#ifndef BLOBS_BAO_GROUP_H
#define BLOBS_BAO_GROUP_H

#include "blobs/bao.h"

typedef struct bao_group {
    uint64_t chunk;  // first
    size_t len;      // bytes
    size_t chunks;   // 1..16
    uint8_t cvs[BAO_GROUP_CHUNKS][BLAKE3_LEN];
    uint8_t data[BAO_GROUP];
} bao_group;

// `chunk` and `len` are set and `data` is filled; a group has two chunks or more.
void bao_group_hash(bao_group *g);

// The value of the subtree of `chunks` chunks from chunk `chunk` on; `root` as for blake3_parent, and only for the
// whole group.
void bao_group_cv(const bao_group *g, uint64_t chunk, uint64_t chunks, bool root, uint8_t out[static BLAKE3_LEN]);

// The pair of the parent of that subtree, of two chunks or more.
void bao_group_pair(const bao_group *g, uint64_t chunk, uint64_t chunks, uint8_t out[static BAO_PAIR]);

#endif
