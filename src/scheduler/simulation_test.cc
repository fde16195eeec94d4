#include "scheduler/simulation.h"

#include <gtest/gtest.h>

#include "format/yaml.h"
#include "scheduler/report.h"

namespace archway::scheduler {
namespace {

// Two amd64 nodes, a Deployment's two pods on them, a bare pod and a DaemonSet.
constexpr std::string_view kCluster = R"(
apiVersion: v1
kind: List
items:
- {kind: Node, metadata: {name: a1, labels: {kubernetes.io/arch: amd64, kubernetes.io/os: linux, kubernetes.io/hostname: a1, node.kubernetes.io/instance-type: m6i.xlarge}}, status: {allocatable: {cpu: "4", memory: 16Gi, pods: "10"}}}
- {kind: Node, metadata: {name: a2, labels: {kubernetes.io/arch: amd64, kubernetes.io/os: linux, kubernetes.io/hostname: a2, node.kubernetes.io/instance-type: m6i.xlarge}}, status: {allocatable: {cpu: "4", memory: 16Gi, pods: "10"}}}
- {kind: ReplicaSet, apiVersion: apps/v1, metadata: {name: web-1, namespace: default, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}]}, spec: {replicas: 2, selector: {matchLabels: {app: web}}}}
- {kind: Pod, metadata: {name: web-1-a, namespace: default, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: r, controller: true}]}, spec: {nodeName: a1, containers: [{name: c, image: web, resources: {requests: {cpu: "1"}}}]}}
- {kind: Pod, metadata: {name: web-1-b, namespace: default, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: r, controller: true}]}, spec: {nodeName: a2, containers: [{name: c, image: web, resources: {requests: {cpu: "1"}}}]}}
- {kind: Pod, metadata: {name: bare, namespace: default}, spec: {nodeName: a2, containers: [{name: c, image: single}]}}
- {kind: DaemonSet, apiVersion: apps/v1, metadata: {name: agent, namespace: default, uid: ds}, spec: {selector: {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: c, image: agent}]}}}}
)";

Simulation simulate(std::string_view cluster, std::string_view truths = {}) {
  Inventory inventory;
  auto documents = parse_yaml_documents(cluster);
  EXPECT_TRUE(documents.ok());
  for (const YamlDocument& document : *documents) inventory.add(document.value);
  inventory.settle();
  ImageKnowledge images;
  if (!truths.empty()) images.truths = *parse_truths(truths);
  return Simulation(std::move(inventory), Profile(), std::move(images));
}

const PodOutcome& find(const SimulationResult& result, std::string_view name) {
  for (const PodOutcome& pod : result.pods) {
    if (pod.name == name) return pod;
  }
  static const PodOutcome none;
  ADD_FAILURE() << "no pod " << name;
  return none;
}

Result<void> run(Simulation& simulation, std::vector<Change> changes) { return simulation.run({"test", std::move(changes)}); }

TEST(Simulation, ANewTaintedGroupMovesNothingButGetsTheTolerantDaemons) {
  Simulation simulation = simulate(kCluster);
  ASSERT_TRUE(run(simulation, {*parse_add_nodes("arm64=2,type=m7g.xlarge,taint=arch=arm64:NoSchedule,zone=z1,zone=z2")}).ok());
  SimulationResult result = simulation.result();
  EXPECT_EQ(find(result, "default/web-1-a").fate, Fate::Stays);
  EXPECT_EQ(find(result, "default/bare").fate, Fate::Stays);
  EXPECT_EQ(find(result, "default/agent@a1").after, "a1");
  for (const PodOutcome& pod : result.pods) EXPECT_NE(pod.name, "default/agent@new-arm64-1");
  EXPECT_EQ(result.nodes[2].zone, "z1");
  EXPECT_EQ(result.nodes[2].source, "by the table of types");
  EXPECT_EQ(result.unplaced(), 0u);
}

TEST(Simulation, RemovedNodesSendTheirPodsElsewhereAndLoseBareOnes) {
  Simulation simulation = simulate(kCluster);
  ASSERT_TRUE(run(simulation, {RemoveNodes{*kube::parse_selector("kubernetes.io/hostname=a2")}}).ok());
  SimulationResult result = simulation.result();
  EXPECT_EQ(find(result, "default/web-1-b").fate, Fate::Moved);
  EXPECT_EQ(find(result, "default/web-1-b").after, "a1");
  EXPECT_EQ(find(result, "default/bare").fate, Fate::Lost);
  EXPECT_EQ(result.unplaced(), 1u);
}

TEST(Simulation, TellsWhatACrashWouldBe) {
  constexpr std::string_view truths = R"({"web": {"platforms": ["linux/amd64", "linux/arm64"], "wrong": [{"platform": "linux/arm64", "why": "/app is x86-64"}]},
    "single": {"platforms": ["linux/amd64"]}, "agent": {"platforms": ["linux/amd64", "linux/s390x"]}})";
  Simulation simulation = simulate(kCluster, truths);
  ASSERT_TRUE(run(simulation, {*parse_add_nodes("arm64=1,type=m7g.2xlarge"), RemoveNodes{*kube::parse_selector("kubernetes.io/arch=amd64")}}).ok());
  SimulationResult result = simulation.result();
  EXPECT_EQ(find(result, "default/web-1-a").run.verdict, RunVerdict::ExecFormatError);
  EXPECT_EQ(find(result, "default/web-1-a").run.why, "/app is x86-64");
  EXPECT_EQ(find(result, "default/agent@new-arm64-1").run.verdict, RunVerdict::NoMatch);
  EXPECT_EQ(result.crashing(), 3u);
}

TEST(Simulation, ARolloutWaitsWhereNothingTakesIt) {
  Simulation simulation = simulate(kCluster);
  Json deployment = *parse_yaml(R"({apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: default}, spec: {replicas: 3, selector: {matchLabels: {app: web}},
    template: {metadata: {labels: {app: web}}, spec: {nodeSelector: {kubernetes.io/arch: arm64}, containers: [{name: c, image: web}]}}}})");
  ASSERT_TRUE(run(simulation, {ApplyManifests{{deployment}}}).ok());
  SimulationResult result = simulation.result();
  EXPECT_EQ(find(result, "default/web-1-a").fate, Fate::Gone);
  EXPECT_EQ(find(result, "default/web-new-2").fate, Fate::Pending);
  EXPECT_EQ(find(result, "default/web-new-2").reason, "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.");
  EXPECT_EQ(result.unplaced(), 3u);
}

TEST(Simulation, NoExecuteEvicts) {
  Simulation simulation = simulate(kCluster);
  ASSERT_TRUE(run(simulation, {*parse_taint_nodes("kubernetes.io/hostname=a1 maintenance=yes:NoExecute")}).ok());
  EXPECT_EQ(find(simulation.result(), "default/web-1-a").after, "a2");
}

TEST(Simulation, PreemptsAndPutsTheVictimElsewhereOrNowhere) {
  Simulation simulation = simulate(kCluster);
  std::vector<Json> pods;
  for (int i = 0; i < 2; ++i) {
    pods.push_back(*parse_yaml("{kind: Pod, metadata: {name: big-" + std::to_string(i) +
                               ", namespace: default}, spec: {priority: 1000, containers: [{name: c, image: web, resources: {requests: {cpu: 3500m}}}]}}"));
  }
  ASSERT_TRUE(run(simulation, {ApplyManifests{pods}}).ok());
  SimulationResult result = simulation.result();
  EXPECT_FALSE(find(result, "default/big-0").after.empty());
  EXPECT_FALSE(find(result, "default/big-1").after.empty());
  EXPECT_EQ(find(result, "default/web-1-a").fate, Fate::Pending);
  EXPECT_EQ(result.unplaced(), 2u);
}

TEST(Simulation, NamesBrokenObjectsAndGoesOn) {
  Simulation simulation = simulate(R"(
kind: List
items:
- {kind: Node, metadata: {name: odd}, status: {allocatable: {cpu: lots}}}
- {kind: Pod, metadata: {name: p, namespace: x}, spec: {nodeName: gone, containers: [{name: c, image: i}]}}
- {kind: Pod, metadata: {name: q, namespace: x}, spec: {priorityClassName: none, containers: [{name: c, image: i}]}}
)");
  SimulationResult result = simulation.result();
  ASSERT_EQ(result.problems.size(), 3u);
  EXPECT_EQ(result.problems[0].object, "Node odd");
  EXPECT_TRUE(result.problems[0].message.starts_with("status.allocatable: cpu: quantity \"lots\"")) << result.problems[0].message;
  EXPECT_EQ(result.problems[1].message, "spec.nodeName: no Node is named \"gone\"; the pod is left out");
  EXPECT_EQ(result.problems[2].object, "Pod x/q");
}

TEST(Simulation, IsTheSameEveryTime) {
  auto once = [] {
    Simulation simulation = simulate(kCluster);
    EXPECT_TRUE(run(simulation, {*parse_add_nodes("arm64=3,cpu=8,memory=8Gi"), Recreate{}}).ok());
    return result_table(simulation.result()) + to_json(result_json(simulation.result())) + result_html(simulation.result());
  };
  EXPECT_EQ(once(), once());
}

TEST(Scenario, NamesWhatIsWrong) {
  EXPECT_EQ(parse_add_nodes("arm64=0").ok(), false);
  EXPECT_EQ(parse_add_nodes("arm64=100001").ok(), false);
  EXPECT_TRUE(parse_add_nodes("arm64=100000").ok());
  EXPECT_EQ(parse_add_nodes("arm64=1,color=red").error().message,
            "--add-nodes arm64=1,color=red: \"color\" is not one of type, zone, taint, label, cpu, memory, pods");
  auto load = [](const std::string&) -> Result<std::vector<Json>> { return std::vector<Json>(); };
  EXPECT_EQ(read_scenario(*parse_yaml("{steps: [{addNode: x}]}"), load).error().message,
            "steps[0].addNode: unknown; use addNodes, removeNodes, taint, label, apply or recreate");
  EXPECT_TRUE(read_scenario(*parse_yaml("{steps: [{addNodes: arm64=2}, {removeNodes: [all], recreate: all}]}"), load).ok());
}

}  // namespace
}  // namespace archway::scheduler
