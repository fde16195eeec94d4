#include <algorithm>

#include "base/text.h"
#include "image/manifest.h"
#include "registry_server/answer.h"
#include "registry_server/service.h"

namespace archway::registry_server {

namespace {

// distribution-spec asks for at least ten tags in one push (end-7b).
constexpr size_t kMaxTagsPerPush = 64;
constexpr size_t kMaxMissingListed = 100;

ServerResponse manifest_unknown(const Route& route) {
  return error_response(404, "MANIFEST_UNKNOWN", "repository " + route.repository + " has no manifest " + route.item);
}

std::optional<Descriptor> find_manifest(Repository& repository, const Route& route) {
  if (auto digest = Digest::parse(route.item); digest.ok()) return repository.find_manifest(*digest);
  return repository.find_tag(route.item);
}

ServerResponse get_manifest(Repository& repository, const ServerRequest& request, const Route& route) {
  auto manifest = find_manifest(repository, route);
  if (!manifest) return manifest_unknown(route);
  auto blob = repository.open_blob(manifest->digest);
  if (!blob.ok()) return blob.error().code == Code::NotFound ? manifest_unknown(route) : failure_response(blob.error());
  return file_response(request, std::move(*blob), manifest->digest, manifest->media_type);
}

ServerResponse delete_manifest(Service& service, Repository& repository, const Route& route) {
  auto digest = Digest::parse(route.item);
  auto removed = digest.ok() ? repository.remove_manifest(*digest) : repository.remove_tag(route.item);
  if (removed.ok()) {
    if (digest.ok()) service.store.forget_unused(*digest);
    return empty_response(202);
  }
  return removed.error().code == Code::NotFound ? manifest_unknown(route) : failure_response(removed.error());
}

// What a pushed body says of itself.
struct PushedManifest {
  std::string media_type;
  std::vector<Digest> blobs;      // must be in the repository
  std::vector<Digest> manifests;  // of an index: may be elsewhere
  std::optional<Digest> subject;
};

// Layers that are not in registries by their nature (image-spec, "Non-Distributable Layers").
bool may_be_elsewhere(std::string_view media_type) {
  return media_type.starts_with("application/vnd.oci.image.layer.nondistributable.") || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.");
}

Result<PushedManifest> read_pushed(std::string_view raw, std::string_view content_type) {
  PushedManifest pushed;
  std::string type = TRY(detect_media_type(raw));
  if (is_index(type)) {
    ImageIndex index = TRY(parse_index(raw, content_type));
    pushed.media_type = index.media_type;
    for (const Descriptor& child : index.manifests) pushed.manifests.push_back(child.digest);
    if (index.subject) pushed.subject = index.subject->digest;
    return pushed;
  }
  Manifest manifest = TRY(parse_manifest(raw, content_type));
  pushed.media_type = manifest.media_type;
  pushed.blobs.push_back(manifest.config.digest);
  for (const Descriptor& layer : manifest.layers) {
    if (!may_be_elsewhere(layer.media_type)) pushed.blobs.push_back(layer.digest);
  }
  if (manifest.subject) pushed.subject = manifest.subject->digest;
  return pushed;
}

// Each missing blob is one error, as clients of distribution expect; nullopt: all are here.
std::optional<ServerResponse> refuse_missing_blobs(const Repository& repository, const PushedManifest& pushed) {
  Json::Array errors;
  for (const Digest& digest : pushed.blobs) {
    if (repository.has_blob(digest) || errors.size() >= kMaxMissingListed) continue;
    errors.push_back(Json::object({{"code", "MANIFEST_BLOB_UNKNOWN"}, {"message", "this repository has no blob " + digest.str() + "; push it before the manifest"}, {"detail", Json::object({{"digest", digest.str()}})}}));
  }
  if (errors.empty()) return std::nullopt;
  return json_response(400, Json::object({{"errors", std::move(errors)}}));
}

// Sparse indexes are taken (a mirror of one architecture keeps the index's digest so), with a word of warning.
std::optional<std::string> sparse_warning(Repository& repository, const PushedManifest& pushed) {
  size_t missing = 0;
  for (const Digest& digest : pushed.manifests) {
    if (!repository.find_manifest(digest) && !repository.has_blob(digest)) missing++;
  }
  if (missing == 0) return std::nullopt;
  return "299 - \"" + std::to_string(missing) + " of the " + std::to_string(pushed.manifests.size()) + " manifests of this index are not in this repository\"";
}

struct PushTarget {
  std::string repository;
  std::optional<Digest> digest;       // pushed by digest
  std::vector<std::string> tags;
  bool tags_by_query = false;
};

ServerResponse put_manifest(Service& service, const PushTarget& target, const std::string& content_type, std::string raw) {
  auto pushed = read_pushed(raw, content_type);
  if (!pushed.ok()) return error_response(400, "MANIFEST_INVALID", pushed.error().message);
  HashAlgorithm algorithm = target.digest ? target.digest->algorithm() : HashAlgorithm::Sha256;
  Hasher hasher(algorithm);
  hasher.update(raw);
  Digest digest = Digest::from_hex(algorithm, hasher.hex());
  if (target.digest && *target.digest != digest) return digest_invalid("the manifest's digest is " + digest.str() + ", not " + target.digest->str());
  auto repository = service.store.find_or_create(target.repository);
  if (!repository.ok()) return failure_response(repository.error());
  if (auto refused = refuse_missing_blobs(**repository, *pushed)) return std::move(*refused);
  auto warning = sparse_warning(**repository, *pushed);

  // Bytes first, then the index: whoever finds the entry finds the manifest.
  auto stored = service.store.adopt_bytes(raw, digest, **repository);
  if (stored.ok()) stored = (*repository)->put_manifest(Descriptor{pushed->media_type, digest, raw.size()}, target.tags);
  if (!stored.ok()) return failure_response(stored.error());

  ServerResponse response = empty_response(201);
  response.headers.set("Location", "/v2/" + target.repository + "/manifests/" + digest.str());
  response.headers.set("Docker-Content-Digest", digest.str());
  if (pushed->subject) response.headers.set("OCI-Subject", pushed->subject->str());
  if (target.tags_by_query) response.headers.set("OCI-Tag", join(target.tags, ", "));
  if (warning) response.headers.set("Warning", *warning);
  return response;
}

Handler receive_manifest(Service& service, const ServerRequest& request, const Route& route) {
  PushTarget target{route.repository, std::nullopt, {}};
  if (auto digest = Digest::parse(route.item); digest.ok()) {
    target.digest = std::move(*digest);
    for (const auto& [name, value] : request.query) {
      if (name != "tag") continue;
      if (!is_tag(value)) return answer_with(error_response(400, "TAG_INVALID", "\"" + value + "\" is no tag"));
      if (target.tags.size() >= kMaxTagsPerPush) return answer_with(error_response(400, "TAG_INVALID", "more than " + std::to_string(kMaxTagsPerPush) + " tags"));
      target.tags.push_back(value);
      target.tags_by_query = true;
    }
  } else {
    target.tags.push_back(route.item);
  }
  std::string content_type = request.headers.get("Content-Type");
  return collect_body(kMaxManifestBytes, [&service, target = std::move(target), content_type](std::string raw, bool too_large) {
    if (too_large) return error_response(413, "MANIFEST_INVALID", "a manifest may have " + std::to_string(kMaxManifestBytes) + " bytes");
    return put_manifest(service, target, content_type, std::move(raw));
  });
}

}  // namespace

Handler handle_manifest(Service& service, const ServerRequest& request, const Route& route) {
  bool digest_like = route.item.find(':') != std::string::npos;
  if (digest_like) {
    auto digest = Digest::parse(route.item);
    if (!digest.ok()) return answer_with(digest_invalid(digest.error().message));
  } else if (!is_tag(route.item)) {
    return answer_with(error_response(400, "TAG_INVALID", "this is neither a tag nor a digest"));
  }
  if (request.method == "PUT") return receive_manifest(service, request, route);
  auto repository = service.store.find(route.repository);
  if (!repository.ok()) return answer_with(failure_response(repository.error()));
  if (!*repository) return answer_with(name_unknown(route.repository));
  if (request.method == "GET" || request.method == "HEAD") return answer_with(get_manifest(**repository, request, route));
  if (request.method == "DELETE") return answer_with(delete_manifest(service, **repository, route));
  return answer_with(method_not_allowed(request.method));
}

}  // namespace archway::registry_server
