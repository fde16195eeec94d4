#include "scheduler/inventory.h"

#include <gtest/gtest.h>

namespace archway::scheduler {
namespace {

Inventory read(std::string_view text, std::string* error = nullptr) {
  Inventory inventory;
  MemorySource source(text);
  auto added = add_json(inventory, source);
  if (!added.ok() && error) *error = std::string(code_name(added.error().code)) + ": " + added.error().message;
  EXPECT_EQ(added.ok(), error == nullptr);
  inventory.settle();
  return inventory;
}

std::string pod(const std::string& name, const std::string& rest = "") {
  return R"({"metadata":{"name":")" + name + R"(","managedFields":[{"a":"}"}]},"spec":{"containers":[{"name":"c","image":"i","env":[{"name":"x"}]}]})" + rest + "}";
}

TEST(Inventory, ReadsMixedTypedAndNestedLists) {
  Inventory inventory = read(R"({"kind":"List","items":[{"kind":"Node","metadata":{"name":"n"}},{"kind":"PodList","items":[)" + pod("nested") + "]}," +
                             R"({"kind":"ConfigMap","metadata":{"name":"c"},"data":{"k":"v"}}]} {"kind":"PodList","items":[)" + pod("typed") + R"(]} [{"kind":"Namespace","metadata":{"name":"x"}}])");
  ASSERT_EQ(inventory.pods.size(), 2u);
  EXPECT_EQ(inventory.pods[0].meta.key(), "default/nested");
  EXPECT_EQ(inventory.pods[1].meta.key(), "default/typed");
  EXPECT_EQ(inventory.nodes.size(), 1u);
  EXPECT_TRUE(inventory.objects.namespaces.contains("x"));
  EXPECT_TRUE(inventory.problems.empty());
}

TEST(Inventory, NamesWhatIsBrokenAndKeepsTheRest) {
  Inventory inventory = read(R"({"kind":"PodList","items":[)" + pod("a") + R"(,{"metadata":{"name":"b"},"spec":{"containers":[]}},{"metadata":{"name":7}},)" + pod("c") + "]}");
  ASSERT_EQ(inventory.pods.size(), 2u);
  ASSERT_EQ(inventory.problems.size(), 2u);
  EXPECT_EQ(inventory.problems[0].object, "Pod b");
  EXPECT_EQ(inventory.problems[0].message, "spec: containers: must not be empty");
}

TEST(Inventory, CountsWhatCameBeforeATruncation) {
  std::string error;
  std::string text = R"({"kind":"PodList","items":[)" + pod("a") + "," + pod("b");
  Inventory inventory = read(std::string_view(text).substr(0, text.size() - 2), &error);
  ASSERT_EQ(inventory.pods.size(), 1u);
  EXPECT_TRUE(error.starts_with("mismatch: line 1, byte ")) << error;
}

TEST(Inventory, LetsEqualPodsShareASpecification) {
  Inventory inventory = read(R"({"kind":"PodList","items":[)" + pod("a") + "," + pod("b", R"(,"status":{"phase":"Running"})") + "]}");
  ASSERT_EQ(inventory.pods.size(), 2u);
  EXPECT_EQ(inventory.pods[0].spec, inventory.pods[1].spec);
}

// What a stream skips, placement does not read: both ways give the same cluster.
TEST(Inventory, ReadsTheSameAsAWholeDocument) {
  std::string text = R"({"kind":"List","items":[
    {"kind":"Pod","metadata":{"name":"a","labels":{"x":"y"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"u","controller":true}]},
     "spec":{"nodeName":"n","priority":7,"containers":[{"name":"c","image":"i","command":["x"],"resources":{"requests":{"cpu":"1500m"},"limits":{"memory":"1Gi"}},
       "ports":[{"hostPort":80,"containerPort":80}]}],"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"p"}},{"name":"w","emptyDir":{}}]},
     "status":{"phase":"Running","startTime":"2026-01-02T03:04:05Z","conditions":[{"type":"DisruptionTarget","status":"True","reason":"PreemptionByScheduler"}],
       "containerStatuses":[{"name":"c","state":{"running":{}},"resources":{"requests":{"cpu":"2"}},"allocatedResources":{"cpu":"2"}}]}},
    {"kind":"PersistentVolumeClaim","metadata":{"name":"p","annotations":{"pv.kubernetes.io/bind-completed":"yes","kubectl.kubernetes.io/last-applied-configuration":"{}"}},
     "spec":{"volumeName":"v"}},
    {"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},
     "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i","env":[]}]}}}},
    {"kind":"Node","metadata":{"name":"n"},"status":{"allocatable":{"cpu":"4"},"images":[{"names":["i:latest"],"sizeBytes":5}],"nodeInfo":{}}}]})";
  Inventory streamed = read(text), whole;
  whole.add(*parse_json(text));
  whole.settle();
  ASSERT_EQ(streamed.pods.size(), 1u);
  const Pod &a = streamed.pods[0], &b = whole.pods[0];
  EXPECT_EQ(*a.spec, *b.spec);
  EXPECT_EQ(a.requests, b.requests);
  EXPECT_EQ(a.meta.labels, b.meta.labels);
  EXPECT_EQ(a.meta.owners, b.meta.owners);
  EXPECT_TRUE(a.preempted && b.preempted);
  EXPECT_EQ(a.requests.real.milli_cpu, 2000);
  EXPECT_TRUE(streamed.objects.claims.at("default/p").bound);
  EXPECT_EQ(streamed.workloads.at(0).pod->spec->containers, whole.workloads.at(0).pod->spec->containers);
  EXPECT_EQ(streamed.nodes.at(0).images.at(0).names, whole.nodes.at(0).images.at(0).names);
  EXPECT_TRUE(streamed.problems.empty() && whole.problems.empty());
}

}  // namespace
}  // namespace archway::scheduler
