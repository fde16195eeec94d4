#pragma once

#include <cstddef>
#include <string>

#include "audit/audit.h"

namespace archway::audit {

// Images of a registry that nobody could look at because its rate limit was used up.
size_t not_looked_up(const Audit& audit, const std::string& host);

}  // namespace archway::audit
