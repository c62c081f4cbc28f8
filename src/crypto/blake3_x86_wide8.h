// Eight lanes in 256-bit vectors: all of the kernel's operations but the rotations, which the including file has defined
// or defines.
#ifndef CRYPTO_BLAKE3_X86_WIDE8_H
#define CRYPTO_BLAKE3_X86_WIDE8_H

#include <immintrin.h>

#include "crypto/blake3_rows.h"

#define LANES 8
typedef __m256i vec;

static inline vec vec_add(vec a, vec b) {
    return _mm256_add_epi32(a, b);
}

static inline vec vec_xor(vec a, vec b) {
    return _mm256_xor_si256(a, b);
}

static inline vec vec_all(uint32_t w) {
    return _mm256_set1_epi32((int)w);
}

static inline vec vec_load(const uint32_t *words) {
    return _mm256_loadu_si256((const __m256i *)words);
}

// Words inside quarters first, then whole quarters: four rows of each half belong together.
static inline __attribute__((always_inline)) void transpose(vec *a) {
    vec t[8];
    for (size_t i = 0; i < 8; i += 4) {
        vec low01 = _mm256_unpacklo_epi32(a[i], a[i + 1]), high01 = _mm256_unpackhi_epi32(a[i], a[i + 1]);
        vec low23 = _mm256_unpacklo_epi32(a[i + 2], a[i + 3]), high23 = _mm256_unpackhi_epi32(a[i + 2], a[i + 3]);
        t[i] = _mm256_unpacklo_epi64(low01, low23);
        t[i + 1] = _mm256_unpackhi_epi64(low01, low23);
        t[i + 2] = _mm256_unpacklo_epi64(high01, high23);
        t[i + 3] = _mm256_unpackhi_epi64(high01, high23);
    }
    for (size_t i = 0; i < 4; i++) {
        a[i] = _mm256_permute2x128_si256(t[i], t[i + 4], 0x20);
        a[i + 4] = _mm256_permute2x128_si256(t[i], t[i + 4], 0x31);
    }
}

static inline __attribute__((always_inline)) void load_blocks(const uint8_t *const *inputs, size_t offset, vec *m) {
    for (size_t i = 0; i < LANES; i++) {
        m[i] = _mm256_loadu_si256((const __m256i *)(inputs[i] + offset));
        m[i + 8] = _mm256_loadu_si256((const __m256i *)(inputs[i] + offset + 32));
        _mm_prefetch((const char *)(inputs[i] + offset + 256), _MM_HINT_T0);
    }
    transpose(m);
    transpose(m + 8);
}

static inline void store_cvs(vec *cv, uint8_t *out) {
    transpose(cv);
    for (size_t i = 0; i < LANES; i++)
        _mm256_storeu_si256((__m256i *)(out + BLAKE3_LEN * i), cv[i]);
}

#endif
