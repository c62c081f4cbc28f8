// What the x86 rows are made of; each kernel is in a file with the flags of its instruction set.
#ifndef CRYPTO_BLAKE3_X86_H
#define CRYPTO_BLAKE3_X86_H

#include "crypto/blake3_rows.h"

// Names a value in a vector register as used here and now; see blake3_lanes_c.h.
#define SUM_FIRST(sum) __asm__("" : "+v"(sum))

blake3_compress blake3_compress_sse41;
blake3_compress blake3_compress_avx512;

// Inputs side by side, as many as the name ends with.
blake3_kernel blake3_kernel_sse41_4;
blake3_kernel blake3_kernel_avx2_8;
blake3_kernel blake3_kernel_avx512_8;
blake3_kernel blake3_kernel_avx512_16;

// The same with rows instead of lanes, for few inputs.
blake3_kernel blake3_kernel_sse41_rows2;
blake3_kernel blake3_kernel_avx2_rows2;
blake3_kernel blake3_kernel_avx2_rows4;
blake3_kernel blake3_kernel_avx512_rows2;
blake3_kernel blake3_kernel_avx512_rows4;

#endif
