#include "admission/gate_controller.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "admission/fake_cluster_fixture.h"
#include "admission/names.h"

namespace archway::admission {
namespace {

using testing::FakeCluster;
using namespace std::chrono_literals;

class GateTest : public ::testing::Test {
 protected:
  GateTest() {
    truth_.platforms = {*parse_platform("linux/arm64")};
    options_.monotonic = [this] { return now_.load(); };
    options_.ask = [this](const std::string&, const Json&, const std::vector<std::string>& images, std::stop_token) {
      asked_++;
      ImageAnswers answers;
      for (const std::string& image : images) {
        ImageAnswer answer;
        answer.code = code_;
        answer.why = "down";
        if (known_) answer.truth = &truth_;
        answers.emplace(image, answer);
      }
      return answers;
    };
  }
  Json gated(const std::string& name, const std::string& more_gates = "") {
    cluster_->put(kube::resources::pods(), "shop",
                  *parse_json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop","name":")" + name + R"("},"spec":{"containers":[{"name":"c","image":"app:1"}],"schedulingGates":[)" +
                              more_gates + R"({"name":")" + std::string(kGate) + R"("}]}})"));
    return pod(name);
  }
  Json pod(const std::string& name) { return cluster_->at(kube::resources::pods(), "shop", name); }
  std::string terms(const std::string& name) { return to_json(pod(name)["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]); }

  using Step = GateController::Step;
  std::shared_ptr<FakeCluster> cluster_ = std::make_shared<FakeCluster>();
  GateControllerOptions options_;
  ImageTruth truth_;
  bool known_ = true;
  Code code_ = Code::Unavailable;
  std::atomic<int> asked_ = 0;
  std::atomic<std::chrono::milliseconds> now_ = 0ms;
};

TEST_F(GateTest, GivesThePodWhatItWouldHaveGotAndLiftsOurGateOnly) {
  GateController controller(cluster_, options_);
  EXPECT_EQ(controller.attend(gated("web", R"({"name":"theirs"},)"), false, {}), Step::Done);
  EXPECT_EQ(to_json(pod("web")["spec"]["schedulingGates"]), R"([{"name":"theirs"}])");
  EXPECT_NE(terms("web").find(R"("values":["arm64"])"), std::string::npos) << terms("web");
  EXPECT_EQ(controller.counters().changed, 1u);
}

TEST_F(GateTest, WaitsForARegistryUntilPatienceEnds) {
  known_ = false;
  GateController controller(cluster_, options_);
  Json web = gated("web");
  EXPECT_EQ(controller.attend(web, false, {}), Step::Again);
  EXPECT_TRUE(has_our_gate(pod("web")));
  EXPECT_EQ(controller.attend(web, true, {}), Step::Done);
  EXPECT_FALSE(has_our_gate(pod("web")));
  EXPECT_EQ(terms("web"), "null");
  EXPECT_EQ(controller.counters().gave_up, 1u);
}

TEST_F(GateTest, AnImageThatIsNotThereIsNotWaitedFor) {
  known_ = false;
  code_ = Code::NotFound;
  GateController controller(cluster_, options_);
  EXPECT_EQ(controller.attend(gated("web"), false, {}), Step::Done);
  EXPECT_FALSE(has_our_gate(pod("web")));
}

TEST_F(GateTest, LiftsTheGateWhereTheServerWillNotHaveTheChange) {
  std::atomic<int> patches = 0;
  cluster_->fail = [&](const std::string& verb, const std::string&) -> std::optional<Error> {
    if (verb == "PATCH" && ++patches == 1) return Error{Code::Invalid, "422 spec: Forbidden"};
    return std::nullopt;
  };
  GateController controller(cluster_, options_);
  EXPECT_EQ(controller.attend(gated("web"), false, {}), Step::Done);
  EXPECT_FALSE(has_our_gate(pod("web")));
  EXPECT_EQ(terms("web"), "null");
}

TEST_F(GateTest, APodThatChangedMeanwhileIsLookedAtAgain) {
  GateController controller(cluster_, options_);
  Json old = gated("web");
  Json changed = old;
  Json spec = changed["spec"];
  spec.set("schedulingGates", *parse_json(R"([{"name":"new"},{"name":")" + std::string(kGate) + R"("}])"));
  changed.set("spec", spec);
  cluster_->put(kube::resources::pods(), "shop", changed);
  EXPECT_EQ(controller.attend(old, false, {}), Step::Again) << "our gate is not where it was";
  EXPECT_EQ(to_json(pod("web")["spec"]["schedulingGates"]), R"([{"name":"new"},{"name":")" + std::string(kGate) + R"("}])");
  EXPECT_EQ(controller.attend(pod("web"), false, {}), Step::Done);
  EXPECT_EQ(to_json(pod("web")["spec"]["schedulingGates"]), R"([{"name":"new"}])");
}

TEST_F(GateTest, OneThatIsGoneOrMadeAnewIsLeft) {
  GateController controller(cluster_, options_);
  Json old = gated("web");
  ASSERT_TRUE(cluster_->remove(kube::resources::pods(), "shop", "web", {}).ok());
  EXPECT_EQ(controller.attend(old, false, {}), Step::Done);
  gated("web");
  EXPECT_EQ(controller.attend(old, false, {}), Step::Done) << "another uid";
  EXPECT_TRUE(has_our_gate(pod("web")));
}

TEST_F(GateTest, AnUnreachableServerIsAskedAgain) {
  cluster_->fail = [](const std::string& verb, const std::string&) { return verb == "PATCH" ? std::optional(Error{Code::Unavailable, "down"}) : std::nullopt; };
  GateController controller(cluster_, options_);
  EXPECT_EQ(controller.attend(gated("web"), true, {}), Step::Again);
  EXPECT_EQ(controller.counters().errors, 1u);
}

TEST_F(GateTest, TakesCareOfAllThatAreThereAndAllThatCome) {
  gated("one");
  cluster_->put(kube::resources::pods(), "shop", *parse_json(R"({"metadata":{"namespace":"shop","name":"free"},"spec":{}})"));
  GateController controller(cluster_, options_);
  std::stop_source stop;
  std::jthread running([&] { EXPECT_TRUE(controller.run(stop.get_token()).ok()); });
  auto lifted = [&](const std::string& name) {
    auto found = cluster_->objects.find("/api/v1/namespaces/shop/pods/" + name);
    return found != cluster_->objects.end() && !has_our_gate(found->second);
  };
  cluster_->wait_until([&] { return lifted("one"); });
  gated("two");
  cluster_->wait_until([&] { return lifted("two"); });
  stop.request_stop();
  running.join();
  EXPECT_EQ(asked_, 2);
  EXPECT_EQ(controller.counters().waiting, 0u);
}

// A controller that starts again does not begin to wait anew.
TEST_F(GateTest, PatienceCountsFromThePodsCreation) {
  class Then final : public Clock {
   public:
    Time now() override { return *parse_rfc3339("2026-11-23T03:05:00Z"); }
  } clock;
  options_.clock = &clock;
  options_.patience = 5min;
  options_.workers = 1;
  known_ = false;
  cluster_->put(kube::resources::pods(), "shop", *parse_json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop","name":"old","creationTimestamp":"2026-11-23T03:00:00Z"},"spec":{"containers":[{"name":"c","image":"app:1"}],"schedulingGates":[{"name":")" + std::string(kGate) + R"("}]}})"));
  GateController controller(cluster_, options_);
  std::jthread running([&](std::stop_token stop) { EXPECT_TRUE(controller.run(stop).ok()); });
  cluster_->wait_until([&] {
    auto found = cluster_->objects.find("/api/v1/namespaces/shop/pods/old");
    return !has_our_gate(found->second);
  });
}

}  // namespace
}  // namespace archway::admission
