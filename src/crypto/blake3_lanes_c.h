// The compression function over lanes in C, for processors with 32 registers: everything is inlined with constant indices,
// so that state and message live in them. The including file has defined vec_add, vec_xor, vec_ror16, vec_ror12, vec_ror8
// and vec_ror7.
//
// SUM_FIRST, of the kind of processor, keeps compilers from turning sums round: the message is added to the state
// first, because the other summand is still being computed.
#ifndef CRYPTO_BLAKE3_LANES_C_H
#define CRYPTO_BLAKE3_LANES_C_H

#include "crypto/blake3_rows.h"

// All four columns (diagonal 0) or all four diagonals (diagonal 1) step by step, which keeps their chains of dependencies
// side by side.
#define B(i) v[4 + ((i) + diagonal) % 4]
#define C(i) v[8 + ((i) + 2 * diagonal) % 4]
#define D(i) v[12 + ((i) + 3 * diagonal) % 4]

BLAKE3_INLINE void add_message(vec *v, const vec *m, unsigned diagonal, unsigned x0, unsigned x1, unsigned x2,
                               unsigned x3) {
    v[0] = vec_add(v[0], m[x0]);
    v[1] = vec_add(v[1], m[x1]);
    v[2] = vec_add(v[2], m[x2]);
    v[3] = vec_add(v[3], m[x3]);
    SUM_FIRST(v[0]);
    SUM_FIRST(v[1]);
    SUM_FIRST(v[2]);
    SUM_FIRST(v[3]);
    v[0] = vec_add(v[0], B(0));
    v[1] = vec_add(v[1], B(1));
    v[2] = vec_add(v[2], B(2));
    v[3] = vec_add(v[3], B(3));
    D(0) = vec_xor(D(0), v[0]);
    D(1) = vec_xor(D(1), v[1]);
    D(2) = vec_xor(D(2), v[2]);
    D(3) = vec_xor(D(3), v[3]);
}

BLAKE3_INLINE void add_and_xor(vec *v, unsigned diagonal) {
    C(0) = vec_add(C(0), D(0));
    C(1) = vec_add(C(1), D(1));
    C(2) = vec_add(C(2), D(2));
    C(3) = vec_add(C(3), D(3));
    B(0) = vec_xor(B(0), C(0));
    B(1) = vec_xor(B(1), C(1));
    B(2) = vec_xor(B(2), C(2));
    B(3) = vec_xor(B(3), C(3));
}

BLAKE3_INLINE void mix_four(vec *v, const vec *m, unsigned diagonal, unsigned x0, unsigned y0, unsigned x1, unsigned y1,
                            unsigned x2, unsigned y2, unsigned x3, unsigned y3) {
    add_message(v, m, diagonal, x0, x1, x2, x3);
    D(0) = vec_ror16(D(0));
    D(1) = vec_ror16(D(1));
    D(2) = vec_ror16(D(2));
    D(3) = vec_ror16(D(3));
    add_and_xor(v, diagonal);
    B(0) = vec_ror12(B(0));
    B(1) = vec_ror12(B(1));
    B(2) = vec_ror12(B(2));
    B(3) = vec_ror12(B(3));
    add_message(v, m, diagonal, y0, y1, y2, y3);
    D(0) = vec_ror8(D(0));
    D(1) = vec_ror8(D(1));
    D(2) = vec_ror8(D(2));
    D(3) = vec_ror8(D(3));
    add_and_xor(v, diagonal);
    B(0) = vec_ror7(B(0));
    B(1) = vec_ror7(B(1));
    B(2) = vec_ror7(B(2));
    B(3) = vec_ror7(B(3));
}

#undef B
#undef C
#undef D

BLAKE3_INLINE void mix_all(vec *v, const vec *m) {
    mix_four(v, m, 0, 0, 1, 2, 3, 4, 5, 6, 7);
    mix_four(v, m, 1, 8, 9, 10, 11, 12, 13, 14, 15);
    mix_four(v, m, 0, 2, 6, 3, 10, 7, 0, 4, 13);
    mix_four(v, m, 1, 1, 11, 12, 5, 9, 14, 15, 8);
    mix_four(v, m, 0, 3, 4, 10, 12, 13, 2, 7, 14);
    mix_four(v, m, 1, 6, 5, 9, 0, 11, 15, 8, 1);
    mix_four(v, m, 0, 10, 7, 12, 9, 14, 3, 13, 15);
    mix_four(v, m, 1, 4, 0, 11, 2, 5, 8, 1, 6);
    mix_four(v, m, 0, 12, 13, 9, 11, 15, 10, 14, 8);
    mix_four(v, m, 1, 7, 2, 5, 3, 0, 1, 6, 4);
    mix_four(v, m, 0, 9, 14, 11, 5, 8, 12, 15, 1);
    mix_four(v, m, 1, 13, 3, 0, 10, 2, 6, 4, 7);
    mix_four(v, m, 0, 11, 15, 5, 0, 1, 9, 8, 6);
    mix_four(v, m, 1, 14, 10, 2, 12, 3, 4, 7, 13);
}

BLAKE3_INLINE void compress_lanes(vec *cv, const vec *m, const vec *tail) {
    vec v[16] = {cv[0],   cv[1],   cv[2],   cv[3],   cv[4],   cv[5],   cv[6],   cv[7],
                 tail[0], tail[1], tail[2], tail[3], tail[4], tail[5], tail[6], tail[7]};
    mix_all(v, m);
    for (size_t i = 0; i < 8; i++)
        cv[i] = vec_xor(v[i], v[i + 8]);
}

#endif
