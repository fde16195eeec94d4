#pragma once

#include <functional>
#include <string>
#include <vector>

#include "image/platform.h"
#include "registry/lookup.h"

// Which other tag has it? Renovate's and Nova's rules of what may replace a tag (audit.md 1.2, note 6): the same text after the version,
// the same number of parts, no pre-releases, later.
namespace archway::audit {

// Tags that may take `current`'s place, the nearest first. Empty where `current` is no version.
std::vector<std::string> later_tags(const std::string& current, const std::vector<std::string>& all);

inline constexpr uint32_t kMaxMajorsAhead = 10;  // beyond, a tag is a date or a build's number, not a release

struct TagSearch {
  std::string first, newest;  // that have the platform; "" where none has
  size_t looked_at = 0;
};
// Asks `has` about few of them: where the newest has it, halves the rest (a project that once publishes a platform goes on doing so);
// where it has not, the newest of the same minor and major versions.
TagSearch search_tags(const std::string& current, const std::vector<std::string>& later, size_t max_probes, const std::function<bool(const std::string&)>& has);

// A tag without the processor in it: "1.2-amd64" -> "1.2", "linux-amd64-1.2" -> "1.2". "" where there is none.
std::string without_processor(const std::string& tag);

}  // namespace archway::audit
