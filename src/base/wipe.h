// Overwrites secrets in a way that no compiler takes for useless.
#ifndef BASE_WIPE_H
#define BASE_WIPE_H

#include <stddef.h>

static inline void wipe(void *secret, size_t len) {
    volatile unsigned char *p = secret;
    for (size_t i = 0; i < len; i++)
        p[i] = 0;
}

#endif
