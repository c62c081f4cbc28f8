#include "blobs/bao_group.h"

#include <string.h>

#include "blobs/bao_tree.h"

void bao_group_hash(bao_group *g) {
    blake3_piece pieces[BAO_GROUP_CHUNKS];
    size_t whole = g->len / BAO_CHUNK, rest = g->len % BAO_CHUNK;
    for (size_t i = 0; i < whole; i++)
        pieces[i] = (blake3_piece){.data = g->data + i * BAO_CHUNK, .chunk = g->chunk + i};
    blake3_subtrees(pieces, whole, 0, g->cvs);
    g->chunks = whole;
    if (rest > 0) {
        blake3_subtree(g->chunk + whole, g->data + whole * BAO_CHUNK, rest, false, g->cvs[whole]);
        g->chunks++;
    }
}

void bao_group_cv(const bao_group *g, uint64_t chunk, uint64_t chunks, bool root, uint8_t out[static BLAKE3_LEN]) {
    uint8_t cvs[BAO_GROUP_CHUNKS * BLAKE3_LEN];
    size_t n = (size_t)chunks;
    memcpy(cvs, g->cvs[chunk - g->chunk], n * BLAKE3_LEN);
    // Neighbours are merged level by level; one without a neighbour goes up as it is. That is the same tree.
    for (; n > 2; n = (n + 1) / 2) {
        for (size_t i = 0; i < n / 2; i++)
            blake3_parent(cvs + i * BAO_PAIR, false, cvs + i * BLAKE3_LEN);
        if (n % 2 != 0)
            memmove(cvs + n / 2 * BLAKE3_LEN, cvs + (n - 1) * BLAKE3_LEN, BLAKE3_LEN);
    }
    if (n == 2)
        blake3_parent(cvs, root, out);
    else
        memcpy(out, cvs, BLAKE3_LEN);
}

void bao_group_pair(const bao_group *g, uint64_t chunk, uint64_t chunks, uint8_t out[static BAO_PAIR]) {
    uint64_t left = bao_left(chunks);
    bao_group_cv(g, chunk, left, false, out);
    bao_group_cv(g, chunk + left, chunks - left, false, out + BLAKE3_LEN);
}
