// What every serving peer of the blobs interop tests holds; the crate's peer (rust/blobs/src/world.rs) has the same.
#ifndef INTEROP_BLOBS_WORLD_H
#define INTEROP_BLOBS_WORLD_H

#include <iroh/blobs_transfer.h>

// Complete blobs: the bytes 0, 1, ..., 250, 0, ... of these sizes, and of WORLD_BROKEN_FIRST.
#define WORLD_SIZES 8
extern const size_t world_sizes[WORLD_SIZES];
#define WORLD_BROKEN_FIRST 5000

// A blob of which the chunks between these boundaries are there.
#define WORLD_PARTIAL_SIZE 3000000
#define WORLD_PARTIAL_BOUNDS 4
extern const uint64_t world_partial[WORLD_PARTIAL_BOUNDS];

// A complete hash sequence of three, of which the second is absent.
#define WORLD_BROKEN_COUNT 3
#define WORLD_ABSENT_SIZE 777777
extern const size_t world_broken[WORLD_BROKEN_COUNT];

// A hash sequence of which the beginning is there, and one child.
#define WORLD_LONG_COUNT 2000
#define WORLD_LONG_CHUNKS 16
#define WORLD_LONG_PRESENT 5

// What clients push.
#define WORLD_PUSHED_SIZE 3333333
#define WORLD_PUSHED_COUNT 3
extern const size_t world_pushed[WORLD_PUSHED_COUNT];

// The caller frees it. Ends the program when there is no memory.
uint8_t *world_pattern(size_t size);
iroh_hash world_hash(size_t size);  // of a pattern

// Adds a pattern, or a hash sequence of patterns; a tag keeps it. 0 or an error.
int world_add(iroh_store *s, size_t size, iroh_hash *out);
int world_add_sequence(iroh_store *s, const size_t *sizes, size_t count, iroh_hash *out);

// Adds the long sequence: all of it.
int world_add_long(iroh_store *s, iroh_hash *out);

// All that a server holds complete; *out: the hash sequence of world_sizes.
int world_fill(iroh_store *s, iroh_hash *out);

// What a server holds in part, fetched from `c`, who has it whole.
int world_fill_whole(iroh_store *s);
int world_fill_parts(iroh_store *s, iroh_connection *c);

#endif
