// Eight inputs side by side with AVX2.
#include "crypto/blake3_x86.h"
#include "crypto/blake3_x86_wide8.h"

#define WIDTH 32
#include "crypto/blake3_x86_rounds.h"

#include "crypto/blake3_lanes.h"

void blake3_kernel_avx2_8(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *counters_low,
                          const uint32_t *counters_high, uint8_t *out) {
    run_lanes(job, inputs, counters_low, counters_high, out);
}
