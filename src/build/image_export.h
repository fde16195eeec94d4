#pragma once

#include <optional>
#include <string>
#include <vector>

#include "build/graph.h"
#include "image/copy.h"

// From a solved graph to images: configuration, manifest, index (builder.md 3.9, 3.10).
namespace archway::build {

struct BuiltImage {
  Platform platform;
  Descriptor manifest;      // with the platform
  std::string raw_manifest;
  Descriptor config;
  std::vector<Layer> layers;
};

// Writes configuration and manifest into `store`. Times: of layers, when they were made; of other steps, the first new layer's, as
// BuildKit has it; with an epoch, never later. The same inputs give the same bytes.
Result<BuiltImage> assemble_image(BlobStore& store, const TargetImage& target, const State& state, const std::optional<Time>& epoch);

// One image is named as it is; several by an index, in the order given. `always_index`: even one gets an index.
Result<Root> assemble_root(BlobStore& store, const std::vector<BuiltImage>& images, bool always_index);

// Base layers in their registries, the rest in the store: what a copy of these images reads from.
std::shared_ptr<Provider> image_provider(std::shared_ptr<BlobStore> store, const std::vector<BuiltImage>& images);

}  // namespace archway::build
