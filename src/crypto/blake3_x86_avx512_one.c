// The compression function with the rotations of AVX-512.
#include <immintrin.h>

#include "crypto/blake3_x86.h"

typedef __m128i row;

static inline row row_ror16(row a) {
    return _mm_ror_epi32(a, 16);
}

static inline row row_ror12(row a) {
    return _mm_ror_epi32(a, 12);
}

static inline row row_ror8(row a) {
    return _mm_ror_epi32(a, 8);
}

static inline row row_ror7(row a) {
    return _mm_ror_epi32(a, 7);
}

#include "crypto/blake3_x86_rows_one.h"

void blake3_compress_avx512(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK], uint32_t len, uint64_t counter,
                            uint32_t flags, uint32_t out[8], uint32_t *rest) {
    compress_rows(cv, block, len, counter, flags, out, rest);
}
