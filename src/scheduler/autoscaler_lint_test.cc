#include "scheduler/autoscaler_lint.h"

#include <gtest/gtest.h>

#include "format/yaml.h"
#include "scheduler/autoscaler_config.h"

namespace archway::scheduler {
namespace {

std::vector<LintFinding> lint_text_of(std::string_view text, LintOptions options = {}) {
  static const PriceTable prices = PriceTable::shipped();
  AutoscalerInput input;
  auto documents = parse_yaml_documents(text);
  EXPECT_TRUE(documents.ok()) << documents.error().message;
  for (const YamlDocument& document : *documents) input.add(document.value, &document.marks, "f.yaml", text);
  input.settle(prices);
  return lint(input, prices, options);
}

// "rule:line" of each.
std::vector<std::string> rules(std::string_view text, LintOptions options = {}) {
  std::vector<std::string> found;
  for (const LintFinding& each : lint_text_of(text, std::move(options))) found.push_back(each.rule + ":" + std::to_string(each.place.line));
  return found;
}
using Rules = std::vector<std::string>;

std::string map_of(const std::string& priorities, const std::string& name = "cluster-autoscaler-priority-expander", const std::string& name_space = "kube-system") {
  return "kind: ConfigMap\nmetadata:\n  name: " + name + "\n  namespace: " + name_space + "\ndata:\n  priorities: |-\n" + priorities + "---\n";
}

// id is matched: arm and x86.
constexpr const char* kGroups = "kind: NodeGroups\nnodeGroups:\n- {name: arm, type: m7g.large, max: 3}\n- {name: x86, type: m7i.large, max: 3}\n";

TEST(Lint, ThePriorityConfigMap) {
  struct Case {
    std::string text;
    Rules wanted;
  };
  const Case cases[] = {
      {map_of("    50: [^arm$]\n    10: [.*]\n"), {}},
      {map_of("    50: [^arm$]\n    10: [.*]\n", "priority-expander"), {"configmap-name:3"}},
      {map_of("    50: [^arm$]\n    10: [.*]\n", "cluster-autoscaler-priority-expander", "default"), {"configmap-namespace:3"}},
      {"kind: ConfigMap\nmetadata:\n  name: cluster-autoscaler-priority-expander\n  namespace: kube-system\ndata: {priority: '1: [.*]'}\n---\n", {"configmap-key:3"}},
      {"kind: ConfigMap\nmetadata:\n  name: cluster-autoscaler-priority-expander\n  namespace: kube-system\ndata:\n  priorities:\n    1: [.*]\n---\n", {"configmap-not-text:7"}},
      {map_of("    10: ['*arm*']\n"), {"pattern-invalid:7"}},
      {map_of("    10:\n      - *arm*\n"), {"priorities-yaml:8"}},
      {map_of("    ten: [.*]\n"), {"priority-not-a-number:7"}},
      {map_of("    50: [^arm$]\n    -2: [.*]\n"), {"priority-negative:8"}},
      {map_of("    50: [ARM]\n    10: [.*]\n"), {"pattern-matches-nothing:7", "priority-tie:8"}},
      {map_of("    50: [a]\n    20: [arm]\n    10: [.*]\n"), {"pattern-shadowed:8"}},
      {map_of("    50: [.*]\n"), {"priority-tie:7"}},
      {map_of("    50: [^arm$]\n"), {"group-excluded:7"}},
      {map_of("    50: ['']\n"), {"pattern-empty:7", "priority-tie:7"}},
  };
  for (const Case& each : cases) EXPECT_EQ(rules(each.text + kGroups), each.wanted) << each.text;
}

TEST(Lint, ExpandersAndTheirConfiguration) {
  std::string good = map_of("    50: [^arm$]\n    10: [.*]\n") + kGroups;
  EXPECT_EQ(rules(good, {"kube-system", "least-waste"}), Rules{"expander-not-priority:0"});
  EXPECT_EQ(rules(good, {"kube-system", "priority,least-waste"}), Rules{});
  EXPECT_EQ(rules(kGroups, {"kube-system", "random,priority"}), Rules{"expander-chain:0"});
  EXPECT_EQ(rules(kGroups, {"kube-system", "price"}), Rules{"expander-price:0"});
  std::string deployment =
      "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: ca, namespace: autoscaling}\nspec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec:\n"
      "      containers:\n      - {name: c, image: registry.k8s.io/autoscaling/cluster-autoscaler:v1.34.0, command: [./cluster-autoscaler, --expander=priority, --namespace=autoscaling]}\n---\n";
  // The Deployment says where the map is read.
  Rules found = rules(deployment + good);
  EXPECT_NE(std::find(found.begin(), found.end(), "configmap-namespace:14"), found.end());
}

TEST(Lint, Groups) {
  auto asg = [](const std::string& more) {
    return "AutoScalingGroups:\n- AutoScalingGroupName: g\n  MinSize: 0\n  MaxSize: 3\n  DesiredCapacity: 0\n" + more;
  };
  std::string arm = "  AvailabilityZones: [us-east-1a]\n  MixedInstancesPolicy: {LaunchTemplate: {Overrides: [{InstanceType: m7g.large}]}}\n";
  EXPECT_EQ(rules(asg(arm)), Rules{});
  EXPECT_EQ(rules(asg("  MixedInstancesPolicy: {LaunchTemplate: {Overrides: [{InstanceType: m7g.large}]}}\n")), Rules{"no-zone:2"});
  EXPECT_EQ(rules(asg("  AvailabilityZones: [us-east-1a]\n  MixedInstancesPolicy: {LaunchTemplate: {Overrides: [{InstanceType: m7g.large}, {InstanceType: m7i.large}]}}\n")), Rules{"mixed-architectures:2"});
  EXPECT_EQ(rules(asg("  AvailabilityZones: [us-east-1a]\n  MixedInstancesPolicy: {LaunchTemplate: {Overrides: [{InstanceType: m7g.xlarge}, {InstanceType: m7g.large}]}}\n")), Rules{"mixed-sizes:2"});
  EXPECT_EQ(rules(asg("  AvailabilityZones: [us-west-2-lax-1a]\n  MixedInstancesPolicy: {LaunchTemplate: {Overrides: [{InstanceType: m7g.large}]}}\n")), Rules{"local-zone:2"});
  EXPECT_EQ(rules(asg("  AvailabilityZones: [us-east-1a]\n")), Rules{"type-unknown:2"});
  EXPECT_EQ(rules(asg(arm + "  Tags: [{Key: k8s.io/cluster-autoscaler/node-template/label/kubernetes.io/arch, Value: amd64}]\n")), Rules{"arch-label-wrong:8"});
  EXPECT_EQ(rules(asg(arm + "  Tags: [{Key: k8s.io/cluster-autoscaler/node-template/taint/arch, Value: NoSchedule}]\n")), Rules{"taint-malformed:8"});
  EXPECT_EQ(rules("kind: NodeGroups\nnodeGroups:\n- {name: g, provider: alicloud, cpu: 4, memory: 8Gi, max: 3}\n"), Rules{"arch-label-missing:3"});
}

TEST(Lint, WhatWorksWarmAndFailsCold) {
  std::string text =
      "AutoScalingGroups:\n- AutoScalingGroupName: g\n  MinSize: 0\n  MaxSize: 3\n  DesiredCapacity: 1\n  AvailabilityZones: [us-east-1a]\n  Instances: [{InstanceId: i-1, InstanceType: m7g.large}]\n---\n"
      "{kind: Node, metadata: {name: warm, labels: {kubernetes.io/arch: arm64}}, spec: {providerID: 'aws:///us-east-1a/i-1', taints: [{key: arch, value: arm64, effect: NoSchedule}]}, status: {allocatable: {cpu: 2, memory: 8Gi, pods: 10}}}\n";
  EXPECT_EQ(rules(text), Rules{"works-warm-fails-cold:2"});
}

TEST(Lint, EksctlGroupsThatStartAtZero) {
  auto file = [](const std::string& kind, const std::string& more) {
    return "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: c, region: us-east-1}\n" + kind + ":\n- {name: g, instanceType: m7g.large, minSize: 0, maxSize: 2, labels: {a: b}, taints: [{key: arch, value: arm64, effect: NoSchedule}]" + more + "}\n";
  };
  EXPECT_EQ(rules(file("nodeGroups", "")), (Rules{"template-label-missing:5", "template-taint-missing:5"}));
  EXPECT_EQ(rules(file("nodeGroups", ", propagateASGTags: true")), Rules{});
  EXPECT_EQ(rules(file("managedNodeGroups", "")), Rules{});
}

// The article's way: the kubelet registers with the taint, so nothing but a tag tells the autoscaler.
TEST(Lint, ATaintOfTheBootCommandNeedsATag) {
  auto file = [](const std::string& more) {
    return "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: c, region: us-east-1}\nmanagedNodeGroups:\n- name: g\n  instanceType: m7g.large\n  minSize: 0\n  maxSize: 2\n"
           "  overrideBootstrapCommand: |\n    #!/bin/bash\n    /etc/eks/bootstrap.sh c --kubelet-extra-args '--register-with-taints=arm=true:NoSchedule'\n" + more;
  };
  EXPECT_EQ(rules(file("")), Rules{"template-taint-missing:5"});
  EXPECT_EQ(rules(file("  propagateASGTags: true\n  tags: {k8s.io/cluster-autoscaler/node-template/taint/arm: 'true:NoSchedule'}\n")), Rules{});
}

TEST(Lint, GroupsThatNobodyCanUse) {
  std::string groups = "kind: NodeGroups\nnodeGroups:\n- {name: arm, type: m7g.large, max: 3, taints: ['arch=arm64:NoSchedule']}\n- {name: x86, type: m7i.large, max: 3}\n---\n";
  std::string pod = "{kind: Pod, metadata: {name: p, namespace: d}, spec: {containers: [{name: c, image: i}]}}\n";
  EXPECT_EQ(rules(groups + pod), Rules{"group-unused:3"});
}

TEST(Lint, NodePools) {
  auto pool = [](const std::string& spec, const std::string& more = "") {
    return "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata:\n  name: p\nspec:\n  template: {spec: {requirements: [" + spec + "]}}\n" + more;
  };
  EXPECT_EQ(rules(pool("{key: kubernetes.io/arch, operator: In, values: [arm64]}")), Rules{});
  EXPECT_EQ(rules(pool("")), Rules{"nodepool-no-arch:4"});
  EXPECT_EQ(rules(pool("{key: kubernetes.io/arch, operator: In, values: [aarch64]}")), Rules{"nodepool-arch-value:6"});
  EXPECT_EQ(rules(pool("{key: kubernetes.io/arch, operator: In, values: [arm64, amd64]}")), Rules{"nodepool-both-archs:6"});
  EXPECT_EQ(rules(pool("{key: kubernetes.io/arch, operator: Is, values: [arm64]}")), Rules{"nodepool-requirement:6"});
  EXPECT_EQ(rules(pool("{key: kubernetes.io/arch, operator: In, values: [arm64]}", "  weight: 101\n")), Rules{"nodepool-weight:4"});
  EXPECT_EQ(rules(pool("{key: kubernetes.io/arch, operator: In, values: [arm64]}, {key: karpenter.k8s.aws/instance-family, operator: In, values: [m7i]}")), Rules{"nodepool-no-type:6"});
}

// What `config` writes, `lint` reads without a finding.
TEST(Config, IsCleanAndComplete) {
  static const PriceTable prices = PriceTable::shipped();
  for (const char* target : {"eks", "asg", "karpenter"}) {
    ConfigRequest request;
    request.target = *parse_config_target(target);
    request.arm64 = {*parse_config_group("arm-a=m7g.xlarge,m6g.xlarge"), *parse_config_group("arm-b=c7g.large")};
    request.amd64 = {*parse_config_group("x86=m7i.xlarge")};
    auto files = write_config(request);
    ASSERT_TRUE(files.ok()) << files.error().message;
    AutoscalerInput input;
    for (const ConfigFile& file : *files) {
      auto documents = parse_yaml_documents(file.content);
      ASSERT_TRUE(documents.ok()) << file.content;
      for (const YamlDocument& document : *documents) input.add(document.value, &document.marks, file.name, file.content);
    }
    input.settle(prices);
    for (const LintFinding& each : lint(input, prices, {"kube-system", "priority"})) ADD_FAILURE() << target << ": " << each.message;
    EXPECT_EQ(input.groups.size() + input.node_pools.size(), 3u);
    if (request.target == ConfigTarget::Karpenter) continue;
    auto config = PriorityConfig::parse(*input.config_maps.at(0).priorities);
    for (const NodeGroup& group : input.groups) EXPECT_EQ(config->priority_of(group.id), group.name == "x86" ? 10 : 50) << group.id;
  }
}

TEST(Config, RefusesWhatCannotWork) {
  ConfigRequest request;
  request.arm64 = {*parse_config_group("arm=m7i.xlarge")};
  request.amd64 = {*parse_config_group("x86=m7i.xlarge")};
  EXPECT_EQ(write_config(request).error().message, "group arm is for arm64, and m7i.xlarge is amd64");
  request.arm64 = {*parse_config_group("x86=m7g.xlarge")};
  EXPECT_FALSE(write_config(request).ok());
  request.arm64.clear();
  EXPECT_FALSE(write_config(request).ok());
  EXPECT_FALSE(parse_config_group("a b=x").ok());
  EXPECT_FALSE(parse_config_group("../x=m7g.large").ok());
  EXPECT_FALSE(parse_config_target("gke").ok());
}

}  // namespace
}  // namespace archway::scheduler
