#pragma once

#include <map>
#include <string>

#include "verify/verify.h"

namespace archway {

// How many ELF files of which architecture an image holds.
using ArchitectureCounts = std::map<std::string, size_t>;
std::string most_common(const ArchitectureCounts& counts);  // "" where there are none

// What most likely went wrong, and the way out, from where the errors are and from the history lines beside them.
std::string likely_cause(const PlatformVerdict& verdict, const ArchitectureCounts& counts);

}  // namespace archway
