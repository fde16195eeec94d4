#include "image/content.h"

#include "base/hash.h"

namespace archway {

namespace {

// Hands out no last byte before the whole has been found true.
class VerifyingSource final : public Source {
 public:
  VerifyingSource(std::unique_ptr<Source> inner, const Descriptor& blob) : inner_(std::move(inner)), blob_(blob), hasher_(blob.digest.algorithm()) {}

  Result<size_t> read(std::span<std::byte> into) override {
    size_t n = TRY(inner_->read(into));
    count_ += n;
    if (count_ > blob_.size) return lies("it is longer than the " + std::to_string(blob_.size) + " bytes that were promised");
    hasher_.update(Bytes(into.data(), n));
    if (n == 0 && count_ < blob_.size) return lies("it ended after " + std::to_string(count_) + " of " + std::to_string(blob_.size) + " bytes");
    if (count_ == blob_.size && !checked_) TRY(check_digest());
    return n;
  }

 private:
  Result<void> check_digest() {
    checked_ = true;
    std::string hex = hasher_.hex();
    if (hex != blob_.digest.hex()) return lies("its bytes hash to " + hex);
    return {};
  }
  Error lies(std::string why) const { return Error{Code::Mismatch, "blob " + blob_.digest.str() + " is not what it should be: " + std::move(why)}; }

  std::unique_ptr<Source> inner_;
  Descriptor blob_;
  Hasher hasher_;
  uint64_t count_ = 0;
  bool checked_ = false;
};

}  // namespace

Result<std::unique_ptr<Source>> open_blob(Provider& provider, const Descriptor& blob) {
  auto raw = TRY(provider.open(blob));
  return std::unique_ptr<Source>(std::make_unique<VerifyingSource>(std::move(raw), blob));
}

Result<std::string> read_blob(Provider& provider, const Descriptor& blob, uint64_t limit) {
  if (blob.size > limit) {
    return Error{Code::Invalid, "blob " + blob.digest.str() + " (" + blob.media_type + ") has " + std::to_string(blob.size) + " bytes, more than the " +
                                    std::to_string(limit) + " that one of its kind may have"};
  }
  auto source = TRY(open_blob(provider, blob));
  return read_all(*source, limit, blob.digest.str());
}

Result<std::unique_ptr<Source>> UnionProvider::open(const Descriptor& blob) {
  for (const auto& provider : providers_) {
    auto source = provider->open(blob);
    if (source.ok() || source.error().code != Code::NotFound) return source;
  }
  return Error{Code::NotFound, "blob " + blob.digest.str() + " is in none of the " + std::to_string(providers_.size()) + " places it could be in"};
}

std::optional<Reference> UnionProvider::origin(const Descriptor& blob) {
  for (const auto& provider : providers_) {
    if (auto origin = provider->origin(blob)) return origin;
  }
  return std::nullopt;
}

}  // namespace archway
