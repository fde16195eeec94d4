#include <gtest/gtest.h>

#include <algorithm>

#include "base/fd.h"
#include "scheduler/cycle.h"
#include "scheduler/daemon_set.h"

namespace archway::scheduler {
namespace {

const std::string kFolder = ARCHWAY_SOURCE_DIR "/../shared/vectors/kubernetes/cluster";

Inventory read_recorded() {
  Inventory inventory;
  for (const char* list : {"namespaces", "priorityclasses", "nodes", "services", "replicasets", "statefulsets", "deployments", "daemonsets",
                           "poddisruptionbudgets", "persistentvolumeclaims", "pods"}) {
    auto text = read_file(kFolder + "/" + list + ".json", 1 << 26);
    auto json = text.ok() ? parse_json(*text) : Result<Json>(text.error());
    EXPECT_TRUE(json.ok()) << list;
    if (json.ok()) inventory.add(*json);
  }
  inventory.settle();
  return inventory;
}

// What kube-scheduler 1.36 did in a real cluster: each bound pod's node is among the best we find, in its order.
TEST(ClusterReplay, EveryBoundPodIsWithinTheBestSet) {
  if (!path_exists(kFolder)) GTEST_SKIP() << "skipped: no vectors beside the project";
  Inventory inventory = read_recorded();
  for (const Problem& problem : inventory.problems) ADD_FAILURE() << problem.object << ": " << problem.message;
  Profile profile;
  profile.version_minor = 36;
  Cluster cluster(inventory.nodes, inventory.objects);
  std::vector<Pod*> order;
  for (Pod& pod : inventory.pods) {
    if (!pod.node_name.empty()) order.push_back(&pod);
  }
  EXPECT_EQ(order.size(), 46u);
  std::sort(order.begin(), order.end(), [](const Pod* a, const Pod* b) { return a->meta.resource_version < b->meta.resource_version; });
  for (Pod* pod : order) {
    const NodeState* node = cluster.find_node(pod->node_name);
    ASSERT_TRUE(node);
    Pod unbound = *pod;
    unbound.node_name.clear();
    Decision decision = decide(profile, cluster, unbound);
    EXPECT_NE(std::find(decision.best.begin(), decision.best.end(), node->index), decision.best.end()) << pod->meta.key() << " on " << pod->node_name;
    cluster.bind(*pod, node->index);
  }
}

TEST(ClusterReplay, DaemonPodsAreWhereTheirControllerPutThem) {
  if (!path_exists(kFolder)) GTEST_SKIP() << "skipped: no vectors beside the project";
  Inventory inventory = read_recorded();
  size_t checked = 0;
  for (const kube::Workload& workload : inventory.workloads) {
    if (workload.kind != "DaemonSet") continue;
    for (const Node& node : inventory.nodes) {
      bool there = std::any_of(inventory.pods.begin(), inventory.pods.end(), [&](const Pod& pod) {
        const kube::OwnerReference* owner = pod.meta.controller();
        return owner && owner->uid == workload.meta.uid && daemon_target(pod) == node.name();
      });
      EXPECT_EQ(there, daemon_verdict(workload, node).should_run) << workload.meta.key() << " on " << node.name();
      ++checked;
    }
  }
  EXPECT_GT(checked, 0u);
}

}  // namespace
}  // namespace archway::scheduler
