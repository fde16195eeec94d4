#include <zstd.h>

#include <algorithm>

#include "base/check.h"
#include "format/unpacker.h"

namespace archway {

namespace {

constexpr int kMaxWindowLog = 27;  // 128 MiB, what `zstd -d` allows without --long

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

class UnzstdSource final : public Unpacker {
 public:
  explicit UnzstdSource(Source& packed) : Unpacker(packed, "zstd"), context_(ZSTD_createDCtx()) {
    CHECK(context_);
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  }

 protected:
  Result<size_t> unpack(std::span<std::byte> into) override {
    if (input().empty() && boundary_) return size_t{0};
    ZSTD_inBuffer in{input().data(), input().size(), 0};
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    size_t status = ZSTD_decompressStream(context_.get(), &out, &in);
    consume(in.pos);
    if (ZSTD_isError(status)) return broken(ZSTD_getErrorName(status));
    // 0: a frame is whole and flushed. The next call begins the next frame.
    boundary_ = status == 0;
    any_ = any_ || boundary_;
    return out.pos;
  }
  bool at_boundary() const override { return any_ && boundary_; }

 private:
  std::unique_ptr<ZSTD_DCtx, FreeContext> context_;
  bool boundary_ = false, any_ = false;
};

}  // namespace

std::unique_ptr<Source> make_unzstd(Source& packed) { return std::make_unique<UnzstdSource>(packed); }

struct ZstdSink::State {
  Sink& out;
  std::unique_ptr<ZSTD_CCtx, FreeContext> context;
  std::unique_ptr<std::byte[]> buffer;

  Result<void> run(Bytes bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer packed{buffer.get(), kPackedBufferBytes, 0};
      size_t left = ZSTD_compressStream2(context.get(), &packed, &in, directive);
      if (ZSTD_isError(left)) return Error{Code::Internal, std::string("packing zstd: ") + ZSTD_getErrorName(left)};
      if (packed.pos > 0) TRY(out.write({buffer.get(), packed.pos}));
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) return {};
    }
  }
};

ZstdSink::ZstdSink(Sink& packed, int level, size_t threads)
    : state_(new State{packed, std::unique_ptr<ZSTD_CCtx, FreeContext>(ZSTD_createCCtx()), std::make_unique_for_overwrite<std::byte[]>(kPackedBufferBytes)}) {
  ZSTD_CCtx* context = state_->context.get();
  CHECK(context);
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  // The bytes are the same for any number of workers but differ from those of none: always have one.
  ZSTD_CCtx_setParameter(context, ZSTD_c_nbWorkers, static_cast<int>(std::clamp<size_t>(threads, 1, 64)));
}
ZstdSink::~ZstdSink() = default;
Result<void> ZstdSink::write(Bytes bytes) { return state_->run(bytes, ZSTD_e_continue); }
Result<void> ZstdSink::finish() { return state_->run({}, ZSTD_e_end); }

}  // namespace archway
