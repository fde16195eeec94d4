#pragma once

#include <optional>
#include <string_view>

#include "format/yaml_tree.h"

namespace archway {

// A text that is one JSON value, as the tree that YAML would give: faster than libyaml, and it reads all of JSON (surrogate pairs, keys of
// any length, which YAML 1.1 does not know). nullopt where the text is no JSON.
std::optional<YamlTreeDocument> parse_json_tree(std::string_view text);

}  // namespace archway
