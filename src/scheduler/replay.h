#pragma once

#include "format/json.h"
#include "scheduler/profile.h"

namespace archway::scheduler {

// A recorded case ({nodes, namespaces, services, replicaSets, pods, pending, podDisruptionBudgets, steps}) decided
// again from scratch: {"steps": [...]} in the form of the recording. After each decision the pod is bound to the
// node that the recording chose, or nowhere if it chose none; what is decided here never feeds on what was recorded.
Result<Json> replay(const Profile& profile, const Json& recorded);

}  // namespace archway::scheduler
