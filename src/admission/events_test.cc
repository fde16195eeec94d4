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
  EXPECT_EQ(events()[0]["count"].integer(), 1);
}

TEST_F(EventsTest, AStormIsCutOff) {
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
