#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "format/json_tree.h"
#include "format/yaml_tree.h"

using archway::YamlNode;

namespace {

// A scalar's own bytes, alone, are the same scalar.
void check_scalar(const YamlNode& node, std::string_view text, bool json) {
  std::string_view span = text.substr(node.begin, node.end - node.begin);
  if (json) {
    auto back = archway::parse_json_tree("[" + std::string(span) + "]");
    CHECK(back && back->root.size() == 1 && back->root.children[0].text == node.text && back->root.children[0].style == node.style);
    return;
  }
  if (node.style == YamlNode::Style::Plain && node.text.empty()) {
    CHECK(span.empty());
    return;
  }
  // What follows (":" or a bracket) may be what makes an indicator at the end part of the scalar.
  if (node.style == YamlNode::Style::Plain && std::string_view(":-?").find(span.back()) != std::string_view::npos) return;
  std::string alone = " " + std::string(span);
  if (node.style == YamlNode::Style::Literal || node.style == YamlNode::Style::Folded) {
    // An indentation that is written down counts from the parent's.
    if (span.substr(0, 3).find_first_of("0123456789") != span.npos) return;
    if (node.text.ends_with('\n')) alone += alone.back() == '\r' ? '\r' : '\n';
  }
  auto back = archway::parse_yaml_tree(alone);
  CHECK(back.ok() && back->size() == 1);
  CHECK((*back)[0].root.text == node.text && (*back)[0].root.style == node.style);
}

void check_node(const YamlNode& node, std::string_view text, uint32_t begin, uint32_t end, bool json) {
  CHECK(begin <= node.begin && node.begin <= node.end && node.end <= end);
  // The place is the same as that of the first byte.
  size_t line_begin = node.begin - (node.column - 1);
  CHECK(node.column >= 1 && node.line >= 1 && line_begin <= node.begin);
  if (node.kind == YamlNode::Kind::Scalar) check_scalar(node, text, json);
  if (node.kind == YamlNode::Kind::Alias) CHECK(text.substr(node.begin, node.end - node.begin) == "*" + node.text);
  uint32_t from = node.begin;
  for (const YamlNode& child : node.children) {
    check_node(child, text, from, node.end, json);
    from = child.end;
  }
}

}  // namespace

// Spans nest, follow one another, and hold what was read from them.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto documents = archway::parse_yaml_tree(text);
  if (!documents.ok()) return 0;
  bool json = archway::parse_json_tree(text).has_value();
  uint32_t from = 0;
  for (const archway::YamlTreeDocument& document : *documents) {
    CHECK(from <= document.begin);
    check_node(document.root, text, document.begin, document.end, json);
    from = document.end;
  }
  return 0;
}
