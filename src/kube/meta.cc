#include "kube/meta.h"

#include "base/text.h"

namespace archway::kube {

namespace {

Result<std::optional<Time>> read_time(const Json& object, std::string_view key) {
  const Json& value = object[key];
  if (value.is_null()) return std::optional<Time>();
  auto time = parse_rfc3339(value.string());
  if (!time) return Error{Code::Invalid, std::string(key) + ": \"" + value.string() + "\" is no RFC 3339 time"};
  return time;
}

}  // namespace

const OwnerReference* ObjectMeta::controller() const {
  for (const OwnerReference& owner : owners) {
    if (owner.controller) return &owner;
  }
  return nullptr;
}

Result<ObjectMeta> read_meta(const Json& object, Scope scope) {
  const Json& from = object["metadata"];
  ObjectMeta meta;
  meta.name = from["name"].string();
  meta.uid = from["uid"].string();
  if (scope == Scope::Namespaced) meta.name_space = from["namespace"].string_or("default");
  if (!from["name"].is_null() && !from["name"].is_string()) return Error{Code::Invalid, "metadata.name: must be a string; put it in quotes"};
  if (!from["namespace"].is_null() && !from["namespace"].is_string()) return Error{Code::Invalid, "metadata.namespace: must be a string; put it in quotes"};
  if (meta.name.empty()) return Error{Code::Invalid, "metadata.name: must not be empty"};
  meta.labels = TRY(read_labels(from["labels"]).context("metadata.labels"));
  for (const Json& item : from["ownerReferences"].items()) {
    meta.owners.push_back({item["apiVersion"].string(), item["kind"].string(), item["name"].string(), item["uid"].string(), item["controller"].boolean()});
  }
  meta.created = TRY(read_time(from, "creationTimestamp").context("metadata"));
  meta.deleted = TRY(read_time(from, "deletionTimestamp").context("metadata"));
  meta.resource_version = parse_uint(from["resourceVersion"].string()).value_or(0);
  return meta;
}

}  // namespace archway::kube
