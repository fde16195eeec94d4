#pragma once

#include "base/result.h"
#include "kustomize/trees.h"

namespace archway::kustomize {

// Is it a list of operations, rather than a part of an object?
bool is_json_patch(const Value& patch);

// RFC 6902 applied to an object: add, remove, replace, move, copy and test, all or none. As in kustomize, an index may be negative (-1 is
// the last item), and a member that is not there may be replaced. Invalid or NotFound names the operation that could not be done.
Result<const Value*> json_patch(const Value& object, const Value& patch, Trees& trees);

}  // namespace archway::kustomize
