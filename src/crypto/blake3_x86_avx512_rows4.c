// Four inputs in the rows of 512-bit vectors.
#include <immintrin.h>

#include "crypto/blake3_x86.h"

typedef __m512i row;

#define ROW_INPUTS 4
#define ROW_SHUFFLE(a, how) _mm512_shuffle_epi32((a), (_MM_PERM_ENUM)(how))
#define ROW_SHUFFLE2(a, b, how)                                                                                        \
    _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), (how)))
#define ROW_ODD(a, b) _mm512_mask_mov_epi32((a), 0xaaaa, (b))
#define ROW_INNER(a, b) _mm512_mask_mov_epi32((a), 0x6666, (b))

static inline row row_add(row a, row b) {
    return _mm512_add_epi32(a, b);
}

static inline row row_xor(row a, row b) {
    return _mm512_xor_si512(a, b);
}

static inline row row_ror16(row a) {
    return _mm512_ror_epi32(a, 16);
}

static inline row row_ror12(row a) {
    return _mm512_ror_epi32(a, 12);
}

static inline row row_ror8(row a) {
    return _mm512_ror_epi32(a, 8);
}

static inline row row_ror7(row a) {
    return _mm512_ror_epi32(a, 7);
}

static inline row row_each(__m128i words) {
    return _mm512_broadcast_i32x4(words);
}

static inline row row_counters(const uint32_t *low, const uint32_t *high, uint32_t len, uint32_t flags) {
    return _mm512_set_epi32((int)flags, (int)len, (int)high[3], (int)low[3], (int)flags, (int)len, (int)high[2],
                            (int)low[2], (int)flags, (int)len, (int)high[1], (int)low[1], (int)flags, (int)len,
                            (int)high[0], (int)low[0]);
}

// Loads whole blocks and transposes their quarters.
static inline __attribute__((always_inline)) void load_rows(const uint8_t *const *inputs, size_t offset, row *m) {
    row b0 = _mm512_loadu_si512(inputs[0] + offset), b1 = _mm512_loadu_si512(inputs[1] + offset);
    row b2 = _mm512_loadu_si512(inputs[2] + offset), b3 = _mm512_loadu_si512(inputs[3] + offset);
    row low01 = _mm512_shuffle_i32x4(b0, b1, 0x44), high01 = _mm512_shuffle_i32x4(b0, b1, 0xee);
    row low23 = _mm512_shuffle_i32x4(b2, b3, 0x44), high23 = _mm512_shuffle_i32x4(b2, b3, 0xee);
    m[0] = _mm512_shuffle_i32x4(low01, low23, 0x88);
    m[1] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
    m[2] = _mm512_shuffle_i32x4(high01, high23, 0x88);
    m[3] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
}

static inline void store_rows(row a, row b, uint8_t *out) {
    row first = _mm512_shuffle_i32x4(a, b, 0x44), last = _mm512_shuffle_i32x4(a, b, 0xee);
    _mm512_storeu_si512(out, _mm512_shuffle_i32x4(first, first, 0xd8));
    _mm512_storeu_si512(out + 2 * BLAKE3_LEN, _mm512_shuffle_i32x4(last, last, 0xd8));
}

#include "crypto/blake3_x86_rows_many.h"

void blake3_kernel_avx512_rows4(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                                const uint32_t *counters_high, uint8_t *out) {
    run_rows(job, inputs, counters_low, counters_high, out, 1, rows_rounds);
}
