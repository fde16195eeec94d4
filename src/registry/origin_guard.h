#pragma once

#include "base/result.h"
#include "net/url.h"

namespace archway {

// May an answer from `from` send us to `to` (a redirect, an upload's Location, a token realm)? Invalid where it may not:
//  - from https to http: what was meant to be secret would not be;
//  - from a registry on the network to an address inside this machine or its link (loopback, 169.254/16, fe80::/10),
//    or from a name to a private address: a hostile registry could make us ask services that only we can reach
//    (CVE-2026-12566, CVE-2026-2376).
Result<void> guard_target(const Url& from, const Url& to);

// `location` seen from `from`, and allowed. A registry behind a proxy that ends TLS often writes http:// for its own
// name; that is read as what we already speak to it.
Result<Url> follow_location(const Url& from, std::string_view location);

}  // namespace archway
