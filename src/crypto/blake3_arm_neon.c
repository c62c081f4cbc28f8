// Four inputs side by side with NEON.
#include <arm_neon.h>

#include "crypto/blake3_rows.h"

#define LANES 4
#define SUM_FIRST(sum) __asm__("" : "+w"(sum))
typedef uint32x4_t vec;

static inline vec vec_add(vec a, vec b) {
    return vaddq_u32(a, b);
}

static inline vec vec_xor(vec a, vec b) {
    return veorq_u32(a, b);
}

static inline vec vec_ror16(vec a) {
    return vreinterpretq_u32_u16(vrev32q_u16(vreinterpretq_u16_u32(a)));
}

static inline vec vec_ror12(vec a) {
    return vsriq_n_u32(vshlq_n_u32(a, 20), a, 12);
}

static inline vec vec_ror8(vec a) {
    static const uint8_t bytes[16] = {1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12};
    return vreinterpretq_u32_u8(vqtbl1q_u8(vreinterpretq_u8_u32(a), vld1q_u8(bytes)));
}

static inline vec vec_ror7(vec a) {
    return vsriq_n_u32(vshlq_n_u32(a, 25), a, 7);
}

static inline vec vec_all(uint32_t w) {
    return vdupq_n_u32(w);
}

static inline vec vec_load(const uint32_t *words) {
    return vld1q_u32(words);
}

static inline void transpose(vec *a) {
    uint32x4x2_t even = vtrnq_u32(a[0], a[1]), odd = vtrnq_u32(a[2], a[3]);
    a[0] = vcombine_u32(vget_low_u32(even.val[0]), vget_low_u32(odd.val[0]));
    a[1] = vcombine_u32(vget_low_u32(even.val[1]), vget_low_u32(odd.val[1]));
    a[2] = vcombine_u32(vget_high_u32(even.val[0]), vget_high_u32(odd.val[0]));
    a[3] = vcombine_u32(vget_high_u32(even.val[1]), vget_high_u32(odd.val[1]));
}

static inline void load_blocks(const uint8_t *const *inputs, size_t offset, vec *m) {
    for (size_t w = 0; w < 16; w += LANES) {
        for (size_t i = 0; i < LANES; i++)
            m[w + i] = vreinterpretq_u32_u8(vld1q_u8(inputs[i] + offset + 4 * w));
        transpose(m + w);
    }
}

static inline void store_cvs(vec *cv, uint8_t *out) {
    transpose(cv);
    transpose(cv + 4);
    for (size_t i = 0; i < LANES; i++) {
        vst1q_u8(out + BLAKE3_LEN * i, vreinterpretq_u8_u32(cv[i]));
        vst1q_u8(out + BLAKE3_LEN * i + 16, vreinterpretq_u8_u32(cv[i + 4]));
    }
}

#include "crypto/blake3_lanes_c.h"

#include "crypto/blake3_lanes.h"

blake3_kernel blake3_kernel_neon;

void blake3_kernel_neon(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                        const uint32_t *counters_high, uint8_t *out) {
    run_lanes(job, inputs, counters_low, counters_high, out);
}
