#include "base/stream.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace archway {

Result<uint64_t> Source::skip(uint64_t count) {
  auto buffer = std::make_unique_for_overwrite<std::byte[]>(std::min<uint64_t>(count, kCopyBufferBytes));
  uint64_t done = 0;
  while (done < count) {
    size_t want = static_cast<size_t>(std::min<uint64_t>(count - done, kCopyBufferBytes));
    size_t got = TRY(read({buffer.get(), want}));
    if (got == 0) break;
    done += got;
  }
  return done;
}

Result<size_t> MemorySource::read(std::span<std::byte> into) {
  size_t n = std::min(into.size(), rest_.size());
  if (n > 0) std::memcpy(into.data(), rest_.data(), n);
  rest_ = rest_.subspan(n);
  return n;
}

Result<uint64_t> MemorySource::skip(uint64_t count) {
  size_t n = static_cast<size_t>(std::min<uint64_t>(count, rest_.size()));
  rest_ = rest_.subspan(n);
  return static_cast<uint64_t>(n);
}

Result<void> TeeSink::write(Bytes bytes) {
  TRY(first_.write(bytes));
  return second_.write(bytes);
}

Result<size_t> LimitSource::read(std::span<std::byte> into) {
  size_t got = TRY(inner_.read(into));
  if (got > left_) return Error{Code::Invalid, what_ + ": larger than the limit of " + std::to_string(limit_) + " bytes"};
  left_ -= got;
  return got;
}

Result<uint64_t> copy(Source& from, Sink& to) {
  auto buffer = std::make_unique_for_overwrite<std::byte[]>(kCopyBufferBytes);
  uint64_t total = 0;
  for (;;) {
    size_t got = TRY(from.read({buffer.get(), kCopyBufferBytes}));
    if (got == 0) return total;
    TRY(to.write(Bytes(buffer.get(), got)));
    total += got;
  }
}

Result<size_t> read_full(Source& from, std::span<std::byte> into) {
  size_t done = 0;
  while (done < into.size()) {
    size_t got = TRY(from.read(into.subspan(done)));
    if (got == 0) break;
    done += got;
  }
  return done;
}

Result<std::string> read_all(Source& from, uint64_t limit, std::string_view what) {
  LimitSource limited(from, limit, std::string(what));
  StringSink sink;
  TRY(copy(limited, sink));
  return std::move(sink.text);
}

}  // namespace archway
