// The table of scenarios. Each runs in a fresh world of its seed and reports what breaks with sim_fail.
#ifndef SIM_SCENARIOS_H
#define SIM_SCENARIOS_H

#include "world.h"

typedef struct sim_scenario {
    const char *name;
    uint64_t seeds;  // of an ordinary run
    void (*run)(sim_world *w);
} sim_scenario;

extern const sim_scenario sim_scenarios[];  // ends with a null name

#endif
