#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace archway::dockerfile {

// One pattern of an ignore file, compiled the way moby/patternmatcher compiles it: most are a plain comparison, the rest a small
// automaton. Matching takes time in proportion to pattern times path, whatever they are.
class IgnorePattern {
 public:
  // `text` is clean and has no `!`.
  static Result<IgnorePattern> compile(std::string_view text);
  bool matches(std::string_view path) const;

 private:
  struct State {
    enum Kind { One, Star, OptionalDirs, Dirs } kind = One;
    bool any = false;      // every character but a line break
    bool negated = false;  // of the ranges
    std::vector<std::pair<char32_t, char32_t>> ranges;
    bool takes(char32_t rune) const;
  };
  enum class Kind { Exact, Prefix, Suffix, Automaton };

  Result<void> build(const std::u32string& expression);
  Result<State> read_class(const std::u32string& expression, size_t& position) const;
  bool run(std::string_view path) const;

  Kind kind_ = Kind::Exact;
  std::string text_;
  std::vector<State> states_;
};

}  // namespace archway::dockerfile
