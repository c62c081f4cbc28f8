#include "scenarios.h"
const sim_scenario sim_scenarios_ends[] = {{NULL, 0, NULL}};
