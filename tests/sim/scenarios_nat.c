#include "scenarios.h"
const sim_scenario sim_scenarios_nat[] = {{NULL, 0, NULL}};
