#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace archway::cli {

// What follows the verb, by the command's table of flags (CLI11 does the work). A usage_error names the word at fault
// and, where one is near, what was perhaps meant. `--help` anywhere before a stop gives has("help").
Result<Arguments> parse_arguments(const Command& command, const std::vector<std::string>& words);

// The text of `archway VERB --help`.
std::string help_text(const Command& command);

}  // namespace archway::cli
