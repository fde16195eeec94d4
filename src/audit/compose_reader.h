#pragma once

#include <set>
#include <string>

#include "audit/value_places.h"

namespace archway::audit {

// A compose file as `docker compose` would run it: with the override beside it, what it includes and what its services extend, each value
// with the place in the file that decides it. What is elsewhere is named. `used` gets every file that takes part, as a plain path.
Collection collect_compose(const std::string& file, std::set<std::string>& used);

// compose.override.yaml beside compose.yaml; "" where there is none.
std::string compose_override(const std::string& file);

}  // namespace archway::audit
