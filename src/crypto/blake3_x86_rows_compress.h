// The compression function on the rows of blake3_x86_rows_one.h.
#ifndef CRYPTO_BLAKE3_X86_ROWS_COMPRESS_H
#define CRYPTO_BLAKE3_X86_ROWS_COMPRESS_H

#include "crypto/blake3_x86_rows.h"

BLAKE3_INLINE void rows_finish(const row_state *s, const uint32_t *cv, uint32_t *out, uint32_t *rest) {
    if (rest != NULL) {
        _mm_storeu_si128((__m128i *)rest, _mm_xor_si128(s->c, row_all(cv)));
        _mm_storeu_si128((__m128i *)(rest + 4), _mm_xor_si128(s->d, row_all(cv + 4)));
    }
    _mm_storeu_si128((__m128i *)out, _mm_xor_si128(s->a, s->c));
    _mm_storeu_si128((__m128i *)(out + 4), _mm_xor_si128(s->b, s->d));
}

BLAKE3_INLINE void compress_rows(const uint32_t *cv, const uint8_t *block, uint32_t len, uint64_t counter,
                                 uint32_t flags, uint32_t *out, uint32_t *rest) {
    const uint32_t low = (uint32_t)counter, high = (uint32_t)(counter >> 32);
    row_state s = {row_all(cv), row_all(cv + 4), row_all(blake3_iv), row_counters(&low, &high, len, flags)};
    row m[4];
    load_rows(&block, 0, m);
    row_words w = rows_words(m[0], m[1], m[2], m[3]);
    rounds_of_one(&s, &w);
    rows_finish(&s, cv, out, rest);
}

#endif
