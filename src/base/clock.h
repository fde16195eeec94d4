#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace archway {

// Nanoseconds since 1970-01-01T00:00:00Z.
struct Time {
  int64_t nanoseconds = 0;
  auto operator<=>(const Time&) const = default;
  static Time from_seconds(int64_t seconds) { return {seconds * 1'000'000'000}; }
  int64_t seconds() const { return nanoseconds >= 0 ? nanoseconds / 1'000'000'000 : (nanoseconds - 999'999'999) / 1'000'000'000; }
};

// The time, behind an interface so that tests bring their own.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() = 0;
};
Clock& system_clock();

// RFC 3339 in UTC as Go writes it: "2026-11-22T20:27:00Z", with as many decimals as are not zero.
std::string format_rfc3339(Time time);
std::optional<Time> parse_rfc3339(std::string_view text);
// "2 hours ago", as docker says it.
std::string human_age(Time then, Time now);

}  // namespace archway
