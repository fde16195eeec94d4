#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/progress.h"
#include "base/stream.h"
#include "image/descriptor.h"
#include "image/reference.h"

// Blobs by digest. Everything is a descriptor in a content store; pull, push, save and load are one copy
// (image/copy.h). Implementations: BlobStore (a folder, OCI layout), MemoryStore, registry::Repository, archives.
namespace archway {

// Where blobs come from. Thread safe.
class Provider {
 public:
  virtual ~Provider() = default;
  // The raw bytes, not checked. Use open_blob() or read_blob(), which are. NotFound where there is none.
  virtual Result<std::unique_ptr<Source>> open(const Descriptor& blob) = 0;
  // The repository in a registry that holds the blob, if it is there: lets an Ingester in the same
  // registry mount it instead of moving bytes.
  virtual std::optional<Reference> origin(const Descriptor& blob) { (void)blob; return std::nullopt; }
};

enum class PutOutcome { Stored, Existed, Mounted };

// Where blobs go. Thread safe.
class Ingester {
 public:
  virtual ~Ingester() = default;
  // Makes the blob present: opens it at `from` only where it must. Size and digest are checked on the
  // way; on any failure nothing is visible. A manifest is put after what it points to.
  virtual Result<PutOutcome> put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) = 0;
  // Gives a stored manifest or index (whose bytes are `raw`) a name. The last step of every copy.
  virtual Result<void> tag(const Descriptor& root, std::string_view raw, std::string_view name) = 0;
};

// Streams and checks: the final read fails with Mismatch where size or digest are not as promised,
// and a stream longer than promised fails as soon as it is.
Result<std::unique_ptr<Source>> open_blob(Provider& provider, const Descriptor& blob);
// A whole small blob (a manifest, a config), checked; Invalid where larger than `limit`.
Result<std::string> read_blob(Provider& provider, const Descriptor& blob, uint64_t limit);

// Blobs below `root`/blobs/<algorithm>/<hex>, as in an OCI image layout. Files there are whole: each is written
// to `root`/tmp, synced, and renamed. What a killed writer left in tmp goes away when the store is opened a day later.
// Several processes may share one. Thread safe. A blob that is there is not read again by put(): a Cache store may hold
// a bad one after a power cut, which open_blob() finds; remove() it and put it again.
class BlobStore final : public Provider, public Ingester {
 public:
  enum class Durability { Synced, Cache };  // Cache: no fsync; for blobs that can be made again (checked when read)
  static Result<std::shared_ptr<BlobStore>> open(std::string root, Durability durability = Durability::Synced);
  ~BlobStore() override;

  Result<std::unique_ptr<Source>> open(const Descriptor& blob) override;
  Result<PutOutcome> put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) override;
  // An entry in `root`/index.json (image/layout_index.h), whose readers and writers may be other processes.
  Result<void> tag(const Descriptor& root, std::string_view raw, std::string_view name) override;

  bool has(const Digest& digest) const;
  std::optional<uint64_t> size_of(const Digest& digest) const;
  std::string path_of(const Digest& digest) const;
  Result<Descriptor> put_bytes(std::string_view media_type, std::string_view bytes);
  Result<void> remove(const Digest& digest);

  // A blob whose digest is not known yet. Not visible until commit(); destroying it uncommitted discards it.
  // Used by one thread at a time.
  class Writer final : public Sink {
   public:
    Writer(BlobStore& store, HashAlgorithm algorithm);
    ~Writer() override;
    using Sink::write;
    Result<void> write(Bytes bytes) override;
    uint64_t size() const;
    // Where `expected` is given, the bytes must be those: Mismatch otherwise, and nothing is kept.
    Result<Descriptor> commit(std::string_view media_type, const std::optional<Digest>& expected = {});

   private:
    struct State;
    std::unique_ptr<State> state_;
  };
  Result<std::unique_ptr<Writer>> begin(HashAlgorithm algorithm = HashAlgorithm::Sha256);
  const std::string& root() const { return root_; }

 private:
  friend class StagedBlob;
  BlobStore(std::string root, Durability durability) : root_(std::move(root)), durability_(durability) {}
  std::string root_;
  Durability durability_;
};

// In memory; for small things and tests.
class MemoryStore final : public Provider, public Ingester {
 public:
  MemoryStore();
  ~MemoryStore() override;
  Result<std::unique_ptr<Source>> open(const Descriptor& blob) override;
  Result<PutOutcome> put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) override;
  Result<void> tag(const Descriptor& root, std::string_view raw, std::string_view name) override;
  Descriptor put_bytes(std::string_view media_type, std::string_view bytes);
  std::optional<Descriptor> tagged(std::string_view name) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Looks in each in turn: built blobs here, base layers in their registry.
class UnionProvider final : public Provider {
 public:
  explicit UnionProvider(std::vector<std::shared_ptr<Provider>> providers) : providers_(std::move(providers)) {}
  Result<std::unique_ptr<Source>> open(const Descriptor& blob) override;
  std::optional<Reference> origin(const Descriptor& blob) override;

 private:
  std::vector<std::shared_ptr<Provider>> providers_;
};

}  // namespace archway
