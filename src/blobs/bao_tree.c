// Where things are in the tree and in the outboards. A subtree of n > 1 units has the largest power of two below n on
// its left and the rest on its right, whatever the unit; pairs are counted in groups, walks go down to chunks.
#include "blobs/bao_tree.h"
#include "blobs/bao.h"

uint64_t bao_chunks(uint64_t size) {
    return size / BAO_CHUNK + (size % BAO_CHUNK != 0);
}

uint64_t bao_groups(uint64_t size) {
    return size == 0 ? 1 : size / BAO_GROUP + (size % BAO_GROUP != 0);
}

uint64_t bao_outboard_size(uint64_t size) {
    return (bao_groups(size) - 1) * BAO_PAIR;
}

uint64_t bao_left(uint64_t n) {
    uint64_t left = 1;
    while (left < n - left)
        left *= 2;
    return left;
}

static uint64_t one_bits(uint64_t n) {
    uint64_t count = 0;
    for (; n != 0; n &= n - 1)
        count++;
    return count;
}

uint64_t bao_pre_index(uint64_t size, uint64_t group, uint64_t groups) {
    uint64_t start = 0, n = bao_groups(size), index = 0;
    while (n > 1 && (start != group || n != groups)) {
        uint64_t left = bao_left(n);
        if (group < start + left) {
            n = left;
            index++;
        } else {
            start += left;
            n -= left;
            index += left;
        }
    }
    return n > 1 ? index : BAO_NO_PAIR;
}

// Before a subtree in post-order come the pairs of the finished subtrees to its left, one for each one bit of `group`
// and each with a pair less than it has groups, then its own children.
uint64_t bao_post_index(uint64_t group, uint64_t groups) {
    return group - one_bits(group) + groups - 2;
}

uint64_t bao_pre_to_post(uint64_t size, uint64_t pre) {
    uint64_t start = 0, n = bao_groups(size);
    while (pre > 0) {
        uint64_t left = bao_left(n);
        if (pre < left) {
            n = left;
            pre--;
        } else {
            start += left;
            n -= left;
            pre -= left;
        }
    }
    return bao_post_index(start, n);
}

uint64_t bao_node(uint64_t chunk, uint64_t chunks) {
    return chunk + bao_left(chunks) - 1;
}

bool bao_item_ends(const bao_item *item, uint64_t size) {
    uint64_t end = item->chunk + item->chunks, chunks = bao_chunks(size);
    return item->leaf && end == (chunks > 0 ? chunks : 1);
}
