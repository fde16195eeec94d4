#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace archway::audit {

// Bytes [begin, end) of a text become `replacement`. Why is a sentence for people.
struct Edit {
  size_t begin = 0, end = 0;
  std::string replacement;
  std::string why = {}, rule = {};
};

// All edits in one pass, in order of place; at one place, what only inserts comes first, in the order given. Internal where two
// overlap or one is outside of the text: whoever made them made a mistake, and nothing may be written.
Result<std::string> apply_edits(std::string_view text, std::vector<Edit> edits);

// Of the line that holds the byte: where it begins, and where it ends, before its line end. Lines end with \n or \r\n.
size_t line_begin(std::string_view text, size_t at);
size_t line_end(std::string_view text, size_t at);
size_t next_line(std::string_view text, size_t at);  // behind the line end; the text's size after the last
uint32_t line_number(std::string_view text, size_t at);  // from 1
std::string_view line_ending(std::string_view text);  // that of the first line: "\n" or "\r\n"
std::string_view leading_blanks(std::string_view text, size_t at);  // of the line that holds the byte

}  // namespace archway::audit
