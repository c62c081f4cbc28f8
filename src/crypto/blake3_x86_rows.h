// The compression function with its sixteen words of state as four rows, for a single input. The including file has
// defined vec_ror16, vec_ror12, vec_ror8 and vec_ror7 on __m128i. SUM_FIRST is as in blake3_lanes.h.
#ifndef CRYPTO_BLAKE3_X86_ROWS_H
#define CRYPTO_BLAKE3_X86_ROWS_H

#include <immintrin.h>

#include "crypto/blake3_rows.h"

#define ROW_ROUNDS 7
#define ROW_INLINE static inline __attribute__((always_inline))

typedef struct row_state {
    __m128i a, b, c, d;
} row_state;

// The message words of a round as its four steps take them: words 0 2 4 6 and 1 3 5 7 for the columns; 14 8 10 12 and
// 15 9 11 13 for the diagonals, which are mixed with row b in place, as it is the one that is waited for.
typedef struct row_words {
    __m128i x, y, dx, dy;
} row_words;

// Two words of `a`, then two of `b`.
#define shuffle2(a, b, how) _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), (how)))

ROW_INLINE row_state rows_start(const uint32_t *cv, uint32_t len, uint64_t counter, uint32_t flags) {
    row_state s = {
        .a = _mm_loadu_si128((const __m128i *)cv),
        .b = _mm_loadu_si128((const __m128i *)(cv + 4)),
        .c = _mm_loadu_si128((const __m128i *)blake3_iv),
        .d = _mm_set_epi32((int)flags, (int)len, (int)(counter >> 32), (int)counter),
    };
    return s;
}

// The words of the first round.
ROW_INLINE row_words rows_words(const uint8_t *block) {
    __m128i m0 = _mm_loadu_si128((const __m128i *)block), m1 = _mm_loadu_si128((const __m128i *)(block + 16));
    __m128i m2 = _mm_loadu_si128((const __m128i *)(block + 32)), m3 = _mm_loadu_si128((const __m128i *)(block + 48));
    row_words w = {
        .x = shuffle2(m0, m1, _MM_SHUFFLE(2, 0, 2, 0)),
        .y = shuffle2(m0, m1, _MM_SHUFFLE(3, 1, 3, 1)),
        .dx = _mm_shuffle_epi32(shuffle2(m2, m3, _MM_SHUFFLE(2, 0, 2, 0)), _MM_SHUFFLE(2, 1, 0, 3)),
        .dy = _mm_shuffle_epi32(shuffle2(m2, m3, _MM_SHUFFLE(3, 1, 3, 1)), _MM_SHUFFLE(2, 1, 0, 3)),
    };
    return w;
}

ROW_INLINE void mix_step(row_state *s, __m128i x, __m128i y) {
    s->a = _mm_add_epi32(s->a, x);
    SUM_FIRST(s->a);
    s->a = _mm_add_epi32(s->a, s->b);
    s->d = vec_ror16(_mm_xor_si128(s->d, s->a));
    s->c = _mm_add_epi32(s->c, s->d);
    s->b = vec_ror12(_mm_xor_si128(s->b, s->c));
    s->a = _mm_add_epi32(s->a, y);
    SUM_FIRST(s->a);
    s->a = _mm_add_epi32(s->a, s->b);
    s->d = vec_ror8(_mm_xor_si128(s->d, s->a));
    s->c = _mm_add_epi32(s->c, s->d);
    s->b = vec_ror7(_mm_xor_si128(s->b, s->c));
}

ROW_INLINE void mix_rows(row_state *s, const row_words *w) {
    mix_step(s, w->x, w->y);
    s->a = _mm_shuffle_epi32(s->a, _MM_SHUFFLE(2, 1, 0, 3));
    s->c = _mm_shuffle_epi32(s->c, _MM_SHUFFLE(0, 3, 2, 1));
    s->d = _mm_shuffle_epi32(s->d, _MM_SHUFFLE(1, 0, 3, 2));
    mix_step(s, w->dx, w->dy);
    s->a = _mm_shuffle_epi32(s->a, _MM_SHUFFLE(0, 3, 2, 1));
    s->c = _mm_shuffle_epi32(s->c, _MM_SHUFFLE(2, 1, 0, 3));
    s->d = _mm_shuffle_epi32(s->d, _MM_SHUFFLE(1, 0, 3, 2));
}

ROW_INLINE void rows_finish(const row_state *s, const uint32_t *cv, uint32_t *out, uint32_t *rest) {
    if (rest != NULL) {
        __m128i cv_a = _mm_loadu_si128((const __m128i *)cv), cv_b = _mm_loadu_si128((const __m128i *)(cv + 4));
        _mm_storeu_si128((__m128i *)rest, _mm_xor_si128(s->c, cv_a));
        _mm_storeu_si128((__m128i *)(rest + 4), _mm_xor_si128(s->d, cv_b));
    }
    _mm_storeu_si128((__m128i *)out, _mm_xor_si128(s->a, s->c));
    _mm_storeu_si128((__m128i *)(out + 4), _mm_xor_si128(s->b, s->d));
}

// The next round's words from this one's.
ROW_INLINE row_words permuted(row_words w) {
    row_words next;
    next.x = _mm_shuffle_epi32(shuffle2(w.x, w.y, _MM_SHUFFLE(3, 1, 2, 1)), _MM_SHUFFLE(1, 3, 2, 0));
    next.y = _mm_blend_epi16(_mm_shuffle_epi32(w.x, _MM_SHUFFLE(0, 0, 3, 3)),
                             shuffle2(w.dx, w.dy, _MM_SHUFFLE(3, 3, 2, 2)), 0xcc);
    next.dx = _mm_blend_epi16(_mm_shuffle_epi32(w.dy, _MM_SHUFFLE(1, 1, 0, 0)),
                              shuffle2(w.y, w.dx, _MM_SHUFFLE(3, 3, 0, 0)), 0x3c);
    next.dy = _mm_blend_epi16(_mm_shuffle_epi32(w.dx, _MM_SHUFFLE(0, 0, 1, 1)),
                              shuffle2(w.dy, w.y, _MM_SHUFFLE(2, 2, 2, 2)), 0x3c);
    return next;
}

ROW_INLINE void compress_rows(const uint32_t *cv, const uint8_t *block, uint32_t len, uint64_t counter, uint32_t flags,
                              uint32_t *out, uint32_t *rest) {
    row_state s = rows_start(cv, len, counter, flags);
    row_words w = rows_words(block);
    mix_rows(&s, &w);
    for (int round = 1; round < ROW_ROUNDS; round++) {
        w = permuted(w);
        mix_rows(&s, &w);
    }
    rows_finish(&s, cv, out, rest);
}

#endif
