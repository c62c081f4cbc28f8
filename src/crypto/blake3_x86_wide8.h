// Eight lanes in 256-bit vectors: all that a kernel needs but the compression function.
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

// Transposes the two 4x4 squares side by side in four rows.
static inline __attribute__((always_inline)) void transpose_squares(vec *a) {
    vec low01 = _mm256_unpacklo_epi32(a[0], a[1]), high01 = _mm256_unpackhi_epi32(a[0], a[1]);
    vec low23 = _mm256_unpacklo_epi32(a[2], a[3]), high23 = _mm256_unpackhi_epi32(a[2], a[3]);
    a[0] = _mm256_unpacklo_epi64(low01, low23);
    a[1] = _mm256_unpackhi_epi64(low01, low23);
    a[2] = _mm256_unpacklo_epi64(high01, high23);
    a[3] = _mm256_unpackhi_epi64(high01, high23);
}

static inline vec load_two(const uint8_t *low, const uint8_t *high) {
    __m128i a = _mm_loadu_si128((const __m128i *)low), b = _mm_loadu_si128((const __m128i *)high);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
}

// Inputs four apart come in pairs, so that loading does part of the transposing.
static inline __attribute__((always_inline)) void load_blocks(const uint8_t *const *inputs, size_t offset, vec *m) {
    for (size_t w = 0; w < 16; w += 4) {
        vec rows[4];
        for (size_t i = 0; i < 4; i++)
            rows[i] = load_two(inputs[i] + offset + 4 * w, inputs[i + 4] + offset + 4 * w);
        transpose_squares(rows);
        for (size_t i = 0; i < 4; i++)
            m[w + i] = rows[i];
    }
    // The chunks that most likely come next, one a lane: too many streams for the processor to see. It may be no
    // memory at all, which a hint does not mind.
    for (size_t i = 0; i < LANES; i++)
        _mm_prefetch((const char *)((uintptr_t)inputs[i] + offset + LANES * BLAKE3_CHUNK), _MM_HINT_T0);
}

static inline void store_cvs(vec *cv, uint8_t *out) {
    transpose_squares(cv);
    transpose_squares(cv + 4);
    for (size_t i = 0; i < 4; i++) {
        vec low = _mm256_permute2x128_si256(cv[i], cv[i + 4], 0x20);
        vec high = _mm256_permute2x128_si256(cv[i], cv[i + 4], 0x31);
        _mm256_storeu_si256((__m256i *)(out + BLAKE3_LEN * i), low);
        _mm256_storeu_si256((__m256i *)(out + BLAKE3_LEN * (i + 4)), high);
    }
}

#endif
