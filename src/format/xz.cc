#include <lzma.h>

#include "base/check.h"
#include "format/unpacker.h"

namespace archway {

namespace {

constexpr uint64_t kXzMemoryBytes = 256 << 20;  // xz -9 needs 65 MiB

class UnxzSource final : public Unpacker {
 public:
  explicit UnxzSource(Source& packed) : Unpacker(packed, "xz") {
    CHECK(lzma_stream_decoder(&stream_, kXzMemoryBytes, LZMA_CONCATENATED) == LZMA_OK);
  }
  ~UnxzSource() override { lzma_end(&stream_); }

 protected:
  Result<size_t> unpack(std::span<std::byte> into) override {
    if (ended_) return size_t{0};
    stream_.next_in = reinterpret_cast<const uint8_t*>(input().data());
    stream_.avail_in = input().size();
    stream_.next_out = reinterpret_cast<uint8_t*>(into.data());
    stream_.avail_out = into.size();
    lzma_ret status = lzma_code(&stream_, input_ended() ? LZMA_FINISH : LZMA_RUN);
    consume(input().size() - stream_.avail_in);
    ended_ = status == LZMA_STREAM_END;
    if (status == LZMA_MEMLIMIT_ERROR) return broken("it needs over " + std::to_string(kXzMemoryBytes >> 20) + " MiB of memory", Code::Unsupported);
    if (status == LZMA_OPTIONS_ERROR) return broken("it uses options that are not supported", Code::Unsupported);
    // BUF_ERROR: no progress was possible, which the end of the input decides.
    if (status != LZMA_OK && status != LZMA_STREAM_END && status != LZMA_BUF_ERROR) return broken("the data is damaged");
    return into.size() - stream_.avail_out;
  }
  bool at_boundary() const override { return ended_; }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Source> make_unxz(Source& packed) { return std::make_unique<UnxzSource>(packed); }

}  // namespace archway
