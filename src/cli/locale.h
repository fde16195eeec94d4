#pragma once

#include "cli/command.h"

namespace archway::cli {

// May marks beyond ASCII be shown? By the first of LC_ALL, LC_CTYPE and LANG that says something.
bool speaks_utf8(const Context& context);

}  // namespace archway::cli
