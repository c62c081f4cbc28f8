// Four inputs side by side with SSE4.1; two in rows; and the compression function.
#include "crypto/blake3_x86.h"
#include "crypto/blake3_x86_wide4.h"

#define WIDTH 16
#include "crypto/blake3_x86_rounds.h"

#include "crypto/blake3_lanes.h"

#include "crypto/blake3_x86_rows_one.h"

static inline row shuffled(row a, const uint8_t *order) {
    return _mm_shuffle_epi8(a, *(const row *)(const void *)order);
}

static inline row row_xor_ror16(row a, row b) {
    a = row_xor(a, b);
    return shuffled(a, by16);
}

static inline row row_xor_ror12(row a, row b) {
    a = row_xor(a, b);
    return _mm_or_si128(_mm_srli_epi32(a, 12), _mm_slli_epi32(a, 20));
}

static inline row row_xor_ror8(row a, row b) {
    a = row_xor(a, b);
    return shuffled(a, by8);
}

static inline row row_xor_ror7(row a, row b) {
    a = row_xor(a, b);
    return _mm_or_si128(_mm_srli_epi32(a, 7), _mm_slli_epi32(a, 25));
}

#include "crypto/blake3_x86_rows_compress.h"
#include "crypto/blake3_x86_rows_many.h"
#include "crypto/blake3_x86_rows_pair.h"

void blake3_kernel_sse41_4(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                           const uint32_t *counters_high, uint8_t *out) {
    run_lanes(job, inputs, counters_low, counters_high, out);
}

void blake3_compress_sse41(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK], uint32_t len, uint64_t counter,
                           uint32_t flags, uint32_t out[8], uint32_t *rest) {
    compress_rows(cv, block, len, counter, flags, out, rest);
}

void blake3_kernel_sse41_rows2(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                               const uint32_t *counters_high, uint8_t *out) {
    run_rows(job, inputs, counters_low, counters_high, out, 2, pair_rounds);
}
