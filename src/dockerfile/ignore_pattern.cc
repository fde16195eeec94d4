#include "dockerfile/ignore_pattern.h"

#include <algorithm>

#include "dockerfile/unicode.h"

namespace archway::dockerfile {
namespace {

constexpr std::u32string_view kNotSlash = U"[^/]";
constexpr std::u32string_view kOptionalDirs = U"(.*/)?";

Error bad_pattern(std::string_view pattern) { return Error{Code::Invalid, "syntax error in pattern " + go_quote(pattern)}; }

}  // namespace

bool IgnorePattern::State::takes(char32_t rune) const {
  if (any) return rune != '\n';
  for (const auto& [low, high] : ranges) {
    if (low <= rune && rune <= high) return !negated;
  }
  return negated;
}

// In two steps, pattern to regular expression to automaton, because patternmatcher does: inside of brackets, what `*`, `?` and `.` were
// turned into is read as members of the class, and people's ignore files live with the outcome.
Result<IgnorePattern> IgnorePattern::compile(std::string_view text) {
  IgnorePattern pattern;
  pattern.text_ = text;
  std::u32string expression;
  size_t position = 0;
  auto peek = [&] { return rune_at(text, position); };
  auto next = [&] {
    const Rune rune = peek();
    position += rune.width;
    return rune.value;
  };
  for (size_t index = 0; position < text.size(); index++) {
    const char32_t rune = next();
    if (rune == '*' && peek().value == '*' && position < text.size()) {
      next();
      if (position < text.size() && peek().value == '/') next();
      if (position == text.size()) {
        if (pattern.kind_ == Kind::Exact) {
          pattern.kind_ = Kind::Prefix;
        } else {
          expression += U".*";
          pattern.kind_ = Kind::Automaton;
        }
      } else {
        expression += kOptionalDirs;
        pattern.kind_ = Kind::Automaton;
      }
      if (index == 0) pattern.kind_ = Kind::Suffix;
    } else if (rune == '*') {
      expression += kNotSlash;
      expression += U'*';
      pattern.kind_ = Kind::Automaton;
    } else if (rune == '?') {
      expression += kNotSlash;
      pattern.kind_ = Kind::Automaton;
    } else if (rune == '\\' && position < text.size()) {
      expression += U'\\';
      expression += next();
      pattern.kind_ = Kind::Automaton;
    } else if (rune == '[' || rune == ']') {
      expression += rune;
      pattern.kind_ = Kind::Automaton;
    } else {
      if (std::u32string_view(U".+()|{}$\\").find(rune) != std::u32string_view::npos) expression += U'\\';
      expression += rune;
    }
  }
  if (pattern.kind_ == Kind::Automaton) TRY(pattern.build(expression));
  return pattern;
}

Result<IgnorePattern::State> IgnorePattern::read_class(const std::u32string& expression, size_t& position) const {
  State state;
  state.negated = position < expression.size() && expression[position] == '^';
  if (state.negated) position++;
  for (bool first = true;; first = false) {
    if (position >= expression.size()) return bad_pattern(text_);
    if (expression[position] == ']' && !first) break;
    auto member = [&]() -> char32_t {
      if (expression[position] == '\\' && position + 1 < expression.size()) position++;
      return expression[position++];
    };
    const char32_t low = member();
    char32_t high = low;
    if (position + 1 < expression.size() && expression[position] == '-' && expression[position + 1] != ']') {
      position++;
      high = member();
      if (high < low) return bad_pattern(text_);
    }
    state.ranges.emplace_back(low, high);
  }
  position++;
  return state;
}

Result<void> IgnorePattern::build(const std::u32string& expression) {
  for (size_t position = 0; position < expression.size();) {
    State state;
    char32_t rune = expression[position++];
    if (rune == '(') {
      // Only ours is not escaped: one state to go around or into it, one to run through folders.
      position += kOptionalDirs.size() - 1;
      state.kind = State::OptionalDirs;
      states_.push_back(state);
      state.kind = State::Dirs;
      state.any = true;
      states_.push_back(std::move(state));
      continue;
    }
    if (rune == '[') {
      state = TRY(read_class(expression, position));
    } else if (rune == '.') {
      state.any = true;
    } else {
      if (rune == '\\' && position < expression.size()) rune = expression[position++];
      state.ranges.emplace_back(rune, rune);
    }
    if (position < expression.size() && expression[position] == '*') {
      state.kind = State::Star;
      position++;
    }
    states_.push_back(std::move(state));
  }
  return {};
}

bool IgnorePattern::run(std::string_view path) const {
  const size_t end = states_.size();
  std::vector<unsigned char> now(end + 2), after(end + 2);
  now[0] = 1;
  // Steps that take no character lead forward only, so one pass in order follows them all.
  auto follow = [&](std::vector<unsigned char>& set) {
    for (size_t i = 0; i < end; i++) {
      if (!set[i]) continue;
      if (states_[i].kind == State::Star) set[i + 1] = 1;
      if (states_[i].kind == State::OptionalDirs) set[i + 1] = set[i + 2] = 1;
    }
  };
  follow(now);
  for (size_t position = 0; position < path.size();) {
    const Rune rune = rune_at(path, position);
    position += rune.width;
    std::fill(after.begin(), after.end(), 0);
    bool alive = false;
    for (size_t i = 0; i < end; i++) {
      if (!now[i]) continue;
      const State& state = states_[i];
      if (state.kind == State::Dirs && rune.value == '/') after[i + 1] = 1, alive = true;
      if (state.kind == State::OptionalDirs || !state.takes(rune.value)) continue;
      after[state.kind == State::One ? i + 1 : i] = 1;
      alive = true;
    }
    if (!alive) return false;
    follow(after);
    now.swap(after);
  }
  return now[end] != 0;
}

bool IgnorePattern::matches(std::string_view path) const {
  const std::string_view text = text_;
  switch (kind_) {
    case Kind::Exact: return path == text;
    case Kind::Prefix: return path.starts_with(text.substr(0, text.size() - 2));
    case Kind::Suffix: {
      const std::string_view suffix = text.substr(2);
      return path.ends_with(suffix) || (suffix.starts_with('/') && path == suffix.substr(1));
    }
    case Kind::Automaton: return run(path);
  }
  return false;
}

}  // namespace archway::dockerfile
