#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

// Certificates for a webhook that the API server calls: an authority made for one serving certificate, whose own key is forgotten at
// once. Nothing can be signed by it later, so there is no key worth stealing but the server's.
namespace archway::admission {

inline constexpr std::chrono::seconds kServingLife = std::chrono::hours(24 * 90);
// Replaced when a third of its life is left: a cluster that was off for weeks finds it good.
inline constexpr int kRenewFraction = 3;
// Clocks of the API server and ours differ.
inline constexpr std::chrono::seconds kClockSkew = std::chrono::minutes(10);
inline constexpr size_t kMaxBundleBytes = 256 * 1024;
inline constexpr size_t kMaxBundleCertificates = 8;

struct ServingCertificate {
  std::string cert_pem, key_pem;  // ECDSA P-256
  std::string ca_pem;             // who signed it
};

// `names`: DNS names (RFC 6125) or IP addresses; the first is the subject's common name where it is short enough for one.
Result<ServingCertificate> make_serving_certificate(const std::vector<std::string>& names, Time now, std::chrono::seconds life = kServingLife);

struct CertificateFacts {
  Time not_before, not_after;
  std::vector<std::string> names;  // of subjectAltName: DNS names and addresses
};
// The first certificate of the text. Invalid where there is none.
Result<CertificateFacts> read_certificate(std::string_view pem);

// Why this certificate will not do for those names now, or "" where it will: another key, another authority, a name missing, expired.
std::string fault_of(const ServingCertificate& certificate, const std::vector<std::string>& names, Time now);
bool wants_renewal(const CertificateFacts& facts, Time now);

// Authorities to be trusted at the same time: those of `first`, then those of `second` that have not expired; each once, at most
// kMaxBundleCertificates. What is no certificate is left out.
std::string merge_bundles(std::string_view first, std::string_view second, Time now);
// Are all certificates of `part` in `whole`?
bool bundle_contains(std::string_view whole, std::string_view part);

}  // namespace archway::admission
