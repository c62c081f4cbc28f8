// Rows of one input in 128-bit vectors: all that blake3_x86_rows_many.h asks for but the rotations.
#ifndef CRYPTO_BLAKE3_X86_ROWS_ONE_H
#define CRYPTO_BLAKE3_X86_ROWS_ONE_H

#include <immintrin.h>

#include "crypto/blake3_rows.h"

typedef __m128i row;

#define ROW_INPUTS 1
#define ROW_SHUFFLE(a, how) _mm_shuffle_epi32((a), (how))
#define ROW_SHUFFLE2(a, b, how) _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), (how)))
#define ROW_ODD(a, b) _mm_blend_epi16((a), (b), 0xcc)
#define ROW_INNER(a, b) _mm_blend_epi16((a), (b), 0x3c)

static inline row row_add(row a, row b) {
    return _mm_add_epi32(a, b);
}

static inline row row_xor(row a, row b) {
    return _mm_xor_si128(a, b);
}

static inline row row_each(__m128i words) {
    return words;
}

static inline row row_counters(const uint32_t *low, const uint32_t *high, uint32_t len, uint32_t flags) {
    return _mm_set_epi32((int)flags, (int)len, (int)high[0], (int)low[0]);
}

static inline __attribute__((always_inline)) void load_rows(const uint8_t *const *inputs, size_t offset, row *m) {
    for (size_t i = 0; i < 4; i++)
        m[i] = _mm_loadu_si128((const __m128i *)(inputs[0] + offset + 16 * i));
}

static inline void store_rows(row a, row b, uint8_t *out) {
    _mm_storeu_si128((__m128i *)out, a);
    _mm_storeu_si128((__m128i *)(out + 16), b);
}

#endif
