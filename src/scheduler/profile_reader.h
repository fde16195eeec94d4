#pragma once

#include <string_view>
#include <vector>

#include "scheduler/profile.h"

namespace archway::scheduler {

// A KubeSchedulerConfiguration: each profile's name, enabled and disabled plugins, weights and the arguments that
// decide placement. Invalid names the field; plugins that are not the default profile's own are refused, since
// nothing is known of what they do.
Result<std::vector<Profile>> read_profiles(const Json& configuration);

// "1.34", "v1.36.2" or "36": the rules of that kube-scheduler. Rules are known from 1.34 on.
Result<int> parse_scheduler_version(std::string_view text);

}  // namespace archway::scheduler
