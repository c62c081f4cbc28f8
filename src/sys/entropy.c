#include "sys/entropy.h"

#include <sodium.h>
#include <stdlib.h>

static void fill(void *user, void *out, size_t len) {
    (void)user;
    randombytes_buf(out, len);
}

entropy sys_entropy(void) {
    // Drawing works without it, but is safe from several threads only after it; a second call does nothing. There is
    // no going on for a program on a system without randomness.
    if (sodium_init() < 0)
        abort();
    return (entropy){.fill = fill};
}
