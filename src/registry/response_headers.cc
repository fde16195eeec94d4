#include "registry/response_headers.h"

#include <time.h>

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace archway {

std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value, Time now) {
  value = trim(value);
  if (auto seconds = parse_uint(value)) return std::chrono::seconds(std::min<uint64_t>(*seconds, 365 * 24 * 3600));
  tm when = {};
  std::string text(value);
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &when);
  if (!end || *end != '\0') return std::nullopt;
  int64_t seconds = ::timegm(&when) - now.seconds();
  return std::chrono::seconds(std::clamp<int64_t>(seconds, 0, 365 * 24 * 3600));
}

std::optional<std::string> parse_warning(std::string_view value) {
  value = trim(value);
  if (value.size() > kMaxWarningBytes || !value.starts_with("299 ")) return std::nullopt;
  size_t open = value.find('"');
  if (open == std::string_view::npos) return std::nullopt;
  std::string text;
  for (size_t i = open + 1; i < value.size(); i++) {
    if (value[i] == '"') return text;
    if (value[i] == '\\' && i + 1 < value.size()) i++;
    text += value[i];
  }
  return std::nullopt;
}

std::optional<RateLimit> parse_rate_limit(const Headers& headers) {
  RateLimit limit;
  auto number = [&](const char* name) -> std::optional<int64_t> {
    std::string value = headers.get(name);
    auto [count, window] = cut(value, ';');
    if (window && trim(*window).starts_with("w=")) {
      if (auto seconds = parse_uint(trim(*window).substr(2)); seconds && *seconds < std::numeric_limits<int32_t>::max()) limit.window_seconds = static_cast<int64_t>(*seconds);
    }
    auto parsed = parse_uint(trim(count));
    if (!parsed || *parsed > std::numeric_limits<int32_t>::max()) return std::nullopt;
    return static_cast<int64_t>(*parsed);
  };
  limit.limit = number("RateLimit-Limit");
  limit.remaining = number("RateLimit-Remaining");
  if (!limit.limit && !limit.remaining) return std::nullopt;
  return limit;
}

std::optional<ByteRange> parse_content_range(std::string_view value) {
  value = trim(value);
  if (!to_lower(value.substr(0, 6)).starts_with("bytes ")) return std::nullopt;
  auto [span, total] = cut(value.substr(6), '/');
  auto [first, last] = cut(span, '-');
  if (!last) return std::nullopt;
  auto begin = parse_uint(trim(first)), end = parse_uint(trim(*last));
  if (!begin || !end || *end < *begin) return std::nullopt;
  ByteRange range{*begin, *end, {}};
  if (total && trim(*total) != "*") {
    range.total = parse_uint(trim(*total));
    if (!range.total || *range.total <= *end) return std::nullopt;
  }
  return range;
}

std::optional<uint64_t> parse_upload_range(std::string_view value) {
  value = trim(value);
  if (value.starts_with("bytes=")) value.remove_prefix(6);
  auto [first, last] = cut(value, '-');
  if (!last || parse_uint(first) != 0u) return std::nullopt;
  auto end = parse_uint(*last);
  if (!end || *end == std::numeric_limits<uint64_t>::max()) return std::nullopt;
  return *end == 0 ? 0 : *end + 1;
}

}  // namespace archway
