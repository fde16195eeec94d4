#pragma once

#include <stop_token>
#include <vector>

#include "kube/api_session.h"

namespace archway::kube {

// Which resources a server has, that can be listed: each in the first version of its group that has it, the preferred version first.
// From an aggregated answer (APIGroupDiscoveryList).
void add_aggregated(const Json& answer, Discovery& into);
// From one version's APIResourceList.
void add_listed(const Json& list, const std::string& group, const std::string& version, std::vector<Resource>& into);

// Aggregated where the server can (1.26 and later), else group by group.
Result<Discovery> discover_resources(ApiSession& session, std::stop_token stop);

}  // namespace archway::kube
