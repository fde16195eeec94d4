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

// The environment: the value of a variable, or nullopt where it has none.
using Lookup = std::function<std::optional<std::string>(std::string_view name)>;

// Remove: quotes quote, and are taken away. Keep: quotes are characters like any other, so that variables expand inside single quotes
// too; BuildKit does this to heredoc bodies of COPY and ADD, always with '\\' as the escape. Escapes are taken away in both.
enum class Quotes { Remove, Keep };

inline constexpr size_t kMaxExpandedBytes = 16 << 20;  // of one expanded text
inline constexpr size_t kMaxExpandDepth = 200;         // ${a:-${b:-...}}

struct Expanded {
  std::string text;
  std::set<std::string> unset;   // names that had no value, for warnings; those with a default (${x:-y}) too
};
// Invalid for an unclosed quote or brace, an unknown modifier, ${name:?} without a value, and beyond the limits above. Bytes that are
// not UTF-8 become U+FFFD. Unlike in BuildKit, `$` in the replacement of ${name//pattern/replacement} is an ordinary character.
Result<Expanded> expand_word(std::string_view word, const Lookup& lookup, char escape = '\\', Quotes quotes = Quotes::Remove);
// With splitting at unquoted blanks: EXPOSE.
Result<std::vector<std::string>> expand_words(std::string_view word, const Lookup& lookup, char escape = '\\');

}  // namespace archway::dockerfile
