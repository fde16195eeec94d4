#include "format/unpacker.h"

#include <algorithm>
#include <cstring>

namespace archway {

Unpacker::Unpacker(Source& packed, std::string name)
    : packed_(packed), name_(std::move(name)), in_(std::make_unique_for_overwrite<std::byte[]>(kPackedBufferBytes)) {}

Result<size_t> Unpacker::read(std::span<std::byte> into) {
  if (out_begin_ == out_end_) {
    if (into.size() >= kUnpackedBufferBytes) return produce(into);
    if (!out_) out_ = std::make_unique_for_overwrite<std::byte[]>(kUnpackedBufferBytes);
    out_begin_ = out_end_ = 0;
    out_end_ = TRY(produce({out_.get(), kUnpackedBufferBytes}));
  }
  size_t n = std::min(into.size(), out_end_ - out_begin_);
  if (n > 0) std::memcpy(into.data(), out_.get() + out_begin_, n);
  out_begin_ += n;
  return n;
}

Result<void> Unpacker::refill() {
  if (in_begin_ < in_end_ || packed_ended_) return {};
  in_begin_ = in_end_ = 0;
  in_end_ = TRY(packed_.read({in_.get(), kPackedBufferBytes}));
  total_in_ += in_end_;
  packed_ended_ = in_end_ == 0;
  return {};
}

Result<size_t> Unpacker::produce(std::span<std::byte> into) {
  while (!ended_) {
    TRY(refill());
    bool at_end = packed_ended_;
    size_t got = TRY(unpack(into));
    total_out_ += got;
    if (total_out_ > kBombFreeBytes && total_out_ / kMaxInflateRatio > total_in_) {
      return broken("it unpacks to over " + std::to_string(kMaxInflateRatio) + " times its size (a decompression bomb)");
    }
    if (got > 0) return got;
    if (!at_end) continue;
    if (!at_boundary()) return broken("it is cut short");
    ended_ = true;
  }
  return size_t{0};
}

}  // namespace archway
