#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/stream.h"

namespace archway {

enum class HashAlgorithm { Sha256, Sha512 };

// A running hash (OpenSSL; uses the processor's SHA instructions where it has them).
// Used by one thread at a time.
class Hasher {
 public:
  explicit Hasher(HashAlgorithm algorithm = HashAlgorithm::Sha256);
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  ~Hasher();
  void update(Bytes bytes);
  void update(std::string_view text) { update(as_bytes(text)); }
  // Lower-case hex of all that came so far. May go on afterwards.
  std::string hex() const;
  HashAlgorithm algorithm() const { return algorithm_; }

 private:
  HashAlgorithm algorithm_;
  void* context_;  // EVP_MD_CTX
};

std::string sha256_hex(std::string_view bytes);

// Passes bytes through to `inner` (or nowhere, if null) and hashes and counts them on the way.
class HashingSink final : public Sink {
 public:
  explicit HashingSink(Sink* inner, HashAlgorithm algorithm = HashAlgorithm::Sha256) : inner_(inner), hasher_(algorithm) {}
  using Sink::write;
  Result<void> write(Bytes bytes) override;
  std::string hex() const { return hasher_.hex(); }
  uint64_t count() const { return count_; }

 private:
  Sink* inner_;
  Hasher hasher_;
  uint64_t count_ = 0;
};

class HashingSource final : public Source {
 public:
  explicit HashingSource(Source& inner, HashAlgorithm algorithm = HashAlgorithm::Sha256) : inner_(inner), hasher_(algorithm) {}
  Result<size_t> read(std::span<std::byte> into) override;
  std::string hex() const { return hasher_.hex(); }
  uint64_t count() const { return count_; }

 private:
  Source& inner_;
  Hasher hasher_;
  uint64_t count_ = 0;
};

}  // namespace archway
