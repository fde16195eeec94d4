#include "scheduler/karpenter.h"

#include <gtest/gtest.h>

#include "format/yaml.h"
#include "scheduler/autoscaler_input.h"
#include "scheduler/autoscaler_run.h"

namespace archway::scheduler {
namespace {

AutoscalerRun run(const std::string& text) {
  static const PriceTable prices = PriceTable::shipped();
  AutoscalerInput input;
  auto documents = parse_yaml_documents(text);
  EXPECT_TRUE(documents.ok()) << documents.error().message;
  for (const YamlDocument& document : *documents) input.add(document.value, &document.marks, "t");
  input.settle(prices);
  World world(std::move(input.inventory), Profile());
  return run_karpenter(world, input.node_pools, karpenter_offers(prices, "aws", "us-east-1", {"us-east-1a"}), {});
}

std::string pool(const std::string& name, const std::string& requirements, const std::string& spec = "", const std::string& of_template = "") {
  return "{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: " + name + "}, spec: {" + spec + "template: {spec: {" + of_template + "requirements: [" + requirements + "]}}}}\n---\n";
}
const std::string kArm = "{key: kubernetes.io/arch, operator: In, values: [arm64]}", kX86 = "{key: kubernetes.io/arch, operator: In, values: [amd64]}";
const std::string kC = "{key: karpenter.k8s.aws/instance-category, operator: In, values: [c]}, {key: karpenter.k8s.aws/instance-generation, operator: Lt, values: ['7']}";
std::string pod(const std::string& name, const std::string& spec = "", const std::string& cpu = "1") {
  return "{kind: Pod, metadata: {name: " + name + ", namespace: d}, spec: {" + spec + "containers: [{name: c, image: i, resources: {requests: {cpu: " + cpu + ", memory: 1Gi}}}]}}\n---\n";
}

// Without a requirement the cheapest wins: c6g.large 0.068 < c6a.large 0.0765 < c5.large 0.085 (us-east-1).
TEST(Karpenter, WithoutAnArchitectureTheCheapestIsStarted) {
  AutoscalerRun both = run(pool("any", kC) + pod("p"));
  ASSERT_EQ(both.provisioned.claims.size(), 1u);
  EXPECT_EQ(both.provisioned.claims[0].offer.machine.type, "c6g.large");
  AutoscalerRun x86 = run(pool("any", kC + ", " + kX86) + pod("p"));
  EXPECT_EQ(x86.provisioned.claims[0].offer.machine.type, "c6a.large");
}

TEST(Karpenter, TheHeavierPoolComesFirstAndTiesGoToTheLastName) {
  EXPECT_EQ(run(pool("a", kX86, "weight: 10, ") + pool("b", kArm, "weight: 50, ") + pod("p")).provisioned.claims[0].pool, "b");
  EXPECT_EQ(run(pool("a", kX86) + pool("b", kArm) + pod("p")).provisioned.claims[0].pool, "b");
  EXPECT_EQ(run(pool("z", kX86) + pool("b", kArm) + pod("p")).provisioned.claims[0].pool, "z");
}

TEST(Karpenter, TaintsAndSelectorsChooseThePool) {
  std::string pools = pool("arm", kArm, "weight: 50, ", "taints: [{key: arch, value: arm64, effect: NoSchedule}], ") + pool("x86", kX86, "weight: 10, ");
  EXPECT_EQ(run(pools + pod("p")).provisioned.claims[0].pool, "x86");
  EXPECT_EQ(run(pools + pod("p", "tolerations: [{key: arch, operator: Exists}], ")).provisioned.claims[0].pool, "arm");
  AutoscalerRun stuck = run(pools + pod("p", "nodeSelector: {kubernetes.io/arch: arm64}, "));
  ASSERT_EQ(stuck.pending.size(), 1u);
  EXPECT_EQ(stuck.pending[0].second, "arm: it does not tolerate arch=arm64:NoSchedule; x86: no type that the pool allows is what it asks for");
}

// Of several required terms only the first counts, until nothing satisfies it.
TEST(Karpenter, RelaxesTermByTerm) {
  std::string affinity =
      "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [s390x]}]},"
      "{matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64]}]}]}}}, ";
  AutoscalerRun result = run(pool("any", kC) + pod("p", affinity));
  ASSERT_EQ(result.provisioned.claims.size(), 1u);
  EXPECT_EQ(result.provisioned.claims[0].offer.machine.type, "c6a.large");
  EXPECT_EQ(result.provisioned.relaxed.size(), 1u);
}

TEST(Karpenter, APreferenceCountsAsRequiredWhereItCanBeHad) {
  std::string prefers = "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64]}]}}]}}, ";
  EXPECT_EQ(run(pool("any", kC) + pod("p", prefers)).provisioned.claims[0].offer.machine.type, "c6a.large");
  EXPECT_EQ(run(pool("any", kC + ", " + kArm) + pod("p", prefers)).provisioned.claims[0].offer.machine.type, "c6g.large");
}

TEST(Karpenter, PodsShareAMachineThatIsLargeEnough) {
  AutoscalerRun result = run(pool("any", kArm + ", " + kC) + pod("a") + pod("b") + pod("c"));
  ASSERT_EQ(result.provisioned.claims.size(), 1u);
  EXPECT_EQ(result.provisioned.claims[0].offer.machine.type, "c6g.xlarge");
  EXPECT_EQ(result.provisioned.claims[0].pods.size(), 3u);
}

TEST(Karpenter, ALimitHolds) {
  AutoscalerRun result = run(pool("any", kArm + ", " + kC + ", {key: karpenter.k8s.aws/instance-cpu, operator: In, values: ['2']}", "limits: {cpu: '2'}, ") + pod("a", "", "1500m") + pod("b", "", "1500m"));
  EXPECT_EQ(result.provisioned.claims.size(), 1u);
  EXPECT_EQ(result.pending.size(), 1u);
}

}  // namespace
}  // namespace archway::scheduler
