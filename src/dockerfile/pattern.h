#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

// The patterns in ${name#pattern}, ${name%pattern} and ${name/pattern/replacement}: `*` and `?`, which do not match a line break; a
// backslash makes `*`, `?`, `\`, `}` and `/` literal and stands before nothing else. No brackets.
namespace archway::dockerfile {

enum class Greed { Shortest, Longest };
enum class Occurrences { First, All };

Result<std::string> trim_prefix(std::string_view value, std::string_view pattern, Greed greed);
Result<std::string> trim_suffix(std::string_view value, std::string_view pattern, Greed greed);
// The replacement is literal.
Result<std::string> replace_pattern(std::string_view value, std::string_view pattern, std::string_view replacement, Occurrences which);

// Length of pattern times length of value; beyond it, Invalid. Keeps a hostile file from buying minutes of matching.
inline constexpr size_t kMaxPatternWork = size_t{1} << 28;

}  // namespace archway::dockerfile
