#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/json.h"
#include "format/json_stream.h"

namespace archway {

// Which members to pass over, as a tree of names. Shared by threads.
class JsonSkips {
 public:
  static constexpr int kNothing = -1, kSkip = -2;
  explicit JsonSkips(const std::vector<JsonPath>& paths);
  int root() const { return nodes_.empty() ? kNothing : 0; }
  // The place below `node`, or kNothing where no path leads through the member, or kSkip where one ends there.
  int below(int node, std::string_view member) const;

 private:
  struct Child {
    std::string name;
    int node;
  };
  std::vector<std::vector<Child>> nodes_;
};

// One JSON text to a value, the same as parse_json() makes of it, but quicker, and less what is skipped. What is rare
// (escapes, other alphabets, fractions) is left to parse_json().
class JsonItemReader {
 public:
  JsonItemReader(std::string_view text, const JsonSkips& skips) : text_(text), skips_(skips) {}
  // Where it fails, offset() is the place.
  Result<Json> read();
  size_t offset() const { return at_; }

 private:
  Error wrong(std::string_view what) const { return {Code::Invalid, "not JSON: " + std::string(what)}; }
  void skip_space();
  bool take(char c);
  Result<Json> read_value(int skips, size_t depth);
  Result<Json> read_object(int skips, size_t depth);
  Result<Json> read_array(int skips, size_t depth);
  Result<std::string> read_string();
  Result<Json> read_number();
  Result<Json> read_word();
  Result<void> skip_value();
  Result<size_t> string_end(bool& is_plain);

  std::string_view text_;
  const JsonSkips& skips_;
  size_t at_ = 0;
};

}  // namespace archway
