// The rounds of two states of rows, step by step and in the text of the assembler: the processor always has one that need
// not wait, and with sixteen registers for both compilers move more to and fro, by ways that are waited for. The rows are in
// registers 0 to 3 and 4 to 7. The words of a round are in memory; those of the next are made of them amid the steps.
#ifndef CRYPTO_BLAKE3_X86_ROWS_PAIR_H
#define CRYPTO_BLAKE3_X86_ROWS_PAIR_H

#include "crypto/blake3_x86_rows.h"
#include "crypto/blake3_x86_text.h"

#define ROWS_0 V(0), V(1), V(2), V(3)
#define ROWS_1 V(4), V(5), V(6), V(7)

// Words x, y, dx, dy of the first state, then of the second.
#define EVEN(i) TEXT(WIDTH) "*" #i "(%[even])"
#define ODD(i) TEXT(WIDTH) "*" #i "(%[odd])"

// clang-format off

#define ROW_STEP(...) ROW_STEP_OF(__VA_ARGS__)
#define ROW_STEP_OF(a, b, c, d, word, order, right, left) \
    ADD(word, a) ADD(b, a) XOR(a, d) SHUFFLE(order, d) ADD(d, c) XOR(c, b) ROTATE(b, right, left)

#define FIRST_STEP(x0, x1) ROW_STEP(ROWS_0, x0, "%[by16]", "12", "20") ROW_STEP(ROWS_1, x1, "%[by16]", "12", "20")
#define SECOND_STEP(y0, y1) ROW_STEP(ROWS_0, y0, "%[by8]", "7", "25") ROW_STEP(ROWS_1, y1, "%[by8]", "7", "25")

// Columns to diagonals and back.
#define ROW_TURN(...) ROW_TURN_OF(__VA_ARGS__)
#define ROW_TURN_OF(a, b, c, d, how_a, how_c) PERMUTE(how_a, a, a) PERMUTE(how_c, c, c) PERMUTE("0x4e", d, d)
#define TO_DIAGONALS ROW_TURN(ROWS_0, "0x93", "0x39") ROW_TURN(ROWS_1, "0x93", "0x39")
#define TO_COLUMNS ROW_TURN(ROWS_0, "0x39", "0x93") ROW_TURN(ROWS_1, "0x39", "0x93")

// What permuted() does, with the words of one state.
#define PERMUTED(x, y, dx, dy, next_x, next_y, next_dx, next_dy) \
    MOVE(x, V(9)) PERMUTE("0x0f", V(9), V(10)) SELECT("0xd9", y, V(9)) PERMUTE("0x78", V(9), V(9)) MOVE(V(9), next_x) \
    MOVE(dx, V(11)) PERMUTE("0x05", V(11), V(12)) \
    MOVE(V(11), V(13)) SELECT("0xfa", dy, V(13)) MIX_ODD(V(13), V(10)) MOVE(V(10), next_y) \
    MOVE(y, V(14)) SELECT("0xf0", V(11), V(14)) \
    PERMUTE("0x50", dy, V(15)) MIX_INNER(V(14), V(15)) MOVE(V(15), next_dx) \
    MOVE(dy, V(9)) SELECT("0xaa", y, V(9)) MIX_INNER(V(9), V(12)) MOVE(V(12), next_dy)

#define PAIR_ROUND(now, next) \
    FIRST_STEP(now(0), now(4)) \
    PERMUTED(now(0), now(1), now(2), now(3), next(0), next(1), next(2), next(3)) \
    SECOND_STEP(now(1), now(5)) \
    TO_DIAGONALS \
    FIRST_STEP(now(2), now(6)) \
    PERMUTED(now(4), now(5), now(6), now(7), next(4), next(5), next(6), next(7)) \
    SECOND_STEP(now(3), now(7)) \
    TO_COLUMNS

#define LAST_ROUND(now) \
    FIRST_STEP(now(0), now(4)) SECOND_STEP(now(1), now(5)) TO_DIAGONALS \
    FIRST_STEP(now(2), now(6)) SECOND_STEP(now(3), now(7)) TO_COLUMNS

// clang-format on

// `s` are two states, `w` their words of the first round.
BLAKE3_INLINE void pair_rounds(row_state *s, row_words *w) {
    register row a0 __asm__(NAME(0)) = s[0].a, b0 __asm__(NAME(1)) = s[0].b, c0 __asm__(NAME(2)) = s[0].c,
                    d0 __asm__(NAME(3)) = s[0].d, a1 __asm__(NAME(4)) = s[1].a, b1 __asm__(NAME(5)) = s[1].b,
                    c1 __asm__(NAME(6)) = s[1].c, d1 __asm__(NAME(7)) = s[1].d;
    row_words even[2] = {w[0], w[1]}, odd[2];
    int twice = (ROW_ROUNDS - 1) / 2;
    __asm__("1:\n" PAIR_ROUND(EVEN, ODD) PAIR_ROUND(ODD, EVEN) "subl $1,%[twice]\njnz 1b\n" LAST_ROUND(EVEN)
            : "+x"(a0), "+x"(b0), "+x"(c0), "+x"(d0), "+x"(a1), "+x"(b1), "+x"(c1), "+x"(d1), "+m"(even),
              "=m"(odd), [twice] "+r"(twice)
            : [even] "r"(even), [odd] "r"(odd), [by16] "m"(*(const row *)(const void *)by16),
              [by8] "m"(*(const row *)(const void *)by8)
            : NAME(8), NAME(9), NAME(10), NAME(11), NAME(12), NAME(13), NAME(14), NAME(15), "cc");
    s[0] = (row_state){a0, b0, c0, d0};
    s[1] = (row_state){a1, b1, c1, d1};
}

#endif
