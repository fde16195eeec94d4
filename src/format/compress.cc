#include "format/compress.h"

#include "base/check.h"
#include "format/unpacker.h"

namespace archway {

Codec detect_codec(Bytes first_bytes) {
  std::string_view head = as_text(first_bytes);
  if (head.starts_with("\x1f\x8b")) return Codec::Gzip;
  if (head.starts_with("\x28\xb5\x2f\xfd")) return Codec::Zstd;
  // A skippable frame (RFC 8878, 3.1.2), with which pzstd begins.
  if (head.size() >= 4 && (head[0] & 0xf0) == 0x50 && head.substr(1, 3) == "\x2a\x4d\x18") return Codec::Zstd;
  if (head.starts_with(std::string_view("\xfd" "7zXZ\0", 6))) return Codec::Xz;
  if (head.size() >= 4 && head.starts_with("BZh") && head[3] >= '1' && head[3] <= '9') return Codec::Bzip2;
  return Codec::None;
}

namespace {

class PlainSource final : public Source {
 public:
  explicit PlainSource(Source& inner) : inner_(inner) {}
  Result<size_t> read(std::span<std::byte> into) override { return inner_.read(into); }
  Result<uint64_t> skip(uint64_t count) override { return inner_.skip(count); }

 private:
  Source& inner_;
};

}  // namespace

std::unique_ptr<Source> decompress(Codec codec, Source& packed) {
  switch (codec) {
    case Codec::None: return std::make_unique<PlainSource>(packed);
    case Codec::Gzip: return make_gunzip(packed);
    case Codec::Zstd: return make_unzstd(packed);
    case Codec::Xz: return make_unxz(packed);
    case Codec::Bzip2: return make_bunzip2(packed);
  }
  CHECK(false);
}

}  // namespace archway
