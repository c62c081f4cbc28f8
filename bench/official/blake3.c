// Bytes a second through the official BLAKE3 library on one thread, in the form of bench_blake3: CPU time, one line for each
// size. Built by bench/blake3_official, once for each set of instructions.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "blake3.h"

#define ROUNDS 15
#define ROUND_BYTES (64 << 20)
#define LARGEST (16 << 20)

static double cpu_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(unsigned char *data, size_t bytes) {
    double rates[ROUNDS];
    size_t passes = ROUND_BYTES / bytes;
    for (size_t r = 0; r < ROUNDS; r++) {
        double start = cpu_now();
        for (size_t i = 0; i < passes; i++) {
            blake3_hasher h;
            unsigned char out[BLAKE3_OUT_LEN];
            blake3_hasher_init(&h);
            blake3_hasher_update(&h, data, bytes);
            blake3_hasher_finalize(&h, out, sizeof out);
            data[0] ^= out[0];
        }
        rates[r] = (double)(passes * bytes) / (cpu_now() - start);
    }
    qsort(rates, ROUNDS, sizeof *rates, by_size);
    (void)printf("blake3: %s, hash of %zu bytes: min %.2f GB/s, median %.2f GB/s\n", VARIANT, bytes, rates[0],
                 rates[ROUNDS / 2]);
}

int main(void) {
    static const size_t sizes[] = {64, 1024, 2048, 4096, 8192, 16384, 65536, 1 << 20, LARGEST};
    unsigned char *data = malloc(LARGEST);
    if (data == NULL)
        return 1;
    for (size_t i = 0; i < LARGEST; i++)
        data[i] = (unsigned char)(i % 251);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        measure(data, sizes[i]);
    free(data);
    return 0;
}
