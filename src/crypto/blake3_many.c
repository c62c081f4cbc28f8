// Which variant works, and how inputs are dealt out to its kernels.
#include <stdatomic.h>
#include <string.h>

#include "crypto/blake3_rows.h"

static _Atomic(const blake3_variant *) chosen;

bool blake3_always(void) {
    return true;
}

const blake3_variant *blake3_best(void) {
    const blake3_variant *v = atomic_load_explicit(&chosen, memory_order_acquire);
    if (v != NULL)
        return v;
    // Threads that come here at once find the same row.
    size_t i = 0;
    while (i + 1 < blake3_variant_count && !blake3_variants[i].usable())
        i++;
    atomic_store_explicit(&chosen, &blake3_variants[i], memory_order_release);
    return &blake3_variants[i];
}

void blake3_use(const blake3_variant *v) {
    atomic_store_explicit(&chosen, v, memory_order_release);
}

// The narrowest kernel that takes all of `count` inputs at once, else the widest.
static size_t kernel_for(const blake3_variant *v, size_t count) {
    size_t k = 0;
    while (k + 1 < BLAKE3_KERNELS_MAX && v->kernels[k + 1].run != NULL && v->kernels[k + 1].lanes >= count)
        k++;
    return k;
}

// Fewer inputs than lanes: the last one fills the lanes that are left, which costs nothing.
static void run_padded(blake3_kernel *run, unsigned lanes, const blake3_job *job, const uint8_t *const *inputs,
                       const uint32_t *low, const uint32_t *high, size_t count, uint8_t *out) {
    const uint8_t *padded[BLAKE3_LANES_MAX];
    uint32_t padded_low[BLAKE3_LANES_MAX], padded_high[BLAKE3_LANES_MAX];
    uint8_t cvs[BLAKE3_LANES_MAX * BLAKE3_LEN];
    for (size_t i = 0; i < lanes; i++) {
        size_t from = i < count ? i : count - 1;
        padded[i] = inputs[from];
        padded_low[i] = low[from];
        padded_high[i] = high[from];
    }
    run(job, padded, padded_low, padded_high, cvs);
    memcpy(out, cvs, count * BLAKE3_LEN);
}

// One input alone: the compression function has shorter ways than a kernel with one lane in use.
static void hash_one(const blake3_variant *v, const blake3_job *job, const uint8_t *input, uint64_t counter,
                     uint8_t *out) {
    uint32_t state[8];
    memcpy(state, job->key, sizeof state);
    for (size_t b = 0; b < job->blocks; b++) {
        uint32_t flags = job->flags | (b == 0 ? job->first_flags : 0) | (b + 1 == job->blocks ? job->last_flags : 0);
        v->compress(state, input + b * BLAKE3_BLOCK, BLAKE3_BLOCK, counter, flags, state, NULL);
    }
    blake3_store_cv(out, state);
}

void blake3_hash_many(const blake3_variant *v, const blake3_job *job, const uint8_t *const *inputs,
                      const blake3_counters *counters, size_t count, uint8_t *out) {
    static const uint32_t zeros[BLAKE3_LANES_MAX];
    const uint32_t *low = counters != NULL ? counters->low : zeros, *high = counters != NULL ? counters->high : zeros;
    while (count > 1) {
        size_t k = kernel_for(v, count), lanes = v->kernels[k].lanes;
        size_t n = count < lanes ? count : lanes;
        if (n == lanes)
            v->kernels[k].run(job, inputs, low, high, out);
        else
            run_padded(v->kernels[k].run, (unsigned)lanes, job, inputs, low, high, n, out);
        inputs += n;
        low += counters != NULL ? n : 0;
        high += counters != NULL ? n : 0;
        out += n * BLAKE3_LEN;
        count -= n;
    }
    if (count == 1)
        hash_one(v, job, inputs[0], (uint64_t)high[0] << 32 | low[0], out);
}
