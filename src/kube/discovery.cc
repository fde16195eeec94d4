#include "kube/discovery.h"

#include <algorithm>

namespace archway::kube {
namespace {

inline constexpr size_t kMaxGroupVersions = 2000;
inline constexpr const char* kAggregated =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

void add(Resource resource, const Json& verbs, std::vector<Resource>& into) {
  auto words = verbs.strings();
  bool listable = std::find(words.begin(), words.end(), "list") != words.end();
  bool is_subresource = resource.plural.empty() || resource.plural.find('/') != std::string::npos;
  bool known = std::any_of(into.begin(), into.end(), [&](const Resource& other) { return other.group == resource.group && other.plural == resource.plural; });
  if (listable && !is_subresource && !known) into.push_back(std::move(resource));
}

Result<Json> ask(ApiSession& session, const std::string& path, std::stop_token stop) {
  ApiRequest request;
  request.path = path;
  request.accept = kAggregated;
  return session.json(request, stop);
}

// A group's own server may be down; or all of them, and then the other groups need not be waited for.
bool answers(ApiSession& session, std::stop_token stop) {
  auto version = ask(session, "/version", stop);
  return version.ok() || version.error().code != Code::Unavailable;
}

// The group's versions, the preferred one first.
std::vector<std::string> versions_of(const Json& group) {
  std::vector<std::string> versions = {group["preferredVersion"]["version"].string()};
  for (const Json& version : group["versions"].items()) {
    if (version["version"].string() != versions.front()) versions.push_back(version["version"].string());
  }
  std::erase(versions, "");
  return versions;
}

Result<void> add_versions(ApiSession& session, const std::string& root, const std::string& group, const std::vector<std::string>& versions, size_t& asked, Discovery& into,
                          std::stop_token stop) {
  for (const std::string& version : versions) {
    if (++asked > kMaxGroupVersions) return Error{Code::Invalid, "discovering resources: over " + std::to_string(kMaxGroupVersions) + " versions of groups"};
    auto list = ask(session, root + "/" + version, stop);
    if (list.ok()) {
      add_listed(*list, group, version, into.resources);
    } else if (list.error().code == Code::Cancelled || is_unknown_identity(list.error()) || (list.error().code == Code::Unavailable && !answers(session, stop))) {
      return std::move(list).error();
    } else if (list.error().code != Code::NotFound) {  // gone since the groups were listed
      into.hidden.push_back({group, version, list.error().message});
    }
  }
  return {};
}

}  // namespace

void add_aggregated(const Json& answer, Discovery& into) {
  for (const Json& group : answer["items"].items()) {
    const std::string& name = group["metadata"]["name"].string();
    for (const Json& version : group["versions"].items()) {
      // "Stale": the aggregated server did not answer; what it has may be from earlier, or not there at all.
      if (version["freshness"].string() == "Stale") into.hidden.push_back({name, version["version"].string(), "its server does not answer (APIService " + version["version"].string() + "." + name + ")"});
      for (const Json& item : version["resources"].items()) {
        add({name, version["version"].string(), item["resource"].string(), item["responseKind"]["kind"].string(),
             item["scope"].string() == "Namespaced"},
            item["verbs"], into.resources);
      }
    }
  }
}

void add_listed(const Json& list, const std::string& group, const std::string& version, std::vector<Resource>& into) {
  for (const Json& item : list["resources"].items()) {
    add({group, version, item["name"].string(), item["kind"].string(), item["namespaced"].boolean()}, item["verbs"], into);
  }
}

Result<Discovery> discover_resources(ApiSession& session, std::stop_token stop) {
  Discovery found;
  size_t asked = 0;
  Json core = TRY(ask(session, "/api", stop));
  if (core["kind"].string() == "APIGroupDiscoveryList") {
    add_aggregated(core, found);
  } else {
    TRY(add_versions(session, "/api", "", core["versions"].strings(), asked, found, stop));
  }
  Json groups = TRY(ask(session, "/apis", stop));
  if (groups["kind"].string() == "APIGroupDiscoveryList") {
    add_aggregated(groups, found);
    return found;
  }
  for (const Json& group : groups["groups"].items()) {
    const std::string& name = group["name"].string();
    TRY(add_versions(session, "/apis/" + percent_encode(name), name, versions_of(group), asked, found, stop));
  }
  return found;
}

}  // namespace archway::kube
