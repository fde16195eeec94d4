#pragma once

#include <string>
#include <vector>

#include "image/config.h"
#include "image/content.h"
#include "image/copy.h"

// Small images for tests, put together in memory.
namespace archway {

// An image for `platform` with the given layers (media type, bytes, and the digest of what is unpacked).
struct SampleLayer {
  std::string media_type;
  std::string bytes;
  Digest diff_id;
};
inline SampleLayer plain_layer(std::string tar) {
  Digest diff_id = Digest::of(tar);
  return {std::string(media_type::kOciLayerTar), std::move(tar), std::move(diff_id)};
}
inline Root sample_image(MemoryStore& store, const Platform& platform, const std::vector<SampleLayer>& layers) {
  ImageConfig config;
  config.platform = platform;
  config.cmd = {{"/hello"}};
  Manifest manifest{std::string(media_type::kOciManifest), descriptor_of("", ""), {}};
  for (const SampleLayer& layer : layers) {
    manifest.layers.push_back(store.put_bytes(layer.media_type, layer.bytes));
    config.diff_ids.push_back(layer.diff_id);
  }
  manifest.config = store.put_bytes(media_type::kOciConfig, write_image_config(config));
  std::string raw = write_manifest(manifest);
  return {store.put_bytes(media_type::kOciManifest, raw), raw};
}
inline Root sample_index(MemoryStore& store, const std::vector<Descriptor>& entries) {
  std::string raw = write_index({std::string(media_type::kOciIndex), entries});
  return {store.put_bytes(media_type::kOciIndex, raw), raw};
}
inline Descriptor entry_for(const Root& image, std::optional<Platform> platform) {
  Descriptor entry = image.descriptor;
  entry.platform = std::move(platform);
  return entry;
}

}  // namespace archway
