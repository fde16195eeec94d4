#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "format/value_tree.h"
#include "format/yaml.h"

namespace {

// Values lie within their parent and behind one another.
void check(const archway::Value& value, uint32_t begin, uint32_t end, size_t depth) {
  CHECK(value.begin >= begin && value.begin <= value.end && value.end <= end);
  CHECK(depth <= archway::kMaxYamlDepth + 1);
  if (value.alias || value.kind == archway::Value::Kind::Scalar) return;
  uint32_t at = value.begin;
  for (const archway::Value* child = value.first; child; child = child->next) {
    check(*child, at, value.end, depth + 1);
    at = child->end;
  }
}

}  // namespace

// What yaml.h reads, this reads, but for the limits on what aliases repeat.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  archway::ValueArena arena;
  auto trees = archway::parse_value_trees(text, arena);
  if (!trees.ok()) {
    CHECK(text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff") || !archway::parse_yaml_documents(text).ok());
    return 0;
  }
  for (const archway::ValueDocument& document : *trees) {
    if (!document.root) continue;
    check(*document.root, 0, static_cast<uint32_t>(text.size()), 0);
    (void)archway::json_of_value(*document.root, 10'000).size();
  }
  return 0;
}
