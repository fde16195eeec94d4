#include "audit/plain_yaml.h"

#include <cstring>
#include <vector>

#include "format/plain_yaml_reader.h"
#include "format/yaml_scalar.h"

namespace archway::audit {

namespace {

using Kind = YamlNode::Kind;
using Style = YamlNode::Style;
using Scalar = PlainYamlScalar<Style>;

// A string by YAML 1.1, unless it looks like a number, a boolean or null: most words can be told by how they begin.
bool word_is_string(std::string_view text) {
  if (text.empty()) return false;
  if (std::strchr("yYnNtTfFoO~", text[0]) ? text.size() > 5 : !std::strchr("0123456789+-.", text[0])) return true;
  auto value = resolve_yaml_scalar(text);
  return value && value->is_string();
}

// A key that is read as a number or a boolean is left to others.
bool good_key(const Scalar& key) { return key.style != Style::Plain || word_is_string(key.text); }

class TreeBuilder {
 public:
  using Kind = YamlNode::Kind;
  using Style = YamlNode::Style;

  bool scalar(const Scalar& from, bool is_key) {
    if (is_key && !good_key(from)) return false;
    YamlNode& node = add(Kind::Scalar, from.style, from.begin, from.line, from.column);
    node.end = static_cast<uint32_t>(from.end);
    node.text = from.text;
    if (from.style != Style::Plain) return true;
    node.is_string = word_is_string(from.text);
    return node.is_string || resolve_yaml_scalar(from.text);  // NaN has no value
  }

  bool open(Kind kind, Style style, size_t begin, uint32_t line, uint32_t column) {
    add(kind, style, begin, line, column);
    open_.push_back(pool_.size() - 1);
    return true;
  }

  void close(size_t end) {
    size_t at = open_.back();
    open_.pop_back();
    YamlNode& node = pool_[at];
    node.end = static_cast<uint32_t>(end);
    auto first = pool_.begin() + static_cast<ptrdiff_t>(at) + 1;
    node.children.assign(std::make_move_iterator(first), std::make_move_iterator(pool_.end()));
    pool_.erase(first, pool_.end());
  }

  YamlNode take() { return std::move(pool_.front()); }

 private:
  YamlNode& add(Kind kind, Style style, size_t begin, uint32_t line, uint32_t column) {
    YamlNode& node = pool_.emplace_back();
    node.kind = kind;
    node.style = style;
    node.begin = static_cast<uint32_t>(begin);
    node.line = line;
    node.column = column;
    return node;
  }
  std::vector<YamlNode> pool_;  // the open collections, each followed by its members so far
  std::vector<size_t> open_;
};

// Compares while it reads: no value is made. Stops at the first difference.
class Matcher {
 public:
  using Kind = YamlNode::Kind;
  using Style = YamlNode::Style;

  explicit Matcher(const Json& wanted) : wanted_(wanted) {}
  bool complete() const { return complete_; }

  bool scalar(const Scalar& from, bool is_key) {
    if (is_key) return good_key(from) && key(from.text);
    const Json* expected = next();
    return expected && same(from, *expected);
  }

  bool open(Kind kind, Style, size_t, uint32_t, uint32_t) {
    const Json* expected = next();
    if (!expected || (kind == Kind::Mapping ? !expected->is_object() : !expected->is_array())) return false;
    open_.push_back({expected});
    return true;
  }

  void close(size_t) {
    complete_ = complete_ && open_.back().count == open_.back().value->size();
    open_.pop_back();
  }

 private:
  struct Open {
    const Json* value;
    size_t count = 0;              // of the items or members that were there
    size_t next = 0;               // the member that will probably come
    uint64_t seen = 0;             // of an object of not too many members: those that came
    const Json* member = nullptr;  // whose key was read
  };
  static constexpr size_t kMaxMembers = 64;

  // A key that comes twice is left to others: the last of them counts.
  bool key(std::string_view name) {
    Open& open = open_.back();
    const auto& members = open.value->members();
    size_t at = open.next;
    if (at >= members.size() || members[at].key != name) {
      for (at = 0; at < members.size() && members[at].key != name;) ++at;
      if (at == members.size()) return false;
    }
    if (members.size() > kMaxMembers || (open.seen >> at & 1) != 0) return false;
    open.seen |= uint64_t{1} << at;
    open.next = at + 1;
    ++open.count;
    open.member = &members[at].value;
    return true;
  }

  const Json* next() {
    if (open_.empty()) return &wanted_;
    Open& open = open_.back();
    if (open.value->is_object()) return open.member;
    if (open.count >= open.value->size()) return nullptr;
    return &open.value->items()[open.count++];
  }

  static bool same(const Scalar& from, const Json& expected) {
    if (from.style != Style::Plain || word_is_string(from.text)) return expected.is_string() && expected.string() == from.text;
    if (from.text.empty()) return expected.is_null();
    auto value = resolve_yaml_scalar(from.text);
    return value && *value == expected;
  }

  const Json& wanted_;
  std::vector<Open> open_;
  bool complete_ = true;
};

}  // namespace

std::optional<YamlTreeDocument> read_plain_yaml(std::string_view text) {
  if (text.size() > kMaxPlainYamlBytes) return std::nullopt;
  TreeBuilder builder;
  PlainYamlReader reader(text, builder);
  if (!reader.read()) return std::nullopt;
  YamlTreeDocument document;
  document.begin = static_cast<uint32_t>(reader.begin());
  document.end = static_cast<uint32_t>(text.size());
  document.root = builder.take();
  return document;
}

bool plain_yaml_says(std::string_view text, const Json& value) {
  if (text.size() > kMaxPlainYamlBytes) return false;
  Matcher matcher(value);
  return PlainYamlReader(text, matcher).read() && matcher.complete();
}

Json plain_yaml_value(const YamlNode& node) {
  if (node.kind == Kind::Sequence) {
    Json array = Json::array();
    array.mutable_items().reserve(node.children.size());
    for (const YamlNode& item : node.children) array.push(plain_yaml_value(item));
    return array;
  }
  if (node.kind == Kind::Mapping) {
    Json object = Json::object();
    object.mutable_members().reserve(node.size());
    for (size_t i = 0; i + 1 < node.children.size(); i += 2) object.set(node.children[i].text, plain_yaml_value(node.children[i + 1]));
    return object;
  }
  if (node.is_string) return Json(node.text);
  auto value = resolve_yaml_scalar(node.text);
  return value ? std::move(*value) : Json(node.text);
}

}  // namespace archway::audit
