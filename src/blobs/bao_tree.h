// The shape of the tree, shared by the parts of bao.
#ifndef BLOBS_BAO_TREE_H
#define BLOBS_BAO_TREE_H

#include <stdint.h>

// The left part of `n` >= 2 units: the largest power of two below n.
uint64_t bao_left(uint64_t n);

#endif
