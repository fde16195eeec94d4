#pragma once

#include <string>
#include <vector>

#include "kustomize/object_id.h"

namespace archway::kustomize {

// An object on its way through a build.
struct Resource {
  const Value* object = nullptr;        // null: a patch deleted it
  ObjectId now;
  std::vector<ObjectId> previous = {};  // the oldest first

  explicit Resource(const Value& root) : object(&root), now(ObjectId::of(root)) {}
  const ObjectId& first() const { return previous.empty() ? now : previous.front(); }
  bool ever_was(const ObjectId& id) const;
  void set(const Value* changed);       // the same object, changed
  void remember() { previous.push_back(now); }  // before it gets another name
};

// Which of an object's fields a transformer changes: "spec/template/spec/containers[]/image", of some kinds or all.
struct FieldSpec {
  std::string group, version, kind, path;
  bool selects(const ObjectId& id) const;
};

}  // namespace archway::kustomize
