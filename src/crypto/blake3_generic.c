// BLAKE3 in plain C, for any processor and byte order.
#include <string.h>

#include "crypto/blake3_rows.h"

const uint32_t blake3_iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

#define ROUNDS 7

// The permutation of the message words, applied once more in each row.
static const uint8_t order[ROUNDS][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1}, {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4}, {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13}};

static uint32_t load_word(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t ror(uint32_t w, unsigned n) {
    return w >> n | w << (32 - n);
}

static inline void mix(uint32_t *v, unsigned a, unsigned b, unsigned c, unsigned d, uint32_t x, uint32_t y) {
    v[a] += v[b] + x;
    v[d] = ror(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = ror(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = ror(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = ror(v[b] ^ v[c], 7);
}

static inline void mix_round(uint32_t *v, const uint32_t *m, const uint8_t *o) {
    mix(v, 0, 4, 8, 12, m[o[0]], m[o[1]]);
    mix(v, 1, 5, 9, 13, m[o[2]], m[o[3]]);
    mix(v, 2, 6, 10, 14, m[o[4]], m[o[5]]);
    mix(v, 3, 7, 11, 15, m[o[6]], m[o[7]]);
    mix(v, 0, 5, 10, 15, m[o[8]], m[o[9]]);
    mix(v, 1, 6, 11, 12, m[o[10]], m[o[11]]);
    mix(v, 2, 7, 8, 13, m[o[12]], m[o[13]]);
    mix(v, 3, 4, 9, 14, m[o[14]], m[o[15]]);
}

void blake3_compress_generic(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK], uint32_t len, uint64_t counter,
                             uint32_t flags, uint32_t out[8], uint32_t *rest) {
    uint32_t m[16], v[16];
    for (size_t i = 0; i < 16; i++)
        m[i] = load_word(block + 4 * i);
    memcpy(v, cv, 8 * sizeof *v);
    memcpy(v + 8, blake3_iv, 4 * sizeof *v);
    v[12] = (uint32_t)counter;
    v[13] = (uint32_t)(counter >> 32);
    v[14] = len;
    v[15] = flags;
    for (size_t r = 0; r < ROUNDS; r++)
        mix_round(v, m, order[r]);
    for (size_t i = 0; rest != NULL && i < 8; i++)
        rest[i] = v[i + 8] ^ cv[i];
    for (size_t i = 0; i < 8; i++)
        out[i] = v[i] ^ v[i + 8];
}

void blake3_kernel_generic(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                           const uint32_t *counters_high, uint8_t *out) {
    uint32_t state[8];
    uint64_t counter = (uint64_t)counters_high[0] << 32 | counters_low[0];
    memcpy(state, job->key, sizeof state);
    for (size_t b = 0; b < job->blocks; b++) {
        uint32_t flags = job->flags | (b == 0 ? job->first_flags : 0) | (b + 1 == job->blocks ? job->last_flags : 0);
        blake3_compress_generic(state, inputs[0] + b * BLAKE3_BLOCK, BLAKE3_BLOCK, counter, flags, state, NULL);
    }
    blake3_store_cv(out, state);
}
