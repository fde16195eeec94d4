#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

// Records of pax extended headers (POSIX.1-2001 pax, "pax Extended Header"): "LENGTH KEY=VALUE\n". Private to tar.
namespace archway {

inline constexpr std::string_view kPaxXattrPrefix = "SCHILY.xattr.";
using PaxRecords = std::map<std::string, std::string, std::less<>>;

// Adds the records of one header to `records`, later over earlier. Keys that archway has no use for are left out.
Result<void> parse_pax_records(std::string_view text, PaxRecords& records);
std::string write_pax_records(const PaxRecords& records);
// "1700000000.25", "-1.5": seconds with any number of decimals; past what Time can hold, the last it can.
std::optional<Time> parse_pax_time(std::string_view text);
Time time_of_seconds(int64_t seconds);  // the same, for whole seconds

}  // namespace archway
