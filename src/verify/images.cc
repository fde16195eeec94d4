#include "verify/images.h"

#include <algorithm>
#include <set>

#include "base/thread_pool.h"

namespace archway {

namespace {

constexpr size_t kFetchesAtOnce = 6;

class Collector {
 public:
  explicit Collector(Provider& provider) : provider_(provider) {}

  Result<void> collect(const Descriptor& descriptor, std::string_view raw, size_t depth) {
    if (depth > kMaxIndexDepth) return Error{Code::Invalid, "indexes within indexes, more than " + std::to_string(kMaxIndexDepth) + " deep"};
    ImageIndex index = TRY(parse_index(raw, descriptor.media_type).context("index " + descriptor.digest.str()));
    for (Descriptor& child : index.manifests) {
      if (child.is_attestation() || !child.artifact_type.empty()) continue;
      if (is_index(child.media_type)) {
        if (!indexes_.insert(child.digest).second) continue;
        std::string child_raw = TRY(read_blob(provider_, child, kMaxManifestBytes).context("index " + child.digest.str()));
        TRY(collect(child, child_raw, depth + 1));
      } else if (is_manifest(child.media_type)) {
        // One image may stand there for two platforms, and then is wrong for one of them.
        std::string name = child.digest.str() + " " + (child.platform ? child.platform->str() : "");
        if (!seen_.insert(name).second) continue;
        std::optional<Platform> platform = child.platform;
        images.push_back({.descriptor = std::move(child), .in_index = std::move(platform)});
      }
    }
    return {};
  }
  std::vector<DeclaredImage> images;

 private:
  Provider& provider_;
  std::set<Digest> indexes_;
  std::set<std::string> seen_;
};

bool is_image_config(std::string_view type) {
  return type == media_type::kOciConfig || type == media_type::kDockerConfig || type == "application/octet-stream";  // the last: very old Docker
}

enum class Found { Image, Artifact };

Result<Found> read_image(Provider& provider, DeclaredImage& image, std::string raw) {
  if (raw.empty()) raw = TRY(read_blob(provider, image.descriptor, kMaxManifestBytes).context("manifest " + image.descriptor.digest.str()));
  Manifest manifest = TRY(parse_manifest(raw, image.descriptor.media_type).context("manifest " + image.descriptor.digest.str()));
  if (!is_image_config(manifest.config.media_type)) return Found::Artifact;
  std::string config = TRY(read_blob(provider, manifest.config, kMaxManifestBytes).context("configuration of " + image.descriptor.digest.str()));
  image.config = TRY(parse_image_config(config).context("configuration of " + image.descriptor.digest.str()));
  image.manifest = std::move(manifest);
  return Found::Image;
}

// Fetches manifests and configurations. A failure is that image's own; an artifact is no image and goes.
Result<void> read_images(Provider& provider, std::vector<DeclaredImage>& images, std::stop_token stop) {
  std::vector<char> artifact(images.size(), 0);
  auto fetched = parallel_for(images.size(), kFetchesAtOnce, [&](size_t i) -> Result<void> {
    if (stop.stop_requested()) return Error{Code::Cancelled, "verifying: stopped"};
    if (images[i].manifest) return {};
    auto found = read_image(provider, images[i], "");
    if (!found.ok()) images[i].unreadable = std::move(found).error();
    else artifact[i] = *found == Found::Artifact;
    return {};
  });
  if (!fetched.ok()) return fetched;
  size_t i = 0;
  std::erase_if(images, [&](const DeclaredImage&) { return artifact[i++] != 0; });
  return {};
}

Result<std::vector<DeclaredImage>> chosen(std::vector<DeclaredImage> images, const std::vector<Platform>& wanted) {
  std::vector<Platform> have;
  for (const DeclaredImage& image : images) have.push_back(image.declared());
  std::set<size_t> picks;
  for (const Platform& want : wanted) {
    auto best = choose_platform(want, have, Fallback::Forbid);
    if (!best) return Error{Code::NotFound, explain_no_match(want, have)};
    picks.insert(*best);
  }
  std::vector<DeclaredImage> out;
  for (size_t pick : picks) out.push_back(std::move(images[pick]));
  return out;
}

}  // namespace

Platform DeclaredImage::declared() const {
  if (in_index) return *in_index;
  return manifest ? config.platform : Platform{"unknown", "unknown"};
}

Result<std::vector<DeclaredImage>> declared_images(Provider& provider, const Root& root, const std::vector<Platform>& wanted, std::stop_token stop) {
  std::vector<DeclaredImage> images;
  if (!is_index(root.descriptor.media_type)) {
    DeclaredImage image{.descriptor = root.descriptor, .in_index = root.descriptor.platform};
    if (TRY(read_image(provider, image, root.raw)) == Found::Artifact) return Error{Code::Unsupported, root.descriptor.digest.str() + " is an artifact, not an image"};
    images.push_back(std::move(image));
  } else {
    Collector collector(provider);
    TRY(collector.collect(root.descriptor, root.raw, 1));
    images = std::move(collector.images);
    // Where the index says it all, only the manifests that are wanted are fetched.
    bool told = std::all_of(images.begin(), images.end(), [](const DeclaredImage& image) { return image.in_index.has_value(); });
    if (!told || wanted.empty()) TRY(read_images(provider, images, stop));
  }
  if (images.empty()) return Error{Code::NotFound, "index " + root.descriptor.digest.str() + " has no images"};
  if (wanted.empty()) return images;
  images = TRY(chosen(std::move(images), wanted));
  TRY(read_images(provider, images, stop));
  return images;
}

}  // namespace archway
