// Two inputs in the rows of 256-bit vectors, with the rotations of AVX-512.
#include <immintrin.h>

#include "crypto/blake3_x86.h"

typedef __m256i row;

static inline row row_ror16(row a) {
    return _mm256_ror_epi32(a, 16);
}

static inline row row_ror12(row a) {
    return _mm256_ror_epi32(a, 12);
}

static inline row row_ror8(row a) {
    return _mm256_ror_epi32(a, 8);
}

static inline row row_ror7(row a) {
    return _mm256_ror_epi32(a, 7);
}

#include "crypto/blake3_x86_rows_two.h"

#include "crypto/blake3_x86_rows_many.h"

void blake3_kernel_avx512_rows2(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                                const uint32_t *counters_high, uint8_t *out) {
    run_rows(job, inputs, counters_low, counters_high, out, 1, rows_rounds);
}
