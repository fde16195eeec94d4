#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/report.h"
#include "base/clock.h"
#include "base/result.h"

// Findings that are known and do not count: a baseline of what was there when auditing began, and an ignore list with reasons.
namespace archway::audit {

inline constexpr size_t kMaxSuppressFileBytes = 16 << 20;
inline constexpr size_t kMaxIgnores = 100'000;

// {"schema": "archway-audit-baseline/1", "findings": [{"id": "...", "message": "..."}]}. Only ids count; bare ids are taken too.
Result<std::vector<std::string>> parse_baseline(std::string_view text);
std::string write_baseline(const std::vector<Finding>& findings);

// ignore:
// - id: 3f1c0a9b2d4e       # any of id, rule, image, object, source; all that are given must match; * stands for anything
//   rule: image-not-ready
//   reason: replaced in March
//   until: 2027-03-31       # the last day; optional
struct Ignore {
  std::string id, rule, image, object, source, reason;
  std::string until;      // "2027-03-31" or ""
  uint32_t line = 0;
};
// Invalid with "line N: ": no reason, no condition, a date that is none, a member that is unknown.
Result<std::vector<Ignore>> parse_ignores(std::string_view text);

bool matches(const Ignore& ignore, const Finding& finding);

// Fills report.suppressed, and remarks on entries that have expired or match nothing.
void suppress(Report& report, const std::vector<std::string>& baseline, const std::vector<Ignore>& ignores, Time now);

}  // namespace archway::audit
