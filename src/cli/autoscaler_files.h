#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "scheduler/autoscaler_input.h"

namespace archway::cli {

// Files above this are read without line numbers, which cost several times the file's size in memory.
inline constexpr uint64_t kMaxMarkedBytes = 16 << 20;

// Everything in these files and folders (.json, .yaml and .yml below them, by name).
Result<scheduler::AutoscalerInput> load_autoscaler_input(const std::vector<std::string>& paths, const scheduler::PriceTable& prices);
// The list that ships, with those of --prices on top.
Result<scheduler::PriceTable> load_prices(const Arguments& arguments);
Flag prices_flag();

}  // namespace archway::cli
