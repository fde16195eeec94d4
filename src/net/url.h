#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace archway {

// An absolute http or https URL (RFC 3986).
struct Url {
  std::string scheme;     // "http" or "https"
  std::string host;       // lower case; IPv6 without brackets
  int port = 0;           // never 0 after parsing: 80 or 443 where none was given
  std::string path;       // begins with "/"; as given, still percent-encoded
  std::string query;      // without "?"

  std::string str() const;
  std::string origin() const;  // "https://host[:port]"
  bool same_origin(const Url& other) const { return scheme == other.scheme && host == other.host && port == other.port; }
};
Result<Url> parse_url(std::string_view text);
Result<Url> resolve_url(const Url& base, std::string_view reference);  // a Location header
// localhost, 127.0.0.0/8, ::1 by name or literal.
bool is_loopback_host(std::string_view host);

}  // namespace archway
