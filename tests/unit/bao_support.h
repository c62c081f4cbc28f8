// What the tests of bao share: blobs with their outboards, sets of chunks, and an encoder that follows the definition
// of an encoding word for word.
#ifndef UNIT_BAO_SUPPORT_H
#define UNIT_BAO_SUPPORT_H

#include "blobs/bao.h"

#include "unit/blake3_support.h"
#include "unit/vector_support.h"

// A blob of the pattern with its outboard.
typedef struct blob {
    uint8_t *data;
    uint8_t *outboard;
    uint8_t root[BLAKE3_LEN];
    bao_memory memory;
    bao_source source;
} blob;

void blob_make(blob *b, size_t size);
void blob_free(blob *b);

// Bytes that the caller frees.
typedef struct buffer {
    uint8_t *bytes;
    size_t len;
} buffer;

// What bao_encoder writes in pieces of at most `room` bytes.
buffer encode(const blob *b, const ranges *wanted, size_t room);

// What it must write, by recursion over the definition; `wanted` in boundaries.
buffer reference_encode(const blob *b, const uint64_t *bounds, size_t count);

// Boundaries as sets: an odd number of them is open ended.
void ranges_from_bounds(ranges *r, const uint64_t *bounds, size_t count);
ranges everything(void);

#define BOUNDS_MAX 32

// The word `name` of a vector; the number of boundaries.
size_t vectors_bounds(const vectors *v, const char *name, uint64_t bounds[static BOUNDS_MAX]);

// Up to 8 ascending boundaries below `most`; their number.
size_t draw_bounds(uint64_t *random, uint64_t most, uint64_t bounds[static BOUNDS_MAX]);

#endif
