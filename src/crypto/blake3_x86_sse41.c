// Four inputs side by side with SSE4.1, and the compression function with its state in four rows.
#include <immintrin.h>

#include "crypto/blake3_x86.h"

#define LANES 4
typedef __m128i vec;

static inline vec vec_add(vec a, vec b) {
    return _mm_add_epi32(a, b);
}

static inline vec vec_xor(vec a, vec b) {
    return _mm_xor_si128(a, b);
}

static inline vec vec_ror16(vec a) {
    return _mm_shuffle_epi8(a, _mm_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2));
}

static inline vec vec_ror12(vec a) {
    return _mm_or_si128(_mm_srli_epi32(a, 12), _mm_slli_epi32(a, 20));
}

static inline vec vec_ror8(vec a) {
    return _mm_shuffle_epi8(a, _mm_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1));
}

static inline vec vec_ror7(vec a) {
    return _mm_or_si128(_mm_srli_epi32(a, 7), _mm_slli_epi32(a, 25));
}

static inline vec vec_all(uint32_t w) {
    return _mm_set1_epi32((int)w);
}

static inline vec vec_load(const uint32_t *words) {
    return _mm_loadu_si128((const __m128i *)words);
}

static inline void transpose(vec *a) {
    vec low01 = _mm_unpacklo_epi32(a[0], a[1]), high01 = _mm_unpackhi_epi32(a[0], a[1]);
    vec low23 = _mm_unpacklo_epi32(a[2], a[3]), high23 = _mm_unpackhi_epi32(a[2], a[3]);
    a[0] = _mm_unpacklo_epi64(low01, low23);
    a[1] = _mm_unpackhi_epi64(low01, low23);
    a[2] = _mm_unpacklo_epi64(high01, high23);
    a[3] = _mm_unpackhi_epi64(high01, high23);
}

static inline void load_blocks(const uint8_t *const *inputs, size_t offset, vec *m) {
    for (size_t w = 0; w < 16; w += LANES) {
        for (size_t i = 0; i < LANES; i++)
            m[w + i] = _mm_loadu_si128((const __m128i *)(inputs[i] + offset + 4 * w));
        transpose(m + w);
    }
}

static inline void store_cvs(vec *cv, uint8_t *out) {
    transpose(cv);
    transpose(cv + 4);
    for (size_t i = 0; i < LANES; i++) {
        _mm_storeu_si128((__m128i *)(out + BLAKE3_LEN * i), cv[i]);
        _mm_storeu_si128((__m128i *)(out + BLAKE3_LEN * i + 16), cv[i + 4]);
    }
}

#define REGISTERS 16
#include "crypto/blake3_lanes.h"
#include "crypto/blake3_x86_rows.h"

void blake3_kernel_sse41(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                         const uint32_t *counters_high, uint8_t *out) {
    run_lanes(job, inputs, counters_low, counters_high, out);
}

// The next round's words from this one's: see row_words.
INLINE row_words permuted(row_words w) {
    row_words next;
    next.x = _mm_shuffle_epi32(shuffle2(w.x, w.y, _MM_SHUFFLE(3, 1, 2, 1)), _MM_SHUFFLE(1, 3, 2, 0));
    next.y = _mm_blend_epi16(_mm_shuffle_epi32(w.x, _MM_SHUFFLE(0, 0, 3, 3)),
                             shuffle2(w.dx, w.dy, _MM_SHUFFLE(3, 3, 2, 2)), 0xcc);
    next.dx = _mm_blend_epi16(_mm_shuffle_epi32(w.dy, _MM_SHUFFLE(1, 1, 0, 0)),
                              shuffle2(w.y, w.dx, _MM_SHUFFLE(3, 3, 0, 0)), 0x3c);
    next.dy = _mm_blend_epi16(_mm_shuffle_epi32(w.dx, _MM_SHUFFLE(0, 0, 1, 1)),
                              shuffle2(w.dy, w.y, _MM_SHUFFLE(2, 2, 2, 2)), 0x3c);
    return next;
}

void blake3_compress_sse41(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK], uint32_t len, uint64_t counter,
                           uint32_t flags, uint32_t out[16]) {
    row_state s = rows_start(cv, len, counter, flags);
    row_words w = rows_words(block);
    mix_rows(&s, &w);
    for (int round = 1; round < ROW_ROUNDS; round++) {
        w = permuted(w);
        mix_rows(&s, &w);
    }
    rows_finish(&s, cv, out);
}
