#pragma once

#include <set>
#include <string>

#include "audit/value_places.h"

namespace archway::audit {

// A pipeline of GitLab: local includes followed, jobs with what they extend and the defaults that they inherit, variables and matrices
// expanded as far as the files say. Includes from elsewhere are named. `used` gets every file that takes part, as a plain path.
Collection collect_gitlab(const std::string& file, std::set<std::string>& used);

// Is it called as GitLab has it: .gitlab-ci.yml, x.gitlab-ci.yml, or a file below .gitlab/?
bool is_gitlab_pipeline(std::string_view path);

}  // namespace archway::audit
