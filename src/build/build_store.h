#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "build/mount_store.h"
#include "build/result_cache.h"
#include "image/content.h"
#include "snapshot/layer_store.h"

namespace archway::build {

// All that builds keep between runs, below one folder:
//     blobs/ tmp/      compressed layers, manifests, configurations (an OCI layout's blobs)
//     layers/          unpacked layers and their indexes
//     results.sqlite   which key gave which layer
//     contexts/        what is known of files in build contexts, and below urls/ of what ADD has fetched
//     mounts/          cache mounts, and copies of contexts that were mounted
//     lock             held shared by builds, alone by prune
// Everything in it can be made again.
class BuildStore {
 public:
  static Result<std::unique_ptr<BuildStore>> open(const std::string& root);
  ~BuildStore();

  std::shared_ptr<BlobStore> blobs;
  std::shared_ptr<LayerStore> layers;
  std::unique_ptr<ResultCache> results;
  std::unique_ptr<MountStore> mounts;
  const std::string& root() const { return root_; }

  struct Entry {
    enum class Kind { Layer, CacheMount, ContextMount } kind = Kind::Layer;
    std::string id;                // a layer's diff_id; a mount's name and copy
    std::string what;              // the step that made it; "" for a base's layer
    uint64_t blob_bytes = 0, unpacked_bytes = 0;
    Time used;
    uint64_t bytes() const { return blob_bytes + unpacked_bytes; }
  };
  // Least recently used first.
  Result<std::vector<Entry>> entries();
  // Removes the least recently used until at most `keep_bytes` are left. Waits for running builds unless `wait` says not to: then it
  // removes nothing while one runs. Returns what was removed.
  enum class Wait { Yes, No };
  Result<std::vector<Entry>> prune(uint64_t keep_bytes, Wait wait);

 private:
  explicit BuildStore(std::string root) : root_(std::move(root)) {}
  // With what removes it: false where it is in use.
  struct Removable {
    Entry entry;
    std::function<Result<bool>()> remove;
  };
  Result<std::vector<Removable>> removables();
  Result<Entry> measure(const ResultCache::Usage& usage);
  Result<bool> remove_layer(const ResultCache::Usage& usage);
  Result<void> remove_small_blobs();
  std::string root_;
  Fd lock_;
};

}  // namespace archway::build
