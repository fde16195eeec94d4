#pragma once

#include <optional>
#include <stop_token>
#include <vector>

#include "image/config.h"
#include "image/copy.h"
#include "verify/verify.h"

namespace archway {

// One image to verify: what declares it, and what it says itself.
struct DeclaredImage {
  Descriptor descriptor;
  std::optional<Platform> in_index = {};  // as the index has it
  std::optional<Error> unreadable = {};   // why there is no manifest or configuration
  std::optional<Manifest> manifest = {};
  ImageConfig config = {};
  // The promise that users rely on: the index's, which is what a pull goes by; else the configuration's.
  Platform declared() const;
};

// All images of an index, nested ones too, each once; attestations and artifacts that are no images are passed over. `wanted` empty:
// all; else the best match of each, and NotFound where there is none.
Result<std::vector<DeclaredImage>> declared_images(Provider& provider, const Root& root, const std::vector<Platform>& wanted, std::stop_token stop);

}  // namespace archway
