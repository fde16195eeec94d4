#pragma once

#include <memory>
#include <string>

#include "format/compress.h"

// What the four decompressors share. Private to compress.
namespace archway {

inline constexpr size_t kPackedBufferBytes = 256 * 1024;
inline constexpr size_t kUnpackedBufferBytes = 256 * 1024;
inline constexpr uint64_t kBombFreeBytes = 64 << 20;  // what may come out before the ratio is looked at

// A decompressor fills `into` from the packed bytes it is given. Big buffers on both sides: igzip loses a third of its
// speed with 32 KiB ones. A reader that asks for less is served from a buffer, one that asks for more, directly.
class Unpacker : public Source {
 public:
  Unpacker(Source& packed, std::string name);
  Result<size_t> read(std::span<std::byte> into) final;

 protected:
  // Unpacks some of input() (taking it with consume()) into `into`; how many bytes came out. 0 with the input not at
  // its end means: call again. Called with input() empty only at the end of the packed bytes.
  virtual Result<size_t> unpack(std::span<std::byte> into) = 0;
  // Whether the packed bytes may end here.
  virtual bool at_boundary() const = 0;

  Bytes input() const { return {in_.get() + in_begin_, in_end_ - in_begin_}; }
  void consume(size_t count) { in_begin_ += count; }
  bool input_ended() const { return packed_ended_; }
  Error broken(std::string why, Code code = Code::Invalid) const { return {code, "unpacking " + name_ + ": " + std::move(why)}; }

 private:
  Result<void> refill();
  Result<size_t> produce(std::span<std::byte> into);

  Source& packed_;
  std::string name_;
  std::unique_ptr<std::byte[]> in_, out_;
  size_t in_begin_ = 0, in_end_ = 0, out_begin_ = 0, out_end_ = 0;
  uint64_t total_in_ = 0, total_out_ = 0;
  bool packed_ended_ = false, ended_ = false;
};

std::unique_ptr<Source> make_gunzip(Source& packed);
std::unique_ptr<Source> make_unzstd(Source& packed);
std::unique_ptr<Source> make_unxz(Source& packed);
std::unique_ptr<Source> make_bunzip2(Source& packed);

}  // namespace archway
