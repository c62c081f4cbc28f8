// BLAKE3 as the paper defines it, with nothing done for speed: what the real one is compared with. And the input and
// the randomness that its tests and those of bao share.
#ifndef UNIT_BLAKE3_SUPPORT_H
#define UNIT_BLAKE3_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The CV of the subtree over `len` bytes from chunk `chunk` on, or the hash of a message with `root`.
void reference_cv(uint64_t chunk, const uint8_t *data, size_t len, bool root, uint8_t out[static 32]);

void reference_parent(const uint8_t left[static 32], const uint8_t right[static 32], bool root, uint8_t out[static 32]);

// Bytes of the left part of a subtree over `len` bytes, more than a chunk.
uint64_t reference_left(uint64_t len);

// `len` bytes, byte i is i mod 251, that the caller frees; ends the program without memory.
uint8_t *pattern_new(size_t len);

// A number below `bound`; the same for the same state.
uint64_t draw(uint64_t *random, uint64_t bound);

#endif
