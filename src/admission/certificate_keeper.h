#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "admission/certificates.h"
#include "kube/client.h"

// Keeps the webhook's certificate in a Secret (tls.crt, tls.key, ca.crt, as cert-manager lays them out) and its authority in the
// webhook configuration. Every replica follows the Secret; one of them, by a Lease, tends it.
namespace archway::admission {

struct CertificateKeeperOptions {
  std::string name_space, secret, webhook;   // names of the objects
  std::vector<std::string> names;            // to be called by: "archway-admission.archway-system.svc"
  // Between "both authorities are trusted" and "the new certificate is shown": API servers learn of it by their watches.
  std::chrono::milliseconds settle = std::chrono::seconds(10);
  std::chrono::milliseconds period = std::chrono::minutes(1);  // between looks at what somebody may have changed
  Clock* clock = nullptr;
  std::function<void(std::chrono::milliseconds, std::stop_token)> sleep = {};
};

class CertificateKeeper {
 public:
  CertificateKeeper(std::shared_ptr<kube::Client> client, CertificateKeeperOptions options);

  // Until stopped: calls `changed` with what the Secret holds, now and whenever it holds something else. What will not do (another key, no
  // certificate) is logged and passed over; the last good one stays.
  Result<void> follow(const std::function<void(const ServingCertificate&)>& changed, std::stop_token stop);

  // Once: makes or renews the certificate where it must be, and puts its authority into the webhook configuration where it is missing.
  // True where something was changed. For who holds the Lease.
  Result<bool> tend(std::stop_token stop);
  // Until stopped: tends, every so often.
  void keep(std::stop_token stop);

 private:
  Result<bool> replace_certificate(const Json& secret, const ServingCertificate& current, bool usable, std::stop_token stop);
  Result<bool> trust(const std::string& bundle, std::stop_token stop);
  Result<void> write_secret(Json secret, const ServingCertificate& certificate, std::stop_token stop);

  std::shared_ptr<kube::Client> client_;
  CertificateKeeperOptions options_;
};

// tls.crt, tls.key and ca.crt of a Secret; empty where they are missing.
ServingCertificate certificate_of_secret(const Json& secret);

}  // namespace archway::admission
