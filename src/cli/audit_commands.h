#pragma once

#include "cli/command.h"

namespace archway::cli {

Command audit_command();
Command fix_command();

}  // namespace archway::cli
