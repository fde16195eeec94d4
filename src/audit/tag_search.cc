#include "audit/tag_search.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "catalog/version.h"

namespace archway::audit {

namespace {

using catalog::Version;

size_t parts_of(const Version& version) { return static_cast<size_t>(std::count(version.numbers().begin(), version.numbers().end(), '.')) + 1; }

// The first `count` parts of the numbers.
std::string line_of(const Version& version, size_t count) {
  std::string line;
  size_t parts = 0;
  for (char c : version.numbers()) {
    if (c == '.' && ++parts == count) break;
    line += c;
  }
  return line;
}

uint64_t major_of(const Version& version) { return parse_uint(line_of(version, 1)).value_or(0); }

}  // namespace

std::vector<std::string> later_tags(const std::string& current, const std::vector<std::string>& all) {
  auto now = Version::parse(current);
  if (!now) return {};
  std::vector<Version> later;
  for (const std::string& tag : all) {
    auto version = Version::parse(tag);
    if (!version || !version->prerelease().empty() || version->variant() != now->variant() || version->prefix() != now->prefix()) continue;
    if (parts_of(*version) != parts_of(*now) || catalog::compare(*version, *now) <= 0) continue;
    if (major_of(*version) > major_of(*now) + kMaxMajorsAhead) continue;
    later.push_back(std::move(*version));
  }
  std::sort(later.begin(), later.end(), [](const Version& a, const Version& b) {
    auto order = catalog::compare(a, b);
    return order != 0 ? order < 0 : a.text() < b.text();
  });
  std::vector<std::string> tags;
  for (const Version& version : later) tags.push_back(version.text());
  return tags;
}

TagSearch search_tags(const std::string& current, const std::vector<std::string>& later, size_t max_probes, const std::function<bool(const std::string&)>& has) {
  TagSearch search;
  std::map<std::string, bool> known;
  auto ask = [&](const std::string& tag) {
    auto at = known.find(tag);
    if (at != known.end()) return at->second;
    if (search.looked_at >= max_probes) return false;
    ++search.looked_at;
    return known[tag] = has(tag);
  };
  if (later.empty()) return search;
  // Few: one after the other, so that a gap in the middle does no harm.
  if (later.size() <= max_probes) {
    for (const std::string& tag : later) {
      if (!ask(tag)) continue;
      search.first = tag;
      break;
    }
    if (search.first.empty()) return search;
    search.newest = ask(later.back()) ? later.back() : search.first;
    return search;
  }
  if (!ask(later.back())) {
    // The newest may have lost it; the lines nearest to what runs now are worth a question each.
    auto now = Version::parse(current);
    for (size_t parts : {size_t{2}, size_t{1}}) {
      auto same = std::find_if(later.rbegin(), later.rend(), [&](const std::string& tag) {
        auto version = Version::parse(tag);
        return now && version && line_of(*version, parts) == line_of(*now, parts);
      });
      if (same == later.rend() || !ask(*same)) continue;
      search.first = search.newest = *same;
      return search;
    }
    return search;
  }
  search.newest = later.back();
  size_t low = 0, high = later.size() - 1;  // high has it
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (search.looked_at >= max_probes && !known.contains(later[middle])) break;
    if (ask(later[middle])) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  search.first = later[high];
  return search;
}

std::string without_processor(const std::string& tag) {
  for (std::string_view name : {"linux-amd64", "linux_amd64", "amd64", "x86_64", "x86-64", "x64"}) {
    for (char joint : {'-', '_', '.'}) {
      std::string tail = joint + std::string(name), head = std::string(name) + joint;
      if (tag.ends_with(tail) && tag.size() > tail.size()) return tag.substr(0, tag.size() - tail.size());
      if (tag.starts_with(head) && tag.size() > head.size()) return tag.substr(head.size());
    }
  }
  return {};
}

}  // namespace archway::audit
