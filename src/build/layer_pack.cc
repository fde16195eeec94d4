#include "build/layer_pack.h"

#include "base/hash.h"
#include "format/compress.h"

namespace archway::build {

Result<PackedLayer> pack_layer(BlobStore& store, size_t threads, const std::function<Result<LayerIndex>(TarWriter&)>& write) {
  auto writer = TRY(store.begin());
  GzipSink gzip(*writer, {.level = 1, .threads = threads});
  HashingSink hashed(&gzip);
  TarWriter tar(hashed);
  LayerIndex index = TRY(write(tar));
  TRY(gzip.finish());
  Descriptor blob = TRY(writer->commit(media_type::kOciLayerGzip));
  return PackedLayer{Digest::from_hex(HashAlgorithm::Sha256, hashed.hex()), std::move(blob), std::move(index)};
}

}  // namespace archway::build
