#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/json.h"
#include "kube/taint.h"

// What fix does to a pod's spec, on values. Each gives true where it changed something and false where all was so already, so that
// doing it twice is doing it once. An error says why it must not be done; then nothing has changed.
namespace archway::audit {

inline constexpr std::string_view kArchLabel = "kubernetes.io/arch";
inline constexpr std::string_view kOldArchLabel = "beta.kubernetes.io/arch";

// The pod goes to these architectures only. Terms are alternatives and a term's expressions all hold, so that every term that can match
// anything gets the condition (placement.md 1.3); terms with a condition on the architecture are narrowed.
Result<bool> require_architectures(Json& spec, const std::vector<std::string>& architectures);
// It would rather go there. weight is 1 to 100.
Result<bool> prefer_architectures(Json& spec, const std::vector<std::string>& architectures, int weight);
// nodeSelector: kubernetes.io/arch: ARCHITECTURE
Result<bool> select_architecture(Json& spec, const std::string& architecture);
Result<bool> add_toleration(Json& spec, const kube::Taint& taint);

// The condition at `path` in the spec: {"nodeSelector", LABEL} or {"affinity", "nodeAffinity", ..., "matchExpressions", INDEX}.
using Steps = std::span<const std::string>;
Result<bool> drop_arch_condition(Json& spec, Steps path);
Result<bool> widen_arch_condition(Json& spec, Steps path, const std::vector<std::string>& architectures);
// The same, and its label gets another name.
Result<bool> rename_label(Json& spec, Steps path, const std::string& label);

// Whatever arch conditions the spec has, selector and affinity.
Result<bool> drop_arch_conditions(Json& spec);

// The value at a path, or null.
Json* value_at(Json& root, Steps path);

}  // namespace archway::audit
