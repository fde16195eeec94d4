#include <bzlib.h>

#include <algorithm>

#include "base/check.h"
#include "format/unpacker.h"

namespace archway {

namespace {

// Streams that follow one another are one, as pbzip2 writes them.
class Bunzip2Source final : public Unpacker {
 public:
  explicit Bunzip2Source(Source& packed) : Unpacker(packed, "bzip2") {}
  ~Bunzip2Source() override { end(); }

 protected:
  Result<size_t> unpack(std::span<std::byte> into) override {
    if (!open_) {
      if (input().empty()) return size_t{0};
      stream_ = {};
      CHECK(BZ2_bzDecompressInit(&stream_, 0, 0) == BZ_OK);
      open_ = true;
    }
    unsigned room = static_cast<unsigned>(std::min<size_t>(into.size(), 1 << 30));
    stream_.next_in = const_cast<char*>(reinterpret_cast<const char*>(input().data()));
    stream_.avail_in = static_cast<unsigned>(input().size());
    stream_.next_out = reinterpret_cast<char*>(into.data());
    stream_.avail_out = room;
    int status = BZ2_bzDecompress(&stream_);
    consume(input().size() - stream_.avail_in);
    size_t got = room - stream_.avail_out;
    if (status == BZ_STREAM_END) {
      end();
      streams_++;
    } else if (status != BZ_OK) {
      return broken(status == BZ_DATA_ERROR_MAGIC ? "not a bzip2 header" : "the data is damaged");
    }
    return got;
  }
  bool at_boundary() const override { return streams_ > 0 && !open_; }

 private:
  void end() {
    if (open_) BZ2_bzDecompressEnd(&stream_);
    open_ = false;
  }
  bz_stream stream_{};
  bool open_ = false;
  uint64_t streams_ = 0;
};

}  // namespace

std::unique_ptr<Source> make_bunzip2(Source& packed) { return std::make_unique<Bunzip2Source>(packed); }

}  // namespace archway
