#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/text.h"
#include "scheduler/node_group_tags.h"

// One tag per line, "key=value". Every defect is about a tag that is there.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<archway::scheduler::GroupTag> tags;
  for (const std::string& line : archway::split({reinterpret_cast<const char*>(data), size}, '\n')) {
    auto [key, value] = archway::cut(line, '=');
    tags.push_back({std::string(key), std::string(value.value_or(""))});
  }
  auto read = archway::scheduler::read_template_tags(tags);
  for (const auto& defect : read.defects) CHECK(defect.tag < tags.size() && !defect.message.empty());
  CHECK(read.taints.size() <= tags.size() && read.labels.size() <= tags.size());
  return 0;
}
