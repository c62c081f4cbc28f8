// Four lanes in 128-bit vectors: all that a kernel needs but the compression function.
#ifndef CRYPTO_BLAKE3_X86_WIDE4_H
#define CRYPTO_BLAKE3_X86_WIDE4_H

#include <immintrin.h>

#include "crypto/blake3_rows.h"

#define LANES 4
typedef __m128i vec;

static inline vec vec_all(uint32_t w) {
    return _mm_set1_epi32((int)w);
}

static inline vec vec_load(const uint32_t *words) {
    return _mm_loadu_si128((const __m128i *)words);
}

static inline void transpose(vec *a) {
    vec low01 = _mm_unpacklo_epi32(a[0], a[1]), high01 = _mm_unpackhi_epi32(a[0], a[1]);
    vec low23 = _mm_unpacklo_epi32(a[2], a[3]), high23 = _mm_unpackhi_epi32(a[2], a[3]);
    a[0] = _mm_unpacklo_epi64(low01, low23);
    a[1] = _mm_unpackhi_epi64(low01, low23);
    a[2] = _mm_unpacklo_epi64(high01, high23);
    a[3] = _mm_unpackhi_epi64(high01, high23);
}

static inline void load_blocks(const uint8_t *const *inputs, size_t offset, vec *m) {
    for (size_t w = 0; w < 16; w += LANES) {
        vec rows[LANES];
        for (size_t i = 0; i < LANES; i++)
            rows[i] = _mm_loadu_si128((const __m128i *)(inputs[i] + offset + 4 * w));
        transpose(rows);
        for (size_t i = 0; i < LANES; i++)
            m[w + i] = rows[i];
    }
    // The chunks that most likely come next, one a lane. It may be no memory at all, which a hint does not mind.
    for (size_t i = 0; i < LANES; i++)
        _mm_prefetch((const char *)((uintptr_t)inputs[i] + offset + LANES * BLAKE3_CHUNK), _MM_HINT_T0);
}

static inline void store_cvs(vec *cv, uint8_t *out) {
    transpose(cv);
    transpose(cv + 4);
    for (size_t i = 0; i < LANES; i++) {
        _mm_storeu_si128((__m128i *)(out + BLAKE3_LEN * i), cv[i]);
        _mm_storeu_si128((__m128i *)(out + BLAKE3_LEN * i + 16), cv[i + 4]);
    }
}

#endif
