#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

// Bytes in motion. Everything that reads or writes blobs is a Source or a Sink; hashing,
// inflating and limiting are decorators. Pull-style, so that a tar reader can skip.
namespace archway {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }
inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Used by one thread at a time.
class Source {
 public:
  virtual ~Source() = default;
  // Fills a prefix of `into` (which is not empty) and says how many bytes; 0 means the end, and
  // stays 0. May return fewer than asked. After an error the source is not read again.
  virtual Result<size_t> read(std::span<std::byte> into) = 0;
  // Passes over up to `count` bytes, as far as there are any; returns how many. The default reads them.
  virtual Result<uint64_t> skip(uint64_t count);
};

// Used by one thread at a time. A write either takes everything or fails.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual Result<void> write(Bytes bytes) = 0;
  Result<void> write(std::string_view text) { return write(as_bytes(text)); }
};

// Reads a borrowed buffer, which must outlive it.
class MemorySource final : public Source {
 public:
  explicit MemorySource(Bytes bytes) : rest_(bytes) {}
  explicit MemorySource(std::string_view text) : rest_(as_bytes(text)) {}
  Result<size_t> read(std::span<std::byte> into) override;
  Result<uint64_t> skip(uint64_t count) override;

 private:
  Bytes rest_;
};

// Reads a buffer that it owns.
class StringSource final : public Source {
 public:
  explicit StringSource(std::string text) : text_(std::move(text)), inner_(std::string_view(text_)) {}
  StringSource(const StringSource&) = delete;
  Result<size_t> read(std::span<std::byte> into) override { return inner_.read(into); }
  Result<uint64_t> skip(uint64_t count) override { return inner_.skip(count); }

 private:
  std::string text_;
  MemorySource inner_;
};

class StringSink final : public Sink {
 public:
  using Sink::write;
  Result<void> write(Bytes bytes) override {
    text.append(as_text(bytes));
    return {};
  }
  std::string text;
};

// Writes to both, first to `first`.
class TeeSink final : public Sink {
 public:
  TeeSink(Sink& first, Sink& second) : first_(first), second_(second) {}
  using Sink::write;
  Result<void> write(Bytes bytes) override;

 private:
  Sink& first_;
  Sink& second_;
};

class CountingSink final : public Sink {
 public:
  explicit CountingSink(Sink& inner) : inner_(inner) {}
  using Sink::write;
  Result<void> write(Bytes bytes) override {
    count_ += bytes.size();
    return inner_.write(bytes);
  }
  uint64_t count() const { return count_; }

 private:
  Sink& inner_;
  uint64_t count_ = 0;
};

class NullSink final : public Sink {
 public:
  using Sink::write;
  Result<void> write(Bytes) override { return {}; }
};

// Fails with Invalid once more than `limit` bytes would come through: every read of untrusted
// bytes into memory goes through one. `what` names the thing in the message.
class LimitSource final : public Source {
 public:
  LimitSource(Source& inner, uint64_t limit, std::string what) : inner_(inner), left_(limit), limit_(limit), what_(std::move(what)) {}
  Result<size_t> read(std::span<std::byte> into) override;

 private:
  Source& inner_;
  uint64_t left_;
  uint64_t limit_;
  std::string what_;
};

inline constexpr size_t kCopyBufferBytes = 256 * 1024;

// Until the end of `from`; returns the number of bytes.
Result<uint64_t> copy(Source& from, Sink& to);
// Fills all of `into`, or says how many bytes there were before the end.
Result<size_t> read_full(Source& from, std::span<std::byte> into);
// All of `from`, at most `limit` bytes, else Invalid.
Result<std::string> read_all(Source& from, uint64_t limit, std::string_view what);

}  // namespace archway
