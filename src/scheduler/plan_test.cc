#include "scheduler/plan.h"

#include <gtest/gtest.h>

#include "format/yaml.h"

namespace archway::scheduler {
namespace {

constexpr const char* kTruths = R"({"multi": {"platforms": ["linux/amd64", "linux/arm64"]}, "single": {"platforms": ["linux/amd64"]},
  "liar": {"platforms": ["linux/amd64", "linux/arm64"], "wrong": [{"platform": "linux/arm64", "why": "/app is x86-64"}]}})";

std::string node(const std::string& name, const std::string& type, const std::string& region = "us-east-1", const std::string& more = "") {
  return "{kind: Node, metadata: {name: " + name + ", labels: {kubernetes.io/arch: amd64, kubernetes.io/os: linux, kubernetes.io/hostname: " + name + ", node.kubernetes.io/instance-type: " + type +
         ", topology.kubernetes.io/region: " + region + more + "}}, status: {allocatable: {cpu: 3920m, memory: 14Gi, pods: '58'}}}\n---\n";
}

std::string deployment(const std::string& name, const std::string& image, const std::vector<std::string>& nodes, const std::string& spec = "") {
  std::string pod_spec = spec + "containers: [{name: c, image: " + image + ", resources: {requests: {cpu: 1500m, memory: 1Gi}}}]";
  std::string text = "{kind: Deployment, apiVersion: apps/v1, metadata: {name: " + name + ", namespace: s}, spec: {replicas: 1, selector: {matchLabels: {app: " + name + "}}, template: {metadata: {labels: {app: " + name +
                     "}}, spec: {" + pod_spec + "}}}}\n---\n";
  for (size_t i = 0; i < nodes.size(); ++i) {
    text += "{kind: Pod, metadata: {name: " + name + "-h-" + std::to_string(i) + ", namespace: s, labels: {app: " + name + ", pod-template-hash: h}, ownerReferences: [{kind: ReplicaSet, apiVersion: apps/v1, name: " + name +
            "-h, uid: u, controller: true}]}, spec: {nodeName: " + nodes[i] + ", " + pod_spec + "}}\n---\n";
  }
  return text;
}

Result<MigrationPlan> plan(const std::string& text, PlanOptions options = {}, const std::string& more_prices = "") {
  Inventory inventory;
  auto documents = parse_yaml_documents(text);
  EXPECT_TRUE(documents.ok()) << documents.error().message;
  for (const YamlDocument& document : *documents) inventory.add(document.value);
  inventory.settle();
  ImageKnowledge images;
  images.truths = *parse_truths(kTruths);
  PriceTable prices = PriceTable::shipped();
  EXPECT_TRUE(prices.add("cloud,region,instance_type,usd_per_hour_on_demand\n" + more_prices).ok());
  return make_plan(inventory, Profile(), images, prices, {}, options);
}

const PlanWorkload& find(const MigrationPlan& plan, const std::string& name) {
  for (const PlanWorkload& each : plan.workloads) {
    if (each.name == name) return each;
  }
  static const PlanWorkload none;
  ADD_FAILURE() << "no " << name;
  return none;
}

PlanOptions with_type(const std::string& type) {
  PlanOptions options;
  options.types = {type};
  return options;
}

// Two m6i.xlarge at 0.192 $: 280.32 a month. Four pods of 1.5 cores need two m7g.xlarge (3.92 cores): 2 * 0.1632 * 730 = 238.27.
TEST(Plan, CountsASaving) {
  auto result = plan(node("n1", "m6i.xlarge") + node("n2", "m6i.xlarge") + deployment("web", "multi", {"n1", "n1", "n2", "n2"}), with_type("m7g.xlarge"));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(usd(result->today.nano_per_month), "280.32");
  ASSERT_EQ(result->groups.size(), 1u);
  EXPECT_EQ(result->groups[0].count, 2);
  EXPECT_EQ(usd(result->tomorrow.nano_per_month), "238.27");
  EXPECT_EQ(result->removed_nodes, (std::vector<std::string>{"n1", "n2"}));
  EXPECT_TRUE(result->unplaced.empty());
  ASSERT_EQ(result->steps.size(), 5u);
  EXPECT_EQ(usd(result->steps[3].after), "518.59");  // both for a while
  EXPECT_EQ(usd(result->steps[4].after), "238.27");
  EXPECT_EQ(result->steps[1].patches[0].command,
            "kubectl -n s patch deployment web --type json -p '[{\"op\":\"add\",\"path\":\"/spec/template/spec/tolerations\",\"value\":[{\"key\":\"arch\",\"operator\":\"Equal\",\"value\":\"arm64\",\"effect\":\"NoSchedule\"}]}]'");
}

TEST(Plan, FillsNodesThatAreThereFirst) {
  std::string arm = "{kind: Node, metadata: {name: arm, labels: {kubernetes.io/arch: arm64, kubernetes.io/os: linux, kubernetes.io/hostname: arm, node.kubernetes.io/instance-type: m7g.xlarge, "
                    "topology.kubernetes.io/region: us-east-1}}, spec: {taints: [{key: arch, value: arm64, effect: NoSchedule}]}, status: {allocatable: {cpu: 3920m, memory: 14Gi, pods: '58'}}}\n---\n";
  auto fits = plan(arm + node("n1", "m6i.xlarge") + deployment("web", "multi", {"n1", "n1"}), with_type("m7g.xlarge"));
  ASSERT_TRUE(fits.ok()) << fits.error().message;
  ASSERT_EQ(fits->groups.size(), 1u);
  EXPECT_EQ(fits->groups[0].count, 0);
  EXPECT_EQ(fits->removed_nodes, std::vector<std::string>{"n1"});
  EXPECT_EQ(fits->saving(), fits->today.nano_per_month - fits->tomorrow.nano_per_month);
  EXPECT_EQ(usd(fits->tomorrow.nano_per_month), "119.14");  // the m7g.xlarge that is paid today, too
  std::vector<std::string> steps;
  for (const PlanStep& step : fits->steps) steps.push_back(step.name);
  EXPECT_EQ(steps, (std::vector<std::string>{"tolerations", "move", "remove"}));
  // Two of four fit there; the others need one more.
  auto more = plan(arm + node("n1", "m6i.xlarge") + node("n2", "m6i.xlarge") + deployment("web", "multi", {"n1", "n1", "n2", "n2"}), with_type("m7g.xlarge"));
  ASSERT_TRUE(more.ok()) << more.error().message;
  EXPECT_EQ(more->groups.at(0).count, 1);
  EXPECT_EQ(more->steps.size(), 5u);
}

TEST(Plan, SaysWhereArmIsDearer) {
  PlanOptions options = with_type("t2a-standard-4");
  auto result = plan(node("n1", "e2-standard-4", "us-central1") + deployment("web", "multi", {"n1", "n1"}), options);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_LT(result->saving(), 0);
  EXPECT_LT(result->pairs.at(0).saving(), 0);
  EXPECT_NE(plan_text(*result).find("arm64 is dearer here: moving costs $14.58 a month more"), std::string::npos) << plan_text(*result);
}

TEST(Plan, ImagesInTheWayAreNamed) {
  auto result = plan(node("n1", "m6i.xlarge") + deployment("web", "multi", {"n1"}) + deployment("old", "single", {"n1"}) + deployment("lie", "liar", {}) + deployment("odd", "unheard", {"n1"}), with_type("m7g.xlarge"));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(find(*result, "Deployment s/web").state, PlanWorkload::State::Moves);
  EXPECT_EQ(find(*result, "Deployment s/old").state, PlanWorkload::State::Blocked);
  EXPECT_EQ(find(*result, "Deployment s/odd").reasons[0], "image unheard: nothing is known of it");
  EXPECT_TRUE(result->removed_nodes.empty());
  EXPECT_TRUE(result->blocked_saving);
}

TEST(Plan, WhatStaysAndWhy) {
  std::string bare = "{kind: Pod, metadata: {name: bare, namespace: s}, spec: {nodeName: n1, containers: [{name: c, image: multi}]}}\n---\n";
  auto result = plan(node("n1", "m6i.xlarge") + bare + deployment("typed", "multi", {"n1"}, "nodeSelector: {node.kubernetes.io/instance-type: m6i.xlarge}, "), with_type("m7g.xlarge"));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(find(*result, "Pod s/bare").state, PlanWorkload::State::Stays);
  EXPECT_EQ(find(*result, "Deployment s/typed").reasons[0], "it asks for a machine type by name");
  EXPECT_TRUE(result->groups.empty());
}

TEST(Plan, SelectorsForAmd64AreRewrittenAndGroupLabelsKept) {
  std::string spec =
      "nodeSelector: {kubernetes.io/arch: amd64, pool: web}, tolerations: [{key: a, operator: Exists}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: "
      "[{key: kubernetes.io/arch, operator: In, values: [amd64]}]}]}}}, ";
  auto result = plan(node("n1", "m6i.xlarge", "us-east-1", ", pool: web") + deployment("web", "multi", {"n1"}, spec), with_type("m7g.xlarge"));
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->unplaced.empty());
  EXPECT_EQ(*result->groups.at(0).labels.find("pool"), "web");
  const PlanWorkload& web = find(*result, "Deployment s/web");
  EXPECT_EQ(to_json(web.tolerate->patch), R"([{"op":"add","path":"/spec/template/spec/tolerations/-","value":{"key":"arch","operator":"Equal","value":"arm64","effect":"NoSchedule"}}])");
  EXPECT_EQ(to_json(web.move->patch),
            R"([{"op":"add","path":"/spec/template/spec/nodeSelector/kubernetes.io~1arch","value":"arm64"},{"op":"replace","path":"/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms","value":[{"matchExpressions":[{"key":"kubernetes.io/arch","operator":"In","values":["amd64","arm64"]}]}]}])");
}

TEST(Plan, UnknownPricesAreNamedNeverGuessed) {
  auto result = plan(node("n1", "m6i.xlarge") + node("n2", "z99.huge") + deployment("web", "multi", {"n1"}), with_type("m7g.xlarge"));
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result->complete());
  EXPECT_EQ(result->today.unpriced, (std::vector<std::string>{"aws us-east-1 z99.huge (1 node)"}));
  EXPECT_EQ(usd(result->today.nano_per_month), "140.16");
  auto priced = plan(node("n1", "m6i.xlarge") + node("n2", "z99.huge") + deployment("web", "multi", {"n1"}), with_type("m7g.xlarge"), "aws,us-east-1,z99.huge,1\n");
  EXPECT_EQ(usd(priced->today.nano_per_month), "870.16");
}

TEST(Plan, TheCheapestCandidateIsTaken) {
  auto result = plan(node("n1", "m6i.xlarge") + deployment("web", "multi", {"n1", "n1"}));
  ASSERT_TRUE(result.ok());
  // c6g.xlarge at 0.136 holds both; two c6g.large cost the same and are more nodes; t4g is burstable.
  EXPECT_EQ(result->groups.at(0).type, "c6g.xlarge");
  EXPECT_EQ(result->groups.at(0).count, 1);
}

TEST(Plan, NeedsNodesAndCandidates) {
  EXPECT_FALSE(plan(deployment("web", "multi", {})).ok());
  EXPECT_FALSE(plan(node("n1", "m6i.xlarge"), with_type("m7i.xlarge")).ok());
  // A region without prices: nodes are planned, and no saving is claimed.
  auto unpriced = plan(node("n1", "m6i.xlarge", "mars-1") + deployment("web", "multi", {"n1", "n1"}));
  ASSERT_TRUE(unpriced.ok());
  EXPECT_EQ(unpriced->groups.at(0).count, 1);
  EXPECT_FALSE(unpriced->complete());
  EXPECT_TRUE(plan_text(*unpriced).ends_with("what it saves cannot be told: prices are missing\n")) << plan_text(*unpriced);
  EXPECT_TRUE(plan_json(*unpriced)["savingUsdPerMonth"].is_null());
}

}  // namespace
}  // namespace archway::scheduler
