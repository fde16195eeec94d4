#pragma once

#include <string>
#include <vector>

#include "image/platform.h"
#include "image/truth.h"

namespace archway::admission {

// Where a pod may be, as far as nodes' labels say it: kubernetes.io/os and kubernetes.io/arch. Variants (arm/v7, amd64/v3) are not
// among a node's labels, so a place is a platform without its variant.
struct Place {
  std::string os, architecture;
  std::string str() const { return os + "/" + architecture; }
  auto operator<=>(const Place&) const = default;
};
using Places = std::vector<Place>;  // sorted, each once

// Of one image. An index of more is read as far as that.
inline constexpr size_t kMaxPlaces = 256;

// Where an image may run: the platforms it declares and is not known to lie about. An image for amd64/v3 may run on nodes labelled amd64
// (nowhere else, at least); runs_for_sure tells whether it does on every one of them.
Places places_of(const ImageTruth& truth, Fallback fallback);
bool runs_for_sure(const ImageTruth& truth, const Place& place, Fallback fallback);

Places in_common(const Places& a, const Places& b);
bool contains(const Places& places, const Place& place);
// "linux/amd64, linux/arm64"
std::string list_places(const Places& places);

}  // namespace archway::admission
