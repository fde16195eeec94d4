#include "dockerfile/duration.h"

#include <array>
#include <utility>

namespace archway::dockerfile {
namespace {

struct Unit {
  std::string_view name;
  uint64_t nanoseconds;
};
// Longer names before those that they begin with.
constexpr std::array<Unit, 8> kUnits{{{"ns", 1},
                                      {"us", 1'000},
                                      {"\xC2\xB5s", 1'000},  // micro sign
                                      {"\xCE\xBCs", 1'000},  // Greek mu
                                      {"ms", 1'000'000},
                                      {"s", 1'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"h", 3'600'000'000'000}}};

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

// "1.5h" at the front of `text`, which loses it.
std::optional<uint64_t> take_term(std::string_view& text) {
  uint64_t whole = 0;
  double fraction = 0, scale = 1;
  bool digits = false;
  for (; !text.empty() && is_ascii_digit(text[0]); text.remove_prefix(1), digits = true) {
    if (__builtin_mul_overflow(whole, uint64_t{10}, &whole) || __builtin_add_overflow(whole, static_cast<uint64_t>(text[0] - '0'), &whole)) {
      return std::nullopt;
    }
  }
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    for (; !text.empty() && is_ascii_digit(text[0]); text.remove_prefix(1), digits = true) {
      scale /= 10;
      fraction += scale * (text[0] - '0');
    }
  }
  if (!digits) return std::nullopt;
  for (const Unit& unit : kUnits) {
    if (!text.starts_with(unit.name)) continue;
    text.remove_prefix(unit.name.size());
    uint64_t value = 0;
    const auto rest = static_cast<uint64_t>(fraction * static_cast<double>(unit.nanoseconds) + 1e-6);
    if (__builtin_mul_overflow(whole, unit.nanoseconds, &value) || __builtin_add_overflow(value, rest, &value)) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> parse_duration(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return 0;
  if (text.empty()) return std::nullopt;
  uint64_t total = 0;
  while (!text.empty()) {
    const auto term = take_term(text);
    if (!term || __builtin_add_overflow(total, *term, &total) || total > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
  }
  return negative ? -static_cast<int64_t>(total) : static_cast<int64_t>(total);
}

}  // namespace archway::dockerfile
