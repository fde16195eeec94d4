#include "format/tar_pax.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace archway {

namespace {

constexpr std::array<std::string_view, 8> kKnown = {"path", "linkpath", "uname", "gname", "uid", "gid", "size", "mtime"};

bool is_wanted(std::string_view key) {
  return std::ranges::find(kKnown, key) != kKnown.end() || key.starts_with(kPaxXattrPrefix) || key.starts_with("GNU.sparse.");
}

}  // namespace

Result<void> parse_pax_records(std::string_view text, PaxRecords& records) {
  auto broken = [](std::string_view why) { return Error{Code::Invalid, "pax header: " + std::string(why)}; };
  while (!text.empty()) {
    size_t blank = text.find(' ');
    std::optional<uint64_t> length = blank == text.npos ? std::nullopt : parse_uint(text.substr(0, blank));
    if (!length || *length > text.size() || *length < blank + 4) return broken("a record has a wrong length");
    std::string_view record = text.substr(blank + 1, *length - blank - 1);
    text.remove_prefix(*length);
    if (record.back() != '\n') return broken("a record does not end in a newline");
    record.remove_suffix(1);
    size_t equals = record.find('=');
    if (equals == record.npos || equals == 0) return broken("a record has no key");
    std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    bool is_xattr = key.starts_with(kPaxXattrPrefix);
    if ((is_xattr ? key : value).find('\0') != key.npos) return broken("a NUL in " + std::string(is_xattr ? "a key" : key));
    if (is_wanted(key)) records.insert_or_assign(std::string(key), std::string(value));
  }
  return {};
}

std::string write_pax_records(const PaxRecords& records) {
  std::string text;
  for (const auto& [key, value] : records) {
    // The length counts its own digits: one more digit may be what makes it longer.
    size_t rest = key.size() + value.size() + 3;
    size_t length = rest + std::to_string(rest).size();
    length = rest + std::to_string(length).size();
    text += std::to_string(length) + " " + key + "=" + value + "\n";
  }
  return text;
}

Time time_of_seconds(int64_t seconds) {
  constexpr int64_t kMost = INT64_MAX / 1'000'000'000 - 1;
  return Time::from_seconds(std::clamp(seconds, -kMost, kMost));
}

std::optional<Time> parse_pax_time(std::string_view text) {
  auto [whole, fraction] = cut(text, '.');
  std::optional<int64_t> seconds = parse_int(whole);
  if (!seconds) return std::nullopt;
  Time time = time_of_seconds(*seconds);
  if (!fraction) return time;
  if (fraction->find_first_not_of("0123456789") != fraction->npos) return std::nullopt;
  std::string digits(fraction->substr(0, 9));
  digits.resize(9, '0');
  int64_t nanoseconds = parse_int(digits).value_or(0);
  time.nanoseconds += whole.starts_with('-') ? -nanoseconds : nanoseconds;
  return time;
}

}  // namespace archway
