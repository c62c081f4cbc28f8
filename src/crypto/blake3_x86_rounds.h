// The compression function over lanes where sixteen registers must hold the state and something to work with: one word of
// the state, v[8], has its place in memory. Left to themselves compilers move more to and fro, by ways that are waited for.
// Four chains of dependencies run side by side.
//
// The including file has defined WIDTH as for blake3_x86_text.h, and `vec`, a vector of that width.
#ifndef CRYPTO_BLAKE3_X86_ROUNDS_H
#define CRYPTO_BLAKE3_X86_ROUNDS_H

#include "crypto/blake3_rows.h"
#include "crypto/blake3_x86_text.h"

#define MESSAGE(i) TEXT(WIDTH) "*" #i "(%[m])"
#define TAIL(i) TEXT(WIDTH) "*(" #i "-8)(%[tail])"
#define FIRST "%[first]"  // v[8]

// clang-format off

// One step of four columns or diagonals, of the words a, b, c, d; c of the first is in memory.
#define STEP(a0, b0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3, x0, x1, x2, x3, order, right, left) \
    ADD(MESSAGE(x0), V(a0)) ADD(MESSAGE(x1), V(a1)) ADD(MESSAGE(x2), V(a2)) ADD(MESSAGE(x3), V(a3)) \
    ADD(V(b0), V(a0)) ADD(V(b1), V(a1)) ADD(V(b2), V(a2)) ADD(V(b3), V(a3)) \
    XOR(V(a0), V(d0)) XOR(V(a1), V(d1)) XOR(V(a2), V(d2)) XOR(V(a3), V(d3)) \
    MOVE(FIRST, HELP) \
    SHUFFLE(order, V(d0)) SHUFFLE(order, V(d1)) SHUFFLE(order, V(d2)) SHUFFLE(order, V(d3)) \
    ADD(V(d0), HELP) ADD(V(d1), V(c1)) ADD(V(d2), V(c2)) ADD(V(d3), V(c3)) \
    XOR(HELP, V(b0)) XOR(V(c1), V(b1)) XOR(V(c2), V(b2)) XOR(V(c3), V(b3)) \
    MOVE(HELP, FIRST) \
    ROTATE(V(b0), right, left) ROTATE(V(b1), right, left) ROTATE(V(b2), right, left) ROTATE(V(b3), right, left)

#define HALF(a0, b0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3, x0, y0, x1, y1, x2, y2, x3, y3) \
    STEP(a0, b0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3, x0, x1, x2, x3, "%[by16]", "12", "20") \
    STEP(a0, b0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3, y0, y1, y2, y3, "%[by8]", "7", "25")

#define COLUMNS(...) HALF(0, 4, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, __VA_ARGS__)

// The one with v[8] is the third of them.
#define DIAGONALS(x0, y0, x1, y1, x2, y2, x3, y3) \
    HALF(2, 7, 13, 3, 4, 9, 14, 0, 5, 10, 15, 1, 6, 11, 12, x2, y2, x3, y3, x0, y0, x1, y1)

// clang-format on

#define LOAD(i) MOVE(TAIL(i), V(i))
#define FINISH(i, j) XOR(V(j), V(i))

BLAKE3_INLINE void compress_lanes(vec *cv, const vec *m, const vec *tail) {
    register vec v0 __asm__(NAME(0)) = cv[0], v1 __asm__(NAME(1)) = cv[1], v2 __asm__(NAME(2)) = cv[2],
                    v3 __asm__(NAME(3)) = cv[3], v4 __asm__(NAME(4)) = cv[4], v5 __asm__(NAME(5)) = cv[5],
                    v6 __asm__(NAME(6)) = cv[6], v7 __asm__(NAME(7)) = cv[7];
    vec first = tail[0];
    __asm__(
        // clang-format off
        LOAD(9) LOAD(10) LOAD(11) LOAD(12) LOAD(13) LOAD(14) LOAD(15)
        COLUMNS(0, 1, 2, 3, 4, 5, 6, 7)
        DIAGONALS(8, 9, 10, 11, 12, 13, 14, 15)
        COLUMNS(2, 6, 3, 10, 7, 0, 4, 13)
        DIAGONALS(1, 11, 12, 5, 9, 14, 15, 8)
        COLUMNS(3, 4, 10, 12, 13, 2, 7, 14)
        DIAGONALS(6, 5, 9, 0, 11, 15, 8, 1)
        COLUMNS(10, 7, 12, 9, 14, 3, 13, 15)
        DIAGONALS(4, 0, 11, 2, 5, 8, 1, 6)
        COLUMNS(12, 13, 9, 11, 15, 10, 14, 8)
        DIAGONALS(7, 2, 5, 3, 0, 1, 6, 4)
        COLUMNS(9, 14, 11, 5, 8, 12, 15, 1)
        DIAGONALS(13, 3, 0, 10, 2, 6, 4, 7)
        COLUMNS(11, 15, 5, 0, 1, 9, 8, 6)
        DIAGONALS(14, 10, 2, 12, 3, 4, 7, 13)
        XOR(FIRST, V(0)) FINISH(1, 9) FINISH(2, 10) FINISH(3, 11)
        FINISH(4, 12) FINISH(5, 13) FINISH(6, 14) FINISH(7, 15)
        // clang-format on
        : "+x"(v0), "+x"(v1), "+x"(v2), "+x"(v3), "+x"(v4), "+x"(v5), "+x"(v6), "+x"(v7), [first] "+m"(first)
        : [tail] "r"(tail), [m] "r"(m), "m"(*(const vec(*)[8])tail), "m"(*(const vec(*)[16])m),
          [by16] "m"(*(const vec *)(const void *)by16), [by8] "m"(*(const vec *)(const void *)by8)
        : NAME(8), NAME(9), NAME(10), NAME(11), NAME(12), NAME(13), NAME(14), NAME(15));
    cv[0] = v0;
    cv[1] = v1;
    cv[2] = v2;
    cv[3] = v3;
    cv[4] = v4;
    cv[5] = v5;
    cv[6] = v6;
    cv[7] = v7;
}

#endif
