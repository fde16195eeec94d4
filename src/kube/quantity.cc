#include "kube/quantity.h"

#include <algorithm>
#include <boost/multiprecision/cpp_int.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "base/text.h"

namespace archway::kube {

using BigInt = boost::multiprecision::cpp_int;

// unscaled × 10^-scale, of any size.
struct BigDecimal {
  BigInt unscaled;
  int scale = 0;
};

namespace {

// An int64 holds 18 decimal digits whatever they are.
constexpr int kSafeDigits = 18;
constexpr int kNano = -9;

struct Parts {
  bool positive = true;
  std::string_view whole, fraction, suffix;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view take_digits(std::string_view& rest) {
  size_t count = 0;
  while (count < rest.size() && is_digit(rest[count])) ++count;
  std::string_view digits = rest.substr(0, count);
  rest.remove_prefix(count);
  return digits;
}

// [sign] digits [. digits] suffix. Leading zeros go; "." with no digit after it is allowed, as is no digit at all.
std::optional<Parts> split_quantity(std::string_view rest) {
  Parts parts;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    parts.positive = rest[0] == '+';
    rest.remove_prefix(1);
  }
  while (!rest.empty() && rest[0] == '0') rest.remove_prefix(1);
  parts.whole = take_digits(rest);
  if (parts.whole.empty()) parts.whole = "0";
  if (!rest.empty() && rest[0] == '.') {
    rest.remove_prefix(1);
    parts.fraction = take_digits(rest);
  }
  parts.suffix = rest;
  size_t letters = rest.find_first_not_of("eEinumkKMGTP");
  if (letters == std::string_view::npos) return parts;
  rest.remove_prefix(letters);
  if (rest[0] == '-' || rest[0] == '+') rest.remove_prefix(1);
  take_digits(rest);
  if (!rest.empty()) return std::nullopt;
  return parts;
}

struct Suffix {
  int base = 10, exponent = 0;
  Quantity::Format format = Quantity::Format::DecimalSI;
};

struct NamedSuffix {
  std::string_view name;
  int base, exponent;
};
constexpr NamedSuffix kSuffixes[] = {{"", 10, 0},   {"n", 10, -9}, {"u", 10, -6}, {"m", 10, -3},  {"k", 10, 3},
                                     {"M", 10, 6},  {"G", 10, 9},  {"T", 10, 12}, {"P", 10, 15},  {"E", 10, 18},
                                     {"Ki", 2, 10}, {"Mi", 2, 20}, {"Gi", 2, 30}, {"Ti", 2, 40}, {"Pi", 2, 50}, {"Ei", 2, 60}};

std::optional<Suffix> interpret(std::string_view text) {
  for (const NamedSuffix& known : kSuffixes) {
    if (known.name != text) continue;
    return Suffix{known.base, known.exponent, known.base == 2 ? Quantity::Format::BinarySI : Quantity::Format::DecimalSI};
  }
  if (text.size() < 2 || (text[0] != 'e' && text[0] != 'E')) return std::nullopt;
  std::string_view digits = text.substr(1);
  if (digits[0] == '+') digits.remove_prefix(1);
  auto exponent = parse_int(digits);
  if (!exponent || std::abs(*exponent) > kMaxQuantityExponent) return std::nullopt;
  return Suffix{10, static_cast<int>(*exponent), Quantity::Format::DecimalExponent};
}

std::string_view suffix_name(int base, int exponent) {
  for (const NamedSuffix& known : kSuffixes) {
    if (known.base == base && known.exponent == exponent) return known.name;
  }
  return "";
}

BigInt pow10(int exponent) { return boost::multiprecision::pow(BigInt(10), static_cast<unsigned>(exponent)); }

// The low 64 bits, as Go's big.Int.Int64 gives them.
int64_t low_bits(const BigInt& value) {
  BigInt mask = (BigInt(1) << 64) - 1;
  uint64_t magnitude = static_cast<uint64_t>((value < 0 ? BigInt(-value) : value) & mask);
  return static_cast<int64_t>(value < 0 ? 0 - magnitude : magnitude);
}

// Rounds away from zero to `scale` decimals; adds zeros where there were fewer.
BigDecimal round_up(const BigDecimal& value, int scale) {
  if (value.scale <= scale) return {value.unscaled * pow10(scale - value.scale), scale};
  BigInt divisor = pow10(value.scale - scale), remainder;
  BigInt quotient = value.unscaled / divisor;
  remainder = value.unscaled % divisor;
  if (remainder != 0) quotient += value.unscaled < 0 ? -1 : 1;
  return {quotient, scale};
}

bool multiply_fits(int64_t a, int64_t b, int64_t& product) { return !__builtin_mul_overflow(a, b, &product); }

// a / 10^places rounded away from zero.
int64_t divide_up(int64_t value, int places) {
  bool inexact = false;
  int64_t quotient = value;
  for (int i = 0; i < places; ++i) {
    inexact = inexact || quotient % 10 != 0;
    quotient /= 10;
    if (quotient == 0) return inexact ? (value > 0 ? 1 : -1) : 0;
  }
  return inexact ? quotient + (value > 0 ? 1 : -1) : quotient;
}

// 0 where the product does not fit: that is what the API's int64 form answers.
int64_t multiply_by_power(int64_t value, int places) {
  for (int i = 0; i < places && value != 0; ++i) {
    if (!multiply_fits(value, 10, value)) return 0;
  }
  return value;
}

int64_t scaled_big(const BigDecimal& value, int new_scale) {
  int drop = value.scale - new_scale;
  if (drop == 0) return low_bits(value.unscaled);
  // Go multiplies by int64(math.Pow10(n)), which on x86-64 is the least int64 once it does not fit.
  if (drop < 0) {
    uint64_t factor = -drop > 18 ? uint64_t(1) << 63 : static_cast<uint64_t>(pow10(-drop));
    return static_cast<int64_t>(static_cast<uint64_t>(low_bits(value.unscaled)) * factor);
  }
  BigInt divisor = pow10(drop);
  BigInt quotient = value.unscaled / divisor, remainder = value.unscaled % divisor;
  bool small = value.unscaled < std::numeric_limits<int64_t>::max() && drop < 19;
  // The two ways differ on negative fractions: one truncates, the other floors, before both add one.
  if (!small && remainder < 0) quotient -= 1;
  return low_bits(quotient) + (remainder != 0 ? 1 : 0);
}

Error refuse(std::string_view text, std::string_view why) {
  return {Code::Invalid, "quantity \"" + std::string(text.substr(0, 64)) + "\" " + std::string(why)};
}

// Factors of `base` moved out of the number, and how many there were.
int strip_factors(BigInt& number, int base) {
  int times = 0;
  while (number != 0 && number % base == 0) {
    number /= base;
    ++times;
  }
  return times;
}

}  // namespace

int64_t whole_units(Nanos amount) {
  Nanos units = amount / 1'000'000'000 + (amount % 1'000'000'000 > 0 ? 1 : 0);
  constexpr Nanos most = std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(std::clamp<Nanos>(units, -most - 1, most));
}

int64_t milli_units(Nanos amount) {
  Nanos units = amount / 1'000'000 + (amount % 1'000'000 > 0 ? 1 : 0);
  constexpr Nanos most = std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(std::clamp<Nanos>(units, -most - 1, most));
}

Result<Quantity> Quantity::parse(std::string_view text) {
  if (text.empty()) return refuse(text, "is empty");
  if (text.size() > kMaxQuantityBytes) return refuse(text, "is too long");
  auto parts = split_quantity(text);
  if (!parts) return refuse(text, "is not a number with an optional suffix such as m, k, Mi or e3");
  auto suffix = interpret(parts->suffix);
  if (!suffix) return refuse(text, "has an unknown suffix");

  Quantity quantity;
  quantity.format_ = suffix->format;
  const int digits = static_cast<int>(parts->whole.size() + parts->fraction.size());
  int64_t multiplier = 1;
  int precision = 0;
  if (suffix->base == 10) {
    quantity.scale_ = suffix->exponent;
    precision = kSafeDigits - digits;
  } else if (parts->fraction.empty()) {
    // 2^10 is about three digits.
    multiplier = int64_t(1) << suffix->exponent;
    precision = 15 - digits - static_cast<int>(static_cast<float>(suffix->exponent) * 3 / 10) - 1;
  } else {
    precision = -1;
  }

  std::string number = std::string(parts->whole) + std::string(parts->fraction);
  if (precision >= 0) {
    quantity.scale_ -= static_cast<int>(parts->fraction.size());
    if (quantity.scale_ >= kNano) {
      int64_t value = 0;
      std::from_chars(number.data(), number.data() + number.size(), value);
      if (multiply_fits(value, multiplier, quantity.mantissa_)) {
        if (!parts->positive) quantity.mantissa_ = -quantity.mantissa_;
        bool canonical = suffix->base == 2 ? (value & 7) != 0
                                           : quantity.scale_ % 3 == 0 && !number.ends_with("000") && number[0] != '0';
        if (canonical) quantity.text_ = text;
        return quantity;
      }
    }
  }

  // The exact way. Amounts below a billionth are rounded up to one, amounts in binary capped at 2^63-1.
  BigDecimal big{BigInt(number.substr(std::min(number.find_first_not_of('0'), number.size() - 1))), static_cast<int>(parts->fraction.size())};
  if (suffix->base == 10) {
    big.scale -= suffix->exponent;
  } else {
    big.unscaled <<= suffix->exponent;
  }
  if (big.unscaled != 0) big = round_up(big, -kNano);
  if (suffix->base == 2) {
    BigInt most = BigInt(std::numeric_limits<int64_t>::max());
    if (big.unscaled > most * pow10(big.scale)) big = {most, 0};
    if (big.unscaled > 0 && big.unscaled < pow10(big.scale)) quantity.format_ = Format::DecimalSI;
  }
  if (!parts->positive) big.unscaled = -big.unscaled;
  quantity.mantissa_ = 0;
  quantity.scale_ = 0;
  quantity.big_ = std::make_shared<const BigDecimal>(std::move(big));
  return quantity;
}

int64_t Quantity::scaled(int scale) const {
  if (big_) return scaled_big(*big_, -scale);
  if (scale_ < scale) return divide_up(mantissa_, scale - scale_);
  return multiply_by_power(mantissa_, scale_ - scale);
}

int64_t Quantity::value() const { return scaled(0); }
int64_t Quantity::milli_value() const { return scaled(-3); }

Nanos Quantity::nanos() const {
  constexpr Nanos most = static_cast<Nanos>(std::numeric_limits<int64_t>::max()) * 1'000'000'000;
  if (!big_ && scale_ <= 0 && scale_ >= kNano) {
    Nanos amount = mantissa_;
    for (int i = scale_; i > kNano; --i) amount *= 10;
    return std::clamp(amount, -most, most);
  }
  BigDecimal exact = round_up(big_ ? *big_ : BigDecimal{BigInt(mantissa_), -scale_}, -kNano);
  BigInt limit = BigInt(std::numeric_limits<int64_t>::max()) * 1'000'000'000;
  if (exact.unscaled > limit) return most;
  if (exact.unscaled < -limit) return -most;
  return static_cast<Nanos>(exact.unscaled);
}

std::string Quantity::str() const {
  if (!text_.empty()) return text_;
  BigDecimal exact = big_ ? *big_ : BigDecimal{BigInt(mantissa_), -scale_};
  if (exact.unscaled == 0) return "0";
  Format format = format_;
  if (format == Format::BinarySI) {
    // Small and fractional amounts are written in decimal, which loses nothing.
    BigDecimal whole = round_up(exact, 0);
    BigInt magnitude = exact.unscaled < 0 ? BigInt(-exact.unscaled) : exact.unscaled;
    bool small = exact.scale >= 0 ? magnitude < 1024 * pow10(exact.scale) : magnitude * pow10(-exact.scale) < 1024;
    bool inexact = exact.scale > 0 && exact.unscaled % pow10(exact.scale) != 0;
    if (!small && !inexact) {
      int times = strip_factors(whole.unscaled, 1024);
      return whole.unscaled.str() + std::string(suffix_name(2, times * 10));
    }
    format = Format::DecimalSI;
  }
  BigInt number = exact.unscaled;
  int exponent = strip_factors(number, 10) - exact.scale;
  while (exponent % 3 != 0) {
    number *= 10;
    --exponent;
  }
  if (format == Format::DecimalSI) return number.str() + std::string(suffix_name(10, exponent));
  return number.str() + (exponent == 0 ? "" : "e" + std::to_string(exponent));
}

}  // namespace archway::kube
