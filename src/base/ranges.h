// A set of uint64_t kept as sorted, disjoint, non-adjacent half-open ranges.
//
// Value type: `RANGES_INIT` is the empty set and needs no memory; the first few ranges are inline, so the usual case
// (one or two gaps) never allocates. Used for received packet numbers, received stream bytes and acknowledged bytes.
#ifndef BASE_RANGES_H
#define BASE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct range {
    uint64_t start;  // first value
    uint64_t end;    // one past the last, > start
} range;

#define RANGES_INLINE 2

typedef struct ranges {
    range *heap;  // null while the ranges fit inline
    uint32_t count;
    uint32_t capacity;  // of `heap`; 0 while inline
    range inline_items[RANGES_INLINE];
} ranges;

#define RANGES_INIT ((ranges){0})

void ranges_dispose(ranges *r);  // back to RANGES_INIT
void ranges_clear(ranges *r);    // empties the set, keeps memory

// The ranges in ascending order, ranges_count of them; valid until the next change.
const range *ranges_items(const ranges *r);

static inline size_t ranges_count(const ranges *r) {
    return r->count;
}

// Adds [start, end); start < end. Returns IROH_ERR_NOMEM with the set unchanged, else 0.
int ranges_add(ranges *r, uint64_t start, uint64_t end);

// Removes [start, end). IROH_ERR_NOMEM (a split needed memory) with the set unchanged, else 0.
int ranges_remove(ranges *r, uint64_t start, uint64_t end);

// Removes the lowest range; no-op on the empty set.
void ranges_drop_first(ranges *r);

bool ranges_contains(const ranges *r, uint64_t value);

// True when all of [start, end) is in the set.
bool ranges_covers(const ranges *r, uint64_t start, uint64_t end);

#endif
