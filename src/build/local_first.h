#pragma once

#include <memory>

#include "image/content.h"

namespace archway::build {

// Blobs from the local store where it has them, else from where they are. Small ones (manifests, configurations) are kept on the way.
class LocalFirstProvider final : public Provider {
 public:
  LocalFirstProvider(std::shared_ptr<BlobStore> store, std::shared_ptr<Provider> remote) : store_(std::move(store)), remote_(std::move(remote)) {}
  Result<std::unique_ptr<Source>> open(const Descriptor& blob) override;
  std::optional<Reference> origin(const Descriptor& blob) override { return remote_->origin(blob); }

 private:
  std::shared_ptr<BlobStore> store_;
  std::shared_ptr<Provider> remote_;
};

}  // namespace archway::build
