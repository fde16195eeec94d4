#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "format/json.h"

namespace archway::kube {

inline constexpr std::string_view kNoSchedule = "NoSchedule";
inline constexpr std::string_view kPreferNoSchedule = "PreferNoSchedule";
inline constexpr std::string_view kNoExecute = "NoExecute";

struct Taint {
  std::string key, value, effect;
  std::string str() const;  // "arch=arm64:NoSchedule", as kubectl taint spells it
  bool operator==(const Taint&) const = default;
};

// k8s.io/api/core/v1, "Toleration". An empty key, value or effect stands for any; Exists ignores the value.
struct Toleration {
  std::string key, op, value, effect;
  bool tolerates(const Taint& taint) const;
  bool operator==(const Toleration&) const = default;
};

bool tolerated(const Taint& taint, const std::vector<Toleration>& tolerations);
// NoSchedule and NoExecute keep a pod away; PreferNoSchedule only costs points.
inline bool repels(const Taint& taint) { return taint.effect == kNoSchedule || taint.effect == kNoExecute; }
// The first taint that keeps the pod away, or null.
const Taint* first_untolerated(const std::vector<Taint>& taints, const std::vector<Toleration>& tolerations);

Result<Taint> read_taint(const Json& object);
Result<Toleration> read_toleration(const Json& object);
// "key=value:Effect" or "key:Effect".
Result<Taint> parse_taint(std::string_view text);

}  // namespace archway::kube
