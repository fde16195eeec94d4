#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/descriptor.h"

namespace archway {

inline constexpr uint64_t kMaxManifestBytes = 8 << 20;  // manifests, indexes and configs; distribution-spec asks for 4 MiB at least
inline constexpr size_t kMaxIndexEntries = 10'000;
inline constexpr size_t kMaxLayers = 10'000;
inline constexpr size_t kMaxIndexDepth = 8;

// One platform's image (image-spec, manifest.md). Unknown members are in the raw bytes, which are what is copied.
struct Manifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;
  std::string artifact_type = {};
  std::optional<Descriptor> subject = {};
  Annotations annotations = {};
};

// One name, one image per platform (image-spec, image-index.md).
struct ImageIndex {
  std::string media_type;
  std::vector<Descriptor> manifests;
  std::string artifact_type = {};
  std::optional<Descriptor> subject = {};
  Annotations annotations = {};
};

// `media_type` is what the registry or descriptor said; a body that says otherwise, or that has both
// `layers` and `manifests`, is refused (CVE-2021-41190).
Result<Manifest> parse_manifest(std::string_view raw, std::string_view media_type);
Result<ImageIndex> parse_index(std::string_view raw, std::string_view media_type);
// The body's own mediaType, else what its members say it is. Invalid where it is neither.
Result<std::string> detect_media_type(std::string_view raw);

// The bytes as BuildKit writes them: two-space indent, members in Go's order.
std::string write_manifest(const Manifest& manifest);
std::string write_index(const ImageIndex& index);

}  // namespace archway
