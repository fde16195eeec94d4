#include "cli/cluster_live.h"

#include "base/text.h"
#include "cli/registry_access.h"

namespace archway::cli {

namespace {

std::vector<std::string> kubeconfig_paths(const Arguments& arguments, const Context& context) {
  if (auto file = arguments.one("kubeconfig")) return {*file};
  if (auto list = context.environment("KUBECONFIG"); list && !list->empty()) {
    std::vector<std::string> paths;
    for (std::string& path : split(*list, ':')) {
      if (!path.empty()) paths.push_back(std::move(path));
    }
    return paths;
  }
  return {context.environment("HOME").value_or("") + "/.kube/config"};
}

// In an order in which what others refer to comes first.
std::vector<kube::Resource> placement_resources() {
  using namespace kube::resources;
  return {nodes(), namespaces(), priority_classes(), storage_classes(), csi_nodes(), persistent_volumes(), persistent_volume_claims(), services(), pod_disruption_budgets(),
          deployments(), replica_sets(), replication_controllers(), stateful_sets(), daemon_sets(), jobs(), cron_jobs(), pods()};
}

bool is_essential(const kube::Resource& resource) { return resource.kind == "Node" || resource.kind == "Pod"; }

}  // namespace

std::vector<Flag> live_cluster_flags() {
  return {
      {"kubeconfig", 0, Flag::Kind::One, "FILE", "where the cluster is, in place of KUBECONFIG and ~/.kube/config"},
      {"context", 0, Flag::Kind::One, "NAME", "the kubeconfig's context, in place of the current one"},
  };
}

Result<std::shared_ptr<kube::Client>> connect_cluster(const Arguments& arguments, const Context& context) {
  kube::KubeconfigRequest request;
  request.paths = kubeconfig_paths(arguments, context);
  request.context = arguments.one_or("context", "");
  request.in_cluster_fallback = !arguments.has("kubeconfig") && request.context.empty();
  request.environment = context.environment;
  auto access = TRY(kube::load_kubeconfig(request));
  auto registry = TRY(registry_options(arguments, context));  // the proxies and the time to wait are the same for all
  return kube::Client::connect(std::move(access), std::move(registry.http));
}

Result<void> read_live_cluster(kube::Client& cluster, const std::function<void(Json)>& each, std::vector<scheduler::Problem>& problems, std::stop_token stop) {
  for (const kube::Resource& resource : placement_resources()) {
    auto keep = [&](Json object) -> Result<void> {
      each(std::move(object));
      return {};
    };
    auto listed = cluster.list(resource, "", {}, keep, stop);
    if (listed.ok()) continue;
    Error error = listed.error();
    bool lesser = error.code == Code::Unauthorized || error.code == Code::NotFound;
    if (is_essential(resource) || !lesser) return std::move(error).within("reading " + resource.plural + " of " + cluster.access().server);
    problems.push_back({resource.kind, "cannot be listed, and counts as absent: " + error.message});
  }
  return {};
}

Result<scheduler::Inventory> load_live_inventory(kube::Client& cluster, std::stop_token stop) {
  scheduler::Inventory inventory;
  std::vector<scheduler::Problem> absent;
  TRY(read_live_cluster(cluster, [&](Json object) { inventory.add(object); }, absent, std::move(stop)));
  inventory.problems.insert(inventory.problems.end(), absent.begin(), absent.end());
  inventory.settle();
  return inventory;
}

}  // namespace archway::cli
