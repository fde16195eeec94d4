#pragma once

#include <string>

#include "audit/collection.h"
#include "format/value_tree.h"

namespace archway::audit {

// `template`: what other places of the same object begin with (object, names, document).
Place place_of(const Place& base, const Value& value, SharedText path);

// nodeSelector, node affinity and tolerations of a pod's spec, with a place for everything that speaks of architectures.
// `path` is the spec's own.
PodPlacement read_placement(const Value& spec, const Place& base, const std::string& path);

// nodeSelector, tolerations or affinity where the API server drops them: beside spec, in a Deployment's own spec, in a container
// (audit.md, D18). One finding each.
void find_misplaced(const Value& object, const Place& base, std::vector<Finding>& out);

}  // namespace archway::audit
