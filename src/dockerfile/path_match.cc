// Go's path functions, for slash paths.
#include <algorithm>
#include <optional>

#include "dockerfile/ignore.h"
#include "dockerfile/unicode.h"

namespace archway::dockerfile {
namespace {

Error bad_pattern(std::string_view pattern) {
  return Error{Code::Invalid, "syntax error in pattern " + go_quote(pattern)};
}

// One character inside [...]; nullopt where none can stand.
std::optional<char32_t> class_character(std::string_view pattern, size_t& position) {
  if (position >= pattern.size() || pattern[position] == '-' || pattern[position] == ']') return std::nullopt;
  if (pattern[position] == '\\' && ++position >= pattern.size()) return std::nullopt;
  const Rune rune = rune_at(pattern, position);
  if (rune.value == kReplacement && rune.width == 1) return std::nullopt;
  position += rune.width;
  if (position >= pattern.size()) return std::nullopt;  // the class is not closed
  return rune.value;
}

// At `[`. Passes over the class; says whether `rune` is in it.
std::optional<bool> match_class(std::string_view pattern, size_t& position, char32_t rune) {
  position++;
  const bool negated = position < pattern.size() && pattern[position] == '^';
  if (negated) position++;
  bool found = false;
  for (size_t ranges = 0;; ranges++) {
    if (ranges > 0 && position < pattern.size() && pattern[position] == ']') break;
    const auto low = class_character(pattern, position);
    if (!low) return std::nullopt;
    auto high = low;
    if (position < pattern.size() && pattern[position] == '-') {
      position++;
      high = class_character(pattern, position);
      if (!high) return std::nullopt;
    }
    found = found || (*low <= rune && rune <= *high);
  }
  position++;
  return found != negated;
}

bool valid_pattern(std::string_view pattern) {
  for (size_t position = 0; position < pattern.size();) {
    if (pattern[position] == '[') {
      if (!match_class(pattern, position, 0)) return false;
    } else if (pattern[position] == '\\') {
      if (position + 1 == pattern.size()) return false;
      position += 1 + rune_at(pattern, position + 1).width;
    } else {
      position++;
    }
  }
  return true;
}

// One character of a valid pattern (no star) against one of the path; both positions move on where they match.
bool match_one(std::string_view pattern, size_t& at, std::string_view path, size_t& position) {
  const Rune rune = rune_at(path, position);
  if (rune.width == 0) return false;
  size_t next = at;
  if (pattern[at] == '?') {
    if (rune.value == '/') return false;
    next++;
  } else if (pattern[at] == '[') {
    if (!match_class(pattern, next, rune.value).value_or(false)) return false;
  } else {
    if (pattern[next] == '\\') next++;
    const size_t width = rune_at(pattern, next).width;
    if (pattern.substr(next, width) != path.substr(position, rune.width)) return false;
    next += width;
  }
  at = next;
  position += rune.width;
  return true;
}

}  // namespace

Result<bool> match_path(std::string_view pattern, std::string_view path) {
  if (!valid_pattern(pattern)) return bad_pattern(pattern);
  size_t at = 0, position = 0;
  // Where to go on when what follows the last star does not fit: the star takes one character more. Earlier stars need not change.
  std::optional<size_t> star;
  size_t star_end = 0;
  while (true) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = ++at;
      star_end = position;
      continue;
    }
    if (at == pattern.size() && position == path.size()) return true;
    if (at < pattern.size() && match_one(pattern, at, path, position)) continue;
    if (!star || star_end >= path.size() || path[star_end] == '/') return false;
    star_end += rune_at(path, star_end).width;
    at = *star;
    position = star_end;
  }
}

std::string clean_path(std::string_view path) {
  const bool rooted = path.starts_with('/');
  std::vector<std::string_view> parts;
  for (size_t position = 0; position <= path.size();) {
    const size_t end = std::min(path.find('/', position), path.size());
    const std::string_view part = path.substr(position, end - position);
    position = end + 1;
    if (part.empty() || part == ".") continue;
    if (part != "..") parts.push_back(part);
    else if (!parts.empty() && parts.back() != "..") parts.pop_back();
    else if (!rooted) parts.push_back(part);
  }
  std::string clean = rooted ? "/" : "";
  for (std::string_view part : parts) {
    if (!clean.empty() && clean.back() != '/') clean += '/';
    clean += part;
  }
  return clean.empty() ? "." : clean;
}

}  // namespace archway::dockerfile
