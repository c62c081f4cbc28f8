// The rows for processors without a variant of their own.
#include "crypto/blake3_rows.h"

const blake3_variant blake3_variants[] = {
    {.name = "generic",
     .usable = blake3_always,
     .compress = blake3_compress_generic,
     .kernels = {{1, blake3_kernel_generic}}},
};

const size_t blake3_variant_count = sizeof blake3_variants / sizeof *blake3_variants;
