#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/stream.h"

// gzip, zstd, xz and bzip2 as streams.
namespace archway {

enum class Codec { None, Gzip, Zstd, Xz, Bzip2 };
// By the first bytes (6 suffice); None where it is none of them.
Codec detect_codec(Bytes first_bytes);

inline constexpr uint64_t kMaxInflateRatio = 1100;  // deflate cannot exceed 1032:1; zstd bombs can

// Reads the unpacked bytes. Concatenated gzip members and zstd frames are read through, as gunzip does; CRC checked (gzip by
// ISA-L). Truncated input is Invalid. `packed` is borrowed. More than kMaxInflateRatio : 1 beyond the first 64 MiB is Invalid (a bomb).
std::unique_ptr<Source> decompress(Codec codec, Source& packed);

struct GzipOptions {
  int level = 1;             // 1 to 3: fast (igzip's levels); 4 to 9: smaller (zlib's). Others are taken to the nearest
  size_t threads = 1;        // blocks deflated at once, at most 64
};
// One gzip member: mtime 0, no name, OS 255. Blocks of fixed size are deflated independently, on up to `threads` threads, so large layers use
// all cores and the bytes depend on nothing but the input and the level (not on how it was cut into writes, nor on the threads; another
// version of ISA-L or zlib, or igzip on another kind of processor, may choose other bytes). finish() must be called.
// Holds at most threads + 2 blocks, some 2.5 MiB each; what fits one block starts no thread.
class GzipSink final : public Sink {
 public:
  GzipSink(Sink& packed, GzipOptions options = {});
  ~GzipSink() override;
  using Sink::write;
  Result<void> write(Bytes bytes) override;
  Result<void> finish();
 private:
  struct State;
  std::unique_ptr<State> state_;
};

// One zstd frame with a checksum. The bytes do not depend on `threads`. finish() must be called.
class ZstdSink final : public Sink {
 public:
  ZstdSink(Sink& packed, int level = 3, size_t threads = 0);
  ~ZstdSink() override;
  using Sink::write;
  Result<void> write(Bytes bytes) override;
  Result<void> finish();
 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace archway
