#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "scheduler/priority_config.h"

// Whatever parses gives one answer for an id, the highest of those that match.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto config = archway::scheduler::PriorityConfig::parse({reinterpret_cast<const char*>(data), size});
  if (!config.ok()) return 0;
  for (std::string_view id : {"arm64-group", "", "eks-x86-0"}) {
    auto priority = config->priority_of(id);
    for (const archway::scheduler::PriorityEntry& entry : config->entries()) CHECK(!entry.pattern.matches(id) || (priority && *priority >= entry.priority));
  }
  return 0;
}
