// Four inputs in two states of rows of 256-bit vectors, with the rotations and the 32 registers of AVX-512.
#include "crypto/blake3_x86.h"
#include "crypto/blake3_x86_rows_two.h"

static inline row row_xor_ror16(row a, row b) {
    return _mm256_ror_epi32(row_xor(a, b), 16);
}

static inline row row_xor_ror12(row a, row b) {
    return _mm256_ror_epi32(row_xor(a, b), 12);
}

static inline row row_xor_ror8(row a, row b) {
    return _mm256_ror_epi32(row_xor(a, b), 8);
}

static inline row row_xor_ror7(row a, row b) {
    return _mm256_ror_epi32(row_xor(a, b), 7);
}

#include "crypto/blake3_x86_rows_many.h"

void blake3_kernel_avx512_rows4(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                                const uint32_t *counters_high, uint8_t *out) {
    run_rows(job, inputs, counters_low, counters_high, out, 2, rounds_of_two);
}
