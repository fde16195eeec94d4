#pragma once

#include <functional>
#include <string>
#include <vector>

#include "build/graph.h"

// RUN --mount, from its text to what the graph holds (builder.md 1.1; BuildKit's convert_runmount.go, convert_secrets.go, convert_ssh.go).
namespace archway::build {

struct LowerMountsInput {
  const std::vector<std::string>& texts;     // as written behind --mount=
  std::string working_directory;             // what a relative target is relative to
  std::string cache_namespace;               // the build argument BUILDKIT_CACHE_MOUNT_NS
  dockerfile::ExpandField expand;
  // The node that `from` names ("": the build context), to be mounted at `target`.
  std::function<Result<NodeId>(const std::string& from, const std::string& target)> source;
};

struct LoweredMounts {
  std::vector<ExecMount> mounts;             // by target
  std::vector<NodeId> inputs;
  std::string ssh_socket;                    // where the first agent is; "": there is none
};
Result<LoweredMounts> lower_mounts(const LowerMountsInput& input);

}  // namespace archway::build
