#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "build/graph.h"

// From instructions to the graph, for one platform at a time (builder.md 3.3 and 3.5). No I/O but through `resolve_base`.
namespace archway::build {

struct LowerOptions {
  std::map<std::string, std::string> build_args = {};
  std::string target = {};                       // a stage's name or number; empty: the last
  Platform build_platform;
  std::map<std::string, std::string> labels = {};
  std::set<std::string> local_contexts = {};     // names of named contexts that are folders
  bool no_cache = false;
  bool multi_platform = false;                   // progress names show the platform
  std::optional<Time> epoch = {};
  std::string dockerfile_name = "Dockerfile";    // for messages
};

// FROM, or COPY --from of an image: resolved for a platform. NotFound, Unauthorized, ... as the registry says.
using ResolveBase = std::function<Result<std::shared_ptr<const BaseImage>>(const std::string& name, const Platform& platform)>;

// Appends to `graph`. Errors name file, line and column and show the line.
Result<TargetImage> lower(const dockerfile::Dockerfile& file, const Platform& target, const LowerOptions& options, const ResolveBase& resolve_base,
                          Graph& graph);

}  // namespace archway::build
