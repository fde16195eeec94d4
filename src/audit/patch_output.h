#pragma once

#include <string>
#include <vector>

#include "audit/fix.h"

// What fix would change, as patches for those who do not keep the files that were looked at.
namespace archway::audit {

// JSON Patch (RFC 6902) from one value to the other. A value that is replaced is tested first, and lists are changed item by item where
// they can be: whoever changed the object in between hears of it.
Json json_patch(const Json& have, const Json& want);

// A kustomization with one patch per object.
std::string kustomize_patches(const std::vector<ChangedObject>& objects);
// `kubectl patch` commands for a POSIX shell. Objects without a name (generateName) are left out, with a comment; where the API server
// would refuse a patch (patch_rules.h), a comment holds the command that replaces the object.
// `flags` are kubectl's own, for all commands: they must go to the cluster that was looked at.
std::string kubectl_patches(const std::vector<ChangedObject>& objects, const std::vector<std::string>& flags = {});
// Values to give helm on top of the chart's own (`-f`): of the changed documents that are no Kubernetes objects. A value that is to go is
// null there, lists are whole, as helm merges. "" where there is nothing.
std::string helm_values(const std::vector<ChangedObject>& objects);

}  // namespace archway::audit
