#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/value_tree.h"
#include "kube/selector.h"

namespace archway::kustomize {

// What kustomize tells objects apart by.
struct ObjectId {
  std::string group, version, kind, name, name_space;

  static ObjectId of(const Value& object);
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  // "default" and none are one namespace; objects of the cluster have one of their own.
  std::string effective_namespace() const;
  bool same_kind(const ObjectId& other) const { return group == other.group && version == other.version && kind == other.kind; }
  bool equals(const ObjectId& other) const { return same_kind(other) && name == other.name && effective_namespace() == other.effective_namespace(); }
  std::string str() const;  // "Deployment shop/web"
};

// A regular expression as Go has them, for the whole of a text. Matches everything where it is empty.
class Pattern {
 public:
  Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();
  static Result<Pattern> parse(std::string_view expression);
  bool matches(std::string_view text) const;
  bool empty() const { return !compiled_; }

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

// What a target selects: all that is given must hold. Of names and namespaces the first that an object had counts as well as today's.
class Target {
 public:
  static Result<Target> read(const Value& selector);
  bool matches(const Value& object, const ObjectId& first, const ObjectId& now) const;
  // Without labels and annotations: replacements ask for each id that an object ever had.
  bool matches_id(const ObjectId& id) const;
  bool matches_labels(const Value& object) const;
  bool names_id() const { return names_id_; }

 private:
  Pattern group_, version_, kind_, name_, name_space_;
  kube::Selector labels_, annotations_;
  bool names_id_ = false;
};

}  // namespace archway::kustomize
