#include "build/build_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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
  store->mounts = std::make_unique<MountStore>(root, *store->layers);
  store->results = TRY(ResultCache::open(root + "/results.sqlite"));
  return store;
}

Result<BuildStore::Entry> BuildStore::measure(const ResultCache::Usage& usage) {
  Entry entry{Entry::Kind::Layer, usage.diff_id.str(), usage.what, 0, 0, usage.used};
  if (usage.blob) entry.blob_bytes = blobs->size_of(usage.blob->digest).value_or(0);
  if (layers->has_unpacked(usage.diff_id)) entry.unpacked_bytes = TRY(layers->unpacked_bytes(usage.diff_id));
  return entry;
}

Result<bool> BuildStore::remove_layer(const ResultCache::Usage& usage) {
  // The record goes first: a result without bytes would be a lie, bytes without a record are only space.
  TRY(results->forget(usage.diff_id));
  if (usage.blob) TRY(blobs->remove(usage.blob->digest));
  TRY(layers->remove(usage.diff_id));
  return true;
}

// Least recently used first.
Result<std::vector<BuildStore::Removable>> BuildStore::removables() {
  std::vector<Removable> all;
  for (const ResultCache::Usage& usage : TRY(results->usage())) {
    Entry entry = TRY(measure(usage));
    all.push_back({std::move(entry), [this, usage] { return remove_layer(usage); }});
  }
  for (const MountStore::Entry& mount : TRY(mounts->entries())) {
    const auto kind = mount.kind == MountStore::Kind::Cache ? Entry::Kind::CacheMount : Entry::Kind::ContextMount;
    all.push_back({{kind, mount.id, mount.what, 0, mount.bytes, mount.used}, [this, mount] { return mounts->remove(mount); }});
  }
  std::stable_sort(all.begin(), all.end(), [](const Removable& a, const Removable& b) { return a.entry.used < b.entry.used; });
  return all;
}

Result<std::vector<BuildStore::Entry>> BuildStore::entries() {
  std::vector<Entry> found;
  for (Removable& one : TRY(removables())) found.push_back(std::move(one.entry));
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
  auto all = TRY(removables());
  uint64_t total = 0;
  for (const Removable& one : all) total += one.entry.bytes();
  for (const Removable& one : all) {
    if (total <= keep_bytes && keep_bytes != 0) break;
    if (!TRY(one.remove())) continue;
    total -= one.entry.bytes();
    removed.push_back(one.entry);
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
  return mounts->remove_empty();
}

}  // namespace archway::build
