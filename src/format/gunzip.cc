#include <isa-l/igzip_lib.h>

#include <algorithm>

#include "format/unpacker.h"

namespace archway {

namespace {

// gzip (RFC 1952) by ISA-L. Members that follow one another are one stream; zeros after the last are padding, as gunzip
// has it; anything else is refused.
class GunzipSource final : public Unpacker {
 public:
  explicit GunzipSource(Source& packed) : Unpacker(packed, "gzip"), state_(std::make_unique<inflate_state>()) { isal_inflate_init(state_.get()); }

 protected:
  Result<size_t> unpack(std::span<std::byte> into) override {
    if (stage_ == Stage::Between) TRY(begin_member());
    if (stage_ == Stage::Header) TRY(read_header());
    if (stage_ == Stage::Body) return inflate(into);
    return size_t{0};
  }
  bool at_boundary() const override { return members_ > 0 && stage_ == Stage::Between; }

 private:
  enum class Stage { Between, Header, Body };

  Result<void> begin_member() {
    if (members_ > 0) {
      while (!input().empty() && input()[0] == std::byte{0}) {
        padding_ = true;
        consume(1);
      }
    }
    if (input().empty()) return {};
    if (padding_ || (members_ > 0 && input()[0] != std::byte{0x1f})) return broken("bytes that are not gzip follow it");
    isal_inflate_reset(state_.get());
    state_->crc_flag = ISAL_GZIP_NO_HDR_VER;  // check CRC and length at the end
    isal_gzip_header_init(&header_);
    stage_ = Stage::Header;
    return {};
  }

  Result<void> read_header() {
    // isal_inflate could parse headers itself, but forgets the flags of one that is split between two buffers.
    give_input();
    int status = isal_read_gzip_header(state_.get(), &header_);
    take_input();
    if (status == ISAL_END_INPUT) return {};
    if (status != ISAL_DECOMP_OK) return failed(status);
    stage_ = Stage::Body;
    return {};
  }

  Result<size_t> inflate(std::span<std::byte> into) {
    give_input();
    uint32_t room = static_cast<uint32_t>(std::min<size_t>(into.size(), 1 << 30));
    state_->next_out = reinterpret_cast<uint8_t*>(into.data());
    state_->avail_out = room;
    int status = isal_inflate(state_.get());
    take_input();
    if (status != ISAL_DECOMP_OK) return failed(status);
    if (state_->block_state == ISAL_BLOCK_FINISH) {
      members_++;
      stage_ = Stage::Between;
    }
    return static_cast<size_t>(room - state_->avail_out);
  }

  void give_input() {
    state_->next_in = const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(input().data()));
    state_->avail_in = static_cast<uint32_t>(input().size());
  }
  void take_input() { consume(input().size() - state_->avail_in); }

  Error failed(int status) const {
    switch (status) {
      case ISAL_INCORRECT_CHECKSUM: return broken("its checksum does not match (the data is damaged)");
      case ISAL_INVALID_WRAPPER: return broken("not a gzip header");
      case ISAL_UNSUPPORTED_METHOD: return broken("its compression method is not deflate");
      default: return broken("its deflate data is damaged");
    }
  }

  std::unique_ptr<inflate_state> state_;
  isal_gzip_header header_{};
  Stage stage_ = Stage::Between;
  uint64_t members_ = 0;
  bool padding_ = false;
};

}  // namespace

std::unique_ptr<Source> make_gunzip(Source& packed) { return std::make_unique<GunzipSource>(packed); }

}  // namespace archway
