#include "registry/origin_guard.h"

#include <arpa/inet.h>

namespace archway {
namespace {

// How far a host's name or address reaches, nearest first.
enum class Reach { Machine, Link, Private, Name, Public };

Reach reach_v4(uint32_t address) {
  uint32_t a = address >> 24, b = (address >> 16) & 255;
  if (a == 127 || a == 0) return Reach::Machine;
  if (a == 169 && b == 254) return Reach::Link;
  bool is_private = a == 10 || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168) || (a == 100 && b >= 64 && b < 128);
  return is_private ? Reach::Private : Reach::Public;
}

Reach reach_of(const std::string& host) {
  if (is_loopback_host(host)) return Reach::Machine;
  in_addr v4;
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return reach_v4(ntohl(v4.s_addr));
  in6_addr v6;
  if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    if (IN6_IS_ADDR_V4MAPPED(&v6)) return reach_v4((uint32_t{v6.s6_addr[12]} << 24) | (uint32_t{v6.s6_addr[13]} << 16) | (uint32_t{v6.s6_addr[14]} << 8) | v6.s6_addr[15]);
    if (IN6_IS_ADDR_UNSPECIFIED(&v6)) return Reach::Machine;
    if (IN6_IS_ADDR_LINKLOCAL(&v6)) return Reach::Link;
    return (v6.s6_addr[0] & 0xfe) == 0xfc ? Reach::Private : Reach::Public;
  }
  // The resolver reads "2130706433" and "0x7f.1" as addresses; no name of a registry ends in a number.
  size_t dot = host.rfind('.');
  char last = host[dot == std::string::npos ? 0 : dot + 1];
  return last >= '0' && last <= '9' ? Reach::Machine : Reach::Name;
}

}  // namespace

Result<void> guard_target(const Url& from, const Url& to) {
  if (from.same_origin(to)) return {};
  if (from.scheme == "https" && to.scheme != "https") {
    return Error{Code::Invalid, from.origin() + " sends us on to " + to.origin() + ": from https to http, which archway does not follow"};
  }
  if (from.host == to.host) return {};
  Reach there = reach_of(to.host);
  if (there < Reach::Name && reach_of(from.host) > there) {
    return Error{Code::Invalid, from.origin() + " sends us on to " + to.origin() + ": an address inside this network, which archway does not follow"};
  }
  return {};
}

Result<Url> follow_location(const Url& from, std::string_view location) {
  Url to = TRY(resolve_url(from, location).context(from.origin() + " sends us on to a bad address"));
  if (from.scheme == "https" && to.scheme == "http" && to.host == from.host && (to.port == 80 || to.port == from.port)) {
    to.scheme = from.scheme;
    to.port = from.port;
  }
  TRY(guard_target(from, to));
  return to;
}

}  // namespace archway
