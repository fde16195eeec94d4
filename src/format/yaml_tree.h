#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// A YAML text as it stands, with the bytes that each value takes, for reading it with a place for everything and for editing it
// without touching the rest. libyaml's events give the spans; its marks count code points, these count bytes.
namespace archway {

struct YamlNode {
  enum class Kind : uint8_t { Scalar, Sequence, Mapping, Alias };
  enum class Style : uint8_t { Plain, SingleQuoted, DoubleQuoted, Literal, Folded, Block, Flow };
  Kind kind = Kind::Scalar;
  Style style = Style::Plain;
  bool is_string = true;       // of a scalar: a string by YAML 1.1 as Kubernetes reads it (quoted, or no number, bool or null)
  uint32_t begin = 0, end = 0; // bytes [begin, end) of the text: of a scalar its quotes too, without blanks or comments behind it;
                               // of a block collection from its first key or dash to the end of its last value
  uint32_t line = 0, column = 0;  // of begin, from 1; columns count bytes
  std::string text = {};       // a scalar's value, unescaped; an alias's name
  std::string anchor = {};
  // Of a sequence its items; of a mapping key, value, key, value...
  std::vector<YamlNode> children = {};

  // Value of a member; null where there is none (or this is no mapping). The last of equal keys. Aliases are not followed.
  const YamlNode* find(std::string_view key) const;
  const YamlNode* key_of(std::string_view key) const;  // the key's own node
  size_t size() const { return kind == Kind::Mapping ? children.size() / 2 : children.size(); }
};

struct YamlTreeDocument {
  YamlNode root;               // an empty plain scalar where the document is empty
  uint32_t begin = 0, end = 0; // of the document in the text, "---" not included
};

// The same limits as in yaml.h. Aliases stay aliases, so a bomb costs nothing. Invalid with "line L, column C: ".
Result<std::vector<YamlTreeDocument>> parse_yaml_tree(std::string_view text);

}  // namespace archway
