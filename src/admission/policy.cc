#include "admission/policy.h"

#include <algorithm>

#include "base/text.h"
#include "image/known_platform.h"

namespace archway::admission {

namespace {

// "arm64" is linux/arm64 here, whatever machine this runs on.
Result<Place> parse_place(std::string_view text) {
  Platform platform = TRY(parse_platform(text, Platform{"linux", "amd64"}));
  TRY(check_known(platform));
  return Place{platform.os, platform.architecture};
}

}  // namespace

Result<Preference> parse_preference(std::string_view text) {
  auto [name, weight] = cut(text, '=');
  Place place = TRY(parse_place(name).context("preferred architecture"));
  Preference preference{place.architecture};
  if (!weight) return preference;
  auto number = parse_uint(*weight);
  if (!number || *number < 1 || *number > 100) {
    return Error{Code::Invalid, "preferred architecture \"" + std::string(text) + "\": the weight is a number from 1 to 100", "for example arm64=10"};
  }
  preference.weight = static_cast<int>(*number);
  return preference;
}

Result<ToleratedTaint> parse_tolerated_taint(std::string_view text) {
  auto [spelling, where] = cut(text, '@');
  ToleratedTaint tolerated;
  tolerated.taint = TRY(kube::parse_taint(spelling));
  auto place = parse_place(where.value_or(tolerated.taint.value));
  if (!place.ok()) {
    return Error{Code::Invalid, "taint \"" + std::string(text) + "\": its value names no architecture, so it is not clear which nodes have it",
                 "say it behind an @: " + std::string(spelling) + "@arm64"};
  }
  tolerated.place = std::move(place).value();
  return tolerated;
}

Result<std::vector<Place>> parse_places(std::string_view text) {
  std::vector<Place> places;
  for (const std::string& part : split(text, ',')) places.push_back(TRY(parse_place(trim(part))));
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

}  // namespace archway::admission
