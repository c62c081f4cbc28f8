// Sixteen inputs side by side with AVX-512: state and message fill its 32 registers exactly.
#include <immintrin.h>

#include "crypto/blake3_x86.h"

#define LANES 16
typedef __m512i vec;

static inline vec vec_add(vec a, vec b) {
    return _mm512_add_epi32(a, b);
}

static inline vec vec_xor(vec a, vec b) {
    return _mm512_xor_si512(a, b);
}

static inline vec vec_ror16(vec a) {
    return _mm512_ror_epi32(a, 16);
}

static inline vec vec_ror12(vec a) {
    return _mm512_ror_epi32(a, 12);
}

static inline vec vec_ror8(vec a) {
    return _mm512_ror_epi32(a, 8);
}

static inline vec vec_ror7(vec a) {
    return _mm512_ror_epi32(a, 7);
}

static inline vec vec_all(uint32_t w) {
    return _mm512_set1_epi32((int)w);
}

static inline vec vec_load(const uint32_t *words) {
    return _mm512_loadu_si512(words);
}

static inline vec load_two(const uint8_t *low, const uint8_t *high) {
    __m256i a = _mm256_loadu_si256((const __m256i *)low), b = _mm256_loadu_si256((const __m256i *)high);
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

// Transposes the four 4x4 squares side by side in four rows.
static inline __attribute__((always_inline)) void transpose_squares(vec *a) {
    vec low01 = _mm512_unpacklo_epi32(a[0], a[1]), high01 = _mm512_unpackhi_epi32(a[0], a[1]);
    vec low23 = _mm512_unpacklo_epi32(a[2], a[3]), high23 = _mm512_unpackhi_epi32(a[2], a[3]);
    a[0] = _mm512_unpacklo_epi64(low01, low23);
    a[1] = _mm512_unpackhi_epi64(low01, low23);
    a[2] = _mm512_unpacklo_epi64(high01, high23);
    a[3] = _mm512_unpackhi_epi64(high01, high23);
}

// One half of the blocks, eight words. Inputs four apart come in pairs, so that loading does part of the transposing.
static inline __attribute__((always_inline)) void load_half(const uint8_t *const *inputs, size_t offset, vec *m) {
    vec a[4], b[4];
    for (size_t i = 0; i < 4; i++) {
        a[i] = load_two(inputs[i] + offset, inputs[i + 4] + offset);
        b[i] = load_two(inputs[i + 8] + offset, inputs[i + 12] + offset);
    }
    transpose_squares(a);
    transpose_squares(b);
    for (size_t i = 0; i < 4; i++) {
        m[i] = _mm512_shuffle_i32x4(a[i], b[i], 0x88);
        m[i + 4] = _mm512_shuffle_i32x4(a[i], b[i], 0xdd);
    }
}

static inline __attribute__((always_inline)) void load_blocks(const uint8_t *const *inputs, size_t offset, vec *m) {
    load_half(inputs, offset, m);
    load_half(inputs, offset + 32, m + 8);
    // The chunks that most likely come next, one a lane: too many streams for the processor to see. It may be no
    // memory at all, which a hint does not mind.
    for (size_t i = 0; i < LANES; i++)
        _mm_prefetch((const char *)((uintptr_t)inputs[i] + offset + LANES * BLAKE3_CHUNK), _MM_HINT_T1);
}

static inline void store_quarter(uint8_t *out, __m128i low, __m128i high) {
    _mm_storeu_si128((__m128i *)out, low);
    _mm_storeu_si128((__m128i *)(out + 16), high);
}

static inline void store_cvs(vec *cv, uint8_t *out) {
    transpose_squares(cv);
    transpose_squares(cv + 4);
    for (size_t i = 0; i < 4; i++) {
        uint8_t *at = out + BLAKE3_LEN * i;
        store_quarter(at, _mm512_castsi512_si128(cv[i]), _mm512_castsi512_si128(cv[i + 4]));
        store_quarter(at + 4 * BLAKE3_LEN, _mm512_extracti32x4_epi32(cv[i], 1),
                      _mm512_extracti32x4_epi32(cv[i + 4], 1));
        store_quarter(at + 8 * BLAKE3_LEN, _mm512_extracti32x4_epi32(cv[i], 2),
                      _mm512_extracti32x4_epi32(cv[i + 4], 2));
        store_quarter(at + 12 * BLAKE3_LEN, _mm512_extracti32x4_epi32(cv[i], 3),
                      _mm512_extracti32x4_epi32(cv[i + 4], 3));
    }
}

#include "crypto/blake3_lanes_c.h"

#include "crypto/blake3_lanes.h"

void blake3_kernel_avx512_16(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                             const uint32_t *counters_high, uint8_t *out) {
    run_lanes(job, inputs, counters_low, counters_high, out);
}
