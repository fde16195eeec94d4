#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace archway::dockerfile {

// Go's time.ParseDuration, in nanoseconds: "1m30s", "1.5h", "300ms", "-2us", "0". Nullopt where it is none, or does not fit.
std::optional<int64_t> parse_duration(std::string_view text);

}  // namespace archway::dockerfile
