#include "admission/place.h"

#include <algorithm>

#include "kube/labels.h"

namespace archway::admission {

namespace {

constexpr std::string_view kUnknown = "unknown";  // of attestations

bool lied_about(const ImageTruth& truth, const Platform& platform) {
  return std::any_of(truth.wrong.begin(), truth.wrong.end(), [&](const WrongPlatform& wrong) { return wrong.platform == platform; });
}

bool is_label(const std::string& value) { return !value.empty() && kube::valid_label_value(value); }

}  // namespace

Places places_of(const ImageTruth& truth, Fallback fallback) {
  Places places;
  places.reserve(truth.platforms.size());
  for (const Platform& platform : truth.platforms) {
    if (platform.os == kUnknown || platform.architecture == kUnknown || lied_about(truth, platform)) continue;
    // Whoever made the image wrote these. What no node's label can be would make the pod invalid.
    if (!is_label(platform.os) || !is_label(platform.architecture)) continue;
    if (places.size() >= kMaxPlaces) break;
    places.push_back({platform.os, platform.architecture});
    if (fallback == Fallback::Forbid) continue;
    if (platform.architecture == "386") places.push_back({platform.os, "amd64"});
    if (platform.architecture == "arm") places.push_back({platform.os, "arm64"});
  }
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

bool runs_for_sure(const ImageTruth& truth, const Place& place, Fallback fallback) {
  return truth.runs_on(normalize_platform({place.os, place.architecture}), fallback);
}

Places in_common(const Places& a, const Places& b) {
  Places both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return both;
}

bool contains(const Places& places, const Place& place) { return std::binary_search(places.begin(), places.end(), place); }

std::string list_places(const Places& places) {
  std::string text;
  for (const Place& place : places) text += (text.empty() ? "" : ", ") + place.str();
  return text;
}

}  // namespace archway::admission
