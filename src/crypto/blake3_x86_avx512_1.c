// The compression function with AVX-512: rotations in one instruction, and the sixteen message words in one register that
// one instruction permutes for the next round.
#include <immintrin.h>

#include "crypto/blake3_x86.h"

static inline __m128i vec_ror16(__m128i a) {
    return _mm_ror_epi32(a, 16);
}

static inline __m128i vec_ror12(__m128i a) {
    return _mm_ror_epi32(a, 12);
}

static inline __m128i vec_ror8(__m128i a) {
    return _mm_ror_epi32(a, 8);
}

static inline __m128i vec_ror7(__m128i a) {
    return _mm_ror_epi32(a, 7);
}

#include "crypto/blake3_x86_rows.h"

ROW_INLINE row_words quarters(__m512i m) {
    row_words w = {
        .x = _mm512_castsi512_si128(m),
        .y = _mm512_extracti32x4_epi32(m, 1),
        .dx = _mm512_extracti32x4_epi32(m, 2),
        .dy = _mm512_extracti32x4_epi32(m, 3),
    };
    return w;
}

void blake3_compress_avx512(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK], uint32_t len, uint64_t counter,
                            uint32_t flags, uint32_t out[16]) {
    // From the order of the message to that of the first round, and from each round to the next (row_words).
    const __m512i first = _mm512_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7, 14, 8, 10, 12, 15, 9, 11, 13);
    const __m512i next = _mm512_setr_epi32(1, 5, 7, 2, 3, 10, 0, 15, 12, 4, 11, 13, 9, 14, 6, 8);
    row_state s = rows_start(cv, len, counter, flags);
    __m512i m = _mm512_permutexvar_epi32(first, _mm512_loadu_si512(block));
    row_words w = quarters(m);
    mix_rows(&s, &w);
    for (int round = 1; round < ROW_ROUNDS; round++) {
        m = _mm512_permutexvar_epi32(next, m);
        w = quarters(m);
        mix_rows(&s, &w);
    }
    rows_finish(&s, cv, out);
}
