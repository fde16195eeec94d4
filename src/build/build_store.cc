#include "build/build_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

namespace archway::build {

BuildStore::~BuildStore() = default;

Result<std::unique_ptr<BuildStore>> BuildStore::open(const std::string& root) {
  TRY(make_directories(root, 0700));
  std::unique_ptr<BuildStore> store(new BuildStore(root));
  store->lock_ = TRY(open_file(root + "/lock", O_RDWR | O_CREAT, 0600));
  while (::flock(store->lock_.get(), LOCK_SH) != 0) {
    if (errno != EINTR) return errno_error("locking " + root);
  }
  store->blobs = TRY(BlobStore::open(root, BlobStore::Durability::Cache));
  store->layers = TRY(LayerStore::open(root));
  store->results = TRY(ResultCache::open(root + "/results.sqlite"));
  return store;
}

Result<BuildStore::Entry> BuildStore::measure(const ResultCache::Usage& usage) {
  Entry entry{usage.diff_id, usage.what, 0, 0, usage.used};
  if (usage.blob) entry.blob_bytes = blobs->size_of(usage.blob->digest).value_or(0);
  if (layers->has_unpacked(usage.diff_id)) entry.unpacked_bytes = TRY(layers->unpacked_bytes(usage.diff_id));
  return entry;
}

Result<std::vector<BuildStore::Entry>> BuildStore::entries() {
  std::vector<Entry> found;
  for (const ResultCache::Usage& usage : TRY(results->usage())) found.push_back(TRY(measure(usage)));
  return found;
}

Result<std::vector<BuildStore::Entry>> BuildStore::prune(uint64_t keep_bytes, Wait wait) {
  std::vector<Entry> removed;
  while (::flock(lock_.get(), LOCK_EX | (wait == Wait::No ? LOCK_NB : 0)) != 0) {
    if (errno == EWOULDBLOCK) {
      // Converting a lock may have dropped ours: take it back before anything else.
      while (::flock(lock_.get(), LOCK_SH) != 0 && errno == EINTR) {
      }
      return removed;
    }
    if (errno != EINTR) return errno_error("locking " + root_);
  }
  auto usages = TRY(results->usage());
  std::vector<std::pair<Entry, std::optional<Descriptor>>> all;
  uint64_t total = 0;
  for (const ResultCache::Usage& usage : usages) {
    all.emplace_back(TRY(measure(usage)), usage.blob);
    total += all.back().first.bytes();
  }
  for (const auto& [entry, blob] : all) {
    if (total <= keep_bytes) break;
    // The record goes first: a result without bytes would be a lie, bytes without a record are only space.
    TRY(results->forget(entry.diff_id));
    if (blob) TRY(blobs->remove(blob->digest));
    TRY(layers->remove(entry.diff_id));
    total -= entry.bytes();
    removed.push_back(entry);
  }
  if (keep_bytes == 0) {
    TRY(results->forget_references());
    TRY(remove_small_blobs());
  }
  while (::flock(lock_.get(), LOCK_SH) != 0 && errno == EINTR) {
  }
  return removed;
}

// With everything else gone, what is left are manifests, configurations and what a killed build left.
Result<void> BuildStore::remove_small_blobs() {
  for (const char* folder : {"/blobs", "/contexts", "/layers"}) {
    TRY(remove_tree(root_ + folder));
  }
  return {};
}

}  // namespace archway::build
