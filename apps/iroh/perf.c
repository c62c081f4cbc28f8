#include "perf.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

void perf_u64_write(uint8_t out[static 8], uint64_t v) {
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}

uint64_t perf_u64_read(const uint8_t bytes[static 8]) {
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | bytes[i];
    return v;
}

void perf_head_write(uint8_t out[static PERF_HEAD], const perf_head *h) {
    out[0] = h->op;
    perf_u64_write(out + 1, h->a);
    perf_u64_write(out + 9, h->b);
}

void perf_head_read(perf_head *h, const uint8_t bytes[static PERF_HEAD]) {
    *h = (perf_head){bytes[0], perf_u64_read(bytes + 1), perf_u64_read(bytes + 9)};
}

uint64_t perf_private_bytes(void) {
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    char line[128];
    unsigned long long sum = 0, kilobytes;
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "Private_%*[A-Za-z]: %llu kB", &kilobytes) == 1)
            sum += kilobytes;
    if (f != NULL)
        (void)fclose(f);
    return sum * 1024;
}

uint64_t perf_cpu_us(void) {
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * UINT64_C(1000000) +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

void perf_figure_add(perf_figures *f, const char *name, double value, int decimals) {
    if (f->count < PERF_FIGURES_MAX)
        f->rows[f->count++] = (perf_figure){name, value, decimals};
}

void perf_figures_print(const perf_figures *f, bool json) {
    for (size_t i = 0; i < f->count; i++) {
        const perf_figure *r = &f->rows[i];
        if (json)
            printf("%s\"%s\":%.*f", i == 0 ? "{" : ",", r->name, r->decimals, r->value);
        else
            printf("%-28s %18.*f\n", r->name, r->decimals, r->value);
    }
    if (json)
        printf("%s}\n", f->count == 0 ? "{" : "");
}
