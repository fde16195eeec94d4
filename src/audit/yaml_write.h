#pragma once

#include <string>
#include <string_view>

#include "format/json.h"
#include "format/yaml_tree.h"

namespace archway::audit {

// How a file is written: what is added to it looks the same.
struct YamlHabit {
  std::string eol = "\n";
  size_t step = 2;           // blanks that a mapping in a mapping is indented by
  size_t sequence_step = 0;  // and a sequence in a mapping: 0 where "-" stands below the key's first letter
  char quote = '"';          // around what needs quotes
};
// Of the first mapping, sequence and quotes that show it.
YamlHabit habit_of(std::string_view text, const YamlNode& root);

enum class Around { Block, Flow, Json };  // what the value will stand in

// A scalar on one line: plain where every reader will take it for what it is, else quoted.
std::string scalar_text(const Json& value, Around around, char quote);
// In the quotes that are there: ' or ".
std::string quoted_text(std::string_view text, char quote);
// "{key: [a, b]}", or JSON, on one line.
std::string flow_text(const Json& value, Around around, char quote);
// Lines of JSON, all but the first begun with `blanks`, each level indented by `step` more.
std::string json_lines(const Json& value, const std::string& blanks, const std::string& step, std::string_view eol);
// Lines, the last without its end. With `inline_first`, the first continues a line that is there ("- ").
std::string block_text(const Json& value, size_t indent, bool inline_first, const YamlHabit& habit);

}  // namespace archway::audit
