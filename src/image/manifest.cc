#include "image/manifest.h"

#include <algorithm>

#include "base/text.h"

namespace archway {

namespace {

constexpr int kSchemaVersion = 2;
constexpr std::string_view kKnownMembers[] = {"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"};

Error invalid(std::string why) { return Error{Code::Invalid, std::move(why)}; }

// Go reads member names without regard to case, others do not: "Layers" would be layers to one and nothing to
// the next. The same bytes must mean the same to everybody, so such a body is refused.
Result<void> refuse_odd_spellings(const Json& json) {
  for (const JsonMember& member : json.members()) {
    for (std::string_view known : kKnownMembers) {
      if (member.key != known && to_lower(member.key) == to_lower(known)) {
        return invalid("the member \"" + member.key + "\" is spelt \"" + std::string(known) + "\" in the specification");
      }
    }
  }
  return {};
}

Result<Json> parse_body(std::string_view raw) {
  if (raw.size() > kMaxManifestBytes) return invalid("it has " + std::to_string(raw.size()) + " bytes, more than the " + std::to_string(kMaxManifestBytes) + " that a manifest may have");
  Json json = TRY(parse_json(raw));
  if (!json.is_object()) return invalid("it is no JSON object");
  TRY(refuse_odd_spellings(json));
  if (json["schemaVersion"].integer() == 1) {
    return Error{Code::Unsupported, "it is a Docker schema 1 manifest, which registries gave up in 2017", "push the image again with a tool of this decade"};
  }
  if (json["schemaVersion"].integer() != kSchemaVersion) return invalid("schemaVersion is not 2");
  if (json.has("manifests") && (json.has("layers") || json.has("config"))) {
    return invalid("it has the members of an index and of an image manifest at once (CVE-2021-41190)");
  }
  return json;
}

Result<std::string> media_type_of(const Json& json) {
  const std::string& said = json["mediaType"].string();
  bool index = json.has("manifests"), manifest = json.has("layers") || json.has("config");
  if (is_index(said) && !manifest) return said;
  if (is_manifest(said) && !index) return said;
  if (!said.empty() && !is_index(said) && !is_manifest(said)) return Error{Code::Unsupported, "its media type is " + said + ", neither an image nor an index"};
  if (!said.empty()) return invalid("it says that it is " + said + ", but its members are of the other kind (CVE-2021-41190)");
  if (index) return std::string(media_type::kOciIndex);
  if (manifest) return std::string(json["config"]["mediaType"].string() == media_type::kDockerConfig ? media_type::kDockerManifest : media_type::kOciManifest);
  return invalid("it has neither manifests nor layers");
}

// What was promised (by a registry's Content-Type or a descriptor) must be what the body is.
Result<std::string> agreed_media_type(const Json& json, std::string_view promised) {
  std::string own = TRY(media_type_of(json));
  promised = trim(cut(promised, ';').first);
  if (promised.empty() || promised == own) return own;
  bool silent = !json.has("mediaType") && is_index(promised) == is_index(own) && (is_index(promised) || is_manifest(promised));
  if (silent) return std::string(promised);
  return invalid("it was announced as " + std::string(promised) + ", but is " + own + " (CVE-2021-41190)");
}

Result<std::vector<Descriptor>> parse_descriptors(const Json& list, std::string_view name, size_t limit) {
  std::vector<Descriptor> descriptors;
  if (!list.is_array() && !list.is_null()) return invalid(std::string(name) + " is no list");
  if (list.size() > limit) return invalid("it has " + std::to_string(list.size()) + " " + std::string(name) + ", more than " + std::to_string(limit));
  for (size_t i = 0; i < list.size(); ++i) {
    descriptors.push_back(TRY(parse_descriptor(list.items()[i]).context(std::string(name) + "[" + std::to_string(i) + "]")));
  }
  return descriptors;
}

Result<std::optional<Descriptor>> parse_subject(const Json& json) {
  if (json["subject"].is_null()) return std::optional<Descriptor>();
  return std::optional<Descriptor>(TRY(parse_descriptor(json["subject"]).context("subject")));
}

Result<Manifest> manifest_of(std::string_view raw, std::string_view media_type) {
  Json json = TRY(parse_body(raw));
  std::string agreed = TRY(agreed_media_type(json, media_type));
  if (!is_manifest(agreed)) return invalid("it is an index, not the manifest of one image");
  Descriptor config = TRY(parse_descriptor(json["config"]).context("config"));
  auto layers = TRY(parse_descriptors(json["layers"], "layers", kMaxLayers));
  auto subject = TRY(parse_subject(json));
  return Manifest{std::move(agreed), std::move(config), std::move(layers), json["artifactType"].string(), std::move(subject), parse_annotations(json["annotations"])};
}

Result<ImageIndex> index_of(std::string_view raw, std::string_view media_type) {
  Json json = TRY(parse_body(raw));
  std::string agreed = TRY(agreed_media_type(json, media_type));
  if (!is_index(agreed)) return invalid("it is the manifest of one image, not an index");
  auto manifests = TRY(parse_descriptors(json["manifests"], "manifests", kMaxIndexEntries));
  auto subject = TRY(parse_subject(json));
  return ImageIndex{std::move(agreed), std::move(manifests), json["artifactType"].string(), std::move(subject), parse_annotations(json["annotations"])};
}

Json descriptors_json(const std::vector<Descriptor>& descriptors) {
  Json list = Json::array();
  for (const Descriptor& descriptor : descriptors) list.push(descriptor_json(descriptor));
  return list;
}

Json head_json(const std::string& media_type, const std::string& artifact_type) {
  Json json = Json::object({{"schemaVersion", kSchemaVersion}, {"mediaType", media_type}});
  if (!artifact_type.empty()) json.set("artifactType", artifact_type);
  return json;
}

std::string finish(Json json, const std::optional<Descriptor>& subject, const Annotations& annotations) {
  if (subject) json.set("subject", descriptor_json(*subject));
  if (!annotations.empty()) json.set("annotations", annotations_json(annotations));
  return to_json(json, {.indent = 2, .go_escapes = true});
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view raw, std::string_view media_type) { return manifest_of(raw, media_type).context("reading an image manifest"); }
Result<ImageIndex> parse_index(std::string_view raw, std::string_view media_type) { return index_of(raw, media_type).context("reading an image index"); }

Result<std::string> detect_media_type(std::string_view raw) {
  auto json = parse_body(raw);
  if (!json.ok()) return std::move(json).error().within("reading a manifest");
  return media_type_of(*json).context("reading a manifest");
}

std::string write_manifest(const Manifest& manifest) {
  Json json = head_json(manifest.media_type, manifest.artifact_type);
  json.set("config", descriptor_json(manifest.config));
  json.set("layers", descriptors_json(manifest.layers));
  return finish(std::move(json), manifest.subject, manifest.annotations);
}

std::string write_index(const ImageIndex& index) {
  Json json = head_json(index.media_type, index.artifact_type);
  json.set("manifests", descriptors_json(index.manifests));
  return finish(std::move(json), index.subject, index.annotations);
}

}  // namespace archway
