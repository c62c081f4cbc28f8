// Eight inputs side by side with AVX2.
#include "crypto/blake3_x86.h"
#include "crypto/blake3_x86_wide8.h"

static const uint8_t by16[32] __attribute__((aligned(32))) = {2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13,
                                                              2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13};
static const uint8_t by8[32] __attribute__((aligned(32))) = {1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12,
                                                             1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12};

// The shuffle of bytes with its order in memory: left to the compiler it would take a register, of which there is
// none left.
static inline vec shuffled(vec a, const uint8_t *order) {
    vec out;
    __asm__("vpshufb %2, %1, %0" : "=x"(out) : "x"(a), "m"(*(const vec *)(const void *)order));
    return out;
}

static inline vec vec_ror16(vec a) {
    return shuffled(a, by16);
}

static inline vec vec_ror12(vec a) {
    return _mm256_or_si256(_mm256_srli_epi32(a, 12), _mm256_slli_epi32(a, 20));
}

static inline vec vec_ror8(vec a) {
    return shuffled(a, by8);
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
