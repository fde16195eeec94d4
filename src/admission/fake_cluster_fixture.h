#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "admission/patch.h"
#include "kube/client.h"

// For tests: a cluster of a few objects in memory, with versions, conflicts, patches and watches. Answers may be spoilt by `fail`.
namespace archway::admission::testing {

class FakeCluster final : public kube::Client {
 public:
  // By the path of the object: "/api/v1/namespaces/n/pods/p".
  std::map<std::string, Json> objects;
  std::vector<std::string> calls;  // "PATCH /api/..."
  std::map<std::string, std::string> logs;  // of containers: "n/p/c"
  // Says what is wrong with a request, or nothing.
  std::function<std::optional<Error>(const std::string& verb, const std::string& path)> fail;

  void put(const kube::Resource& resource, const std::string& name_space, Json object) {
    std::lock_guard lock(mutex_);
    std::string path = resource.path(name_space, object["metadata"]["name"].string());
    store(path, std::move(object), {});
  }
  Json at(const kube::Resource& resource, const std::string& name_space, const std::string& name) {
    std::lock_guard lock(mutex_);
    auto found = objects.find(resource.path(name_space, name));
    return found == objects.end() ? Json() : found->second;
  }
  size_t count(const std::string& prefix) {
    std::lock_guard lock(mutex_);
    return static_cast<size_t>(std::count_if(calls.begin(), calls.end(), [&](const std::string& line) { return line.starts_with(prefix); }));
  }
  // Waits until all events so far have been told to all watchers, and a condition holds.
  template <class Ready>
  void wait_until(Ready ready) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, ready);
  }

  const kube::ClusterAccess& access() const override { return access_; }
  Result<std::string> server_version(std::stop_token) override { return std::string("v1.34.1"); }
  Result<kube::Discovery> discover(std::stop_token) override { return kube::Discovery{}; }

  Result<std::string> list(const kube::Resource& resource, const std::string& name_space, const kube::ListOptions&, const std::function<Result<void>(Json)>& each, std::stop_token) override {
    std::vector<Json> found;
    {
      std::lock_guard lock(mutex_);
      TRY(refuse("LIST", resource.path(name_space)));
      for (const auto& [path, object] : objects) {
        if (in(path, resource, name_space)) found.push_back(object);
      }
    }
    for (Json& object : found) TRY(each(std::move(object)));
    return std::to_string(version_);
  }
  Result<Json> get(const kube::Resource& resource, const std::string& name_space, const std::string& name, std::stop_token) override {
    std::lock_guard lock(mutex_);
    std::string path = resource.path(name_space, name);
    TRY(refuse("GET", path));
    auto found = objects.find(path);
    if (found == objects.end()) return Error{Code::NotFound, path + ": 404"};
    return found->second;
  }
  Result<Json> create(const kube::Resource& resource, const std::string& name_space, const Json& object, bool, std::stop_token) override {
    std::lock_guard lock(mutex_);
    std::string path = resource.path(name_space, object["metadata"]["name"].string());
    TRY(refuse("POST", path));
    if (objects.contains(path)) return Error{Code::Exists, path + ": 409 already exists"};
    return store(path, object, {});
  }
  Result<Json> replace(const kube::Resource& resource, const std::string& name_space, const std::string& name, const Json& object, std::stop_token) override {
    std::lock_guard lock(mutex_);
    std::string path = resource.path(name_space, name);
    TRY(refuse("PUT", path));
    auto found = objects.find(path);
    if (found == objects.end()) return Error{Code::NotFound, path + ": 404"};
    const Json& wanted = object["metadata"]["resourceVersion"];
    if (!wanted.is_null() && !(wanted == found->second["metadata"]["resourceVersion"])) return Error{Code::Mismatch, path + ": 409 conflict"};
    return store(path, object, found->second);
  }
  Result<Json> patch(const kube::Resource& resource, const std::string& name_space, const std::string& name, const std::string& type, const std::string& body, bool,
                     std::stop_token) override {
    std::lock_guard lock(mutex_);
    std::string path = resource.path(name_space, name);
    TRY(refuse("PATCH", path));
    auto found = objects.find(path);
    if (found == objects.end()) return Error{Code::NotFound, path + ": 404"};
    Json change = TRY(parse_json(body));
    if (type == "application/json-patch+json") {
      Json patched = TRY(apply_patch(found->second, change));
      return store(path, std::move(patched), found->second);
    }
    Json merged = found->second;
    for (const JsonMember& member : change.members()) merged.set(member.key, member.value);
    return store(path, std::move(merged), found->second);
  }
  Result<void> remove(const kube::Resource& resource, const std::string& name_space, const std::string& name, std::stop_token) override {
    std::lock_guard lock(mutex_);
    std::string path = resource.path(name_space, name);
    TRY(refuse("DELETE", path));
    auto found = objects.find(path);
    if (found == objects.end()) return Error{Code::NotFound, path + ": 404"};
    history_.push_back({path, {kube::WatchEvent::Type::Deleted, found->second}});
    objects.erase(found);
    changed_.notify_all();
    return {};
  }
  Result<std::string> log(const std::string& name_space, const std::string& pod, const std::string& container, bool, size_t, std::stop_token) override {
    std::lock_guard lock(mutex_);
    std::string key = name_space + "/" + pod + "/" + container;
    TRY(refuse("LOG", key));
    auto found = logs.find(key);
    if (found == logs.end()) return Error{Code::NotFound, key + ": no log"};
    return found->second;
  }
  Result<void> watch(const kube::Resource& resource, const std::string& name_space, const kube::ListOptions&, const std::function<Result<void>(const kube::WatchEvent&)>& each,
                     std::stop_token stop) override {
    size_t next = 0;
    std::vector<kube::WatchEvent> events;
    {
      std::lock_guard lock(mutex_);
      TRY(refuse("WATCH", resource.path(name_space)));
      next = history_.size();
      for (const auto& [path, object] : objects) {
        if (in(path, resource, name_space)) events.push_back({kube::WatchEvent::Type::Added, object});
      }
    }
    for (;;) {
      for (const kube::WatchEvent& event : events) TRY(each(event));
      events.clear();
      std::unique_lock lock(mutex_);
      changed_.notify_all();
      if (!changed_.wait(lock, stop, [&] { return next < history_.size(); })) return {};
      for (; next < history_.size(); next++) {
        if (in(history_[next].path, resource, name_space)) events.push_back(history_[next].event);
      }
    }
  }

 private:
  struct Entry {
    std::string path;
    kube::WatchEvent event;
  };
  static bool in(const std::string& path, const kube::Resource& resource, const std::string& name_space) {
    if (!name_space.empty() || !resource.namespaced) return path.starts_with(resource.path(name_space) + "/");
    std::string prefix = resource.path();
    prefix.resize(prefix.size() - resource.plural.size());
    return path.starts_with(prefix) && path.find("/" + resource.plural + "/") != std::string::npos;
  }
  Result<void> refuse(const std::string& verb, const std::string& path) {
    calls.push_back(verb + " " + path);
    if (!fail) return {};
    if (auto error = fail(verb, path)) return *error;
    return {};
  }
  Json store(const std::string& path, Json object, Json before) {
    Json metadata = object["metadata"];
    metadata.set("resourceVersion", std::to_string(++version_));
    if (metadata["uid"].is_null()) metadata.set("uid", "uid-" + std::to_string(version_));
    object.set("metadata", metadata);
    objects[path] = object;
    history_.push_back({path, {before.is_null() ? kube::WatchEvent::Type::Added : kube::WatchEvent::Type::Modified, object}});
    changed_.notify_all();
    return object;
  }
  kube::ClusterAccess access_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Entry> history_;
  int version_ = 0;
};

}  // namespace archway::admission::testing
