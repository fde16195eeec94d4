#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// Where a client may connect to. What asks in the name of strangers (an admission webhook looks up the images of every pod) must not
// become their way into networks that only it can reach.
namespace archway {

// A range of addresses. IPv4 is kept as IPv6 has it (::ffff:a.b.c.d).
class AddressRange {
 public:
  static Result<AddressRange> parse(std::string_view text);  // "10.0.0.0/8", "fd00::/8", "169.254.169.254"
  bool contains(const std::array<uint8_t, 16>& address) const;

 private:
  std::array<uint8_t, 16> first_ = {};
  int bits_ = 0;
};

// An address that `allowed` names may be reached, one that only `denied` names may not, any other may. Names are judged before they
// are resolved, addresses as the connection is made to them: a name cannot resolve to something else in between. An address that
// embeds an IPv4 address (NAT64, 6to4) is judged by that as well. Through a proxy only names and literal addresses are judged:
// it is the proxy that resolves. A default policy allows everything.
struct AddressPolicy {
  std::vector<AddressRange> denied = {}, allowed = {};
  std::vector<std::string> denied_hosts = {};   // "*.cluster.local": the host itself, or, with "*.", all below it
  std::vector<std::string> allowed_hosts = {};  // likewise; whatever they resolve to may be reached

  // Denies this machine, its links, multicast, and where clouds keep their machines' credentials.
  static AddressPolicy no_local();
  // Those, and private networks (RFC 1918, 6598, 4193): for who has no registry inside.
  static AddressPolicy public_only();

  bool empty() const { return denied.empty() && denied_hosts.empty(); }
  // Invalid where the name, or the address that it spells, is denied.
  Result<void> check_host(std::string_view host) const;
  bool allows_name(std::string_view host) const;  // named by allowed_hosts
  bool allows(const sockaddr& address) const;
};

}  // namespace archway
