// Eight inputs side by side with AVX2.
#include "crypto/blake3_x86.h"
#include "crypto/blake3_x86_wide8.h"

static inline vec vec_ror16(vec a) {
    return _mm256_shuffle_epi8(a, _mm256_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2, 13, 12, 15, 14,
                                                  9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2));
}

static inline vec vec_ror12(vec a) {
    return _mm256_or_si256(_mm256_srli_epi32(a, 12), _mm256_slli_epi32(a, 20));
}

static inline vec vec_ror8(vec a) {
    return _mm256_shuffle_epi8(a, _mm256_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1, 12, 15, 14, 13,
                                                  8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1));
}

static inline vec vec_ror7(vec a) {
    return _mm256_or_si256(_mm256_srli_epi32(a, 7), _mm256_slli_epi32(a, 25));
}

#define REGISTERS 16
#include "crypto/blake3_lanes.h"

void blake3_kernel_avx2(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                        const uint32_t *counters_high, uint8_t *out) {
    run_lanes(job, inputs, counters_low, counters_high, out);
}
