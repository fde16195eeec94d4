#include "kube/labels.h"

#include <algorithm>

namespace archway::kube {

namespace {

constexpr size_t kMaxNameBytes = 63;
constexpr size_t kMaxPrefixBytes = 253;

bool alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool qualified_part(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameBytes || !alphanumeric(text.front()) || !alphanumeric(text.back())) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

// RFC 1123: lower-case labels between dots.
bool dns_subdomain(std::string_view text) {
  if (text.empty() || text.size() > kMaxPrefixBytes) return false;
  char before = '.';
  for (char c : text) {
    bool lower = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!lower && (before == '.' || (c != '-' && c != '.'))) return false;
    if (c == '.' && before == '-') return false;
    before = c;
  }
  return before != '-' && before != '.';
}

}  // namespace

Labels::Labels(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.first < b.first; });
  auto last = std::unique(entries_.rbegin(), entries_.rend(), [](const Entry& a, const Entry& b) { return a.first == b.first; });
  entries_.erase(entries_.begin(), last.base());
}

const std::string* Labels::find(std::string_view key) const {
  auto at = std::lower_bound(entries_.begin(), entries_.end(), key, [](const Entry& entry, std::string_view k) { return entry.first < k; });
  return at != entries_.end() && at->first == key ? &at->second : nullptr;
}

void Labels::set(std::string_view key, std::string_view value) {
  auto at = std::lower_bound(entries_.begin(), entries_.end(), key, [](const Entry& entry, std::string_view k) { return entry.first < k; });
  if (at != entries_.end() && at->first == key) {
    at->second = value;
  } else {
    entries_.emplace(at, key, value);
  }
}

void Labels::erase(std::string_view key) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.first == key; });
}

Result<Labels> read_labels(const Json& object) {
  if (object.is_null()) return Labels();
  if (!object.is_object()) return Error{Code::Invalid, "must be a map of strings"};
  std::vector<Labels::Entry> entries;
  entries.reserve(object.size());
  for (const JsonMember& member : object.members()) {
    if (!member.value.is_string()) return Error{Code::Invalid, "\"" + member.key + "\": must be a string; put it in quotes"};
    entries.emplace_back(member.key, member.value.string());
  }
  return Labels(std::move(entries));
}

bool valid_label_value(std::string_view value) { return value.empty() || qualified_part(value); }

bool valid_label_key(std::string_view key) {
  size_t slash = key.find('/');
  if (slash == std::string_view::npos) return qualified_part(key);
  return dns_subdomain(key.substr(0, slash)) && qualified_part(key.substr(slash + 1));
}

}  // namespace archway::kube
