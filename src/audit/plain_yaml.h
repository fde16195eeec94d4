#pragma once

#include <optional>
#include <string_view>

#include "format/json.h"
#include "format/yaml_tree.h"

// Plainly written YAML (format/plain_yaml_reader.h) as trees to edit by, many times quicker than libyaml's, which is what makes fixing ten
// thousand files quick. Whatever is written in another way, or not quite right, is left to format/yaml*.h: nullopt. What is read here is
// read as there, span by span; plain_yaml_test.cc and the fuzz target hold the two against each other.
namespace archway::audit {

inline constexpr size_t kMaxPlainYamlBytes = 16u << 20;

// Of one document, "---" above it or not. It must come from split_documents, which sees to it that there is no other.
std::optional<YamlTreeDocument> read_plain_yaml(std::string_view text);

// True: that is what the document says, members in any order. False: it does not, or it is not so plain.
bool plain_yaml_says(std::string_view text, const Json& value);

// The value of a tree without aliases, merges and tags, such as read_plain_yaml gives.
Json plain_yaml_value(const YamlNode& node);

}  // namespace archway::audit
