#include "dockerfile/ignore.h"

#include <algorithm>

#include "base/text.h"
#include "dockerfile/ignore_pattern.h"
#include "dockerfile/unicode.h"

namespace archway::dockerfile {

std::vector<std::string> parse_ignore_file(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<std::string> patterns;
  for (const std::string& line : split(text, '\n')) {
    if (line.starts_with('#')) continue;  // only in the first column
    std::string_view pattern = trim_space(line);
    if (pattern.empty()) continue;
    const bool again = pattern.starts_with('!');
    if (again) pattern = trim_space(pattern.substr(1));
    std::string clean = pattern.empty() ? "" : clean_path(pattern);
    if (clean.size() > 1 && clean[0] == '/') clean.erase(0, 1);
    patterns.push_back(again ? "!" + clean : std::move(clean));
  }
  return patterns;
}

struct IgnoreMatcher::Compiled {
  struct Entry {
    IgnorePattern pattern;
    bool again = false;                   // `!`
    std::vector<std::string> components;  // of `!` patterns, for may_reinclude_below
  };
  std::vector<Entry> entries;
};

namespace {

// Whether a path below `directory` can match a pattern of these components. May say yes where the truth is no, never the reverse.
bool may_match_below(const std::vector<std::string>& components, std::string_view directory) {
  const std::vector<std::string> parts = split(directory, '/');
  for (size_t i = 0; i < parts.size(); i++) {
    if (i >= components.size()) return false;  // it matches the folder or its parents, not what is below
    const std::string& component = components[i];
    // What `**` and a class that may hold a slash match is not bound to one component.
    if (component.find("**") != std::string::npos || component.find_first_of("[]\\") != std::string::npos) return true;
    if (!match_path(component, parts[i]).value_or(true)) return false;
  }
  return components.size() > parts.size();
}

}  // namespace

Result<IgnoreMatcher> IgnoreMatcher::create(const std::vector<std::string>& patterns) {
  if (patterns.size() > kMaxIgnorePatterns) {
    return Error{Code::Invalid, "more than " + std::to_string(kMaxIgnorePatterns) + " ignore patterns"};
  }
  auto compiled = std::make_shared<Compiled>();
  for (const std::string& written : patterns) {
    if (written.size() > kMaxIgnorePatternBytes) {
      return Error{Code::Invalid, "an ignore pattern is longer than " + std::to_string(kMaxIgnorePatternBytes) + " bytes: " + written.substr(0, 100) + "..."};
    }
    const std::string_view trimmed = trim_space(written);
    if (trimmed.empty()) continue;
    std::string text = clean_path(trimmed);
    Compiled::Entry entry;
    entry.again = text[0] == '!';
    if (entry.again) text.erase(0, 1);
    if (text.empty()) return Error{Code::Invalid, "illegal exclusion pattern: \"!\""};
    TRY(match_path(text, "."));  // for its complaint about the syntax
    entry.pattern = TRY(IgnorePattern::compile(text));
    if (entry.again) entry.components = split(text, '/');
    compiled->entries.push_back(std::move(entry));
  }
  IgnoreMatcher matcher;
  matcher.compiled_ = std::move(compiled);
  return matcher;
}

bool IgnoreMatcher::empty() const { return !compiled_ || compiled_->entries.empty(); }

Result<bool> IgnoreMatcher::ignored(std::string_view path) const {
  bool ignored = false;
  if (empty()) return ignored;
  for (const Compiled::Entry& entry : compiled_->entries) {
    if (entry.again != ignored) continue;  // it could change nothing
    bool match = entry.pattern.matches(path);
    for (size_t slash = path.find('/'); !match && slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
      match = entry.pattern.matches(path.substr(0, slash));
    }
    if (match) ignored = !entry.again;
  }
  return ignored;
}

Result<bool> IgnoreMatcher::ignored(std::string_view path, const ParentState& parent, ParentState& own) const {
  bool ignored = false;
  const size_t count = compiled_ ? compiled_->entries.size() : 0;
  if (!parent.matched.empty() && parent.matched.size() != count) {
    return Error{Code::Internal, "the parent's state is another matcher's"};
  }
  std::vector<bool> matched(count);
  for (size_t i = 0; i < count; i++) {
    const Compiled::Entry& entry = compiled_->entries[i];
    bool match = !parent.matched.empty() && parent.matched[i];
    if (!match && entry.again != ignored) continue;
    match = match || entry.pattern.matches(path);
    matched[i] = match;
    if (match) ignored = !entry.again;
  }
  own.matched = std::move(matched);
  return ignored;
}

bool IgnoreMatcher::may_reinclude_below(std::string_view directory) const {
  if (empty()) return false;
  return std::any_of(compiled_->entries.begin(), compiled_->entries.end(),
                     [&](const Compiled::Entry& entry) { return entry.again && may_match_below(entry.components, directory); });
}

}  // namespace archway::dockerfile
