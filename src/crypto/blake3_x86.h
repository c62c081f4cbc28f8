// What the x86 rows are made of; each kernel is in a file with the flags of its instruction set.
#ifndef CRYPTO_BLAKE3_X86_H
#define CRYPTO_BLAKE3_X86_H

#include "crypto/blake3_rows.h"

// Names a value in a vector register as used here and now; see blake3_lanes.h.
#define SUM_FIRST(sum) __asm__("" : "+v"(sum))

blake3_compress blake3_compress_sse41;
blake3_compress blake3_compress_avx512;
blake3_kernel blake3_kernel_sse41;      // 4 lanes
blake3_kernel blake3_kernel_avx2;       // 8 lanes
blake3_kernel blake3_kernel_avx512_4;   // 4 lanes
blake3_kernel blake3_kernel_avx512_8;   // 8 lanes: rotations and twice the registers of AVX2
blake3_kernel blake3_kernel_avx512_16;  // 16 lanes

#endif
