#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// .dockerignore, as moby/patternmatcher reads it (builder.md 3.6).
namespace archway::dockerfile {

// The patterns of an ignore file: comments, blanks and BOM dropped, cleaned as Go's filepath.Clean does.
std::vector<std::string> parse_ignore_file(std::string_view text);

inline constexpr size_t kMaxIgnorePatterns = 10'000;
inline constexpr size_t kMaxIgnorePatternBytes = 4096;

// Immutable after create; may be used by several threads, and copied cheaply.
//
// A pattern: `*` and `?` match within a path component, `**` any number of components, [...] a class, a backslash makes the next
// character literal; `!` in front re-includes. The last pattern that matches counts. Where a pattern has a class, `*`, `?` and `.` in
// it mean what they mean in the regular expressions that moby/patternmatcher makes of it. Unlike there, a backslash before a letter is
// never a class such as \d, and `^` outside of a class is an ordinary character.
class IgnoreMatcher {
 public:
  // Invalid for a broken pattern, a lone `!`, and beyond the limits above. Patterns need not be clean.
  static Result<IgnoreMatcher> create(const std::vector<std::string>& patterns);
  bool empty() const;
  // MatchesOrParentMatches: whether the file (slash-separated, relative) is left out.
  Result<bool> ignored(std::string_view path) const;
  // For a walk: carries the parents' verdicts, so that each level costs one match. The state of the root is the empty one; `own`, the
  // state of `path`, is what its children get as `parent`. This is MatchesUsingParentResults, by which BuildKit reads a build context,
  // and it is not always the same: with `**/*.md` and `!docs`, ignored("docs/x.md") is false, but BuildKit leaves docs/x.md out, as a
  // `!` that has nothing to re-include in docs itself is not remembered for what is below it.
  struct ParentState { std::vector<bool> matched; };
  Result<bool> ignored(std::string_view path, const ParentState& parent, ParentState& own) const;
  // Whether an ignored folder may hold re-included files (some `!` pattern could match below): if not, it need not be walked.
  bool may_reinclude_below(std::string_view directory) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

// Go's filepath.Match: `*` and `?` do not cross '/', [...] classes, backslash escapes. Invalid for a bad pattern.
Result<bool> match_path(std::string_view pattern, std::string_view path);
// Go's filepath.Clean for slash paths.
std::string clean_path(std::string_view path);

}  // namespace archway::dockerfile
