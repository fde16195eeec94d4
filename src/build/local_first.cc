#include "build/local_first.h"

#include "image/manifest.h"

namespace archway::build {

namespace {

// Writes what passes through into the store; kept only if it was read to the end and is what the descriptor says.
class KeepingSource final : public Source {
 public:
  KeepingSource(std::unique_ptr<Source> inner, std::unique_ptr<BlobStore::Writer> writer, Descriptor blob)
      : inner_(std::move(inner)), writer_(std::move(writer)), blob_(std::move(blob)) {}

  Result<size_t> read(std::span<std::byte> into) override {
    size_t got = TRY(inner_->read(into));
    if (!writer_) return got;
    if (got == 0) {
      if (writer_->size() == blob_.size) TRY(writer_->commit(blob_.media_type, blob_.digest));
      writer_.reset();
      return got;
    }
    TRY(writer_->write(Bytes(into.data(), got)));
    return got;
  }

 private:
  std::unique_ptr<Source> inner_;
  std::unique_ptr<BlobStore::Writer> writer_;
  Descriptor blob_;
};

}  // namespace

Result<std::unique_ptr<Source>> LocalFirstProvider::open(const Descriptor& blob) {
  if (store_->has(blob.digest)) return store_->open(blob);
  auto source = TRY(remote_->open(blob));
  bool small = is_index(blob.media_type) || is_manifest(blob.media_type) || blob.media_type == media_type::kOciConfig || blob.media_type == media_type::kDockerConfig;
  if (!small) return source;
  auto writer = TRY(store_->begin(blob.digest.algorithm()));
  return std::unique_ptr<Source>(std::make_unique<KeepingSource>(std::move(source), std::move(writer), blob));
}

}  // namespace archway::build
