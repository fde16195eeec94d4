#include "registry/client.h"

#include "registry/repository.h"
#include "registry/transport.h"

namespace archway {
namespace {

class Client final : public RegistryClient {
 public:
  explicit Client(std::shared_ptr<Transport> transport) : transport_(std::move(transport)), manifests_(std::make_shared<ManifestCache>(transport_->options().keep_manifests)) {}

  Result<Root> resolve(const Reference& reference, std::stop_token stop) override {
    return at(reference)->resolve(reference.identifier(), reference.digest(), stop);
  }
  Result<Descriptor> head(const Reference& reference, std::stop_token stop) override { return at(reference)->head(reference.identifier(), stop); }
  std::shared_ptr<Repository> repository(const Reference& reference) override { return at(reference); }
  Result<std::vector<std::string>> tags(const Reference& reference, std::stop_token stop) override { return at(reference)->tags(stop); }
  Result<void> remove_manifest(const Reference& reference, std::stop_token stop) override {
    return at(reference)->remove_manifest(reference.identifier(), stop);
  }
  Result<void> check_credentials(const std::string& host, const Credentials& credentials, std::stop_token stop) override {
    return transport_->check_credentials(host, credentials, stop);
  }
  std::optional<RateLimit> rate_limit(const std::string& host) override { return transport_->rate_limit(host); }

 private:
  std::shared_ptr<RemoteRepository> at(const Reference& reference) { return std::make_shared<RemoteRepository>(transport_, manifests_, reference); }
  std::shared_ptr<Transport> transport_;
  std::shared_ptr<ManifestCache> manifests_;
};

}  // namespace

Result<std::shared_ptr<RegistryClient>> RegistryClient::create(RegistryOptions options) {
  return std::shared_ptr<RegistryClient>(std::make_shared<Client>(TRY(Transport::create(std::move(options)))));
}

}  // namespace archway
