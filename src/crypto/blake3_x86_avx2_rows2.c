// Two inputs in the rows of 256-bit vectors with AVX2, or four in two such states.
#include "crypto/blake3_x86.h"
#include "crypto/blake3_x86_rows_two.h"

static inline row row_xor_ror16(row a, row b) {
    a = row_xor(a, b);
    return _mm256_shuffle_epi8(a, _mm256_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2, 13, 12, 15, 14,
                                                  9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2));
}

static inline row row_xor_ror12(row a, row b) {
    a = row_xor(a, b);
    return _mm256_or_si256(_mm256_srli_epi32(a, 12), _mm256_slli_epi32(a, 20));
}

static inline row row_xor_ror8(row a, row b) {
    a = row_xor(a, b);
    return _mm256_shuffle_epi8(a, _mm256_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1, 12, 15, 14, 13,
                                                  8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1));
}

static inline row row_xor_ror7(row a, row b) {
    a = row_xor(a, b);
    return _mm256_or_si256(_mm256_srli_epi32(a, 7), _mm256_slli_epi32(a, 25));
}

#define WIDTH 32
#include "crypto/blake3_x86_rows_pair.h"

#include "crypto/blake3_x86_rows_many.h"

void blake3_kernel_avx2_rows2(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                              const uint32_t *counters_high, uint8_t *out) {
    run_rows(job, inputs, counters_low, counters_high, out, 1, rounds_of_one);
}

void blake3_kernel_avx2_rows4(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                              const uint32_t *counters_high, uint8_t *out) {
    run_rows(job, inputs, counters_low, counters_high, out, 2, pair_rounds);
}
