#include "image/digest.h"

#include "base/check.h"

namespace archway {

Result<Digest> Digest::parse(std::string_view text) {
  auto refuse = [&](std::string_view why) { return Error{Code::Invalid, "\"" + std::string(text.substr(0, 160)) + "\" is not a digest: " + std::string(why)}; };
  size_t colon = text.find(':');
  if (colon == std::string_view::npos) return refuse("it has no algorithm");
  std::string_view algorithm = text.substr(0, colon), hex = text.substr(colon + 1);
  if (algorithm != "sha256" && algorithm != "sha512") return refuse("the algorithm is neither sha256 nor sha512");
  size_t length = algorithm == "sha256" ? 64 : 128;
  if (hex.size() != length) return refuse(std::string(algorithm) + " has " + std::to_string(length) + " hex digits");
  if (hex.find_first_not_of("0123456789abcdef") != std::string_view::npos) return refuse("hex digits are 0-9 and a-f");
  return Digest(algorithm == "sha256" ? HashAlgorithm::Sha256 : HashAlgorithm::Sha512, std::string(hex));
}

Digest Digest::of(std::string_view bytes) { return Digest(HashAlgorithm::Sha256, sha256_hex(bytes)); }

Digest Digest::from_hex(HashAlgorithm algorithm, std::string hex) {
  CHECK(hex.size() == (algorithm == HashAlgorithm::Sha256 ? 64u : 128u));
  return Digest(algorithm, std::move(hex));
}

std::string Digest::str() const { return std::string(algorithm_name()) + ":" + hex_; }

}  // namespace archway
