// Four inputs side by side with the 128-bit form of AVX-512, and the compression function with its rotations.
#include "crypto/blake3_x86.h"
#include "crypto/blake3_x86_wide4.h"

static inline vec vec_ror16(vec a) {
    return _mm_ror_epi32(a, 16);
}

static inline vec vec_ror12(vec a) {
    return _mm_ror_epi32(a, 12);
}

static inline vec vec_ror8(vec a) {
    return _mm_ror_epi32(a, 8);
}

static inline vec vec_ror7(vec a) {
    return _mm_ror_epi32(a, 7);
}

#define REGISTERS 32
#include "crypto/blake3_lanes.h"
#include "crypto/blake3_x86_rows.h"

void blake3_kernel_avx512_4(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                            const uint32_t *counters_high, uint8_t *out) {
    run_lanes(job, inputs, counters_low, counters_high, out);
}

void blake3_compress_avx512(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK], uint32_t len, uint64_t counter,
                            uint32_t flags, uint32_t out[8], uint32_t *rest) {
    compress_rows(cv, block, len, counter, flags, out, rest);
}
