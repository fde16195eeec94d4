#include <set>

#include "image/config.h"
#include "image/copy.h"

namespace archway {

namespace {

struct Candidate {
  Descriptor descriptor;
  Platform platform;
};

Result<ChosenImage> open_image_manifest(Provider& provider, Descriptor descriptor, std::string raw) {
  Manifest manifest = TRY(parse_manifest(raw, descriptor.media_type));
  std::string config = TRY(read_blob(provider, manifest.config, kMaxManifestBytes).context("fetching the configuration"));
  return ChosenImage{std::move(descriptor), std::move(raw), std::move(manifest), std::move(config)};
}

// All images below an index, nested ones too, in order.
class Finder {
 public:
  explicit Finder(Provider& provider) : provider_(provider) {}

  Result<void> collect(const Descriptor& descriptor, std::string_view raw, size_t depth) {
    if (depth > kMaxIndexDepth) return Error{Code::Invalid, "indexes within indexes, more than " + std::to_string(kMaxIndexDepth) + " deep"};
    ImageIndex index = TRY(parse_index(raw, descriptor.media_type));
    for (Descriptor& child : index.manifests) {
      if (child.is_attestation() || !seen_.insert(child.digest).second) continue;
      if (is_index(child.media_type)) {
        std::string child_raw = TRY(read_blob(provider_, child, kMaxManifestBytes));
        TRY(collect(child, child_raw, depth + 1));
      } else if (is_manifest(child.media_type)) {
        Platform platform = child.platform ? *child.platform : TRY(platform_from_config(child));
        candidates.push_back({std::move(child), std::move(platform)});
      }
    }
    return {};
  }
  std::vector<Candidate> candidates;

 private:
  Result<Platform> platform_from_config(const Descriptor& child) {
    std::string raw = TRY(read_blob(provider_, child, kMaxManifestBytes));
    ChosenImage image = TRY(open_image_manifest(provider_, child, std::move(raw)));
    ImageConfig config = TRY(parse_image_config(image.raw_config));
    return config.platform;
  }
  Provider& provider_;
  std::set<Digest> seen_;
};

Error no_match(const Platform& want, const std::vector<Platform>& have) { return Error{Code::NotFound, explain_no_match(want, have)}; }

}  // namespace

Result<ChosenImage> choose_image(Provider& provider, const Root& root, const Platform& want, Fallback fallback) {
  if (!is_index(root.descriptor.media_type)) {
    ChosenImage image = TRY(open_image_manifest(provider, root.descriptor, root.raw));
    ImageConfig config = TRY(parse_image_config(image.raw_config));
    if (!choose_platform(want, {config.platform}, fallback)) return no_match(want, {config.platform});
    return image;
  }
  Finder finder(provider);
  TRY(finder.collect(root.descriptor, root.raw, 1));
  std::vector<Platform> have;
  for (const Candidate& candidate : finder.candidates) have.push_back(candidate.platform);
  auto best = choose_platform(want, have, fallback);
  if (!best) return no_match(want, have);
  Descriptor& chosen = finder.candidates[*best].descriptor;
  std::string raw = TRY(read_blob(provider, chosen, kMaxManifestBytes).context("fetching the manifest for " + want.str()));
  return open_image_manifest(provider, std::move(chosen), std::move(raw));
}

}  // namespace archway
