#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/progress.h"
#include "image/content.h"
#include "image/manifest.h"

namespace archway {

// The bytes of a manifest or index with its descriptor: what a tag resolves to.
struct Root {
  Descriptor descriptor;
  std::string raw;
};

// Visits `root` and all it points to, children first, each digest once, to kMaxIndexDepth. `raw` is empty for configs and layers.
using Visitor = std::function<Result<void>(const Descriptor& descriptor, std::string_view raw)>;
Result<void> walk(Provider& provider, const Root& root, const Visitor& visit);

struct CopyOptions {
  size_t jobs = 6;                        // blobs in flight
  Progress* progress = nullptr;
  std::vector<std::string> tags = {};     // given to the root at the very end, in order
  std::string verb = "copying";           // what progress calls it: "pushing sha256:6a7b… (12 MB)"
};
struct CopyStats {
  size_t stored = 0, existed = 0, mounted = 0;
  uint64_t bytes_stored = 0;
};
// Makes all that `root` names present at `to`: layers and configs of all platforms in one parallel queue, then
// manifests, then indexes, then the tags. On failure no tag has moved. Not-distributable (foreign) layers are left out, as docker does.
Result<CopyStats> copy_image(Provider& from, Ingester& to, const Root& root, const CopyOptions& options, std::stop_token stop = {});

// One platform's image: what choose_image picks out of an index (or the image itself).
struct ChosenImage {
  Descriptor descriptor;
  std::string raw;
  Manifest manifest;
  std::string raw_config;
};
// Follows nested indexes. NotFound with explain_no_match's words where no entry matches. An entry without
// platform is judged by its config. 32-bit images are not taken for 64-bit platforms unless told to: many arm64
// machines cannot run them.
Result<ChosenImage> choose_image(Provider& provider, const Root& root, const Platform& want, Fallback fallback = Fallback::Forbid);

// Layers that may not be distributed (Windows base layers): their registry keeps them, copies leave them out.
bool is_foreign_layer(std::string_view media_type);

}  // namespace archway
