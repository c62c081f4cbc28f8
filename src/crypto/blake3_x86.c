// The rows for x86-64, best first.
#include "crypto/blake3_x86.h"

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
}

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2");
}

static bool has_sse41(void) {
    return __builtin_cpu_supports("sse4.1");
}

const blake3_variant blake3_variants[] = {
    {.name = "avx512",
     .usable = has_avx512,
     .compress = blake3_compress_avx512,
     .kernels = {{16, blake3_kernel_avx512_16},
                 {8, blake3_kernel_avx512_8},
                 {4, blake3_kernel_avx512_rows4},
                 {2, blake3_kernel_avx512_rows2}}},
    {.name = "avx2",
     .usable = has_avx2,
     .compress = blake3_compress_sse41,
     .kernels = {{8, blake3_kernel_avx2_8}, {4, blake3_kernel_avx2_rows4}, {2, blake3_kernel_avx2_rows2}}},
    {.name = "sse41",
     .usable = has_sse41,
     .compress = blake3_compress_sse41,
     .kernels = {{4, blake3_kernel_sse41_4}, {2, blake3_kernel_sse41_rows2}}},
    {.name = "generic",
     .usable = blake3_always,
     .compress = blake3_compress_generic,
     .kernels = {{1, blake3_kernel_generic}}},
};

const size_t blake3_variant_count = sizeof blake3_variants / sizeof *blake3_variants;
