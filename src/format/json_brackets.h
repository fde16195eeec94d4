#pragma once

#include <cstdint>
#include <string_view>

namespace archway {

// Finds where a JSON object or array ends, 64 bytes at a time: brackets outside of strings are counted, all else is
// taken on trust. Keeps its place, so that a value may come in pieces.
class JsonBrackets {
 public:
  static constexpr size_t kBlockBytes = 64;
  static constexpr size_t kNotHere = ~size_t(0);

  // `text` continues where the last call stopped; the first begins with the opening bracket. Looks at whole blocks only,
  // and at the rest too where `last`. Answers the number of bytes up to and with the closing bracket, or kNotHere: then
  // consumed() bytes are done with, and the rest must be given again.
  size_t scan(std::string_view text, bool last);
  size_t consumed() const { return consumed_; }

 private:
  size_t scan_block(const char* block);

  uint64_t depth_ = 0;
  uint64_t inside_string_ = 0;  // all ones or zero
  uint64_t escaped_ = 0;        // 1: the next byte follows a backslash
  size_t consumed_ = 0;
};

// The newlines of a text.
uint64_t count_newlines(std::string_view text);

}  // namespace archway
