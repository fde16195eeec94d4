#include "dockerfile/pattern.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dockerfile/unicode.h"

namespace archway::dockerfile {
namespace {

using Runes = std::u32string;

struct Token {
  enum Kind { Literal, Any, Star } kind = Literal;
  char32_t rune = 0;
};
using Tokens = std::vector<Token>;

Runes to_runes(std::string_view text) {
  Runes runes;
  for (size_t position = 0; position < text.size();) {
    const Rune rune = rune_at(text, position);
    runes += rune.value;
    position += rune.width;
  }
  return runes;
}

std::string to_text(std::u32string_view runes) {
  std::string text;
  for (char32_t rune : runes) append_rune(text, rune);
  return text;
}

Error bad_pattern(std::string_view pattern, std::string why) {
  return Error{Code::Invalid, "invalid pattern (" + std::string(pattern) + ") in substitution: " + why};
}

Result<Tokens> tokenize(std::string_view pattern) {
  const Runes runes = to_runes(pattern);
  Tokens tokens;
  for (size_t i = 0; i < runes.size(); i++) {
    if (runes[i] == '*') {
      if (tokens.empty() || tokens.back().kind != Token::Star) tokens.push_back({Token::Star, 0});
    } else if (runes[i] == '?') {
      tokens.push_back({Token::Any, 0});
    } else if (runes[i] != '\\') {
      tokens.push_back({Token::Literal, runes[i]});
    } else if (i + 1 == runes.size()) {
      return bad_pattern(pattern, "a backslash at the end");
    } else {
      const char32_t escaped = runes[++i];
      if (std::u32string_view(U"*?\\}/").find(escaped) == std::u32string_view::npos) {
        return bad_pattern(pattern, "invalid escape '\\" + to_text(std::u32string_view(&escaped, 1)) + "'");
      }
      tokens.push_back({Token::Literal, escaped});
    }
  }
  return tokens;
}

constexpr size_t kNoMatch = SIZE_MAX;

// For every start in `value`, where a match of `tokens` from there ends: of several ends, the one a backtracking matcher finds first,
// which for one kind of star is the shortest or the longest. One pass over the value per token, from the last token to the first.
std::vector<size_t> match_ends(const Tokens& tokens, std::u32string_view value, Greed greed) {
  const size_t size = value.size();
  std::vector<size_t> ends(size + 1);
  for (size_t i = 0; i <= size; i++) ends[i] = i;
  for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
    if (token->kind == Token::Star) {
      for (size_t i = size; i-- > 0;) {
        const size_t stop_here = ends[i];
        const size_t take_one = value[i] == '\n' ? kNoMatch : ends[i + 1];
        const size_t first = greed == Greed::Longest ? take_one : stop_here;
        ends[i] = first != kNoMatch ? first : (greed == Greed::Longest ? stop_here : take_one);
      }
    } else {
      for (size_t i = 0; i < size; i++) {
        const bool fits = token->kind == Token::Any ? value[i] != '\n' : value[i] == token->rune;
        ends[i] = fits ? ends[i + 1] : kNoMatch;
      }
      ends[size] = kNoMatch;
    }
  }
  return ends;
}

Result<void> check_work(const Tokens& tokens, const Runes& value) {
  if (tokens.empty() || value.size() < kMaxPatternWork / tokens.size()) return {};
  return Error{Code::Invalid, "a pattern and a value that long cannot be matched in a substitution"};
}

}  // namespace

Result<std::string> trim_prefix(std::string_view value, std::string_view pattern, Greed greed) {
  const Tokens tokens = TRY(tokenize(pattern));
  const Runes runes = to_runes(value);
  TRY(check_work(tokens, runes));
  const size_t end = match_ends(tokens, runes, greed)[0];
  return to_text(std::u32string_view(runes).substr(end == kNoMatch ? 0 : end));
}

Result<std::string> trim_suffix(std::string_view value, std::string_view pattern, Greed greed) {
  // A suffix is a prefix, read backwards.
  Tokens tokens = TRY(tokenize(pattern));
  Runes runes = to_runes(value);
  TRY(check_work(tokens, runes));
  std::reverse(tokens.begin(), tokens.end());
  std::reverse(runes.begin(), runes.end());
  const size_t end = match_ends(tokens, runes, greed)[0];
  if (end != kNoMatch) runes.erase(0, end);
  std::reverse(runes.begin(), runes.end());
  return to_text(runes);
}

Result<std::string> replace_pattern(std::string_view value, std::string_view pattern, std::string_view replacement, Occurrences which) {
  const Tokens tokens = TRY(tokenize(pattern));
  const Runes runes = to_runes(value);
  TRY(check_work(tokens, runes));
  const std::vector<size_t> ends = match_ends(tokens, runes, Greed::Longest);
  std::string out;
  bool done = false;
  size_t previous_end = kNoMatch;  // an empty match right after a match does not count
  for (size_t i = 0; i <= runes.size();) {
    const bool matches = !done && ends[i] != kNoMatch && !(ends[i] == i && previous_end == i);
    if (matches) {
      out += replacement;
      done = which == Occurrences::First;
      previous_end = ends[i];
      if (ends[i] > i) {
        i = ends[i];
        continue;
      }
    }
    if (i < runes.size()) append_rune(out, runes[i]);
    i++;
  }
  return out;
}

}  // namespace archway::dockerfile
