#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <zlib.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "base/thread_pool.h"
#include "format/compress.h"

// One gzip member out of blocks that are deflated apart from each other. Each ends in a sync flush, which brings the bit
// stream to a byte boundary (RFC 1951, 3.2.4: an empty stored block), so that the pieces can be joined; each has the
// 32 KiB before it as dictionary, so that the joins cost next to nothing. It is what pigz does.
namespace archway {

namespace {

constexpr size_t kBlockBytes = 1 << 20;
constexpr size_t kDictionaryBytes = 32 << 10;
constexpr size_t kOutputStep = 4 << 10;
constexpr int kLastIgzipLevel = 3;

struct Block {
  std::vector<uint8_t> dictionary, input, output;
  bool last = false;
  bool done = false;  // under State::done_lock
};

// Deflates by calling `run(room, size) -> used` until it leaves room. igzip ends a deflate block where its output is full, so the
// room must be a function of the input alone, never of what the buffer was used for before: else the bytes depend on the threads.
template <class Run>
void fill_output(std::vector<uint8_t>& output, size_t input_bytes, Run run) {
  size_t used = 0;
  output.clear();
  output.resize(input_bytes + input_bytes / 8 + kOutputStep);
  for (;;) {
    if (output.size() < used + kOutputStep) output.resize(used + kOutputStep);
    size_t room = output.size() - used;
    size_t got = run(output.data() + used, room);
    used += got;
    if (got < room) break;
  }
  output.resize(used);
}

void deflate_igzip(Block& block, int level) {
  static constexpr size_t kLevelBytes[] = {0, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT, ISAL_DEF_LVL3_DEFAULT};
  auto stream = std::make_unique<isal_zstream>();
  std::vector<uint8_t> level_buffer(kLevelBytes[level]);
  isal_deflate_init(stream.get());
  stream->level = static_cast<uint32_t>(level);
  stream->level_buf = level_buffer.data();
  stream->level_buf_size = static_cast<uint32_t>(level_buffer.size());
  stream->end_of_stream = block.last;
  stream->flush = block.last ? NO_FLUSH : SYNC_FLUSH;
  if (!block.dictionary.empty()) {
    CHECK(isal_deflate_set_dict(stream.get(), block.dictionary.data(), static_cast<uint32_t>(block.dictionary.size())) == COMP_OK);
  }
  stream->next_in = block.input.data();
  stream->avail_in = static_cast<uint32_t>(block.input.size());
  fill_output(block.output, block.input.size(), [&](uint8_t* at, size_t room) {
    stream->next_out = at;
    stream->avail_out = static_cast<uint32_t>(room);
    CHECK(isal_deflate(stream.get()) == COMP_OK);
    return room - stream->avail_out;
  });
  CHECK(stream->avail_in == 0);
}

void deflate_zlib(Block& block, int level) {
  z_stream stream{};
  CHECK(deflateInit2(&stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  if (!block.dictionary.empty()) {
    CHECK(deflateSetDictionary(&stream, block.dictionary.data(), static_cast<uInt>(block.dictionary.size())) == Z_OK);
  }
  stream.next_in = block.input.data();
  stream.avail_in = static_cast<uInt>(block.input.size());
  fill_output(block.output, block.input.size(), [&](uint8_t* at, size_t room) {
    stream.next_out = at;
    stream.avail_out = static_cast<uInt>(room);
    int status = deflate(&stream, block.last ? Z_FINISH : Z_SYNC_FLUSH);
    CHECK(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR);
    return room - stream.avail_out;
  });
  CHECK(stream.avail_in == 0);
  deflateEnd(&stream);
}

}  // namespace

struct GzipSink::State {
  State(Sink& packed, GzipOptions wanted) : out(packed), options(wanted) {
    options.level = std::clamp(options.level, 1, 9);
    options.threads = std::clamp<size_t>(options.threads, 1, 64);
  }

  Sink& out;
  GzipOptions options;
  uint32_t crc = 0;
  uint32_t length = 0;  // modulo 2^32, as the trailer has it
  bool header_written = false, finished = false;

  // At most threads + 2 blocks exist: one filling, one per thread, one ready. Each is some 2.5 MiB.
  std::unique_ptr<Block> filling = std::make_unique<Block>();
  std::deque<std::unique_ptr<Block>> in_flight;
  std::vector<std::unique_ptr<Block>> spare;
  std::mutex done_lock;
  std::condition_variable done_changed;
  std::unique_ptr<ThreadPool> pool;  // last: its threads are joined before what they use goes

  void deflate(Block& block) const {
    if (options.level <= kLastIgzipLevel) deflate_igzip(block, options.level);
    else deflate_zlib(block, options.level);
  }
  Result<void> put(Block& block);
  Result<void> put_oldest();
  Result<void> send(bool last);
};

Result<void> GzipSink::State::put(Block& block) {
  if (!header_written) {
    // RFC 1952, 2.3: deflate, no flags, mtime 0, no hint about the level, OS unknown.
    TRY(out.write(std::string_view("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10)));
    header_written = true;
  }
  return out.write(std::as_bytes(std::span(block.output)));
}

Result<void> GzipSink::State::put_oldest() {
  std::unique_ptr<Block> block = std::move(in_flight.front());
  in_flight.pop_front();
  {
    std::unique_lock lock(done_lock);
    done_changed.wait(lock, [&] { return block->done; });
  }
  TRY(put(*block));
  spare.push_back(std::move(block));
  return {};
}

// Sends the filled block on its way and begins the next, which gets the end of this one as its dictionary.
Result<void> GzipSink::State::send(bool last) {
  std::unique_ptr<Block> block = std::move(filling);
  block->last = last;
  block->done = false;
  if (spare.empty()) {
    filling = std::make_unique<Block>();
  } else {
    filling = std::move(spare.back());
    spare.pop_back();
  }
  size_t tail = std::min(block->input.size(), kDictionaryBytes);
  filling->dictionary.assign(block->input.end() - static_cast<ptrdiff_t>(tail), block->input.end());
  filling->input.clear();

  // What fits one block needs no thread, and is most layers.
  if (options.threads == 1 || (last && in_flight.empty())) {
    deflate(*block);
    TRY(put(*block));
    spare.push_back(std::move(block));
    return {};
  }
  if (!pool) pool = std::make_unique<ThreadPool>(options.threads);
  Block* job = block.get();
  in_flight.push_back(std::move(block));
  pool->submit([this, job] {
    deflate(*job);
    std::lock_guard lock(done_lock);
    job->done = true;
    done_changed.notify_one();
  });
  if (in_flight.size() > options.threads) TRY(put_oldest());
  return {};
}

GzipSink::GzipSink(Sink& packed, GzipOptions options) : state_(std::make_unique<State>(packed, options)) {}
GzipSink::~GzipSink() {
  // A block in flight belongs to the deque; the pool, which is joined first, still writes to it.
  if (state_) state_->pool.reset();
}

Result<void> GzipSink::write(Bytes bytes) {
  State& s = *state_;
  CHECK(!s.finished);
  const uint8_t* data = reinterpret_cast<const uint8_t*>(bytes.data());
  s.crc = crc32_gzip_refl(s.crc, data, bytes.size());
  s.length += static_cast<uint32_t>(bytes.size());
  for (size_t left = bytes.size(); left > 0;) {
    // Only when more comes is a full block not the last.
    if (s.filling->input.size() == kBlockBytes) TRY(s.send(false));
    size_t n = std::min(left, kBlockBytes - s.filling->input.size());
    if (n > 0 && s.filling->input.capacity() < kBlockBytes && s.filling->input.size() + n > 64 * 1024) s.filling->input.reserve(kBlockBytes);
    s.filling->input.insert(s.filling->input.end(), data, data + n);
    data += n;
    left -= n;
  }
  return {};
}

Result<void> GzipSink::finish() {
  State& s = *state_;
  CHECK(!s.finished);
  s.finished = true;
  TRY(s.send(true));
  while (!s.in_flight.empty()) TRY(s.put_oldest());
  std::string trailer;
  for (uint32_t value : {s.crc, s.length}) {
    for (int shift = 0; shift < 32; shift += 8) trailer.push_back(static_cast<char>(value >> shift & 0xff));
  }
  return s.out.write(trailer);
}

}  // namespace archway
