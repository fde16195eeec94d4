#pragma once

#include "format/json.h"
#include "scheduler/cycle.h"

namespace archway::scheduler {

// A recorded case ({nodes, namespaces, services, replicaSets, pods, pending, podDisruptionBudgets, steps}) decided
// again from scratch: {"steps": [...]} in the form of the recording. After each decision the pod is bound to the
// node that the recording chose, or nowhere if it chose none; what is decided here never feeds on what was recorded.
Result<Json> replay(const Profile& profile, const Json& recorded);

// One decision in that form: {pod, preFilter} or {pod, nodes, best, chosen}.
Json decision_json(const Pod& pod, const Decision& decision, const Cluster& cluster);

}  // namespace archway::scheduler
