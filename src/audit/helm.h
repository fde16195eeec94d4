#pragma once

#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace archway::audit {

// What the user would tell helm: applies to every chart.
struct HelmOptions {
  std::vector<std::string> values_files;
  std::vector<std::pair<std::string, std::string>> settings;   // "--set", "a.b=c"; in order
  std::string kube_version;
  std::vector<std::string> api_versions;
};

struct HelmRequest {
  std::string folder, release = "release-name", name_space = {};
  HelmOptions options = {};
  std::string more_values = {};     // YAML for after all values files; "" where there is none
  bool crds = true, tests = true, hooks = true;
};

inline constexpr int kHelmTimeoutSeconds = 60;
inline constexpr uint64_t kMaxRenderedBytes = 64 << 20;
inline constexpr uint64_t kHelmMemoryKilobytes = 8 << 20;   // of address space; its runtime reserves much more than it uses

// Is it to be had?
bool has_helm();

// What `helm template` prints. It runs with an environment of its own, so that no plugin, repository, registry login or cluster of the
// user's takes part; nothing is asked of any network. Charts are other people's programs: they have a minute and a limit of memory.
// Invalid with helm's own message; Unavailable where it took too long.
Result<std::string> helm_template(const HelmRequest& request, std::stop_token stop);

}  // namespace archway::audit
