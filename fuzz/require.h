// What must hold in a fuzz target, in every kind of build.
#ifndef FUZZ_REQUIRE_H
#define FUZZ_REQUIRE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static inline void require_at(bool holds, const char *what, const char *file, int line) {
    if (holds)
        return;
    (void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

#define require(condition) require_at((condition), #condition, __FILE__, __LINE__)

#endif
