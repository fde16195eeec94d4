#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kustomize/resource.h"
#include "kustomize/texts.h"
#include "kustomize/trees.h"

namespace archway::kustomize {

// The ConfigMap that an entry of configMapGenerator makes, without the hash behind its name: literals, files and env files, each with
// the place of its text. `path` turns a name in the entry into that of a file.
struct Generated {
  const Value* object = nullptr;
  std::string behavior;               // "", "create", "merge" or "replace"
  std::vector<std::string> wrong;     // files that are not there, entries that say nothing
};
Generated generate_config_map(const Value& entry, const std::function<std::string(std::string_view)>& path, Texts& texts, Trees& trees);

// Beside the others: created, or merged into the one of that name.
Result<void> absorb(Generated generated, std::vector<Resource>& resources, Trees& trees);

}  // namespace archway::kustomize
