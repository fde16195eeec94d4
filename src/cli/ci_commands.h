#pragma once

#include <string_view>

#include "cli/command.h"

namespace archway::cli {

// `ci gitlab`, `ci github`, `ci codebuild`, `ci jenkins`, `ci circleci`, `ci tekton`: one of these names.
Command ci_command(std::string_view system);
Command ci_check_command();

}  // namespace archway::cli
