#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "image/content.h"
#include "image/copy.h"
#include "image/manifest.h"
#include "image/reference.h"
#include "net/http_client.h"
#include "registry/docker_config.h"

namespace archway {

struct RegistryOptions {
  DockerConfig docker_config = {};
  std::set<std::string> plain_http = {};                // hosts; loopback hosts are always tried in plain HTTP where TLS is not spoken
  std::map<std::string, std::string> mirrors = {};      // host -> URL asked in its place ("--mirror HOST=URL")
  HttpClientOptions http = {};
  int max_attempts = 5;                                 // of one request; backoff 0.2 s doubling to 10 s, Retry-After obeyed
  uint64_t chunk_bytes = 64 << 20;                      // larger blobs go up in chunks, so that a cut connection costs one
  std::function<void(const std::string&)> warn = {};    // a registry's Warning header, each once
  std::set<std::string> insecure_tls = {};              // hosts whose certificates are not verified
  std::stop_token stop = {};                            // ends what has no token of its own: Provider::open() and what it returns
  // Waits between attempts; tests bring one that does not. Returns early when asked to stop.
  std::function<void(std::chrono::milliseconds, std::stop_token)> sleep = {};
  std::shared_ptr<HttpClient> shared_http = {};         // in place of one made of `http`: connections in common with other clients
  std::shared_ptr<HttpClient> shared_insecure_http = {};  // likewise, for insecure_tls
  uint64_t max_manifest_bytes = kMaxManifestBytes;      // of a manifest or index that comes from a registry
  bool keep_manifests = true;                           // resolve() remembers what it read, so that a copy does not read it again
  bool wait_when_limited = true;                        // false: a 429 is an error at once; RateLimit::not_before tells when to come back
};

// `not_before`: a registry said 429, and with it or by default when to ask again.
struct RateLimit {
  std::optional<int64_t> limit, remaining;
  int64_t window_seconds = 0;
  std::optional<std::chrono::steady_clock::time_point> not_before = {};
};

class Repository;

// A mirror is asked for all that is read, with credentials of its own host; what is written goes to the host itself.
// Talks to registries by the distribution-spec 1.1. One for a whole run: it shares connections, tokens and what it
// has learnt of each host. Thread safe. Errors: NotFound, Unauthorized (hint: archway login HOST), Unavailable, Mismatch, Invalid.
class RegistryClient {
 public:
  static Result<std::shared_ptr<RegistryClient>> create(RegistryOptions options);
  virtual ~RegistryClient() = default;

  // GET of a manifest, digest checked (and equal to the reference's, where it has one).
  virtual Result<Root> resolve(const Reference& reference, std::stop_token stop = {}) = 0;
  // HEAD only: descriptor of what the tag names now. Falls back to GET where a registry's HEAD lacks the digest.
  virtual Result<Descriptor> head(const Reference& reference, std::stop_token stop = {}) = 0;
  // The repository as Provider and Ingester. `reference`'s tag and digest do not matter.
  virtual std::shared_ptr<Repository> repository(const Reference& reference) = 0;
  virtual Result<std::vector<std::string>> tags(const Reference& reference, std::stop_token stop = {}) = 0;
  virtual Result<void> remove_manifest(const Reference& reference, std::stop_token stop = {}) = 0;
  // Does the host accept these credentials (GET /v2/ with the whole challenge)? For `login`.
  virtual Result<void> check_credentials(const std::string& host, const Credentials& credentials, std::stop_token stop = {}) = 0;
  virtual std::optional<RateLimit> rate_limit(const std::string& host) = 0;
};

// One repository. As Provider: blobs and manifests by digest, resumed by Range after a broken connection.
// As Ingester: HEAD, then cross-repository mount from `from.origin()` on the same host, then upload; manifests by
// digest, tags by tag(). Thread safe.
class Repository : public Provider, public Ingester {
 public:
  // Present already? (HEAD)
  virtual Result<bool> has(const Descriptor& blob, std::stop_token stop = {}) = 0;
};

}  // namespace archway
