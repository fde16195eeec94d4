#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "format/json.h"
#include "kube/kubeconfig.h"
#include "net/http_client.h"

namespace archway::kube {

// A resource of the API, as its paths name it.
struct Resource {
  std::string group, version, plural;  // "apps", "v1", "deployments"; group "" for the core
  std::string kind;                    // "Deployment"
  bool namespaced = true;
  // "/apis/apps/v1/namespaces/NS/deployments/NAME/SUBRESOURCE"; parts that are "" are left out.
  std::string path(const std::string& name_space = {}, const std::string& name = {}, const std::string& subresource = {}) const;
  bool operator==(const Resource&) const = default;
};
// What a server has that can be listed, each in the version of its group that is preferred.
struct Discovery {
  std::vector<Resource> resources;
  // Groups whose own server (an APIService) does not answer, or will not say what it has.
  struct Hidden {
    std::string group, version, why;
  };
  std::vector<Hidden> hidden = {};
};

namespace resources {
Resource pods(); Resource nodes(); Resource namespaces(); Resource secrets(); Resource service_accounts(); Resource config_maps(); Resource events();
Resource services(); Resource deployments(); Resource replica_sets(); Resource stateful_sets(); Resource daemon_sets(); Resource jobs(); Resource cron_jobs();
Resource replication_controllers(); Resource pod_disruption_budgets(); Resource priority_classes(); Resource leases();
Resource persistent_volumes(); Resource persistent_volume_claims(); Resource storage_classes(); Resource csi_nodes();
Resource mutating_webhook_configurations(); Resource custom_resource_definitions();
}

struct WatchEvent {
  enum class Type { Added, Modified, Deleted, Bookmark } type;
  Json object;
};

inline constexpr uint64_t kMaxListPageBytes = 1u << 30;    // a server may ignore how long a page was to be
inline constexpr uint64_t kMaxObjectBytes = 64 << 20;      // etcd takes 1.5 MiB
inline constexpr uint64_t kMaxWatchEventBytes = 64 << 20;
inline constexpr uint64_t kMaxLogBytes = 1 << 20;

// How requests wait; tests bring their own.
struct ClientTiming {
  Clock* clock = nullptr;  // null: the system's. For credentials that expire
  // Returns early when asked to stop. Empty: really waits.
  std::function<void(std::chrono::milliseconds, std::stop_token)> sleep = {};
};

struct ListOptions {
  std::string label_selector = {}, field_selector = {};
  size_t page = 500;
};

// Of a request's error: known to the cluster, but not allowed (403). And: not known at all (401, an exec plugin that failed, credentials
// that were not accepted): no other request will fare better.
bool is_forbidden(const Error& error);
bool is_unknown_identity(const Error& error);

// The Kubernetes API over HTTP, as client-go would: lists in pages, retries of 429 and 5xx by Retry-After, the exec plugin asked again on
// 401. Thread safe. Errors carry the API's Status message: Unauthorized (401, and 403 with "forbidden" in the text), NotFound (404),
// Exists (409 AlreadyExists), Mismatch (any other 409: somebody else changed the object; read it again), Invalid (400, 422),
// Unsupported (405, 406, 415), Unavailable (nobody answers; 429 and 5xx after all retries).
class Client {
 public:
  // Asks nobody yet. `http`'s TLS options and proxy give way to those of `access`.
  static Result<std::shared_ptr<Client>> connect(ClusterAccess access, HttpClientOptions http = {}, ClientTiming timing = {});
  virtual ~Client() = default;
  virtual const ClusterAccess& access() const = 0;

  virtual Result<std::string> server_version(std::stop_token stop = {}) = 0;  // "v1.34.1"
  // All that the server serves (for templates of custom resources).
  virtual Result<Discovery> discover(std::stop_token stop = {}) = 0;
  // Each object as it comes, page by page, with kind and apiVersion filled in; `name_space` "" is all. Returns the list's resourceVersion.
  // A page that has expired (410) is asked for again from the start, objects seen twice come once.
  virtual Result<std::string> list(const Resource& resource, const std::string& name_space, const ListOptions& options,
                                   const std::function<Result<void>(Json)>& each, std::stop_token stop = {}) = 0;
  virtual Result<Json> get(const Resource& resource, const std::string& name_space, const std::string& name, std::stop_token stop = {}) = 0;
  virtual Result<Json> create(const Resource& resource, const std::string& name_space, const Json& object, bool dry_run = false, std::stop_token stop = {}) = 0;
  virtual Result<Json> replace(const Resource& resource, const std::string& name_space, const std::string& name, const Json& object, std::stop_token stop = {}) = 0;
  // `type`: "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"
  virtual Result<Json> patch(const Resource& resource, const std::string& name_space, const std::string& name, const std::string& type, const std::string& body,
                             bool dry_run = false, std::stop_token stop = {}) = 0;
  virtual Result<void> remove(const Resource& resource, const std::string& name_space, const std::string& name, std::stop_token stop = {}) = 0;
  // The end of a container's log.
  virtual Result<std::string> log(const std::string& name_space, const std::string& pod, const std::string& container, bool previous, size_t tail_lines,
                                  std::stop_token stop = {}) = 0;
  // Until stopped (which is no error): lists (each object comes as Added), then watches, then lists again where the history is gone: what
  // changed meanwhile comes as Added or Modified, what went as Deleted, with its name only. Reconnects with backoff. Ends with the errors of
  // `each`, and of a first list or watch that will never do (Unauthorized, NotFound, Invalid).
  virtual Result<void> watch(const Resource& resource, const std::string& name_space, const ListOptions& options,
                             const std::function<Result<void>(const WatchEvent&)>& each, std::stop_token stop) = 0;
};

}  // namespace archway::kube
