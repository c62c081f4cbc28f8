// Two inputs in the rows of 256-bit vectors, with the rotations of AVX-512.
#include "crypto/blake3_x86.h"
#include "crypto/blake3_x86_rows_two.h"

// It is `b` that is waited for: a shift and an operation on three registers take two cycles, an operation on two and a
// rotation take three on some processors. The register that is overwritten is named here, for the result comes later when
// compilers choose that of the rotation.
static inline row xor3(row shifted, row other, row rotated) {
    __asm__("vpternlogd $0x96,%2,%1,%0" : "+v"(shifted) : "v"(other), "v"(rotated));
    return shifted;
}

static inline row row_xor_ror16(row a, row b) {
    row rotated = _mm256_ror_epi32(a, 16);
    return xor3(_mm256_slli_epi32(b, 16), _mm256_srli_epi32(b, 16), rotated);
}

static inline row row_xor_ror12(row a, row b) {
    row rotated = _mm256_ror_epi32(a, 12);
    return xor3(_mm256_slli_epi32(b, 20), _mm256_srli_epi32(b, 12), rotated);
}

static inline row row_xor_ror8(row a, row b) {
    row rotated = _mm256_ror_epi32(a, 8);
    return xor3(_mm256_slli_epi32(b, 24), _mm256_srli_epi32(b, 8), rotated);
}

static inline row row_xor_ror7(row a, row b) {
    row rotated = _mm256_ror_epi32(a, 7);
    return xor3(_mm256_slli_epi32(b, 25), _mm256_srli_epi32(b, 7), rotated);
}

#include "crypto/blake3_x86_rows_many.h"

void blake3_kernel_avx512_rows2(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                                const uint32_t *counters_high, uint8_t *out) {
    run_rows(job, inputs, counters_low, counters_high, out, 1, rounds_of_one);
}
