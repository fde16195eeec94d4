#include <map>

#include "base/sync.h"
#include "image/content.h"

namespace archway {

struct MemoryStore::State {
  struct Contents {
    std::map<Digest, std::shared_ptr<const std::string>> blobs;
    std::map<std::string, Descriptor, std::less<>> tags;
  };
  Sync<Contents> contents;
};

MemoryStore::MemoryStore() : state_(std::make_unique<State>()) {}
MemoryStore::~MemoryStore() = default;

namespace {

// Keeps the bytes alive while they are read, also past the store.
class SharedSource final : public Source {
 public:
  explicit SharedSource(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)), inner_(std::string_view(*bytes_)) {}
  Result<size_t> read(std::span<std::byte> into) override { return inner_.read(into); }
  Result<uint64_t> skip(uint64_t count) override { return inner_.skip(count); }

 private:
  std::shared_ptr<const std::string> bytes_;
  MemorySource inner_;
};

}  // namespace

Result<std::unique_ptr<Source>> MemoryStore::open(const Descriptor& blob) {
  auto contents = state_->contents.lock();
  auto found = contents->blobs.find(blob.digest);
  if (found == contents->blobs.end()) return Error{Code::NotFound, "blob " + blob.digest.str() + " is not in memory"};
  return std::unique_ptr<Source>(std::make_unique<SharedSource>(found->second));
}

Result<PutOutcome> MemoryStore::put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) {
  if (state_->contents.lock()->blobs.contains(blob.digest)) return PutOutcome::Existed;
  if (stop.stop_requested()) return Error{Code::Cancelled, "copying " + blob.digest.str() + ": stopped"};
  std::string bytes = TRY(read_blob(from, blob, blob.size));
  if (progress) progress->advance(bytes.size());
  state_->contents.lock()->blobs.emplace(blob.digest, std::make_shared<const std::string>(std::move(bytes)));
  return PutOutcome::Stored;
}

Result<void> MemoryStore::tag(const Descriptor& root, std::string_view raw, std::string_view name) {
  auto contents = state_->contents.lock();
  if (!contents->blobs.contains(root.digest)) contents->blobs.emplace(root.digest, std::make_shared<const std::string>(raw));
  contents->tags.insert_or_assign(std::string(name), root);
  return {};
}

Descriptor MemoryStore::put_bytes(std::string_view media_type, std::string_view bytes) {
  Descriptor blob = descriptor_of(media_type, bytes);
  state_->contents.lock()->blobs.insert_or_assign(blob.digest, std::make_shared<const std::string>(bytes));
  return blob;
}

std::optional<Descriptor> MemoryStore::tagged(std::string_view name) const {
  auto contents = state_->contents.lock();
  auto found = contents->tags.find(name);
  if (found == contents->tags.end()) return std::nullopt;
  return found->second;
}

}  // namespace archway
