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

class IgnoreMatcher {
 public:
  static Result<IgnoreMatcher> create(const std::vector<std::string>& patterns);
  bool empty() const;
  // MatchesOrParentMatches: whether the file (slash-separated, relative) is left out.
  Result<bool> ignored(std::string_view path) const;
  // The same for a walk: carries the parents' verdicts, so that each level costs one match.
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
