#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/json.h"
#include "image/digest.h"
#include "image/platform.h"

namespace archway {

// Media types of image-spec 1.1 and of Docker's schema 2.
namespace media_type {
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayerTar = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kOciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kOciLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kDockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view kDockerLayerTar = "application/vnd.docker.image.rootfs.diff.tar";
}  // namespace media_type

bool is_index(std::string_view media_type);     // OCI index or Docker manifest list
bool is_manifest(std::string_view media_type);  // OCI or Docker image manifest
enum class Compression { None, Gzip, Zstd };
// How a layer of this media type is packed; nullopt where it is no layer that we can read (foreign, encrypted, ...).
std::optional<Compression> layer_compression(std::string_view media_type);

using Annotations = std::vector<std::pair<std::string, std::string>>;  // in the order as written

// What names, and promises about, a blob (image-spec, descriptor.md). `size` is in bytes.
struct Descriptor {
  std::string media_type;
  Digest digest;
  uint64_t size = 0;
  std::optional<Platform> platform = {};
  Annotations annotations = {};
  std::string artifact_type = {};

  // os "unknown", or annotated as an attestation (BuildKit's provenance and SBOM entries).
  bool is_attestation() const;
  std::string annotation(std::string_view key) const;  // "" where absent
  bool operator==(const Descriptor&) const = default;
};

Result<Descriptor> parse_descriptor(const Json& json);
Json descriptor_json(const Descriptor& descriptor);  // members in the order Go's struct has them
Descriptor descriptor_of(std::string_view media_type, std::string_view bytes);

Json annotations_json(const Annotations& annotations);
Annotations parse_annotations(const Json& json);

}  // namespace archway
