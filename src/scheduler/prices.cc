#include "scheduler/prices.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/check.h"
#include "base/text.h"
#include "scheduler/trace_csv.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kShippedPrices =
#include "scheduler/prices_csv.inc"
    ;
constexpr int kDecimals = 9;
constexpr int64_t kMostUsd = 1'000'000;  // per hour; more is a slip of the pen

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Error at_line(const CsvReader& rows, const std::string& what) { return {Code::Invalid, "line " + std::to_string(rows.line()) + ": " + what}; }

// A size such as "7.5": digits and one point.
std::optional<double> parse_size(std::string_view text) {
  auto nano = parse_usd(text);
  if (!nano) return std::nullopt;
  return static_cast<double>(*nano) / static_cast<double>(kNanoPerUsd);
}

Result<Price> read_price(const CsvReader& rows) {
  Price price;
  price.cloud = to_lower(trim(rows.field("cloud")));
  price.region = trim(rows.field("region"));
  price.type = trim(rows.field("instance_type"));
  price.architecture = trim(rows.field("arch"));
  price.as_of = rows.field("as_of");
  price.source = rows.field("source");
  if (price.cloud.empty() || price.region.empty() || price.type.empty()) return at_line(rows, "cloud, region and instance_type must not be empty");
  auto on_demand = parse_usd(trim(rows.field("usd_per_hour_on_demand")));
  if (!on_demand) return at_line(rows, "usd_per_hour_on_demand: \"" + rows.field("usd_per_hour_on_demand") + "\" is no price");
  price.on_demand = *on_demand;
  std::string_view spot = trim(rows.field("usd_per_hour_spot"));
  if (!spot.empty()) {
    price.spot = parse_usd(spot);
    if (!price.spot) return at_line(rows, "usd_per_hour_spot: \"" + std::string(spot) + "\" is no price");
  }
  std::string_view vcpu = trim(rows.field("vcpu")), memory = trim(rows.field("mem_gib"));
  if (!vcpu.empty()) {
    auto count = parse_uint(vcpu);
    if (!count || *count > 4096) return at_line(rows, "vcpu: \"" + std::string(vcpu) + "\" is no number of processors");
    price.vcpu = static_cast<int>(*count);
  }
  if (!memory.empty()) {
    auto size = parse_size(memory);
    if (!size) return at_line(rows, "mem_gib: \"" + std::string(memory) + "\" is no size");
    price.memory_gib = *size;
  }
  return price;
}

}  // namespace

std::optional<int64_t> parse_usd(std::string_view text) {
  auto [whole, fraction] = cut(text, '.');
  if (whole.empty() && fraction.value_or("").empty()) return std::nullopt;
  int64_t nano = 0;
  for (char c : whole) {
    if (!is_digit(c)) return std::nullopt;
    nano = nano * 10 + (c - '0');
    if (nano > kMostUsd) return std::nullopt;
  }
  std::string_view digits = fraction.value_or("");
  for (char c : digits) {
    if (!is_digit(c)) return std::nullopt;
  }
  for (int i = 0; i < kDecimals; ++i) nano = nano * 10 + (static_cast<size_t>(i) < digits.size() ? digits[static_cast<size_t>(i)] - '0' : 0);
  if (digits.size() > kDecimals && digits[kDecimals] >= '5') ++nano;
  if (nano > kMostUsd * kNanoPerUsd) return std::nullopt;
  return nano;
}

std::string usd(__int128_t nano) {
  bool negative = nano < 0;
  unsigned __int128 amount = negative ? -static_cast<unsigned __int128>(nano) : static_cast<unsigned __int128>(nano);
  unsigned __int128 cents = (amount + kNanoPerUsd / 200) / (kNanoPerUsd / 100);
  std::string digits;
  uint64_t dollars = static_cast<uint64_t>(cents / 100), rest = static_cast<uint64_t>(cents % 100);
  std::string plain = std::to_string(dollars);
  for (size_t i = 0; i < plain.size(); ++i) {
    if (i > 0 && (plain.size() - i) % 3 == 0) digits += ',';
    digits += plain[i];
  }
  return (negative && cents > 0 ? "-" : "") + digits + "." + (rest < 10 ? "0" : "") + std::to_string(rest);
}

double usd_number(__int128_t nano) {
  bool negative = nano < 0;
  unsigned __int128 amount = negative ? -static_cast<unsigned __int128>(nano) : static_cast<unsigned __int128>(nano);
  double cents = static_cast<double>(static_cast<uint64_t>((amount + kNanoPerUsd / 200) / (kNanoPerUsd / 100)));
  return (negative ? -cents : cents) / 100;
}

PriceTable PriceTable::shipped() {
  PriceTable table;
  CHECK(table.add(kShippedPrices).ok());
  return table;
}

Result<void> PriceTable::add(std::string_view csv) {
  CsvReader rows = TRY(CsvReader::open(csv));
  for (std::string_view column : {"cloud", "region", "instance_type", "usd_per_hour_on_demand"}) {
    if (!rows.has(column)) return Error{Code::Invalid, "line 1: the column " + std::string(column) + " is missing"};
  }
  std::vector<Price> read;
  while (TRY(rows.next())) {
    read.push_back(TRY(read_price(rows)));
    if (read.size() > kMaxPriceRows) return Error{Code::Invalid, "over " + std::to_string(kMaxPriceRows) + " prices"};
  }
  for (Price& price : read) {
    auto key = std::make_tuple(price.cloud, price.region, price.type);
    Price& row = rows_[key];
    // A user's row that only gives a price keeps what is known of the machine.
    if (price.architecture.empty()) price.architecture = row.architecture;
    if (price.vcpu == 0) price.vcpu = row.vcpu;
    if (price.memory_gib == 0) price.memory_gib = row.memory_gib;
    row = std::move(price);
  }
  by_type_.clear();
  for (const auto& [key, row] : rows_) {
    const Price*& known = by_type_[row.type];
    if (!known || (known->vcpu == 0 && row.vcpu > 0)) known = &row;
  }
  return {};
}

const Price* PriceTable::find(std::string_view cloud, std::string_view region, std::string_view type) const {
  auto at = rows_.find({std::string(cloud), std::string(region), std::string(type)});
  return at == rows_.end() ? nullptr : &at->second;
}

const Price* PriceTable::find_anywhere(std::string_view type) const {
  auto at = by_type_.find(type);
  return at == by_type_.end() ? nullptr : at->second;
}

std::vector<const Price*> PriceTable::of_region(std::string_view cloud, std::string_view region) const {
  std::vector<const Price*> found;
  for (auto at = rows_.lower_bound({std::string(cloud), std::string(region), ""}); at != rows_.end(); ++at) {
    if (at->second.cloud != cloud || at->second.region != region) break;
    found.push_back(&at->second);
  }
  return found;
}

std::vector<std::string> PriceTable::regions(std::string_view cloud) const {
  std::vector<std::string> found;
  for (const auto& [key, row] : rows_) {
    if (row.cloud == cloud && (found.empty() || found.back() != row.region)) found.push_back(row.region);
  }
  return found;
}

std::string cloud_of_type(std::string_view type) {
  if (type.starts_with("Standard_")) return "azure";
  if (type.find('.') != std::string_view::npos) return "aws";
  size_t dashes = static_cast<size_t>(std::count(type.begin(), type.end(), '-'));
  return dashes >= 1 ? "gcp" : "";
}

std::string region_of_zone(std::string_view cloud, std::string_view zone) {
  if (cloud == "aws") {
    bool lettered = zone.size() > 2 && zone.back() >= 'a' && zone.back() <= 'z' && is_digit(zone[zone.size() - 2]);
    return lettered ? std::string(zone.substr(0, zone.size() - 1)) : "";
  }
  size_t dash = zone.rfind('-');
  return dash == std::string_view::npos || dash == 0 ? "" : std::string(zone.substr(0, dash));
}

}  // namespace archway::scheduler
