#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "format/json.h"

// YAML as Kubernetes reads it: YAML 1.1 to JSON by the rules of sigs.k8s.io/yaml, so that what kubectl takes, and how,
// is what archway takes. libyaml does the parsing, behind this small header.
namespace archway {

// Where a value stands in the text, and where what it holds stands: one child per item or member, in order.
struct YamlMarks {
  size_t line = 0, column = 0;  // from 1
  std::vector<YamlMarks> children;
};

struct YamlDocument {
  Json value;
  YamlMarks marks;
};

inline constexpr size_t kMaxYamlBytes = 256u << 20;
inline constexpr size_t kMaxYamlDepth = 256;
// Values in a document, those that aliases repeat among them: what stops "billion laughs".
inline constexpr size_t kMaxYamlValues = 10'000'000;
// Values that aliases alone may add.
inline constexpr size_t kMaxYamlAliasValues = 1'000'000;

// Every document of the text, empty ones (null) left out. Invalid with line and column otherwise. Of members with
// one name the last counts. Refuses: keys that are no scalars, NaN and infinities, aliases to what encloses them.
Result<std::vector<YamlDocument>> parse_yaml_documents(std::string_view text);
// Exactly one document.
Result<Json> parse_yaml(std::string_view text);

// A value as block YAML that reads back as the same value; strings are quoted wherever a reader might take them for
// something else.
std::string to_yaml(const Json& value);

}  // namespace archway
