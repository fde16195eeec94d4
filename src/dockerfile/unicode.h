#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// The little of Unicode that the Dockerfile language rests on: which characters are blanks, and which may stand in a variable's name.
// Go's unicode.IsSpace, IsLetter and IsDigit.
namespace archway::dockerfile {

inline constexpr char32_t kReplacement = 0xFFFD;

struct Rune {
  char32_t value = 0;
  size_t width = 0;  // bytes; 0 at the end of the text
};
// The character at `position`. A byte that is not UTF-8 reads as U+FFFD, one byte wide.
Rune rune_at(std::string_view text, size_t position);
void append_rune(std::string& text, char32_t rune);

bool is_space(char32_t rune);
bool is_letter(char32_t rune);
bool is_digit(char32_t rune);

// Without the blanks at both ends, Unicode's among them.
std::string_view trim_space(std::string_view text);
std::string_view trim_space_left(std::string_view text);

// In double quotes with Go's escapes (strconv.Quote): what BuildKit prints exec forms with in an image's history.
std::string go_quote(std::string_view text);

}  // namespace archway::dockerfile
