#pragma once

#include <string_view>
#include <vector>

#include "audit/edit.h"
#include "format/json.h"
#include "format/yaml_tree.h"

// From "the document shall have this value" to the fewest bytes that make it so. Comments, order, quotes, blank lines, line ends and
// the file's way of indenting stay; audit.md 5.2. Who calls it parses the result and compares: what YAML can express is wide.
namespace archway::audit {

// Equal but for the order of members.
bool same_value(const Json& a, const Json& b);

// `have` is the document's value as yaml.h reads it, `want` what it shall be. Invalid with the line where that cannot be had by a
// local edit: an alias whose anchor would stay as it is, a member that comes from a merge (<<). Places are bytes of the whole `text`.
Result<std::vector<Edit>> edit_yaml(std::string_view text, const YamlTreeDocument& document, const Json& have, const Json& want);

}  // namespace archway::audit
