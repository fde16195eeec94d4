#include "net/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "base/text.h"

namespace archway {
namespace {

using Bytes16 = std::array<uint8_t, 16>;

Bytes16 mapped(const void* v4) {
  Bytes16 bytes = {};
  bytes[10] = bytes[11] = 0xff;
  std::memcpy(bytes.data() + 12, v4, 4);
  return bytes;
}

std::optional<Bytes16> literal(std::string_view text) {
  std::string copy(text);
  in_addr v4;
  if (::inet_pton(AF_INET, copy.c_str(), &v4) == 1) return mapped(&v4);
  in6_addr v6;
  // "fe80::1%eth0": the zone does not matter here.
  if (::inet_pton(AF_INET6, copy.substr(0, copy.find('%')).c_str(), &v6) != 1) return std::nullopt;
  Bytes16 bytes;
  std::memcpy(bytes.data(), &v6, 16);
  return bytes;
}

// The address, and the IPv4 address within it that a gateway would send it on to.
std::vector<Bytes16> readings(const Bytes16& address) {
  static constexpr uint8_t kNat64[12] = {0x00, 0x64, 0xff, 0x9b};             // RFC 6052
  static constexpr uint8_t kCompatible[12] = {};                              // RFC 4291 2.5.5.1, long given up
  std::vector<Bytes16> all = {address};
  if (std::memcmp(address.data(), kNat64, 12) == 0 || std::memcmp(address.data(), kCompatible, 12) == 0) all.push_back(mapped(address.data() + 12));
  if (address[0] == 0x20 && address[1] == 0x02) all.push_back(mapped(address.data() + 2));  // 6to4, RFC 3056
  return all;
}

bool any_contains(const std::vector<AddressRange>& ranges, const std::vector<Bytes16>& addresses) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const AddressRange& range) {
    return std::any_of(addresses.begin(), addresses.end(), [&](const Bytes16& address) { return range.contains(address); });
  });
}

bool allowed_by(const AddressPolicy& policy, const Bytes16& address) {
  // An exception is for the address that is written, not for what may be embedded in it.
  if (any_contains(policy.allowed, {address})) return true;
  return !any_contains(policy.denied, readings(address));
}

bool names(const std::vector<std::string>& patterns, std::string_view host) {
  std::string lower = to_lower(host);
  if (lower.ends_with('.')) lower.pop_back();  // "localhost." is localhost
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    std::string wanted = to_lower(pattern);
    return wanted.starts_with("*.") ? lower.size() > wanted.size() - 1 && lower.ends_with(wanted.substr(1)) : lower == wanted;
  });
}

// The resolver takes "2130706433", "0x7f.1" and "127.1" for addresses; no name of a registry ends in a number.
bool looks_numeric(std::string_view host) {
  std::string_view last = host.substr(host.rfind('.') == std::string_view::npos ? 0 : host.rfind('.') + 1);
  return !last.empty() && (last[0] >= '0' && last[0] <= '9');
}

void add(std::vector<AddressRange>& to, std::initializer_list<const char*> texts) {
  for (const char* text : texts) {
    auto range = AddressRange::parse(text);
    CHECK(range.ok());
    to.push_back(*range);
  }
}

}  // namespace

Result<AddressRange> AddressRange::parse(std::string_view text) {
  auto [address, length] = cut(text, '/');
  auto bytes = literal(address);
  if (!bytes) return Error{Code::Invalid, "\"" + std::string(text.substr(0, 100)) + "\" is no address and no range of addresses (10.0.0.0/8)"};
  bool v4 = address.find(':') == std::string_view::npos;
  int width = v4 ? 32 : 128;
  AddressRange range;
  range.first_ = *bytes;
  range.bits_ = 128;
  if (length) {
    auto bits = parse_uint(*length);
    if (!bits || *bits > static_cast<uint64_t>(width)) return Error{Code::Invalid, "\"" + std::string(text.substr(0, 100)) + "\": a prefix is 0 to " + std::to_string(width) + " bits long"};
    range.bits_ = static_cast<int>(*bits) + 128 - width;
  }
  return range;
}

bool AddressRange::contains(const std::array<uint8_t, 16>& address) const {
  int whole = bits_ / 8, rest = bits_ % 8;
  if (std::memcmp(address.data(), first_.data(), static_cast<size_t>(whole)) != 0) return false;
  if (rest == 0) return true;
  auto index = static_cast<size_t>(whole);
  return ((address[index] ^ first_[index]) >> (8 - rest)) == 0;
}

AddressPolicy AddressPolicy::no_local() {
  AddressPolicy policy;
  add(policy.denied, {"0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128", "169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "240.0.0.0/4", "ff00::/8",
                      "fd00:ec2::/32", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.0/24"});  // metadata of EC2, Alibaba, Azure, Oracle
  policy.denied_hosts = {"localhost", "*.localhost", "metadata.google.internal", "metadata"};
  return policy;
}

AddressPolicy AddressPolicy::public_only() {
  AddressPolicy policy = no_local();
  add(policy.denied, {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "fc00::/7", "fec0::/10"});
  return policy;
}

bool AddressPolicy::allows_name(std::string_view host) const { return names(allowed_hosts, host); }

Result<void> AddressPolicy::check_host(std::string_view host) const {
  if (empty() || allows_name(host)) return {};
  auto refused = [&] { return Error{Code::Invalid, std::string(host.substr(0, 253)) + " may not be reached: the rules for addresses deny it"}; };
  if (names(denied_hosts, host)) return refused();
  if (auto address = literal(host)) return allowed_by(*this, *address) ? Result<void>() : refused();
  if (looks_numeric(host)) return refused();
  return {};
}

bool AddressPolicy::allows(const sockaddr& address) const {
  if (denied.empty()) return true;
  if (address.sa_family == AF_INET) return allowed_by(*this, mapped(&reinterpret_cast<const sockaddr_in&>(address).sin_addr));
  if (address.sa_family != AF_INET6) return false;
  Bytes16 bytes;
  std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, 16);
  return allowed_by(*this, bytes);
}

}  // namespace archway
