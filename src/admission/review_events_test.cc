#include "admission/review_events.h"

#include <gtest/gtest.h>

#include "admission/fake_cluster_fixture.h"
#include "admission/node_places.h"

namespace archway::admission {
namespace {

using testing::FakeCluster;

ReviewRequest request_of(const std::string& metadata, const std::string& operation = "CREATE") {
  ReviewRequest request;
  request.operation = operation;
  request.kind = "Pod";
  request.name_space = "shop";
  request.object = *parse_json(R"({"metadata":)" + metadata + "}");
  return request;
}

std::string about(const ReviewRequest& request, bool refused = false) {
  ObjectReference reference = about_review(request, refused);
  EXPECT_EQ(reference.name_space, "shop");
  return reference.api_version + " " + reference.kind + " " + reference.name + " " + reference.uid + (reference.find_uid ? "?" : "");
}

constexpr const char* kOwned = R"({"generateName":"web-","ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n","uid":"u0"},{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-5d","uid":"u1","controller":true}]})";

TEST(ReviewEvents, AreAboutWhatIsThere) {
  EXPECT_EQ(about(request_of(R"({"name":"web"})")), "v1 Pod web ?");
  EXPECT_EQ(about(request_of(R"({"name":"web","uid":"u7"})", "UPDATE")), "v1 Pod web u7");
  EXPECT_EQ(about(request_of(kOwned)), "apps/v1 ReplicaSet web-5d u1");
  EXPECT_EQ(about(request_of(R"({"generateName":"web-"})")), "v1 Namespace shop ");
  // A pod that is refused will never be there.
  EXPECT_EQ(about(request_of(R"({"name":"web"})"), true), "v1 Pod web ");
  EXPECT_EQ(about(request_of(R"({"name":"web-0","ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"web","uid":"u2","controller":true}]})"), true), "apps/v1 StatefulSet web u2");
  EXPECT_EQ(about(request_of(R"({"name":"web","uid":"u7"})", "UPDATE"), true), "v1 Pod web u7");
  ReviewRequest deployment = request_of(R"({"name":"web"})");
  deployment.kind = "Deployment";
  deployment.group = "apps";
  EXPECT_EQ(about(deployment), "apps/v1 Deployment web ");
}

TEST(ReviewEvents, TellOfWhatIsBadForThePodOnceEach) {
  auto cluster = std::make_shared<FakeCluster>();
  EventRecorder recorder(cluster, {});
  ReviewRequest request = request_of(kOwned);
  Decision decision;
  decision.summary = "summary";
  auto told = [&](Outcome outcome) {
    decision.outcome = outcome;
    for (int i = 0; i < 3; ++i) tell_of_review(recorder, request, decision);
    recorder.drain();
    std::vector<std::string> found;
    auto each = [&](Json event) -> Result<void> {
      found.push_back(event["type"].string() + " " + event["reason"].string() + " " + event["message"].string() + " " + std::to_string(event["count"].integer()));
      return {};
    };
    EXPECT_TRUE(cluster->list(kube::resources::events(), "", {}, each, {}).ok());
    cluster->objects.clear();
    return found;
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(told(Outcome::Ignored), Words());
  EXPECT_EQ(told(Outcome::Changed), Words());
  EXPECT_EQ(told(Outcome::Unchanged), Words());
  EXPECT_EQ(told(Outcome::Conflict).size(), 1u);
  EXPECT_EQ(told(Outcome::Unknown).size(), 1u);
  request.dry_run = true;
  EXPECT_EQ(told(Outcome::Conflict), Words()) << "a dry run has no side effects";
  request.dry_run = false;
  decision.warnings = {"archway: not looked at, since a: b", "archway: c"};
  std::vector<std::string> gated = told(Outcome::Gated);
  ASSERT_EQ(gated.size(), 1u);
  EXPECT_EQ(gated[0], "Normal ImagePlatformsAwaited not looked at, since a: b; c 3");
  decision.refusal = "archway: no";
  std::vector<std::string> refused = told(Outcome::Refused);
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0], "Warning ImagePlatformsDenied no 3");
}

TEST(NodePlaces, AreThoseOfLabelsAndElseOfTheKubelet) {
  auto place = [](const char* node) {
    auto found = place_of_node(*parse_json(node));
    return found ? found->str() : "none";
  };
  EXPECT_EQ(place(R"({"metadata":{"labels":{"kubernetes.io/os":"windows","kubernetes.io/arch":"amd64"}},"status":{"nodeInfo":{"operatingSystem":"linux","architecture":"arm64"}}})"), "windows/amd64");
  EXPECT_EQ(place(R"({"metadata":{},"status":{"nodeInfo":{"operatingSystem":"linux","architecture":"arm64"}}})"), "linux/arm64");
  EXPECT_EQ(place(R"({"metadata":{"labels":{"kubernetes.io/os":"linux"}}})"), "none");
}

TEST(NodePlaces, FollowTheCluster) {
  NodePlaces places(nullptr);
  using Type = kube::WatchEvent::Type;
  Json node = *parse_json(R"({"metadata":{"name":"n1","labels":{"kubernetes.io/os":"linux","kubernetes.io/arch":"arm64"}}})");
  EXPECT_FALSE(places.find("n1"));
  places.note({Type::Added, node});
  EXPECT_EQ(places.find("n1")->str(), "linux/arm64");
  places.note({Type::Modified, *parse_json(R"({"metadata":{"name":"n1","labels":{"kubernetes.io/os":"linux","kubernetes.io/arch":"amd64"}}})")});
  EXPECT_EQ(places.find("n1")->str(), "linux/amd64");
  places.note({Type::Deleted, *parse_json(R"({"metadata":{"name":"n1"}})")});
  EXPECT_FALSE(places.find("n1"));
}

}  // namespace
}  // namespace archway::admission
