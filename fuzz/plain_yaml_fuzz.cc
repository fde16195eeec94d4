#include <algorithm>
#include <cstdint>
#include <string_view>

#include "audit/plain_yaml.h"
#include "audit/yaml_documents.h"
#include "audit/yaml_edit.h"
#include "base/check.h"
#include "format/yaml.h"

using namespace archway;
using namespace archway::audit;

namespace {

bool same_tree(const YamlNode& a, const YamlNode& b) {
  return a.kind == b.kind && a.style == b.style && a.is_string == b.is_string && a.begin == b.begin && a.end == b.end && a.line == b.line && a.column == b.column && a.text == b.text &&
         a.anchor == b.anchor && std::equal(a.children.begin(), a.children.end(), b.children.begin(), b.children.end(), same_tree);
}

}  // namespace

// The quick reader and libyaml agree on whatever the quick one reads.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const DocumentText& part : split_documents(text)) {
    auto plain = part.whole ? std::nullopt : read_plain_yaml(part.text);
    if (!plain) continue;
    auto tree = parse_yaml_tree(part.text);
    CHECK(tree.ok() && tree->size() == 1);
    CHECK(plain->begin == (*tree)[0].begin && plain->end == (*tree)[0].end && same_tree(plain->root, (*tree)[0].root));
    auto value = parse_yaml(part.text);
    CHECK(value.ok() && same_value(*value, plain_yaml_value(plain->root)));
  }
  return 0;
}
