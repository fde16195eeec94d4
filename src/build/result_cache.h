#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "image/descriptor.h"

namespace archway::build {

// A layer that was built before.
struct CachedLayer {
  Digest diff_id;
  Descriptor blob;
  std::optional<Time> created = {};
};

// What is known from earlier builds: key -> layer, reference -> digest, and when each was last used. One SQLite file, shared by
// processes. Losing it costs time, never correctness: each answer is checked against the blobs that are there. Thread safe.
class ResultCache {
 public:
  static Result<std::unique_ptr<ResultCache>> open(const std::string& path);
  ~ResultCache();

  Result<std::optional<CachedLayer>> find(const std::string& key);
  // `what` is for `archway cache du`: the step's name.
  Result<void> store(const std::string& key, const CachedLayer& layer, const std::string& what);

  // What a reference named when a registry was last asked.
  Result<std::optional<Descriptor>> find_reference(const std::string& reference);
  Result<void> store_reference(const std::string& reference, const Descriptor& descriptor);

  // Marks layers as used now: the least recently used go first when space is needed.
  Result<void> touch(const std::vector<Digest>& diff_ids, Time now);

  struct Usage {
    Digest diff_id;
    std::optional<Descriptor> blob;  // where a step's result is known
    std::string what;                // "" for layers of bases
    Time used;
  };
  Result<std::vector<Usage>> usage();            // least recently used first
  Result<void> forget(const Digest& diff_id);    // results and use
  Result<void> forget_references();

 private:
  struct State;
  explicit ResultCache(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace archway::build
