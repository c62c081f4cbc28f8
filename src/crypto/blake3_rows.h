// What a variant of BLAKE3 is: one row of the table that the machine's best is chosen from.
//
// A kernel hashes as many inputs of the same length side by side as its vectors have lanes. Driving it, tails
// included, is the same for all of them (blake3_many.c), as is the tree (blake3.c).
#ifndef CRYPTO_BLAKE3_ROWS_H
#define CRYPTO_BLAKE3_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/blake3.h"

#define BLAKE3_BLOCK BLAKE3_PAIR
#define BLAKE3_INLINE static inline __attribute__((always_inline))  // for the parts of kernels
#define BLAKE3_LANES_MAX 16
#define BLAKE3_KERNELS_MAX 4

enum {
    BLAKE3_CHUNK_START = 1,
    BLAKE3_CHUNK_END = 2,
    BLAKE3_PARENT = 4,
    BLAKE3_ROOT = 8,
    BLAKE3_KEYED = 16,
    BLAKE3_DERIVE_CONTEXT = 32,
    BLAKE3_DERIVE_KEY = 64
};

// What all inputs of a call have in common.
typedef struct blake3_job {
    const uint32_t *key;               // 8 words
    size_t blocks;                     // of 64 bytes, all full, at least 1
    uint32_t flags;                    // of every block
    uint32_t first_flags, last_flags;  // besides, of the first and of the last block
} blake3_job;

// Hashes one input a lane and writes a CV a lane, one after the other. The counters are those of the inputs, split in
// halves. Inputs may be the same; all are read before the first CV is written only when they have one block.
typedef void blake3_kernel(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                           const uint32_t *counters_high, uint8_t *out);

// The compression function; `out` gets the first half of the output, a CV, and may be `cv`. `rest` gets the second
// half when it is not null.
typedef void blake3_compress(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK], uint32_t len, uint64_t counter,
                             uint32_t flags, uint32_t out[8], uint32_t *rest);

typedef struct blake3_variant {
    const char *name;
    bool (*usable)(void);  // on this machine
    blake3_compress *compress;
    struct {
        unsigned lanes;
        blake3_kernel *run;
    } kernels[BLAKE3_KERNELS_MAX];  // widest first, at least one
} blake3_variant;

// All rows that were compiled, best first; the last one is usable everywhere. Of one file for each kind of processor.
extern const blake3_variant blake3_variants[];
extern const size_t blake3_variant_count;

// The best usable row; the same at every call.
const blake3_variant *blake3_best(void);

// Makes `v` (usable) what blake3.h works with from now on: for tests and benches, while nobody hashes.
void blake3_use(const blake3_variant *v);

// Counters of inputs, split in halves as kernels take them: ready in memory well before they are loaded into vectors.
typedef struct blake3_counters {
    const uint32_t *low, *high;  // one an input
} blake3_counters;

// Hashes `count` inputs, any number. Null `counters` means 0 for all.
void blake3_hash_many(const blake3_variant *v, const blake3_job *job, const uint8_t *const *inputs,
                      const blake3_counters *counters, size_t count, uint8_t *out);

extern const uint32_t blake3_iv[8];

// Little endian; compilers make one store of it.
static inline void blake3_store_word(uint8_t *out, uint32_t w) {
    out[0] = (uint8_t)w;
    out[1] = (uint8_t)(w >> 8);
    out[2] = (uint8_t)(w >> 16);
    out[3] = (uint8_t)(w >> 24);
}

static inline void blake3_store_cv(uint8_t *out, const uint32_t words[8]) {
    for (size_t i = 0; i < 8; i++)
        blake3_store_word(out + 4 * i, words[i]);
}

bool blake3_always(void);

blake3_compress blake3_compress_generic;
blake3_kernel blake3_kernel_generic;  // 1 lane

#endif
