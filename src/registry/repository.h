#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "registry/client.h"
#include "registry/transport.h"

namespace archway {

inline constexpr size_t kMaxCachedManifests = 512;
inline constexpr uint64_t kMaxCachedManifestBytes = 64 << 20;

// The Accept header of every request for a manifest: all that archway can read.
std::string accepted_manifests();
// "repository:NAME:ACTIONS"
std::string scope_of(const std::string& repository, std::string_view actions);

// Manifests by repository and digest, each checked: what was resolved is not fetched again to be copied. Thread safe.
class ManifestCache {
 public:
  std::optional<std::string> find(const std::string& name, const Digest& digest);
  void add(const std::string& name, const Digest& digest, std::string raw);
  explicit ManifestCache(bool keeps = true) : keeps_(keeps) {}

 private:
  struct State {
    std::map<std::pair<std::string, std::string>, std::string> raws;
    uint64_t bytes = 0;
  };
  const bool keeps_;
  Sync<State> state_;
};

// Held while a manifest of `bytes` is parsed: parsed JSON takes many times its text, so large ones take turns. Small ones get none.
std::unique_lock<std::mutex> parse_turn(uint64_t bytes);
inline constexpr uint64_t kLargeManifestBytes = 256 * 1024;

class RemoteRepository final : public Repository {
 public:
  RemoteRepository(std::shared_ptr<Transport> transport, std::shared_ptr<ManifestCache> manifests, Reference reference)
      : transport_(std::move(transport)), manifests_(std::move(manifests)), reference_(std::move(reference)) {}

  Result<Root> resolve(const std::string& identifier, const std::optional<Digest>& digest, std::stop_token stop);
  Result<Descriptor> head(const std::string& identifier, std::stop_token stop);
  Result<void> remove_manifest(const std::string& identifier, std::stop_token stop);
  Result<std::vector<std::string>> tags(std::stop_token stop);

  Result<std::unique_ptr<Source>> open(const Descriptor& blob) override;
  std::optional<Reference> origin(const Descriptor& blob) override;
  Result<PutOutcome> put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) override;
  Result<void> tag(const Descriptor& root, std::string_view raw, std::string_view name) override;
  Result<bool> has(const Descriptor& blob, std::stop_token stop) override;

 private:
  const std::string& name() const { return reference_.repository(); }
  std::string path_of(const Descriptor& blob) const;
  Result<bool> present(Host& host, const Descriptor& blob, const std::vector<std::string>& scopes, std::stop_token stop);
  Result<PutOutcome> put_blob(Host& host, const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop);
  Result<void> put_manifest(Host& host, const Descriptor& manifest, std::string_view raw, const std::string& identifier, std::stop_token stop);
  // Mounted, or the session that the registry opened instead.
  struct MountAnswer {
    bool mounted = false;
    std::optional<Url> session = {};
  };
  Result<MountAnswer> mount(Host& host, const Descriptor& blob, const std::string& from_repository, std::stop_token stop);
  void remember(Host& host, const Digest& digest);

  std::shared_ptr<Transport> transport_;
  std::shared_ptr<ManifestCache> manifests_;
  Reference reference_;
};

}  // namespace archway
