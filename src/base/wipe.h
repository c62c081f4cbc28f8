// Overwrites secrets in a way that no compiler takes for useless.
#ifndef BASE_WIPE_H
#define BASE_WIPE_H

#include <stddef.h>
#include <string.h>

static inline void wipe(void *secret, size_t len) {
    if (len == 0)
        return;
    memset(secret, 0, len);
    // Whatever this is, it may read what the pointer leads to.
    __asm__ __volatile__("" : : "r"(secret) : "memory");
}

#endif
