// Token bucket: lets `rate` units per second through on average and `burst` at once.
//
// Two ways to use it. `bucket_take` admits or refuses. `bucket_charge` admits always and goes into debt, for what has
// already happened (bytes that were read): the next is due when the debt is paid. Pure arithmetic over a clock that the
// caller passes in: no allocation, no locking, safe to copy. Slow rates lose nothing to rounding; a clock that jumps
// backwards adds nothing.
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

typedef struct bucket {
    uint64_t rate;    // units per second, 0..BUCKET_RATE_MAX
    uint64_t burst;   // units, at most BUCKET_BURST_MAX; the level never exceeds it
    int64_t level;    // units that may pass now; below 0: debt, at least -BUCKET_BURST_MAX
    uint64_t credit;  // unit-nanoseconds towards the next unit, < 1e9
    uint64_t last;    // ns, clock of the latest refill
} bucket;

#define BUCKET_RATE_MAX UINT64_C(4294967295)
#define BUCKET_BURST_MAX (UINT64_C(1) << 33)  // keeps the products of a refill within 64 bits

// Starts full. Rate and burst above their bounds are clamped; a rate of 0 lets only the first `burst` through.
void bucket_init(bucket *b, uint64_t rate, uint64_t burst, uint64_t now);

// Takes `n` units and returns true, or takes nothing and returns false.
bool bucket_take(bucket *b, uint64_t n, uint64_t now);

// Takes `n` units whether they are there or not.
void bucket_charge(bucket *b, uint64_t n, uint64_t now);

// When `n` units can be taken at the earliest: ns on the caller's clock, `last` or earlier when now, UINT64_MAX for never
// (n > burst, or rate 0 and too few there).
uint64_t bucket_ready_at(const bucket *b, uint64_t n);

#endif
