// Four inputs side by side with SSE4.1, and the compression function with its state in four rows.
#include "crypto/blake3_x86.h"
#include "crypto/blake3_x86_wide4.h"

static const uint8_t by16[16] __attribute__((aligned(16))) = {2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13};
static const uint8_t by8[16] __attribute__((aligned(16))) = {1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12};

// The shuffle of bytes with its order in memory: left to the compiler it would take a register, of which there is
// none left.
static inline vec shuffled(vec a, const uint8_t *order) {
    __asm__("pshufb %1, %0" : "+x"(a) : "m"(*(const vec *)(const void *)order));
    return a;
}

static inline vec vec_ror16(vec a) {
    return shuffled(a, by16);
}

static inline vec vec_ror12(vec a) {
    return _mm_or_si128(_mm_srli_epi32(a, 12), _mm_slli_epi32(a, 20));
}

static inline vec vec_ror8(vec a) {
    return shuffled(a, by8);
}

static inline vec vec_ror7(vec a) {
    return _mm_or_si128(_mm_srli_epi32(a, 7), _mm_slli_epi32(a, 25));
}

#define REGISTERS 16
#include "crypto/blake3_lanes.h"

typedef vec row;
#define row_ror16 vec_ror16
#define row_ror12 vec_ror12
#define row_ror8 vec_ror8
#define row_ror7 vec_ror7
#include "crypto/blake3_x86_rows_one.h"

void blake3_kernel_sse41(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                         const uint32_t *counters_high, uint8_t *out) {
    run_lanes(job, inputs, counters_low, counters_high, out);
}

void blake3_compress_sse41(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK], uint32_t len, uint64_t counter,
                           uint32_t flags, uint32_t out[8], uint32_t *rest) {
    compress_rows(cv, block, len, counter, flags, out, rest);
}

void blake3_kernel_sse41_rows2(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                               const uint32_t *counters_high, uint8_t *out) {
    run_rows(job, inputs, counters_low, counters_high, out, 2);
}
