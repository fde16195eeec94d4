#include "image/descriptor.h"

#include <algorithm>

#include "base/text.h"

namespace archway {

namespace {
constexpr std::string_view kReferenceType = "vnd.docker.reference.type";
constexpr std::string_view kAttestationManifest = "attestation-manifest";
}  // namespace

bool is_index(std::string_view media_type) { return media_type == media_type::kOciIndex || media_type == media_type::kDockerIndex; }
bool is_manifest(std::string_view media_type) { return media_type == media_type::kOciManifest || media_type == media_type::kDockerManifest; }

std::optional<Compression> layer_compression(std::string_view media_type) {
  using namespace media_type;
  if (media_type == kOciLayerGzip || media_type == kDockerLayerGzip) return Compression::Gzip;
  if (media_type == kOciLayerTar || media_type == kDockerLayerTar) return Compression::None;
  if (media_type == kOciLayerZstd || media_type == "application/vnd.docker.image.rootfs.diff.tar.zstd") return Compression::Zstd;
  return std::nullopt;
}

bool Descriptor::is_attestation() const {
  return (platform && platform->os == "unknown") || annotation(kReferenceType) == kAttestationManifest;
}

std::string Descriptor::annotation(std::string_view key) const {
  for (const auto& [name, value] : annotations) {
    if (name == key) return value;
  }
  return "";
}

namespace {

Platform parse_platform_json(const Json& json) {
  Platform raw{json["os"].string(), json["architecture"].string(), json["variant"].string(), json["os.version"].string(), json["os.features"].strings()};
  return normalize_platform(std::move(raw));
}

// Members in the order of image-spec's Go struct.
Json platform_json(const Platform& platform) {
  Json json = Json::object({{"architecture", platform.architecture}, {"os", platform.os}});
  if (!platform.os_version.empty()) json.set("os.version", platform.os_version);
  if (!platform.os_features.empty()) json.set("os.features", Json(platform.os_features));
  if (!platform.variant.empty()) json.set("variant", platform.variant);
  return json;
}

}  // namespace

Result<Descriptor> parse_descriptor(const Json& json) {
  auto refuse = [](std::string why) { return Error{Code::Invalid, "not a descriptor: " + std::move(why)}; };
  if (!json.is_object()) return refuse("it is no object");
  if (!json["mediaType"].is_string() || json["mediaType"].string().empty()) return refuse("mediaType is missing");
  if (!json["digest"].is_string()) return refuse("digest is missing");
  if (!json["size"].is_int() || json["size"].integer() < 0) return refuse("size is missing, or no whole number of bytes");
  // Not inside the braces: g++ 12 leaks the members before a TRY that returns.
  Digest digest = TRY(Digest::parse(json["digest"].string()));
  Descriptor descriptor{json["mediaType"].string(), std::move(digest), static_cast<uint64_t>(json["size"].integer())};
  const Json& platform = json["platform"];
  if (!platform["architecture"].string().empty() || !platform["os"].string().empty()) descriptor.platform = parse_platform_json(platform);
  descriptor.annotations = parse_annotations(json["annotations"]);
  descriptor.artifact_type = json["artifactType"].string();
  return descriptor;
}

Json descriptor_json(const Descriptor& descriptor) {
  Json json = Json::object({{"mediaType", descriptor.media_type}, {"digest", descriptor.digest.str()}, {"size", descriptor.size}});
  if (!descriptor.annotations.empty()) json.set("annotations", annotations_json(descriptor.annotations));
  if (descriptor.platform) json.set("platform", platform_json(*descriptor.platform));
  if (!descriptor.artifact_type.empty()) json.set("artifactType", descriptor.artifact_type);
  return json;
}

Descriptor descriptor_of(std::string_view media_type, std::string_view bytes) {
  return Descriptor{std::string(media_type), Digest::of(bytes), bytes.size()};
}

Json annotations_json(const Annotations& annotations) {
  // A map in Go, which is written sorted by key.
  std::vector<const std::pair<std::string, std::string>*> order;
  for (const auto& annotation : annotations) order.push_back(&annotation);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  Json json = Json::object();
  for (const auto* annotation : order) json.mutable_members().push_back({annotation->first, annotation->second});
  return json;
}

Annotations parse_annotations(const Json& json) {
  Annotations annotations;
  for (const JsonMember& member : json.members()) {
    if (member.value.is_string()) annotations.emplace_back(member.key, member.value.string());
  }
  return annotations;
}

}  // namespace archway
