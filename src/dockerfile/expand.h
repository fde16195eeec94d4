#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// Variable expansion in words, as BuildKit's shell/lex.go does it (builder.md 3.1).
namespace archway::dockerfile {

using Lookup = std::function<std::optional<std::string>(std::string_view name)>;

enum class Quotes { Remove, Keep };  // Keep: heredoc bodies
struct Expanded {
  std::string text;
  std::set<std::string> unset;   // names that had no value, for warnings
};
Result<Expanded> expand_word(std::string_view word, const Lookup& lookup, char escape = '\\', Quotes quotes = Quotes::Remove);
// With splitting at unquoted blanks: EXPOSE.
Result<std::vector<std::string>> expand_words(std::string_view word, const Lookup& lookup, char escape = '\\');

}  // namespace archway::dockerfile
