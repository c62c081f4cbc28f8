// BLAKE3 with the sixteen words of an input's state as four rows of 128 bits: fast for few inputs, where lanes would be
// idle in the other arrangement (blake3_lanes.h). A wider vector holds the same row of several inputs.
//
// The including file has defined `row`, ROW_INPUTS (inputs in a vector), and for each 128 bits: row_add, row_xor,
// row_xor_ror16(a, b), row_xor_ror12, row_xor_ror8 and row_xor_ror7 (a xor b, rotated; b is waited for longer than a) and
// row_each (the same for all inputs); and the macros ROW_SHUFFLE(a, how), ROW_SHUFFLE2(a, b, how) (two words of `a`, then
// two of `b`), ROW_ODD(a, b) (words 0 and 2 of `a`, 1 and 3 of `b`) and ROW_INNER(a, b) (0 and 3 of `a`, 1 and 2 of `b`).
// SUM_FIRST is as in blake3_lanes_c.h.
#ifndef CRYPTO_BLAKE3_X86_ROWS_H
#define CRYPTO_BLAKE3_X86_ROWS_H

#include <immintrin.h>

#include "crypto/blake3_rows.h"

#define ROW_ROUNDS 7

// The same four words for all inputs.
BLAKE3_INLINE row row_all(const uint32_t *words) {
    return row_each(_mm_loadu_si128((const __m128i *)words));
}

typedef struct row_state {
    row a, b, c, d;
} row_state;

// The message words of a round as its four steps take them: words 0 2 4 6 and 1 3 5 7 for the columns; 14 8 10 12 and
// 15 9 11 13 for the diagonals, which are mixed with row b in place, as it is the one that is waited for.
typedef struct row_words {
    row x, y, dx, dy;
} row_words;

// The words of the first round, from the rows of the message.
BLAKE3_INLINE row_words rows_words(row m0, row m1, row m2, row m3) {
    row_words w = {
        .x = ROW_SHUFFLE2(m0, m1, _MM_SHUFFLE(2, 0, 2, 0)),
        .y = ROW_SHUFFLE2(m0, m1, _MM_SHUFFLE(3, 1, 3, 1)),
        .dx = ROW_SHUFFLE(ROW_SHUFFLE2(m2, m3, _MM_SHUFFLE(2, 0, 2, 0)), _MM_SHUFFLE(2, 1, 0, 3)),
        .dy = ROW_SHUFFLE(ROW_SHUFFLE2(m2, m3, _MM_SHUFFLE(3, 1, 3, 1)), _MM_SHUFFLE(2, 1, 0, 3)),
    };
    return w;
}

BLAKE3_INLINE void first_step(row_state *s, row words) {
    s->a = row_add(s->a, words);
    SUM_FIRST(s->a);
    s->a = row_add(s->a, s->b);
    s->d = row_xor_ror16(s->d, s->a);
    s->c = row_add(s->c, s->d);
    s->b = row_xor_ror12(s->b, s->c);
}

BLAKE3_INLINE void second_step(row_state *s, row words) {
    s->a = row_add(s->a, words);
    SUM_FIRST(s->a);
    s->a = row_add(s->a, s->b);
    s->d = row_xor_ror8(s->d, s->a);
    s->c = row_add(s->c, s->d);
    s->b = row_xor_ror7(s->b, s->c);
}

BLAKE3_INLINE void to_diagonals(row_state *s) {
    s->a = ROW_SHUFFLE(s->a, _MM_SHUFFLE(2, 1, 0, 3));
    s->c = ROW_SHUFFLE(s->c, _MM_SHUFFLE(0, 3, 2, 1));
    s->d = ROW_SHUFFLE(s->d, _MM_SHUFFLE(1, 0, 3, 2));
}

BLAKE3_INLINE void to_columns(row_state *s) {
    s->a = ROW_SHUFFLE(s->a, _MM_SHUFFLE(0, 3, 2, 1));
    s->c = ROW_SHUFFLE(s->c, _MM_SHUFFLE(2, 1, 0, 3));
    s->d = ROW_SHUFFLE(s->d, _MM_SHUFFLE(1, 0, 3, 2));
}

// `sets` independent states step by step, so that the processor always has one that need not wait.
BLAKE3_INLINE void mix_rows(row_state *s, const row_words *w, size_t sets) {
    for (size_t i = 0; i < sets; i++)
        first_step(&s[i], w[i].x);
    for (size_t i = 0; i < sets; i++)
        second_step(&s[i], w[i].y);
    for (size_t i = 0; i < sets; i++)
        to_diagonals(&s[i]);
    for (size_t i = 0; i < sets; i++)
        first_step(&s[i], w[i].dx);
    for (size_t i = 0; i < sets; i++)
        second_step(&s[i], w[i].dy);
    for (size_t i = 0; i < sets; i++)
        to_columns(&s[i]);
}

// The next round's words from this one's.
BLAKE3_INLINE row_words permuted(row_words w) {
    row_words next;
    next.x = ROW_SHUFFLE(ROW_SHUFFLE2(w.x, w.y, _MM_SHUFFLE(3, 1, 2, 1)), _MM_SHUFFLE(1, 3, 2, 0));
    next.y = ROW_ODD(ROW_SHUFFLE(w.x, _MM_SHUFFLE(0, 0, 3, 3)), ROW_SHUFFLE2(w.dx, w.dy, _MM_SHUFFLE(3, 3, 2, 2)));
    next.dx = ROW_INNER(ROW_SHUFFLE(w.dy, _MM_SHUFFLE(1, 1, 0, 0)), ROW_SHUFFLE2(w.y, w.dx, _MM_SHUFFLE(3, 3, 0, 0)));
    next.dy = ROW_INNER(ROW_SHUFFLE(w.dx, _MM_SHUFFLE(0, 0, 1, 1)), ROW_SHUFFLE2(w.dy, w.y, _MM_SHUFFLE(2, 2, 2, 2)));
    return next;
}

BLAKE3_INLINE void rows_rounds(row_state *s, row_words *w, size_t sets) {
    mix_rows(s, w, sets);
    for (int round = 1; round < ROW_ROUNDS; round++) {
        for (size_t i = 0; i < sets; i++)
            w[i] = permuted(w[i]);
        mix_rows(s, w, sets);
    }
}

// One state is fast in any set of registers; two need more than sixteen, or blake3_x86_rows_pair.h.
BLAKE3_INLINE void rounds_of_one(row_state *s, row_words *w) {
    rows_rounds(s, w, 1);
}

BLAKE3_INLINE void rounds_of_two(row_state *s, row_words *w) {
    rows_rounds(s, w, 2);
}

#endif
