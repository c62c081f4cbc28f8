// Scenarios over seeds. `sim_test` runs all; `sim_test NAME` one; `sim_test NAME SEED` one seed of it, as a failure
// prints it; `sim_test --seeds N` changes how many seeds each runs with.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios.h"

static bool run_seed(const sim_scenario *s, uint64_t seed) {
    sim_world w;
    sim_world_init(&w, seed * UINT64_C(0x100000001b3) + 1);
    s->run(&w);
    bool ok = w.failure[0] == '\0';
    if (!ok)
        printf("seed %llu at %.6f s: %s\nreplay: sim_test %s %llu\n", (unsigned long long)seed, (double)w.now / 1e9,
               w.failure, s->name, (unsigned long long)seed);
    sim_world_dispose(&w);
    return ok;
}

static bool run_scenario(const sim_scenario *s, uint64_t seeds) {
    printf("[ RUN      ] %s (%llu seeds)\n", s->name, (unsigned long long)seeds);
    (void)fflush(stdout);
    for (uint64_t seed = 0; seed < seeds; seed++) {
        if (!run_seed(s, seed)) {
            printf("[  FAILED  ] %s\n", s->name);
            return false;
        }
    }
    sim_print_figures(s->name);
    printf("[       OK ] %s\n", s->name);
    (void)fflush(stdout);
    return true;
}

static const sim_scenario *const tables[] = {sim_scenarios_basic, sim_scenarios_paths,  sim_scenarios_ends,
                                             sim_scenarios_nat,   sim_scenarios_relays, sim_scenarios_random};

int main(int argc, char **argv) {
    uint64_t seeds = 0;
    const char *name = NULL;
    const char *seed = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
            seeds = strtoull(argv[++i], NULL, 10);
        else if (name == NULL)
            name = argv[i];
        else
            seed = argv[i];
    }
    int failed = 0, ran = 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const sim_scenario *s = tables[i]; s->name != NULL; s++) {
            if (name != NULL && strcmp(name, s->name) != 0)
                continue;
            ran++;
            if (seed != NULL)
                failed += !run_seed(s, strtoull(seed, NULL, 10));
            else
                failed += !run_scenario(s, seeds > 0 ? seeds : s->seeds);
        }
    }
    if (ran == 0)
        (void)fprintf(stderr, "no scenario of this name\n");
    return failed > 0 || ran == 0 ? 1 : 0;
}
