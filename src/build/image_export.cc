#include "build/image_export.h"

#include <algorithm>
#include <map>

namespace archway::build {

namespace {

// Which media type an OCI manifest gives a layer that a Docker image had.
std::string oci_layer_type(const std::string& type) {
  if (type == media_type::kDockerLayerGzip) return std::string(media_type::kOciLayerGzip);
  if (type == media_type::kDockerLayerTar) return std::string(media_type::kOciLayerTar);
  return type;
}

// Entries of layers have their layer's time. The others take that of the first new layer or, after it, of the layer before them; where no
// new layer is, of the last that has one.
void fill_times(std::vector<HistoryEntry>& history, size_t base_history, const State& state, const std::optional<Time>& epoch) {
  size_t layer = 0;
  for (HistoryEntry& entry : history) {
    if (entry.empty_layer) continue;
    if (!entry.created && layer < state.layers.size()) entry.created = state.layers[layer].created;
    ++layer;
  }
  std::optional<Time> created;
  bool gap = false;
  for (const HistoryEntry& entry : history) {
    if (entry.created) {
      created = entry.created;
      if (gap) break;
    } else {
      gap = true;
    }
  }
  if (!created) created = epoch;
  gap = false;
  for (HistoryEntry& entry : history) {
    if (entry.created) {
      if (gap) created = entry.created;
    } else {
      gap = true;
      entry.created = created;
    }
  }
  if (!epoch) return;
  for (size_t i = base_history; i < history.size(); ++i) {
    if (!history[i].created || *history[i].created > *epoch) history[i].created = epoch;
  }
}

}  // namespace

Result<BuiltImage> assemble_image(BlobStore& store, const TargetImage& target, const State& state, const std::optional<Time>& epoch) {
  ImageConfig config = target.config;
  config.platform = target.platform;
  config.diff_ids.clear();
  std::vector<Descriptor> layers;
  for (const Layer& layer : state.layers) {
    config.diff_ids.push_back(layer.diff_id);
    Descriptor blob = layer.blob;
    blob.media_type = oci_layer_type(blob.media_type);
    blob.annotations.clear();
    layers.push_back(std::move(blob));
  }
  fill_times(config.history, target.base_history, state, epoch);
  config.created = std::nullopt;
  for (const HistoryEntry& entry : config.history) {
    if (entry.created) config.created = entry.created;
  }
  std::string raw_config = write_image_config(config);
  Descriptor config_blob = TRY(store.put_bytes(media_type::kOciConfig, raw_config));
  Manifest manifest{.media_type = std::string(media_type::kOciManifest), .config = config_blob, .layers = std::move(layers)};
  std::string raw = write_manifest(manifest);
  Descriptor descriptor = TRY(store.put_bytes(media_type::kOciManifest, raw));
  descriptor.platform = target.platform;
  return BuiltImage{target.platform, std::move(descriptor), std::move(raw), manifest.config, state.layers};
}

Result<Root> assemble_root(BlobStore& store, const std::vector<BuiltImage>& images, bool always_index) {
  if (images.size() == 1 && !always_index) {
    Descriptor descriptor = images[0].manifest;
    descriptor.platform = std::nullopt;
    return Root{std::move(descriptor), images[0].raw_manifest};
  }
  ImageIndex index;
  index.media_type = std::string(media_type::kOciIndex);
  for (const BuiltImage& image : images) index.manifests.push_back(image.manifest);
  std::string raw = write_index(index);
  Descriptor descriptor = TRY(store.put_bytes(media_type::kOciIndex, raw));
  return Root{std::move(descriptor), std::move(raw)};
}

namespace {

// A blob is where the layer that has it says; configurations and manifests are in the store.
class BuiltProvider final : public Provider {
 public:
  BuiltProvider(std::shared_ptr<BlobStore> store, const std::vector<BuiltImage>& images) : store_(std::move(store)) {
    for (const BuiltImage& image : images) {
      for (const Layer& layer : image.layers) layers_.try_emplace(layer.blob.digest, layer.provider);
    }
  }
  Result<std::unique_ptr<Source>> open(const Descriptor& blob) override { return find(blob).open(blob); }
  std::optional<Reference> origin(const Descriptor& blob) override { return find(blob).origin(blob); }

 private:
  Provider& find(const Descriptor& blob) {
    auto found = layers_.find(blob.digest);
    return found == layers_.end() ? static_cast<Provider&>(*store_) : *found->second;
  }
  std::shared_ptr<BlobStore> store_;
  std::map<Digest, std::shared_ptr<Provider>> layers_;
};

}  // namespace

std::shared_ptr<Provider> image_provider(std::shared_ptr<BlobStore> store, const std::vector<BuiltImage>& images) {
  return std::make_shared<BuiltProvider>(std::move(store), images);
}

}  // namespace archway::build
