#include "admission/events.h"

#include <gtest/gtest.h>

#include "admission/fake_cluster_fixture.h"

namespace archway::admission {
namespace {

using testing::FakeCluster;

class SteppedClock final : public Clock {
 public:
  Time now() override { return time; }
  Time time = Time::from_seconds(1'800'000'000);
};

class EventsTest : public ::testing::Test {
 protected:
  EventsTest() {
    options_.clock = &clock_;
    options_.host = "pod-1";
  }
  std::vector<Json> events() {
    std::vector<Json> found;
    auto each = [&](Json object) -> Result<void> {
      found.push_back(std::move(object));
      return {};
    };
    EXPECT_TRUE(cluster_->list(kube::resources::events(), "", {}, each, {}).ok());
    return found;
  }
  const ObjectReference kPod = {"v1", "Pod", "shop", "web-1", "u1", "7"};
  std::shared_ptr<FakeCluster> cluster_ = std::make_shared<FakeCluster>();
  SteppedClock clock_;
  EventRecorderOptions options_;
};

TEST_F(EventsTest, SayWhatHappenedToWhom) {
  EventRecorder recorder(cluster_, options_);
  recorder.record(kPod, EventType::Warning, "ExecFormatError", "no");
  recorder.drain();
  ASSERT_EQ(events().size(), 1u);
  Json event = events()[0];
  EXPECT_EQ(event["metadata"]["namespace"].string(), "shop");
  EXPECT_EQ(to_json(event["involvedObject"]), R"({"apiVersion":"v1","kind":"Pod","name":"web-1","uid":"u1","namespace":"shop","resourceVersion":"7"})");
  EXPECT_EQ(event["type"].string() + event["reason"].string() + event["message"].string(), "WarningExecFormatErrorno");
  EXPECT_EQ(to_json(event["source"]), R"({"component":"archway-admission","host":"pod-1"})");
  EXPECT_EQ(event["count"].integer(), 1);
  EXPECT_EQ(event["firstTimestamp"].string(), "2027-01-15T08:00:00Z");
}

TEST_F(EventsTest, AreCountedUpRatherThanRepeated) {
  EventRecorder recorder(cluster_, options_);
  for (int i = 0; i < 3; i++) {
    recorder.record(kPod, EventType::Normal, "Same", "thing");
    recorder.drain();
    clock_.time.nanoseconds += 1'000'000'000;
  }
  recorder.record(kPod, EventType::Normal, "Same", "other thing");
  recorder.drain();
  auto all = events();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["count"].integer(), 3);
  EXPECT_EQ(all[0]["lastTimestamp"].string(), "2027-01-15T08:00:02Z");
}

TEST_F(EventsTest, OneThatTheClusterForgotIsMadeAnew) {
  EventRecorder recorder(cluster_, options_);
  recorder.record(kPod, EventType::Normal, "Same", "thing");
  recorder.drain();
  ASSERT_TRUE(cluster_->remove(kube::resources::events(), "shop", events()[0]["metadata"]["name"].string(), {}).ok());
  recorder.record(kPod, EventType::Normal, "Same", "thing");
  recorder.drain();
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(events()[0]["count"].integer(), 2) << "it happened twice, all the same";
}

TEST_F(EventsTest, AStormOnOneObjectIsCutOff) {
  options_.burst = 2;
  EventRecorder recorder(cluster_, options_);
  for (int i = 0; i < 5; i++) recorder.record(kPod, EventType::Normal, "R" + std::to_string(i), "m");
  recorder.drain();
  EXPECT_EQ(events().size(), 2u);
  EXPECT_EQ(recorder.dropped(), 3u);
  clock_.time.nanoseconds += std::chrono::nanoseconds(options_.refill).count();
  recorder.record(kPod, EventType::Normal, "R9", "m");
  recorder.drain();
  EXPECT_EQ(events().size(), 3u);
  ObjectReference other = kPod;
  other.name = "web-2";
  recorder.record(other, EventType::Normal, "R9", "m");
  recorder.drain();
  EXPECT_EQ(events().size(), 4u) << "another object has its own share";
}

TEST_F(EventsTest, AThousandOfTheSameAreAFewWrites) {
  EventRecorder recorder(cluster_, options_);
  for (int i = 0; i < 1000; i++) recorder.record(kPod, EventType::Warning, "R", "m");
  recorder.drain();
  // The first may be on its way while the others come; these wait for the next write.
  EXPECT_LE(cluster_->count("POST ") + cluster_->count("PATCH "), 2u);
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(events()[0]["count"].integer(), 1000);
}

TEST_F(EventsTest, AlikeOnesAreCombined) {
  options_.max_alike = 3;
  EventRecorder recorder(cluster_, options_);
  for (int i = 0; i < 10; i++) {
    recorder.record(kPod, EventType::Warning, "R", "image " + std::to_string(i));
    recorder.drain();
  }
  auto all = events();
  ASSERT_EQ(all.size(), 4u);
  auto combined = std::find_if(all.begin(), all.end(), [](const Json& event) { return event["message"].string().starts_with("(combined"); });
  ASSERT_NE(combined, all.end());
  EXPECT_EQ((*combined)["message"].string(), "(combined from similar events): image 9");
  EXPECT_EQ((*combined)["count"].integer(), 7);
  clock_.time.nanoseconds += std::chrono::nanoseconds(options_.alike_for).count() + 1;
  recorder.record(kPod, EventType::Warning, "R", "image 10");
  recorder.drain();
  EXPECT_EQ(events().size(), 5u) << "after a while each is told again";
}

TEST_F(EventsTest, ThePodThatWasBeingCreatedIsLookedUp) {
  EventRecorder recorder(cluster_, options_);
  cluster_->put(kube::resources::pods(), "shop", *parse_json(R"({"metadata":{"namespace":"shop","name":"web-1","uid":"real"}})"));
  ObjectReference about = {"v1", "Pod", "shop", "web-1", ""};
  about.find_uid = true;
  recorder.record(about, EventType::Warning, "R", "m");
  about.name = "gone";
  recorder.record(about, EventType::Warning, "R", "m");
  recorder.drain();
  std::set<std::string> involved;
  for (const Json& event : events()) involved.insert(to_json(event["involvedObject"]));
  EXPECT_EQ(involved, (std::set<std::string>{R"({"apiVersion":"v1","kind":"Pod","name":"web-1","uid":"real","namespace":"shop"})", R"({"apiVersion":"v1","kind":"Pod","name":"gone","namespace":"shop"})"}));
}

TEST_F(EventsTest, MemoryAndQueueHaveLimits) {
  options_.max_queue = options_.max_remembered = 8;
  cluster_->fail = [](const std::string&, const std::string&) { return std::optional<Error>(Error{Code::Unavailable, "down"}); };
  EventRecorder recorder(cluster_, options_);
  for (int i = 0; i < 1000; i++) recorder.record({"v1", "Pod", "shop", "web-" + std::to_string(i), ""}, EventType::Normal, "R", "m");
  recorder.drain();
  EXPECT_GT(recorder.dropped(), 0u);
  cluster_->fail = {};
  recorder.record(kPod, EventType::Normal, "R", "m");
  recorder.drain();
  EXPECT_EQ(events().size(), 1u);
}

TEST_F(EventsTest, LongMessagesAreCutBetweenCharacters) {
  EventRecorder recorder(cluster_, options_);
  std::string message(kMaxEventMessageBytes - 4, 'x');
  recorder.record(kPod, EventType::Normal, "R", message + "xxxx");
  recorder.record(kPod, EventType::Normal, "R", message + "\xc3\xa9\xc3\xa9\xc3\xa9");
  recorder.drain();
  std::set<std::string> said;
  for (const Json& event : events()) said.insert(event["message"].string());
  EXPECT_EQ(said, (std::set<std::string>{message + "xxxx", message + "..."}));
}

TEST_F(EventsTest, WhatIsQueuedGoesOutAtTheEnd) {
  {
    EventRecorder recorder(cluster_, options_);
    for (int i = 0; i < 10; i++) recorder.record(kPod, EventType::Normal, "R" + std::to_string(i), "m");
  }
  EXPECT_EQ(events().size(), 10u);
}

}  // namespace
}  // namespace archway::admission
