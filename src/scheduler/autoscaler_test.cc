#include "scheduler/autoscaler.h"

#include <gtest/gtest.h>

#include "format/yaml.h"
#include "scheduler/autoscaler_input.h"
#include "scheduler/autoscaler_run.h"

namespace archway::scheduler {
namespace {

AutoscalerInput read(std::string_view text) {
  AutoscalerInput input;
  auto documents = parse_yaml_documents(text);
  EXPECT_TRUE(documents.ok());
  for (const YamlDocument& document : *documents) input.add(document.value, &document.marks, "test.yaml");
  input.settle(PriceTable());
  EXPECT_TRUE(input.problems.empty()) << input.problems[0].second;
  return input;
}

std::string pod(const std::string& name, const std::string& cpu, const std::string& more = "") {
  return "{kind: Pod, metadata: {name: " + name + ", namespace: d, labels: {app: w}, ownerReferences: [{kind: ReplicaSet, name: w, uid: w, apiVersion: apps/v1, controller: true}]}, spec: {" + more +
         "containers: [{name: c, image: i, resources: {requests: {cpu: " + cpu + ", memory: 1Gi}}}]}}\n---\n";
}

std::string pods(int count, const std::string& cpu, const std::string& more = "") {
  std::string text;
  for (int i = 0; i < count; ++i) text += pod("p" + std::to_string(i), cpu, more);
  return text;
}

AutoscalerRun run(AutoscalerInput input, AutoscalerOptions options = {}) {
  static const PriceTable prices = PriceTable::shipped();
  std::string why;
  std::optional<PriorityConfig> config;
  if (const SeenConfigMap* map = input.priority_map("kube-system", why)) config = *PriorityConfig::parse(*map->priorities);
  World world(std::move(input.inventory), Profile());
  Autoscaler autoscaler(options, std::move(input.groups), prices, std::move(config), why);
  autoscaler.claim_nodes(world, input.provider_ids, input.capacities);
  return run_autoscaler(world, autoscaler, {}, input.pod_facts);
}

int64_t size_of(const AutoscalerRun& result, const std::string& group) {
  for (const GroupSize& each : result.groups) {
    if (each.name == group) return each.after;
  }
  return -1;
}

constexpr const char* kTwoGroups =
    "kind: NodeGroups\nnodeGroups:\n"
    "- {name: arm, type: m7g.xlarge, region: us-east-1, max: 10, cpu: 4, memory: 16Gi, taints: ['arch=arm64:NoSchedule']}\n"
    "- {name: x86, type: m7i.xlarge, region: us-east-1, max: 10, cpu: 4, memory: 16Gi}\n---\n";
constexpr const char* kArmFirst =
    "kind: ConfigMap\nmetadata: {name: cluster-autoscaler-priority-expander, namespace: kube-system}\ndata:\n  priorities: |-\n    10: [.*]\n    50: [^arm$]\n---\n";
constexpr const char* kTolerates = "tolerations: [{key: arch, value: arm64, effect: NoSchedule}], ";

// The articles' set-up: a tainted arm64 group, preferred by the priority expander, with amd64 behind it.
TEST(Autoscaler, ArmFirstForWhoToleratesIt) {
  AutoscalerOptions options;
  options.expanders = *parse_expanders("priority");
  AutoscalerRun tolerant = run(read(std::string(kTwoGroups) + kArmFirst + pods(6, "1", kTolerates)), options);
  EXPECT_EQ(size_of(tolerant, "arm"), 2);  // 4 pods of one core on each
  EXPECT_EQ(size_of(tolerant, "x86"), 0);
  EXPECT_TRUE(tolerant.pending.empty());
  AutoscalerRun others = run(read(std::string(kTwoGroups) + kArmFirst + pods(6, "1")), options);
  EXPECT_EQ(size_of(others, "arm"), 0);
  EXPECT_EQ(size_of(others, "x86"), 2);
  EXPECT_EQ(others.rounds[0].decision.rejections[0].why, "node(s) had untolerated taint {arch: arm64}");
  EXPECT_EQ(others.rounds[0].decision.rejections[0].alike, 6u);
}

TEST(Autoscaler, GroupsOfMachinesWithExtendedResources) {
  std::string groups = "kind: NodeGroups\nnodeGroups:\n- {name: gpu, max: 10, cpu: 96, memory: 768Gi, resources: {nvidia.com/gpu: 8}}\n- {name: x86, type: m7i.xlarge, max: 10, cpu: 4, memory: 16Gi}\n---\n";
  std::string text;
  for (int i = 0; i < 3; ++i) {
    text += "{kind: Pod, metadata: {name: g" + std::to_string(i) + ", namespace: d}, spec: {containers: [{name: c, image: i, resources: {requests: {cpu: 1, memory: 1Gi, nvidia.com/gpu: 4}, limits: {nvidia.com/gpu: 4}}}]}}\n---\n";
  }
  AutoscalerRun result = run(read(groups + text));
  EXPECT_EQ(size_of(result, "gpu"), 2);
  EXPECT_EQ(size_of(result, "x86"), 0);
  EXPECT_TRUE(result.pending.empty());

  AutoscalerInput wrong;
  auto document = parse_yaml_documents("kind: NodeGroups\nnodeGroups:\n- {name: g, cpu: 4, memory: 8Gi, resources: {cpu: 3, nvidia.com/gpu: many}, template: {resources: {}}}\n");
  wrong.add((*document)[0].value, &(*document)[0].marks, "test.yaml");
  wrong.settle(PriceTable());
  EXPECT_EQ(wrong.problems.size(), 3u);
}

TEST(Autoscaler, FallsBackWhenTheFirstGroupIsFull) {
  AutoscalerOptions options;
  options.expanders = *parse_expanders("priority");
  std::string groups = kTwoGroups;
  groups.replace(groups.find("max: 10"), 7, "max: 1");
  AutoscalerRun result = run(read(groups + kArmFirst + pods(6, "1", kTolerates)), options);
  EXPECT_EQ(size_of(result, "arm"), 1);
  EXPECT_EQ(size_of(result, "x86"), 1);
  EXPECT_TRUE(result.rounds[0].decision.options[0].limited);
  EXPECT_EQ(result.rounds[1].decision.skipped[0].second, "max size reached (1)");
}

TEST(Autoscaler, CapsByTheCluster) {
  AutoscalerOptions options;
  options.max_nodes_total = 1;
  AutoscalerRun nodes = run(read(std::string(kTwoGroups) + pods(6, "1")), options);
  EXPECT_EQ(size_of(nodes, "x86"), 1);
  EXPECT_EQ(nodes.pending.size(), 2u);
  options = {};
  options.max_cores = 4;
  EXPECT_EQ(size_of(run(read(std::string(kTwoGroups) + pods(6, "1")), options), "x86"), 1);
  options = {};
  options.max_memory_gib = 15;
  EXPECT_EQ(size_of(run(read(std::string(kTwoGroups) + pods(6, "1")), options), "x86"), 0);
}

constexpr const char* kZones =
    "kind: NodeGroups\nnodeGroups:\n"
    "- {name: a, type: m7i.xlarge, zones: [us-east-1a], max: 10, current: 0, cpu: 4, memory: 16Gi}\n"
    "- {name: b, type: m7i.xlarge, zones: [us-east-1b], max: 10, cpu: 4, memory: 16Gi}\n"
    "- {name: c, type: m7g.xlarge, zones: [us-east-1c], max: 10, cpu: 4, memory: 16Gi}\n---\n";

TEST(Autoscaler, BalancesGroupsThatAreAlike) {
  AutoscalerOptions options;
  options.balance_similar = true;
  options.expanders = *parse_expanders("priority");
  std::string map = "kind: ConfigMap\nmetadata: {name: cluster-autoscaler-priority-expander, namespace: kube-system}\ndata: {priorities: '5: [a]'}\n---\n";
  AutoscalerRun result = run(read(kZones + map + pods(12, "1")), options);
  EXPECT_EQ(size_of(result, "a"), 2);
  EXPECT_EQ(size_of(result, "b"), 1);
  EXPECT_EQ(size_of(result, "c"), 0);  // another architecture, another type
  options.balance_similar = false;
  EXPECT_EQ(size_of(run(read(kZones + map + pods(12, "1")), options), "a"), 3);
}

// A template that promises more than nodes have: they come, and nothing fits.
TEST(Autoscaler, SaysWhenNodesAreNotWhatWasImagined) {
  std::string group =
      "{\"AutoScalingGroups\": [{\"AutoScalingGroupName\": \"x\", \"MinSize\": 0, \"MaxSize\": 3, \"DesiredCapacity\": 0, \"AvailabilityZones\": [\"us-east-1a\"],"
      "\"MixedInstancesPolicy\": {\"LaunchTemplate\": {\"Overrides\": [{\"InstanceType\": \"m7i.xlarge\"}]}}}]}\n---\n";
  AutoscalerRun result = run(read(group + pods(1, "4")));
  ASSERT_FALSE(result.rounds.empty());
  EXPECT_EQ(result.rounds[0].missed, 1u);
  EXPECT_EQ(size_of(result, "x"), 1);  // then the autoscaler knows better
  EXPECT_EQ(result.pending.size(), 1u);
}

// Scenario: nodes register with a taint that no tag tells of. From zero the autoscaler starts them for pods that they refuse.
TEST(Autoscaler, ATaintThatNoTagTellsOfStartsNodesForNothing) {
  auto file = [](const std::string& more) {
    return "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: c, region: us-east-1}\nnodeGroups:\n- {name: arm, instanceType: m7g.xlarge, minSize: 0, maxSize: 3, desiredCapacity: 0, "
           "taints: [{key: arch, value: arm64, effect: NoSchedule}]" + more + "}\n---\n";
  };
  AutoscalerRun wrong = run(read(file("") + pods(1, "1")));
  EXPECT_EQ(size_of(wrong, "arm"), 1);
  EXPECT_EQ(wrong.rounds[0].missed, 1u);
  EXPECT_EQ(wrong.pending.size(), 1u);
  AutoscalerRun right = run(read(file(", propagateASGTags: true") + pods(1, "1")));
  EXPECT_EQ(size_of(right, "arm"), 0);
}

TEST(Autoscaler, OnlyTheFirstOverrideCounts) {
  std::string group =
      "{\"AutoScalingGroups\": [{\"AutoScalingGroupName\": \"x\", \"MinSize\": 0, \"MaxSize\": 3, \"DesiredCapacity\": 0, \"AvailabilityZones\": [\"us-east-1a\"],"
      "\"MixedInstancesPolicy\": {\"LaunchTemplate\": {\"Overrides\": [{\"InstanceType\": \"m7g.xlarge\"}, {\"InstanceType\": \"m7i.xlarge\"}]}}}]}\n---\n";
  EXPECT_EQ(size_of(run(read(group + pods(1, "1", "nodeSelector: {kubernetes.io/arch: arm64}, "))), "x"), 1);
  EXPECT_EQ(size_of(run(read(group + pods(1, "1", "nodeSelector: {kubernetes.io/arch: amd64}, "))), "x"), 0);
}

TEST(Autoscaler, DaemonSetsTakeRoomOnNewNodes) {
  std::string daemon = "{kind: DaemonSet, apiVersion: apps/v1, metadata: {name: agent, namespace: d}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i, resources: {requests: {cpu: 500m}}}]}}}}\n---\n";
  EXPECT_EQ(size_of(run(read(std::string(kTwoGroups) + pods(4, "1"))), "x86"), 1);
  EXPECT_EQ(size_of(run(read(std::string(kTwoGroups) + daemon + pods(4, "1"))), "x86"), 2);
}

TEST(Autoscaler, ASpreadOverHostsNeedsANodeForEach) {
  std::string spread = "topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: w}}}], ";
  AutoscalerRun result = run(read(std::string(kTwoGroups) + pods(3, "100m", spread)));
  EXPECT_TRUE(result.pending.empty());
  std::string apart = "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: w}}}]}}, ";
  AutoscalerRun anti = run(read(std::string(kTwoGroups) + pods(3, "100m", apart)));
  EXPECT_EQ(size_of(anti, "x86"), 3);
  EXPECT_TRUE(anti.pending.empty());
}

TEST(Autoscaler, WhatCouldGo) {
  std::string nodes;
  for (const char* name : {"n1", "n2", "n3"}) {
    nodes += std::string("{kind: Node, metadata: {name: ") + name + ", labels: {kubernetes.io/hostname: " + name + ", pool: x}}, status: {allocatable: {cpu: 4, memory: 16Gi, pods: 110}}}\n---\n";
  }
  std::string group = "kind: NodeGroups\nnodeGroups:\n- {name: x, min: 1, max: 5, cpu: 4, memory: 16Gi, nodes: pool=x}\n---\n";
  std::string busy = pod("busy", "3", "nodeName: n1, "), idle = pod("idle", "1", "nodeName: n2, ");
  std::string bare = "{kind: Pod, metadata: {name: bare, namespace: d}, spec: {nodeName: n3, containers: [{name: c, image: i}]}}\n---\n";
  AutoscalerRun result = run(read(group + nodes + busy + idle + bare));
  ASSERT_EQ(result.scale_down.size(), 3u);
  EXPECT_FALSE(result.scale_down[0].removable);
  EXPECT_EQ(result.scale_down[0].why, "75 % used, not below 50 %");
  EXPECT_TRUE(result.scale_down[1].removable);
  EXPECT_EQ(result.scale_down[2].why, "pod d/bare is bare: nothing would create it again");
}

TEST(Estimator, GroupsPodsByControllerAndLooks) {
  AutoscalerInput input = read(pods(3, "1") + pod("other", "2") + "{kind: Pod, metadata: {name: bare, namespace: d}, spec: {containers: [{name: c, image: i}]}}\n");
  std::vector<const Pod*> all;
  for (const Pod& each : input.inventory.pods) all.push_back(&each);
  std::vector<PodGroup> groups = group_pods(all);
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].sample().meta.name, "bare");
  EXPECT_EQ(groups[1].sample().meta.name, "other");
  EXPECT_EQ(groups[2].pods.size(), 3u);
}

TEST(Estimator, NoMoreThanTenLooksPerController) {
  std::string text;
  for (int i = 10; i < 22; ++i) text += pod("p" + std::to_string(i), std::to_string(i * 10) + "m");
  text += pod("q1", "110m") + pod("q2", "210m");  // like p11, and like p21, which came too late to found a group
  AutoscalerInput input = read(text);
  std::vector<const Pod*> all;
  for (const Pod& each : input.inventory.pods) all.push_back(&each);
  EXPECT_EQ(group_pods(all).size(), 13u);
}

TEST(NodeGroups, EksctlIsRead) {
  AutoscalerInput input = read(
      "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: shop, region: eu-west-1}\nmanagedNodeGroups:\n"
      "- {name: arm, instanceTypes: [m7g.large], minSize: 0, maxSize: 4, taints: [{key: arch, value: arm64, effect: NoSchedule}], labels: {a: b}}\n"
      "nodeGroups:\n- {name: old, instanceType: m5.large, desiredCapacity: 3, taints: {arch: 'x:NoExecute'}}\n");
  ASSERT_EQ(input.groups.size(), 2u);
  EXPECT_EQ(input.groups[0].id, "eksctl-shop-nodegroup-old-NodeGroup-000000000000");
  EXPECT_EQ(input.groups[0].current, 3);
  EXPECT_EQ(input.groups[0].taints[0].str(), "arch=x:NoExecute");
  EXPECT_EQ(input.groups[1].taints[0].str(), "arch=arm64:NoSchedule");
  EXPECT_EQ(input.groups[1].place.line, 5u);
  // A managed group's taints are known from zero; another's only by its tags.
  PriceTable prices = PriceTable::shipped();
  EXPECT_EQ(autoscaler_template(input.groups[1], prices)->node.taints.size(), 1u);
  EXPECT_EQ(autoscaler_template(input.groups[0], prices)->node.taints.size(), 0u);
}

TEST(NodeGroups, TerraformIsRead) {
  AutoscalerInput input = read(
      "resource:\n  aws_autoscaling_group:\n    arm:\n      name: arm-1a\n      min_size: 0\n      max_size: 3\n      tag:\n      - {key: k8s.io/cluster-autoscaler/enabled, value: true, propagate_at_launch: true}\n"
      "      mixed_instances_policy:\n        launch_template:\n          override: [{instance_type: m7g.large}, {instance_type: m6g.large}]\n"
      "  aws_eks_node_group:\n    x86:\n      node_group_name: x86\n      instance_types: [m7i.large]\n      scaling_config: {min_size: 1, max_size: 2, desired_size: 1}\n      taint: [{key: a, value: b, effect: NO_SCHEDULE}]\n");
  ASSERT_EQ(input.groups.size(), 2u);
  EXPECT_EQ(input.groups[0].types, (std::vector<std::string>{"m7g.large", "m6g.large"}));
  EXPECT_EQ(input.groups[0].tags[0].value, "true");
  EXPECT_EQ(input.groups[0].tags[0].place.line, 8u);
  EXPECT_EQ(input.groups[1].taints[0].str(), "a=b:NoSchedule");
}

}  // namespace
}  // namespace archway::scheduler
