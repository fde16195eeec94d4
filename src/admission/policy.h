#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admission/place.h"
#include "base/result.h"
#include "image/platform.h"
#include "kube/taint.h"

namespace archway::admission {

// "Pods should rather go to this architecture": one preferred term, worth at most 200 points of the default scheduler's profile.
struct Preference {
  std::string architecture;
  int weight = 1;  // 1 to 100, against the pod's own preferences: at 1 these come first
};

// A taint that keeps pods away from nodes of one architecture, and that pods whose images run there are to tolerate.
struct ToleratedTaint {
  kube::Taint taint;
  Place place;  // the nodes that carry it
};

// What the cluster's owner wants. Plain data; the defaults are the safe ones.
struct Policy {
  enum class Mode { Enforce, Report } mode = Mode::Enforce;             // Report: neither patch nor refuse, only say
  enum class OnConflict { Warn, Deny } on_conflict = OnConflict::Warn;  // images, or images and pod, contradict each other
  enum class OnUnknown { Pass, Gate } on_unknown = OnUnknown::Pass;     // a registry does not answer
  std::optional<Preference> prefer = {};
  std::vector<ToleratedTaint> tolerate = {};
  // The places that the cluster's nodes are, where its owner vouches for it; empty: any. What holds for all of them is not asked for.
  std::vector<Place> node_places = {};
  Fallback fallback = Fallback::Forbid;  // may arm64 nodes take 32-bit arm, amd64 nodes 386?
  std::vector<std::string> ignored_namespaces = {"kube-system"};
};

// "arm64" or "arm64=50".
Result<Preference> parse_preference(std::string_view text);
// A taint as kubectl spells it. Its value says for which architecture ("arch=arm64:NoSchedule"), or a platform after "@"
// ("dedicated=graviton:NoSchedule@arm64").
Result<ToleratedTaint> parse_tolerated_taint(std::string_view text);
// "linux/amd64,linux/arm64"
Result<std::vector<Place>> parse_places(std::string_view text);

}  // namespace archway::admission
