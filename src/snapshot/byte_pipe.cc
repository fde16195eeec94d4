#include "snapshot/byte_pipe.h"

#include <cstring>

namespace archway {

std::optional<BytePipe::Chunk> BytePipe::take_empty() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return given_up_ || !empty_.empty() || made_ < kChunks; });
  if (given_up_) return std::nullopt;
  if (empty_.empty()) {
    made_++;
    return Chunk{std::make_unique_for_overwrite<std::byte[]>(kChunkBytes), 0};
  }
  Chunk chunk = std::move(empty_.back());
  empty_.pop_back();
  return chunk;
}

void BytePipe::close(std::optional<Error> error) {
  std::lock_guard lock(mutex_);
  closed_ = true;
  error_ = std::move(error);
  changed_.notify_all();
}

Result<void> BytePipe::fill(Source& from) {
  for (;;) {
    auto chunk = take_empty();
    if (!chunk) return {};
    auto size = read_full(from, {chunk->bytes.get(), kChunkBytes});
    if (!size) {
      close(size.error());
      return std::move(size).error();
    }
    chunk->size = *size;
    bool last = *size < kChunkBytes;
    {
      std::lock_guard lock(mutex_);
      if (*size > 0) full_.push_back(std::move(*chunk));
      changed_.notify_all();
    }
    if (last) {
      close(std::nullopt);
      return {};
    }
  }
}

Result<size_t> BytePipe::read(std::span<std::byte> into) {
  if (current_at_ == current_.size) {
    std::unique_lock lock(mutex_);
    if (current_.bytes) {
      empty_.push_back(std::move(current_));
      changed_.notify_all();
    }
    current_ = {};
    current_at_ = 0;
    changed_.wait(lock, [this] { return closed_ || !full_.empty(); });
    if (full_.empty()) {
      if (error_) return *error_;
      return size_t{0};
    }
    current_ = std::move(full_.front());
    full_.pop_front();
  }
  size_t n = std::min(into.size(), current_.size - current_at_);
  std::memcpy(into.data(), current_.bytes.get() + current_at_, n);
  current_at_ += n;
  return n;
}

void BytePipe::give_up() {
  std::lock_guard lock(mutex_);
  given_up_ = true;
  changed_.notify_all();
}

}  // namespace archway
