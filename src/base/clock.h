// Units of time. All times inside the library are uint64_t nanoseconds on a monotonic clock that the caller passes in.
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define TIME_NEVER UINT64_MAX  // a deadline that does not come

static inline uint64_t time_min(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static inline uint64_t time_max(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

// `t + d`, TIME_NEVER when that overflows or `t` is never.
static inline uint64_t time_add(uint64_t t, uint64_t d) {
    return t > TIME_NEVER - d ? TIME_NEVER : t + d;
}

#endif
