// The compression function with the rotations of AVX-512.
#include "crypto/blake3_x86.h"
#include "crypto/blake3_x86_rows_one.h"

// It is `b` that is waited for: a shift and an operation on three registers take two cycles, an operation on two and a
// rotation take three on some processors. The register that is overwritten is named here, for the result comes later when
// compilers choose that of the rotation.
static inline row xor3(row shifted, row other, row rotated) {
    __asm__("vpternlogd $0x96,%2,%1,%0" : "+v"(shifted) : "v"(other), "v"(rotated));
    return shifted;
}

static inline row row_xor_ror16(row a, row b) {
    row rotated = _mm_ror_epi32(a, 16);
    return xor3(_mm_slli_epi32(b, 16), _mm_srli_epi32(b, 16), rotated);
}

static inline row row_xor_ror12(row a, row b) {
    row rotated = _mm_ror_epi32(a, 12);
    return xor3(_mm_slli_epi32(b, 20), _mm_srli_epi32(b, 12), rotated);
}

static inline row row_xor_ror8(row a, row b) {
    row rotated = _mm_ror_epi32(a, 8);
    return xor3(_mm_slli_epi32(b, 24), _mm_srli_epi32(b, 8), rotated);
}

static inline row row_xor_ror7(row a, row b) {
    row rotated = _mm_ror_epi32(a, 7);
    return xor3(_mm_slli_epi32(b, 25), _mm_srli_epi32(b, 7), rotated);
}

#include "crypto/blake3_x86_rows_compress.h"

void blake3_compress_avx512(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK], uint32_t len, uint64_t counter,
                            uint32_t flags, uint32_t out[8], uint32_t *rest) {
    compress_rows(cv, block, len, counter, flags, out, rest);
}
