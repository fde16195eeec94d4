#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/http.h"
#include "registry/client.h"

// What registries tell in headers beside the answer itself. All of it is hostile text.
namespace archway {

inline constexpr size_t kMaxWarningBytes = 4096;  // distribution-spec 1.1, "Warnings"
inline constexpr size_t kMaxWarnings = 100;

// Seconds, or an HTTP date (RFC 9110 10.2.3); a date gone by is zero.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value, Time now);
// 299 - "text"; nullopt for any other form or code.
std::optional<std::string> parse_warning(std::string_view value);
// RateLimit-Limit and RateLimit-Remaining as Docker Hub sends them: "100;w=21600".
std::optional<RateLimit> parse_rate_limit(const Headers& headers);

struct ByteRange {
  uint64_t first = 0, last = 0;
  std::optional<uint64_t> total = {};
};
// "bytes 0-9/100", "bytes 0-9/*".
std::optional<ByteRange> parse_content_range(std::string_view value);
// An upload's "0-9" (or "bytes=0-9", which some send): how many bytes the registry has. "0-0" is what registries
// say for none at all; a single byte is then sent again.
std::optional<uint64_t> parse_upload_range(std::string_view value);

}  // namespace archway
