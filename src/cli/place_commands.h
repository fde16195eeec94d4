#pragma once

#include "cli/command.h"

// The verbs that place pods. Each in the file of its name.
namespace archway::cli {

Command simulate_command();
Command explain_pod_command();
Command autoscaler_lint_command();
Command autoscaler_simulate_command();
Command autoscaler_config_command();
Command plan_command();

}  // namespace archway::cli
