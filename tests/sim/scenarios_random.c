#include "scenarios.h"
const sim_scenario sim_scenarios_random[] = {{NULL, 0, NULL}};
