#pragma once

#include "admission/policy.h"
#include "cli/command.h"

// The verbs of the webhook. Each in a file of its name.
namespace archway::cli {

Command admission_review_command();
Command admission_explain_command();
Command admission_serve_command();
Command admission_manifests_command();

// Flags of all three: what the cluster's owner wants.
std::vector<Flag> admission_policy_flags();
Result<admission::Policy> admission_policy(const Arguments& arguments);

}  // namespace archway::cli
