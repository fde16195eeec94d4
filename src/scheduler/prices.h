#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/result.h"

// What machines cost, per cloud, region and type. A list ships with archway (data/prices.csv); users add theirs, and the later
// counts. Amounts are whole billionths of a dollar per hour, so that sums have no rounding of their own.
namespace archway::scheduler {

inline constexpr int64_t kNanoPerUsd = 1'000'000'000;
inline constexpr int64_t kHoursPerMonth = 730;
inline constexpr size_t kMaxPriceRows = 1'000'000;

struct Price {
  std::string cloud, region, type, architecture;  // architecture "" where the list does not say
  int vcpu = 0;                                   // 0 where the list does not say
  double memory_gib = 0;
  int64_t on_demand = 0;                          // billionths of a dollar per hour
  std::optional<int64_t> spot;
  std::string as_of, source;
};

class PriceTable {
 public:
  // With the list that ships.
  static PriceTable shipped();
  PriceTable() = default;
  PriceTable(PriceTable&&) = default;  // not copied: rows point at one another
  PriceTable& operator=(PriceTable&&) = default;

  // Rows of a CSV with the columns cloud, region, instance_type and usd_per_hour_on_demand, and perhaps arch, vcpu, mem_gib,
  // usd_per_hour_spot, as_of, source. Invalid with "line N: "; nothing is added then.
  Result<void> add(std::string_view csv);

  const Price* find(std::string_view cloud, std::string_view region, std::string_view type) const;
  // In whatever region: for what a type is, not for what it costs.
  const Price* find_anywhere(std::string_view type) const;
  std::vector<const Price*> of_region(std::string_view cloud, std::string_view region) const;  // by type
  std::vector<std::string> regions(std::string_view cloud) const;

 private:
  std::map<std::tuple<std::string, std::string, std::string>, Price> rows_;  // cloud, region, type
  std::map<std::string, const Price*, std::less<>> by_type_;
};

// "0.0832" exactly; more than nine decimals are rounded. nullopt for what is no plain decimal number, or over 1,000,000.
std::optional<int64_t> parse_usd(std::string_view text);
// Billionths of a dollar as "1,234.56", rounded half up; "-" in front of what is negative.
std::string usd(__int128_t nano);
// The same as a number of cents for programs: 1234.56.
double usd_number(__int128_t nano);

// "aws", "azure" or "gcp", by how the clouds name machine types; "" where it is none of these.
std::string cloud_of_type(std::string_view type);
// us-east-1a is in us-east-1, europe-west4-b in europe-west4, eastus-1 in eastus. "" where it has not that form.
std::string region_of_zone(std::string_view cloud, std::string_view zone);

}  // namespace archway::scheduler
