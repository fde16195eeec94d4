#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "image/truth.h"
#include "registry/client.h"

// What does this image hold? Asked once, by everybody at the same time if need be, and remembered.
namespace archway {

// What a reference names. What never changes of it is kept by digest; which digest a tag names now, for a while.
struct ImageFacts {
  ImageTruth truth;      // digest is what the reference names: an index's or a lone image's
  bool is_index = false;
  struct Image {
    Platform platform;   // as the index declares it; of a lone image as its config does
    Digest manifest;
    bool operator==(const Image&) const = default;
  };
  std::vector<Image> images = {};  // in the index's order; attestations, signatures and what is no image left out
  bool operator==(const ImageFacts&) const = default;
};

// Whose credentials: docker config documents ({"auths": {...}}) tried in order, most specific first, then the client's own
// configuration. Equal text is equal credentials. What one keychain was let see is not told to another for a private host.
struct Keychain {
  std::vector<std::string> docker_configs = {};
  bool operator==(const Keychain&) const = default;
};

struct ImageLookupOptions {
  RegistryOptions registry = {};        // registry.http.reach: which addresses may be asked (net/address_policy.h)
  ImageTruths known = {};               // `--images FILE`: asked first, never a registry for what it knows
  std::string cache_dir = {};           // "" : memory only. Otherwise facts and verdicts by digest, tags with their age; survives kill -9
  std::chrono::seconds tag_age = std::chrono::hours(1);        // a tag's digest is good for this long, then a HEAD revalidates it
  std::chrono::seconds failure_age = std::chrono::seconds(60); // a NotFound or Unauthorized is good for this long; an Unavailable a tenth of it
  // Where the registry cannot be asked (Unavailable, or its rate limit is used up) an older answer, up to this age, is better than none.
  std::chrono::seconds stale_age = std::chrono::hours(24);
  size_t max_entries = 200'000;         // in memory; the least used go first
  size_t max_in_flight_per_host = 16;
  bool offline = false;                 // only what is known or cached, however old: Unavailable otherwise
  Clock* clock = nullptr;               // null: the system's
};

struct LookupCounters {
  uint64_t asked = 0, from_known = 0, from_memory = 0, from_disk = 0, joined = 0;  // joined: waited for another's request
  uint64_t registry_requests = 0, registry_errors = 0;
  size_t entries = 0;
};

// Thread safe; one for a whole program. Nobody may be in a call when it is destroyed.
class ImageLookup {
 public:
  // A cache that cannot be opened or written is warned of (registry.warn) and done without. Invalid: a `known` that is none.
  static Result<std::shared_ptr<ImageLookup>> open(ImageLookupOptions options);
  virtual ~ImageLookup() = default;

  using Facts = std::shared_ptr<const ImageFacts>;
  // `reference` as users write it. Errors: Invalid (no reference; a manifest that breaks the rules; an address that may not be asked),
  // NotFound, Unauthorized, Unavailable (also: deadline passed; the request itself goes on for others and for the cache), Cancelled.
  virtual Result<Facts> look_up(const std::string& reference, const Keychain& keychain = {},
                                std::optional<std::chrono::steady_clock::time_point> deadline = {}, std::stop_token stop = {}) = 0;
  // Many at once, in that order: equal names once, hosts side by side. `done` is called after each, from any thread, with how many.
  virtual std::vector<Result<Facts>> look_up_all(const std::vector<std::string>& references, const Keychain& keychain = {},
                                                 std::function<void(size_t)> done = {}, std::stop_token stop = {}) = 0;
  // Without asking anybody, without blocking on disk: fresh facts in memory, or null.
  virtual Facts peek(const std::string& reference, const Keychain& keychain = {}) = 0;
  // A verdict by content (verify, or a crash that was seen): kept by the digest of the image's manifest, and part of `truth.wrong` of
  // all that name it for that platform from now on.
  virtual Result<void> remember_wrong(const Digest& manifest, const WrongPlatform& wrong) = 0;
  virtual Result<std::vector<std::string>> tags(const std::string& reference, const Keychain& keychain = {}, std::stop_token stop = {}) = 0;
  // For reading an image's content with the same credentials (verify).
  virtual Result<std::shared_ptr<RegistryClient>> client(const std::string& reference, const Keychain& keychain = {}) = 0;
  virtual std::optional<RateLimit> rate_limit(const std::string& host) = 0;
  virtual LookupCounters counters() const = 0;
};

}  // namespace archway
