#pragma once

#include <span>
#include <string_view>

// How the lists of the API's built-in types are merged (the x-kubernetes-patch-merge-key and x-kubernetes-list-map-keys of its OpenAPI
// schema): by the keys of their items. Lists that are not named here are replaced as a whole, tolerations and node selector terms among
// them, and so are all lists of custom resources, of which kustomize has no schema.
namespace archway::kustomize {

struct MergeType;

struct MergeField {
  std::string_view name;
  const MergeType* type = nullptr;             // of the value, or of a list's items; null: nothing in it is merged by key
  bool merges = false;                         // a list that is merged
  std::span<const std::string_view> keys = {};  // of its items; none: a set of scalars
};

struct MergeType {
  std::span<const MergeField> fields;
  const MergeField* find(std::string_view name) const;
};

// Null for what is not built in.
const MergeType* merge_type(std::string_view api_version, std::string_view kind);

// Does the API keep objects of this kind outside of namespaces? Unknown kinds are taken for namespaced, as kustomize does.
bool is_cluster_scoped(std::string_view api_version, std::string_view kind);

}  // namespace archway::kustomize
