#pragma once

#include <functional>

#include "format/tar.h"
#include "image/content.h"
#include "snapshot/tree.h"

namespace archway::build {

struct PackedLayer {
  Digest diff_id;
  Descriptor blob;    // gzip, OCI media type
  LayerIndex index;
};

// Writes a layer once: tar -> diff_id hash and gzip -> blob, all in one pass; nothing is visible unless all of it went well.
Result<PackedLayer> pack_layer(BlobStore& store, size_t threads, const std::function<Result<LayerIndex>(TarWriter&)>& write);

}  // namespace archway::build
