#include "snapshot/layer_stream.h"

#include <sched.h>
#include <sys/stat.h>

#include <optional>
#include <thread>

#include "format/compress.h"
#include "format/tar.h"
#include "snapshot/byte_pipe.h"
#include "snapshot/index_builder.h"

namespace archway {

namespace {

// Tells of what comes through, and stops when somebody asks to.
class WatchedSource final : public Source {
 public:
  WatchedSource(Source& inner, const LayerStreamOptions& options) : inner_(inner), options_(options) {}
  Result<size_t> read(std::span<std::byte> into) override {
    if (options_.stop.stop_requested()) return Error{Code::Cancelled, "stopped while reading a layer"};
    size_t n = TRY(inner_.read(into));
    if (options_.progress) options_.progress->advance(n);
    return n;
  }

 private:
  Source& inner_;
  const LayerStreamOptions& options_;
};

Result<Codec> codec_of(const Descriptor& blob) {
  auto compression = layer_compression(blob.media_type);
  if (!compression) {
    return Error{Code::Unsupported, "layer " + blob.digest.str() + " is of media type " + blob.media_type + ", which is no layer that archway can read"};
  }
  switch (*compression) {
    case Compression::None: return Codec::None;
    case Compression::Gzip: return Codec::Gzip;
    case Compression::Zstd: return Codec::Zstd;
  }
  return Codec::None;
}

Result<LayerIndex> read_entries(Source& tar, LayerFolder* folder) {
  TarReader reader(tar);
  IndexBuilder builder;
  while (auto entry = TRY(reader.next())) {
    auto step = TRY(builder.add(*entry));
    if (folder) TRY(folder->make(step, reader.data()));
  }
  return builder.take();
}

// The consumer: everything that follows from the layer's uncompressed bytes.
Result<LayerIndex> consume(Source& bytes, const Digest& diff_id, const LayerStreamOptions& options) {
  std::optional<LayerFolder> folder;
  if (!options.unpack_to.empty()) {
    // A umask belongs to the process; this thread leaves that sharing and has one of its own.
    bool umask_is_zero = ::unshare(CLONE_FS) == 0;
    if (umask_is_zero) ::umask(0);
    folder = TRY(LayerFolder::open(options.unpack_to, umask_is_zero, options.whiteouts));
  }
  HashingSource hashed(bytes, diff_id.algorithm());
  LayerIndex index = TRY(read_entries(hashed, folder ? &*folder : nullptr));
  NullSink rest;  // the diff_id is of all bytes, those after the archive's end too
  TRY(copy(hashed, rest));
  if (hashed.hex() != diff_id.hex()) {
    return Error{Code::Mismatch, "its content is " + std::string(diff_id.algorithm_name()) + ":" + hashed.hex() + ", but the image's config says " + diff_id.str()};
  }
  if (folder) TRY(folder->finish(index));
  return index;
}

}  // namespace

Result<LayerIndex> stream_layer(const Digest& diff_id, const Descriptor& blob, Provider& from, const LayerStreamOptions& options) {
  std::string what = "layer " + blob.digest.str();
  Codec codec = TRY(codec_of(blob));
  auto packed = TRY(open_blob(from, blob));
  WatchedSource watched(*packed, options);
  auto unpacked = decompress(codec, watched);

  BytePipe pipe;
  std::optional<Result<LayerIndex>> index;
  Result<void> produced;
  {
    std::jthread consumer([&] {
      index = consume(pipe, diff_id, options);
      pipe.give_up();
    });
    produced = pipe.fill(*unpacked);
  }
  if (!produced.ok()) {
    // The decompressor's complaint is mostly the first sign of bytes that are not those promised: see below.
    if (produced.error().code != Code::Invalid) return std::move(produced).context(what).error();
  } else if (index->ok()) {
    // A decompressor may stop before the end of the blob; its digest is only checked there.
    NullSink rest;
    TRY(copy(watched, rest).context(what));
    return std::move(*index);
  }
  Error error = produced.ok() ? index->error() : produced.error();
  if (error.code == Code::Invalid) {
    NullSink rest;
    auto drained = copy(watched, rest);
    if (!drained.ok() && drained.error().code == Code::Mismatch) error = drained.error();
  }
  return std::move(error).within(what);
}

}  // namespace archway
