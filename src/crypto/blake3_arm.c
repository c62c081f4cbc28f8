// The rows for AArch64, where NEON is always there.
#include "crypto/blake3_rows.h"

blake3_kernel blake3_kernel_neon;  // 4 lanes

const blake3_variant blake3_variants[] = {
    {.name = "neon",
     .usable = blake3_always,
     .compress = blake3_compress_generic,
     .kernels = {{4, blake3_kernel_neon}}},
    {.name = "generic",
     .usable = blake3_always,
     .compress = blake3_compress_generic,
     .kernels = {{1, blake3_kernel_generic}}},
};

const size_t blake3_variant_count = sizeof blake3_variants / sizeof *blake3_variants;
