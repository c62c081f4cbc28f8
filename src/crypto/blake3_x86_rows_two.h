// Rows of two inputs in 256-bit vectors: all that blake3_x86_rows_many.h asks for but the rotations.
#ifndef CRYPTO_BLAKE3_X86_ROWS_TWO_H
#define CRYPTO_BLAKE3_X86_ROWS_TWO_H

#include <immintrin.h>

#include "crypto/blake3_rows.h"

typedef __m256i row;

#define ROW_INPUTS 2
#define ROW_SHUFFLE(a, how) _mm256_shuffle_epi32((a), (how))
#define ROW_SHUFFLE2(a, b, how)                                                                                        \
    _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), (how)))
#define ROW_ODD(a, b) _mm256_blend_epi32((a), (b), 0xaa)
#define ROW_INNER(a, b) _mm256_blend_epi32((a), (b), 0x66)

static inline row row_add(row a, row b) {
    return _mm256_add_epi32(a, b);
}

static inline row row_xor(row a, row b) {
    return _mm256_xor_si256(a, b);
}

static inline row row_each(__m128i words) {
    return _mm256_broadcastsi128_si256(words);
}

static inline row row_counters(const uint32_t *low, const uint32_t *high, uint32_t len, uint32_t flags) {
    return _mm256_set_epi32((int)flags, (int)len, (int)high[1], (int)low[1], (int)flags, (int)len, (int)high[0],
                            (int)low[0]);
}

static inline __attribute__((always_inline)) void load_rows(const uint8_t *const *inputs, size_t offset, row *m) {
    for (size_t i = 0; i < 2; i++) {
        row first = _mm256_loadu_si256((const __m256i *)(inputs[0] + offset + 32 * i));
        row second = _mm256_loadu_si256((const __m256i *)(inputs[1] + offset + 32 * i));
        m[2 * i] = _mm256_permute2x128_si256(first, second, 0x20);
        m[2 * i + 1] = _mm256_permute2x128_si256(first, second, 0x31);
    }
}

static inline void store_rows(row a, row b, uint8_t *out) {
    _mm256_storeu_si256((__m256i *)out, _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_storeu_si256((__m256i *)(out + BLAKE3_LEN), _mm256_permute2x128_si256(a, b, 0x31));
}

#endif
