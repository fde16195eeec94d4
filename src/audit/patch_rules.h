#pragma once

#include <string>
#include <vector>

#include "audit/fix.h"
#include "format/json.h"

// What the API server lets nobody change (registry/core/pod, registry/batch/job of Kubernetes), and who else may have a say in an object.
namespace archway::audit {

// Why a patch of these operations (RFC 6902) would be refused; "" where it would not.
std::string why_unpatchable(const ChangedObject& object, const Json& operations);

// Who made the object and would change it back, or has to be told: sentences for people.
std::vector<std::string> other_keepers(const Json& object);

// The object as it can be created again, without what only the server may say, and without the node that a pod was given.
Json as_created_anew(const Json& object);

}  // namespace archway::audit
