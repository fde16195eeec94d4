#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/stream.h"

namespace archway {

// Bytes from one thread to another, with a bound on how many are under way. One producer, one consumer.
class BytePipe final : public Source {
 public:
  static constexpr size_t kChunkBytes = 512 * 1024;
  static constexpr size_t kChunks = 6;

  // The producer's side. Copies until the end of `from`, waiting for room; then, or on an error, closes the pipe, so that the
  // consumer sees the same end. Returns early, without an error, where the consumer has given up.
  Result<void> fill(Source& from);

  // The consumer's side.
  Result<size_t> read(std::span<std::byte> into) override;
  void give_up();

 private:
  struct Chunk {
    std::unique_ptr<std::byte[]> bytes;
    size_t size = 0;
  };
  std::optional<Chunk> take_empty();
  void close(std::optional<Error> error);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Chunk> full_;
  std::vector<Chunk> empty_;
  size_t made_ = 0;
  bool closed_ = false, given_up_ = false;
  std::optional<Error> error_;
  Chunk current_;  // the consumer's alone
  size_t current_at_ = 0;
};

}  // namespace archway
