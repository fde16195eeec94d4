#include "format/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string>

namespace archway {

namespace {

constexpr std::array<std::string_view, 11> kTrue = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"};
constexpr std::array<std::string_view, 11> kFalse = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"};
constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 12> kNoNumber = {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"};

bool listed(const auto& list, std::string_view text) { return std::find(list.begin(), list.end(), text) != list.end(); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A whole number in base 10, or by its prefix 0x, 0b, 0o or 0 in 16, 2 or 8.
std::optional<Json> whole_number(std::string_view text) {
  bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    char mark = text[1];
    base = mark == 'x' || mark == 'X' ? 16 : mark == 'b' || mark == 'B' ? 2 : 8;
    text.remove_prefix(base != 8 || mark == 'o' || mark == 'O' ? 2 : 1);
  }
  uint64_t magnitude = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  constexpr uint64_t most = uint64_t(1) << 63;
  if (negative) {
    if (magnitude > most) return std::nullopt;
    return Json(static_cast<int64_t>(0 - magnitude));
  }
  if (magnitude < most) return Json(static_cast<int64_t>(magnitude));
  return Json(static_cast<double>(magnitude));
}

// [-+]? (\.[0-9]+ | [0-9]+(\.[0-9]*)?) ([eE][-+]?[0-9]+)?
bool float_shaped(std::string_view text) {
  auto digits = [&] {
    size_t count = 0;
    while (count < text.size() && is_digit(text[count])) ++count;
    text.remove_prefix(count);
    return count;
  };
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  size_t whole = digits();
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    if (digits() == 0 && whole == 0) return false;
  } else if (whole == 0) {
    return false;
  }
  if (text.empty()) return true;
  if (text[0] != 'e' && text[0] != 'E') return false;
  text.remove_prefix(1);
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return digits() > 0 && text.empty();
}

std::optional<Json> decimal(std::string_view text) {
  if (!float_shaped(text)) return std::nullopt;
  if (text[0] == '+') text.remove_prefix(1);
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  // Kubernetes goes by way of JSON, where 1. and 1e3 are written 1 and 1000.
  if (std::trunc(value) == value && std::fabs(value) < 9e15) return Json(static_cast<int64_t>(value));
  return Json(value);
}

}  // namespace

std::optional<Json> resolve_yaml_scalar(std::string_view text) {
  if (listed(kNull, text)) return Json();
  if (listed(kTrue, text)) return Json(true);
  if (listed(kFalse, text)) return Json(false);
  if (listed(kNoNumber, text)) return std::nullopt;
  if (is_digit(text[0]) || text[0] == '-' || text[0] == '+' || text[0] == '.') {
    std::string plain(text);
    if (text[0] != '.') std::erase(plain, '_');
    if (text[0] != '.') {
      if (auto number = whole_number(plain)) return number;
    }
    if (auto number = decimal(plain)) return number;
  }
  return Json(text);
}

}  // namespace archway
