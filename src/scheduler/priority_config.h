#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// The priority expander's configuration (expander/priority/priority.go): a map of whole numbers to lists of regular expressions in Go's
// syntax (RE2), matched anywhere in a group's id. The highest number counts.
namespace archway::scheduler {

inline constexpr std::string_view kPriorityConfigMap = "cluster-autoscaler-priority-expander";
inline constexpr std::string_view kPriorityKey = "priorities";
inline constexpr size_t kMaxPriorityBytes = 1 << 20;  // of a whole ConfigMap
inline constexpr size_t kMaxPatternBytes = 4096;
// Groups of a lower priority are never chosen: the search for the highest begins at -1.
inline constexpr int64_t kLeastPriority = -1;

class Pattern {
 public:
  // Invalid with RE2's reason. What Go's regexp refuses is refused, also \C, which RE2 itself takes.
  static Result<Pattern> compile(std::string_view text);
  bool matches(std::string_view id) const;
  const std::string& text() const { return text_; }

 private:
  struct Compiled;
  std::string text_;
  std::shared_ptr<const Compiled> compiled_;
};

struct PriorityEntry {
  int64_t priority = 0;
  Pattern pattern;
  uint32_t line = 0;  // within the text, from 1
};

// Something wrong that the expander does not mind, and its user might.
struct PriorityRemark {
  std::string rule, message, advice;
  uint32_t line = 0;
};

class PriorityConfig {
 public:
  // Invalid wherever the expander gives up and lets every option pass: no YAML, no map, a key that is no whole number, a bad
  // pattern. The message begins with "line N: " where there is a line; `rule_of_failure` then names the lint rule.
  static Result<PriorityConfig> parse(std::string_view text);

  const std::vector<PriorityEntry>& entries() const { return entries_; }  // by priority, highest first; within one, as written
  const std::vector<PriorityRemark>& remarks() const { return remarks_; }
  // The highest priority that a pattern gives the id; nullopt where none matches.
  std::optional<int64_t> priority_of(std::string_view id) const;

 private:
  std::vector<PriorityEntry> entries_;
  std::vector<PriorityRemark> remarks_;
};

}  // namespace archway::scheduler
