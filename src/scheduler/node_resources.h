#pragma once

#include <optional>

#include "scheduler/cluster.h"
#include "scheduler/decision.h"

// NodeResourcesFit and NodeResourcesBalancedAllocation.
namespace archway::scheduler {

std::optional<Refusal> fit_refusal(const Pod& pod, const NodeState& node);

// 0..100, no normalising.
int64_t fit_score(const Profile& profile, const Pod& pod, const NodeState& node);
// Whether the pod asks for nothing that is balanced: then the plugin is silent.
bool balances_nothing(const Profile& profile, const Pod& pod);
int64_t balanced_score(const Profile& profile, const Pod& pod, const NodeState& node);

}  // namespace archway::scheduler
