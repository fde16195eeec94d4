#pragma once

#include <string_view>

#include "base/result.h"
#include "kustomize/trees.h"

namespace archway::kustomize {

// A strategic merge patch applied to an object, as kustomize does it: mappings member by member, null takes a member away, lists of
// built-in types by their keys (the patch's items come first) and others as a whole, "$patch: delete|replace|merge" in mappings and
// lists. $setElementOrder and $retainKeys mean nothing to kustomize, and so nothing here. Null: the patch deletes the object.
// Invalid where the patch has another kind of value than the object, or a "$patch" that nobody knows.
Result<const Value*> strategic_merge(const Value& object, const Value& patch, Trees& trees);

// Members of a pod's spec that decide where it may go. Who sets one of them from elsewhere makes the spec's own bytes tell half of it.
bool is_placement_member(std::string_view name);

}  // namespace archway::kustomize
