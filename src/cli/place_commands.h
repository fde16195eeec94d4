#pragma once

#include "cli/command.h"

// The verbs that place pods. Each in the file of its name.
namespace archway::cli {

Command simulate_command();
Command explain_pod_command();

}  // namespace archway::cli
