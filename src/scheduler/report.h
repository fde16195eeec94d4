#pragma once

#include <string>

#include "format/json.h"
#include "scheduler/simulation.h"

// A simulation's result for programs and for people.
namespace archway::scheduler {

Json result_json(const SimulationResult& result);
// Nodes, what moved, what is stuck, and a last line that sums up. Pods that stay and run are counted, not listed.
std::string result_table(const SimulationResult& result);
// One self-contained page: nodes as boxes by architecture and zone, pods in them. No script, nothing from elsewhere.
std::string result_html(const SimulationResult& result);

}  // namespace archway::scheduler
