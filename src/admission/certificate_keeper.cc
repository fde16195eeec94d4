#include "admission/certificate_keeper.h"

#include <condition_variable>
#include <mutex>

#include "base/log.h"
#include "base/text.h"

namespace archway::admission {
namespace {

std::string decoded(const Json& data, std::string_view key) { return base64_decode(data[key].string()).value_or(""); }

bool same(const ServingCertificate& a, const ServingCertificate& b) { return a.cert_pem == b.cert_pem && a.key_pem == b.key_pem && a.ca_pem == b.ca_pem; }

}  // namespace

ServingCertificate certificate_of_secret(const Json& secret) {
  const Json& data = secret["data"];
  return {decoded(data, "tls.crt"), decoded(data, "tls.key"), decoded(data, "ca.crt")};
}

CertificateKeeper::CertificateKeeper(std::shared_ptr<kube::Client> client, CertificateKeeperOptions options) : client_(std::move(client)), options_(std::move(options)) {
  if (!options_.clock) options_.clock = &system_clock();
  if (!options_.sleep) {
    options_.sleep = [](std::chrono::milliseconds duration, std::stop_token stop) {
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any never;
      never.wait_for(lock, stop, duration, [] { return false; });
    };
  }
}

Result<void> CertificateKeeper::follow(const std::function<void(const ServingCertificate&)>& changed, std::stop_token stop) {
  ServingCertificate shown;
  auto look = [&](const kube::WatchEvent& event) -> Result<void> {
    if (event.type != kube::WatchEvent::Type::Added && event.type != kube::WatchEvent::Type::Modified) return {};
    ServingCertificate found = certificate_of_secret(event.object);
    if (found.cert_pem.empty() || same(found, shown)) return {};
    std::string fault = fault_of(found, {}, options_.clock->now());
    if (!fault.empty()) {
      log_warn("secret " + options_.name_space + "/" + options_.secret + ": its certificate will not do: " + fault);
      return {};
    }
    shown = found;
    changed(found);
    return {};
  };
  return client_->watch(kube::resources::secrets(), options_.name_space, {.field_selector = "metadata.name=" + options_.secret}, look, stop);
}

Result<bool> CertificateKeeper::tend(std::stop_token stop) {
  auto found = client_->get(kube::resources::secrets(), options_.name_space, options_.secret, stop);
  if (!found.ok() && found.error().code != Code::NotFound) return std::move(found).error();
  Json secret = found.ok() ? *std::move(found) : Json();
  ServingCertificate current = certificate_of_secret(secret);
  Time now = options_.clock->now();
  std::string fault = fault_of(current, options_.names, now);
  auto facts = read_certificate(current.cert_pem);
  if (!fault.empty() || !facts.ok() || wants_renewal(*facts, now)) {
    log_info("a new certificate for the webhook: " + (fault.empty() ? "the old one ends " + format_rfc3339(facts->not_after) : fault));
    return replace_certificate(secret, current, fault.empty(), stop);
  }
  return trust(current.ca_pem, stop);
}

// In an order that at no moment leaves the API server without the authority of what a replica shows.
Result<bool> CertificateKeeper::replace_certificate(const Json& secret, const ServingCertificate& current, bool usable, std::stop_token stop) {
  ServingCertificate made = TRY(make_serving_certificate(options_.names, options_.clock->now()));
  made.ca_pem = merge_bundles(made.ca_pem, current.ca_pem, options_.clock->now());
  TRY(trust(made.ca_pem, stop));
  if (usable) options_.sleep(options_.settle, stop);
  // Who was asked to stop has lost the Lease: another does it.
  if (stop.stop_requested()) return Error{Code::Cancelled, "renewing the webhook's certificate: cancelled"};
  TRY(write_secret(secret, made, stop));
  return true;
}

Result<void> CertificateKeeper::write_secret(Json secret, const ServingCertificate& certificate, std::stop_token stop) {
  bool exists = secret["metadata"].has("resourceVersion");
  if (!exists) {
    Json metadata = Json::object({{"name", options_.secret}, {"namespace", options_.name_space}});
    secret = Json::object({{"apiVersion", "v1"}, {"kind", "Secret"}, {"type", "Opaque"}, {"metadata", metadata}});
  }
  Json data = secret["data"].is_object() ? secret["data"] : Json::object();
  data.set("tls.crt", base64_encode(certificate.cert_pem));
  data.set("tls.key", base64_encode(certificate.key_pem));
  data.set("ca.crt", base64_encode(certificate.ca_pem));
  secret.set("data", data);
  auto secrets = kube::resources::secrets();
  auto written = exists ? client_->replace(secrets, options_.name_space, options_.secret, secret, stop) : client_->create(secrets, options_.name_space, secret, false, stop);
  if (!written.ok()) return std::move(written).error().within("keeping the webhook's certificate");
  return {};
}

Result<bool> CertificateKeeper::trust(const std::string& bundle, std::stop_token stop) {
  auto resource = kube::resources::mutating_webhook_configurations();
  Json configuration = TRY(client_->get(resource, {}, options_.webhook, stop));
  Json patch = Json::array();
  size_t index = 0;
  for (const Json& webhook : configuration["webhooks"].items()) {
    std::string path = "/webhooks/" + std::to_string(index++);
    std::string has = base64_decode(webhook["clientConfig"]["caBundle"].string()).value_or("");
    if (bundle_contains(has, bundle)) continue;
    // The list may have been written anew meanwhile: the index must still be this webhook's.
    patch.push(Json::object({{"op", "test"}, {"path", path + "/name"}, {"value", webhook["name"]}}));
    patch.push(Json::object({{"op", "add"}, {"path", path + "/clientConfig/caBundle"}, {"value", base64_encode(bundle)}}));
  }
  if (patch.size() == 0) return false;
  TRY(client_->patch(resource, {}, options_.webhook, "application/json-patch+json", to_json(patch), false, stop));
  return true;
}

void CertificateKeeper::keep(std::stop_token stop) {
  std::string last_problem;
  while (!stop.stop_requested()) {
    auto tended = tend(stop);
    std::string problem = tended.ok() ? "" : tended.error().message;
    if (!problem.empty() && problem != last_problem && !stop.stop_requested()) log_warn("the webhook's certificate: " + problem);
    last_problem = problem;
    // Where it failed, sooner: until it is mended the webhook may not be called at all.
    options_.sleep(tended.ok() ? options_.period : std::min(options_.period, std::chrono::milliseconds(5000)), stop);
  }
}

}  // namespace archway::admission
