#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"

namespace archway {

// What names a blob: algorithm and hash of its bytes (image-spec, descriptor.md "Digests").
// One that exists is well-formed: sha256 with 64, or sha512 with 128 lower-case hex digits. So it is safe in a path.
class Digest {
 public:
  static Result<Digest> parse(std::string_view text);  // "sha256:..."; inverse of str()
  static Digest of(std::string_view bytes);            // sha256
  static Digest from_hex(HashAlgorithm algorithm, std::string hex);  // hex as Hasher gives it

  std::string str() const;
  HashAlgorithm algorithm() const { return algorithm_; }
  std::string_view algorithm_name() const { return algorithm_ == HashAlgorithm::Sha256 ? "sha256" : "sha512"; }
  const std::string& hex() const { return hex_; }
  std::string short_hex() const { return hex_.substr(0, 12); }
  auto operator<=>(const Digest&) const = default;

 private:
  Digest(HashAlgorithm algorithm, std::string hex) : algorithm_(algorithm), hex_(std::move(hex)) {}
  HashAlgorithm algorithm_;
  std::string hex_;
};

}  // namespace archway

template <>
struct std::hash<archway::Digest> {
  size_t operator()(const archway::Digest& digest) const { return std::hash<std::string>()(digest.hex()); }
};
