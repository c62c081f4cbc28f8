// Randomness as an argument: the core draws from the source it is given and so is deterministic under test.
#ifndef BASE_ENTROPY_H
#define BASE_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

typedef struct entropy {
    void (*fill)(void *user, void *out, size_t len);  // never fails
    void *user;
} entropy;

static inline void entropy_fill(const entropy *e, void *out, size_t len) {
    e->fill(e->user, out, len);
}

static inline uint64_t entropy_u64(const entropy *e) {
    uint64_t v;
    e->fill(e->user, &v, sizeof v);
    return v;
}

// Uniform in [0, bound) up to a bias below 2^-32 for bounds below 2^32; bound > 0.
static inline uint64_t entropy_below(const entropy *e, uint64_t bound) {
    return entropy_u64(e) % bound;
}

#endif
