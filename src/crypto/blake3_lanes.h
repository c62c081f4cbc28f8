// The body of a kernel, for vectors of any width. The including file has defined `vec` (LANES words), LANES, and as
// static inline functions vec_all (one word in every lane), vec_load (LANES words from memory), load_blocks (a block of
// each input, transposed: word i of all inputs in m[i]), store_cvs (the way back for eight words) and compress_lanes: the
// compression function from eight vectors of chaining values to the next ones, with the message and the other eight of
// the state. It is in blake3_lanes_c.h, or in the assembler of blake3_x86_rounds.h.
#ifndef CRYPTO_BLAKE3_LANES_H
#define CRYPTO_BLAKE3_LANES_H

#include "crypto/blake3_rows.h"

BLAKE3_INLINE void run_lanes(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                             const uint32_t *counters_high, uint8_t *out) {
    vec cv[8], tail[8] = {vec_all(blake3_iv[0]),  vec_all(blake3_iv[1]),   vec_all(blake3_iv[2]), vec_all(blake3_iv[3]),
                          vec_load(counters_low), vec_load(counters_high), vec_all(BLAKE3_BLOCK)};
    for (size_t i = 0; i < 8; i++)
        cv[i] = vec_all(job->key[i]);
    for (size_t b = 0; b < job->blocks; b++) {
        uint32_t flags = job->flags | (b == 0 ? job->first_flags : 0) | (b + 1 == job->blocks ? job->last_flags : 0);
        vec m[16];
        load_blocks(inputs, b * BLAKE3_BLOCK, m);
        tail[7] = vec_all(flags);
        compress_lanes(cv, m, tail);
    }
    store_cvs(cv, out);
}

#endif
