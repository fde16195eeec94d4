#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace archway::kube {

// An amount of a resource in billionths, wide enough for every quantity a cluster can hold. Sums of requests are
// made of these and rounded once at the end, as the scheduler does it.
__extension__ typedef __int128 Nanos;

// The amount in whole units, or in thousandths, rounded up. Saturates at the ends of int64.
int64_t whole_units(Nanos amount);
int64_t milli_units(Nanos amount);

struct BigDecimal;

// A resource quantity as the API spells it: "100m", "1.5Gi", "1e3" (k8s.io/apimachinery/pkg/api/resource).
// Immutable; copies share.
class Quantity {
 public:
  enum class Format { DecimalExponent, BinarySI, DecimalSI };

  // Invalid where the API server would refuse it; the message quotes the text.
  static Result<Quantity> parse(std::string_view text);

  int64_t value() const;        // rounded up; wraps where the API's own Value() does
  int64_t milli_value() const;  // likewise in thousandths
  Nanos nanos() const;          // saturated
  std::string str() const;      // the canonical form, as the API server prints it

 private:
  int64_t scaled(int scale) const;

  // mantissa × 10^scale, or `big_` where that does not fit.
  int64_t mantissa_ = 0;
  int scale_ = 0;
  Format format_ = Format::DecimalSI;
  std::shared_ptr<const BigDecimal> big_;
  std::string text_;  // as given, where that already was canonical
};

inline constexpr size_t kMaxQuantityBytes = 256;
// Beyond this the exponent is nonsense, and exact arithmetic on it would fill memory.
inline constexpr int kMaxQuantityExponent = 1000;

}  // namespace archway::kube
