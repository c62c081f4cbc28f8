// Eight inputs side by side with the 256-bit form of AVX-512, for what would leave half of sixteen lanes idle.
#include "crypto/blake3_x86.h"
#include "crypto/blake3_x86_wide8.h"

static inline vec vec_ror16(vec a) {
    return _mm256_ror_epi32(a, 16);
}

static inline vec vec_ror12(vec a) {
    return _mm256_ror_epi32(a, 12);
}

static inline vec vec_ror8(vec a) {
    return _mm256_ror_epi32(a, 8);
}

static inline vec vec_ror7(vec a) {
    return _mm256_ror_epi32(a, 7);
}

#include "crypto/blake3_lanes_c.h"

#include "crypto/blake3_lanes.h"

void blake3_kernel_avx512_8(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                            const uint32_t *counters_high, uint8_t *out) {
    run_lanes(job, inputs, counters_low, counters_high, out);
}
