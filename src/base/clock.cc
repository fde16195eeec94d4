#include "base/clock.h"

#include <cstdio>
#include <ctime>

#include "base/text.h"

namespace archway {

namespace {
class SystemClock final : public Clock {
  Time now() override {
    timespec ts = {};
    ::clock_gettime(CLOCK_REALTIME, &ts);
    return {static_cast<int64_t>(ts.tv_sec) * 1'000'000'000 + ts.tv_nsec};
  }
};

std::optional<int> digits(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return std::nullopt;
  int value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}
}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

std::string format_rfc3339(Time time) {
  time_t seconds = static_cast<time_t>(time.seconds());
  int64_t fraction = time.nanoseconds - static_cast<int64_t>(seconds) * 1'000'000'000;
  tm parts = {};
  ::gmtime_r(&seconds, &parts);
  char text[48];
  size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::string out(text, n);
  if (fraction != 0) {
    std::snprintf(text, sizeof text, ".%09lld", static_cast<long long>(fraction));
    std::string decimals = text;
    decimals.erase(decimals.find_last_not_of('0') + 1);
    out += decimals;
  }
  return out + "Z";
}

std::optional<Time> parse_rfc3339(std::string_view text) {
  auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  auto hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' || text[16] != ':') return std::nullopt;
  if (*month < 1 || *month > 12 || *day < 1 || *day > 31 || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  tm parts = {};
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  parts.tm_hour = *hour;
  parts.tm_min = *minute;
  parts.tm_sec = *second;
  int64_t nanoseconds = 0;
  size_t at = 19;
  if (at < text.size() && text[at] == '.') {
    int64_t unit = 100'000'000;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10) nanoseconds += (text[at] - '0') * unit;
  }
  int64_t offset = 0;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
    auto h = digits(text, at + 1, 2), m = digits(text, at + 4, 2);
    if (!h || !m || text.size() != at + 6) return std::nullopt;
    offset = (*h * 3600 + *m * 60) * (text[at] == '-' ? -1 : 1);
  } else if (at + 1 != text.size() || (text[at] != 'Z' && text[at] != 'z')) {
    return std::nullopt;
  }
  // Nanoseconds in 64 bits reach from 1677 to 2262.
  int64_t seconds = static_cast<int64_t>(::timegm(&parts)) - offset;
  if (seconds < -9'200'000'000 || seconds > 9'200'000'000) return std::nullopt;
  return Time{seconds * 1'000'000'000 + nanoseconds};
}

std::string human_age(Time then, Time now) {
  int64_t seconds = now.seconds() - then.seconds();
  auto say = [](int64_t count, const char* unit) { return std::to_string(count) + " " + unit + (count == 1 ? " ago" : "s ago"); };
  if (seconds < 0) return "in the future";
  if (seconds < 60) return say(seconds, "second");
  if (seconds < 3600) return say(seconds / 60, "minute");
  if (seconds < 48 * 3600) return say(seconds / 3600, "hour");
  if (seconds < 14 * 86400) return say(seconds / 86400, "day");
  if (seconds < 60 * 86400) return say(seconds / (7 * 86400), "week");
  if (seconds < 730ll * 86400) return say(seconds / (30 * 86400), "month");
  return say(seconds / (365 * 86400), "year");
}

}  // namespace archway
