#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "scheduler/inventory.h"
#include "scheduler/profile.h"
#include "scheduler/run_verdict.h"

namespace archway::cli {

inline constexpr uint64_t kMaxClusterFileBytes = 4ull << 30;

// The documents of a JSON or YAML file, or of every .json, .yaml and .yml below a folder, by name.
Result<std::vector<Json>> load_objects(const std::string& path);
Result<scheduler::Inventory> load_inventory(const std::vector<std::string>& paths);

// Flags that `simulate` and `explain pod` share.
std::vector<Flag> placement_flags();
// --scheduler-version, --scheduler-config
Result<scheduler::Profile> placement_profile(const Arguments& arguments);
// --images, --assume
Result<scheduler::ImageKnowledge> placement_images(const Arguments& arguments);

}  // namespace archway::cli
