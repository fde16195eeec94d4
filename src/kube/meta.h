#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kube/labels.h"

namespace archway::kube {

struct OwnerReference {
  std::string api_version, kind, name, uid;
  bool controller = false;
  bool operator==(const OwnerReference&) const = default;
};

// The part of metadata that placement needs.
struct ObjectMeta {
  std::string name, name_space, uid;
  Labels labels;
  std::vector<OwnerReference> owners;
  std::optional<Time> created, deleted;
  uint64_t resource_version = 0;  // opaque by contract, ordered in practice

  std::string key() const { return name_space.empty() ? name : name_space + "/" + name; }
  const OwnerReference* controller() const;  // null where nothing controls it
};

// Namespaced objects without a namespace belong to "default", as kubectl has it.
enum class Scope { Namespaced, Cluster };
Result<ObjectMeta> read_meta(const Json& object, Scope scope);

}  // namespace archway::kube
