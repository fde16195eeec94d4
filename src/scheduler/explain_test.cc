#include "scheduler/explain.h"

#include <gtest/gtest.h>

#include "format/yaml.h"
#include "scheduler/inventory.h"

namespace archway::scheduler {
namespace {

constexpr std::string_view kNodes = R"(
kind: List
items:
- {kind: Node, metadata: {name: x, labels: {kubernetes.io/arch: amd64, kubernetes.io/hostname: x}}, status: {allocatable: {cpu: "4", memory: 16Gi, pods: "10"}}}
- {kind: Node, metadata: {name: arm, labels: {kubernetes.io/arch: arm64, kubernetes.io/hostname: arm}}, spec: {taints: [{key: arch, value: arm64, effect: NoSchedule}]}, status: {allocatable: {cpu: "2", memory: 16Gi, pods: "2"}}}
- {kind: Pod, metadata: {name: there, namespace: default, labels: {app: x}}, spec: {nodeName: arm, containers: [{name: c, image: i, resources: {requests: {cpu: 1500m}}, ports: [{containerPort: 1, hostPort: 9100}]}]}}
)";

struct Row {
  const char* spec;
  std::vector<std::string> fixes;
};

// Every named change is made, and the pod then fits.
TEST(SmallestChange, WhenMadeLetsThePodRun) {
  const std::vector<Row> rows = {
      {"containers: [{name: c, image: i}], tolerations: [{operator: Exists}]", {}},
      {"containers: [{name: c, image: i}]", {"add a toleration for the taint arch=arm64:NoSchedule"}},
      {"containers: [{name: c, image: i}], nodeSelector: {kubernetes.io/arch: amd64}",
       {"add a toleration for the taint arch=arm64:NoSchedule", "remove kubernetes.io/arch=amd64 from the nodeSelector"}},
      {"containers: [{name: c, image: i}], tolerations: [{operator: Exists}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
       "{nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64]}]}]}}}",
       {"let the required node affinity on kubernetes.io/arch also take arm64"}},
      {"containers: [{name: c, image: i}], tolerations: [{operator: Exists}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
       "{nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/arch, operator: NotIn, values: [arm64]}]}]}}}",
       {"let the required node affinity on kubernetes.io/arch no longer refuse arm64"}},
      {"containers: [{name: c, image: i, resources: {requests: {cpu: \"1\"}}}], tolerations: [{operator: Exists}]", {"add one more node like arm"}},
      {"containers: [{name: c, image: i, resources: {requests: {cpu: \"3\"}}}], tolerations: [{operator: Exists}]",
       {"lower the pod's cpu request from 3000m to 2000m or less", "add one more node like arm"}},
      {"containers: [{name: c, image: i, ports: [{containerPort: 1, hostPort: 9100}]}], tolerations: [{operator: Exists}]",
       {"give up the host ports, which another pod on the node has"}},
      {"containers: [{name: c, image: i}], schedulingGates: [{name: g}], tolerations: [{operator: Exists}]", {"remove the scheduling gates"}},
      {"containers: [{name: c, image: i}], tolerations: [{operator: Exists}], affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
       "[{labelSelector: {matchLabels: {app: x}}, topologyKey: kubernetes.io/hostname}]}}",
       {"make the required pod anti-affinity a preferred one"}},
  };
  for (const Row& row : rows) {
    Inventory inventory;
    inventory.add(*parse_yaml(kNodes));
    auto pod_json = parse_yaml("{kind: Pod, metadata: {name: p, namespace: default, labels: {app: x}}, spec: {" + std::string(row.spec) + "}}");
    ASSERT_TRUE(pod_json.ok()) << pod_json.error().message;
    Pod pod = *kube::read_pod(*pod_json);
    Cluster cluster(inventory.nodes, inventory.objects);
    for (const Pod& each : inventory.pods) cluster.bind(each, cluster.find_node(each.node_name)->index);
    auto answer = smallest_change(Profile(), cluster, pod, "arm64");
    ASSERT_TRUE(answer.change) << row.spec << ": " << answer.why;
    std::vector<std::string> texts;
    for (const Fix& fix : answer.change->fixes) texts.push_back(fix.text);
    EXPECT_EQ(texts, row.fixes) << row.spec;

    Cluster changed(answer.change->nodes, inventory.objects);
    for (const Pod& each : inventory.pods) changed.bind(each, changed.find_node(each.node_name)->index);
    Decision decision = decide(Profile(), changed, answer.change->pod);
    ASSERT_FALSE(decision.pre_filter) << row.spec;
    EXPECT_FALSE(decision.nodes[changed.find_node(answer.change->node)->index].refusal) << row.spec;
  }
}

TEST(SmallestChange, ImaginesANodeWhereThereIsNone) {
  Inventory inventory;
  inventory.add(*parse_yaml("{kind: Node, metadata: {name: x, labels: {kubernetes.io/arch: amd64}}, status: {allocatable: {cpu: \"4\", memory: 1Gi, pods: \"9\"}}}"));
  Cluster cluster(inventory.nodes, inventory.objects);
  Pod pod = *kube::read_pod(*parse_yaml("{metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}"));
  auto answer = smallest_change(Profile(), cluster, pod, "arm64");
  ASSERT_TRUE(answer.change) << answer.why;
  EXPECT_EQ(answer.change->node, "arm64-node");
}

TEST(OutweighedPreference, NamesWhatIsWorthMore) {
  // "x" holds the image, a gigabyte of it; "arm" is preferred, worth 200 points here.
  constexpr std::string_view nodes = R"(
kind: List
items:
- {kind: Node, metadata: {name: x, labels: {kubernetes.io/arch: amd64, zone: a}}, status: {allocatable: {cpu: "4", memory: 16Gi, pods: "10"}}}
- {kind: Node, metadata: {name: arm, labels: {kubernetes.io/arch: arm64, zone: b}}, spec: {taints: [{key: k, effect: PreferNoSchedule}]}, status: {allocatable: {cpu: "4", memory: 16Gi, pods: "10"}}}
)";
  auto explained = [&](const std::string& weight, const std::string& more) {
    Inventory inventory;
    inventory.add(*parse_yaml(nodes));
    auto json = parse_yaml("{kind: Pod, metadata: {name: p, namespace: default}, spec: {containers: [{name: c, image: i}], affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: ["
                           "{weight: " + weight + ", preference: {matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [arm64]}]}}" + more + "]}}}}");
    EXPECT_TRUE(json.ok());
    Pod pod = *kube::read_pod(*json);
    Cluster cluster(inventory.nodes, inventory.objects);
    return outweighed_preference(cluster, pod, decide(Profile(), cluster, pod));
  };
  auto answer = explained("1", "");
  ASSERT_TRUE(answer);  // 300 points of a taint that is not tolerated against 200
  EXPECT_EQ(answer->wished, "arm");
  EXPECT_EQ(answer->chosen, "x");
  EXPECT_EQ(answer->by, 100);
  EXPECT_EQ(answer->plugins, (std::vector<std::pair<Plugin, int64_t>>{{Plugin::TaintToleration, 300}, {Plugin::NodeAffinity, -200}}));
  // Other wishes make it less: of 100 against 1 hardly anything is left.
  answer = explained("1", ", {weight: 100, preference: {matchExpressions: [{key: zone, operator: In, values: [a]}]}}");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->by, 498);
}

}  // namespace
}  // namespace archway::scheduler
