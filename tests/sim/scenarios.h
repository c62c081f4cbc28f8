// The tables of scenarios. Each runs in a fresh world of its seed and reports what breaks with sim_fail.
#ifndef SIM_SCENARIOS_H
#define SIM_SCENARIOS_H

#include "world.h"

typedef struct sim_scenario {
    const char *name;
    uint64_t seeds;  // of an ordinary run
    void (*run)(sim_world *w);
} sim_scenario;

// Each ends with a null name.
extern const sim_scenario sim_scenarios_basic[];
extern const sim_scenario sim_scenarios_paths[];
extern const sim_scenario sim_scenarios_ends[];
extern const sim_scenario sim_scenarios_nat[];
extern const sim_scenario sim_scenarios_relays[];
extern const sim_scenario sim_scenarios_random[];

// What the runs of the scenario so far have measured, on one line; nothing if it measures nothing.
void sim_print_figures(const char *scenario);

#endif
