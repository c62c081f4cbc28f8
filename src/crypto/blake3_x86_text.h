// Operations on vector registers as text of the assembler, for rounds that compilers would fill with moves. The including
// file has defined WIDTH, the bytes of a vector: 16 for SSE4.1 or 32 for AVX2.
//
// NAME(i) is register i. ADD, XOR, SHUFFLE (bytes to where `order` says), SELECT (two words of `to`, then two of `from`),
// MIX_ODD (words 1 and 3 from `from`) and MIX_INNER (1 and 2) change `to`; MOVE and PERMUTE (words to where `how` says)
// write it. `from` and `order` may be in memory. ROTATE needs register 8 to help.
#ifndef CRYPTO_BLAKE3_X86_TEXT_H
#define CRYPTO_BLAKE3_X86_TEXT_H

#include <stdint.h>

#define TEXT(x) TEXT_OF(x)
#define TEXT_OF(x) #x
#define V(i) "%%" NAME(i)
#define HELP V(8)

// clang-format off
#if WIDTH == 16
#define NAME(i) "xmm" #i
#define ADD(from, to) "paddd " from "," to "\n"
#define XOR(from, to) "pxor " from "," to "\n"
#define SHUFFLE(order, to) "pshufb " order "," to "\n"
#define MOVE(from, to) "movdqa " from "," to "\n"
#define ROTATE(v, right, left) \
    MOVE(v, HELP) "psrld $" right "," HELP "\npslld $" left "," v "\npor " HELP "," v "\n"
#define PERMUTE(how, from, to) "pshufd $" how "," from "," to "\n"
#define SELECT(how, from, to) "shufps $" how "," from "," to "\n"
#define MIX_ODD(from, to) "pblendw $0xcc," from "," to "\n"
#define MIX_INNER(from, to) "pblendw $0x3c," from "," to "\n"
#else
#define NAME(i) "ymm" #i
#define ADD(from, to) "vpaddd " from "," to "," to "\n"
#define XOR(from, to) "vpxor " from "," to "," to "\n"
#define SHUFFLE(order, to) "vpshufb " order "," to "," to "\n"
#define MOVE(from, to) "vmovdqa " from "," to "\n"
#define ROTATE(v, right, left) \
    "vpsrld $" right "," v "," HELP "\nvpslld $" left "," v "," v "\nvpor " HELP "," v "," v "\n"
#define PERMUTE(how, from, to) "vpshufd $" how "," from "," to "\n"
#define SELECT(how, from, to) "vshufps $" how "," from "," to "," to "\n"
#define MIX_ODD(from, to) "vpblendd $0xaa," from "," to "," to "\n"
#define MIX_INNER(from, to) "vpblendd $0x66," from "," to "," to "\n"
#endif
// clang-format on

// Bytes to where rotations by 16 and by 8 bits bring them.
static const uint8_t by16[32] __attribute__((aligned(32))) = {2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13,
                                                              2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13};
static const uint8_t by8[32] __attribute__((aligned(32))) = {1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12,
                                                             1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12};

#endif
