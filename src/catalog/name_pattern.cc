#include "catalog/name_pattern.h"

#include <algorithm>

#include "base/text.h"
#include "image/reference.h"

namespace archway::catalog {

namespace {

// Matches the rest of the pattern against the rest of the name; wildcards take as much as they can.
bool match(std::string_view pattern, std::string_view name, std::vector<std::string>& captured) {
  size_t star = pattern.find('*');
  if (star == pattern.npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  pattern.remove_prefix(star), name.remove_prefix(star);
  bool any = pattern.starts_with("**");
  pattern.remove_prefix(any ? 2 : 1);
  size_t longest = any ? name.size() : std::min(name.size(), name.find_first_of("./"));
  for (size_t length = longest; length > 0; --length) {
    captured.emplace_back(name.substr(0, length));
    if (match(pattern, name.substr(length), captured)) return true;
    captured.pop_back();
  }
  return false;
}

}  // namespace

Result<NamePattern> NamePattern::parse(std::string_view text) {
  NamePattern pattern;
  pattern.text_ = text;
  std::string sample;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '*') {
      sample += text[i];
      continue;
    }
    ++pattern.wildcards_;
    sample += "x";
    if (i + 1 < text.size() && text[i + 1] == '*') ++i;
    if (i + 1 < text.size() && text[i + 1] == '*') return Error{Code::Invalid, "wildcards beside each other in " + std::string(text)};
  }
  if (text.size() > kMaxPatternBytes) return Error{Code::Invalid, "a name of more than " + std::to_string(kMaxPatternBytes) + " bytes"};
  if (pattern.wildcards_ > kMaxWildcards) return Error{Code::Invalid, "more than " + std::to_string(kMaxWildcards) + " wildcards in " + std::string(text)};
  // "**-amd64" could stand for any host; what the sample becomes is then a name on Docker Hub, which is no reason to refuse it.
  auto reference = Reference::parse(sample);
  if (!reference.ok()) return std::move(reference).error();
  bool bare = reference->name() == sample || text.starts_with("**");
  if (!bare) return Error{Code::Invalid, std::string(text) + " is not a full repository name without a tag (" + reference->name() + "?)"};
  return pattern;
}

std::optional<std::vector<std::string>> NamePattern::captures(std::string_view name) const {
  std::vector<std::string> captured;
  if (name.size() > kMaxPatternBytes || !match(text_, name, captured)) return std::nullopt;
  return captured;
}

std::string NamePattern::filled(const std::vector<std::string>& with) const {
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] != '*') {
      out += text_[i];
      continue;
    }
    if (i + 1 < text_.size() && text_[i + 1] == '*') ++i;
    if (next < with.size()) out += with[next++];
  }
  return out;
}

bool NamePattern::overlaps(const NamePattern& other) const {
  if (!has_wildcards()) return other.matches(text_);
  if (!other.has_wildcards()) return matches(other.text_);
  std::string_view a = text_, b = other.text_;
  a = a.substr(0, a.find('*')), b = b.substr(0, b.find('*'));
  return a.starts_with(b) || b.starts_with(a);
}

}  // namespace archway::catalog
