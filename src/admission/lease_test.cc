#include "admission/lease.h"

#include <gtest/gtest.h>

#include <atomic>

#include "admission/fake_cluster_fixture.h"

namespace archway::admission {
namespace {

using testing::FakeCluster;
using namespace std::chrono_literals;

class LeaseTest : public ::testing::Test {
 protected:
  Lease lease(const std::string& identity) {
    LeaseOptions options;
    options.name_space = "ns";
    options.name = "lead";
    options.identity = identity;
    options.monotonic = [this] { return now_.load(); };
    options.sleep = [this](std::chrono::milliseconds duration, std::stop_token) { slept(duration); };
    return Lease(cluster_, options);
  }
  std::string holder() { return cluster_->at(kube::resources::leases(), "ns", "lead")["spec"]["holderIdentity"].string(); }
  virtual void slept(std::chrono::milliseconds duration) { now_ = now_.load() + duration; }

  std::shared_ptr<FakeCluster> cluster_ = std::make_shared<FakeCluster>();
  std::atomic<std::chrono::milliseconds> now_ = 1'000'000ms;
};

TEST_F(LeaseTest, TheFirstTakesItAndOthersWait) {
  Lease a = lease("a"), b = lease("b");
  EXPECT_TRUE(*a.try_hold());
  EXPECT_FALSE(*b.try_hold());
  EXPECT_TRUE(a.holds());
  EXPECT_FALSE(b.holds());
  Json spec = cluster_->at(kube::resources::leases(), "ns", "lead")["spec"];
  EXPECT_EQ(spec["holderIdentity"].string(), "a");
  EXPECT_EQ(spec["leaseDurationSeconds"].integer(), 15);
  EXPECT_EQ(spec["renewTime"].string().size(), std::string("2026-11-22T20:27:00.000000Z").size());
}

TEST_F(LeaseTest, AnEmptyObjectFromTheManifestsIsFree) {
  cluster_->put(kube::resources::leases(), "ns", *parse_json(R"({"metadata":{"name":"lead"}})"));
  Lease a = lease("a");
  EXPECT_TRUE(*a.try_hold());
  EXPECT_EQ(cluster_->count("POST"), 0u);
}

TEST_F(LeaseTest, WhoIsNotHeardOfLosesIt) {
  Lease a = lease("a"), b = lease("b");
  EXPECT_TRUE(*a.try_hold());
  EXPECT_FALSE(*b.try_hold());
  now_ = now_.load() + 14s;
  EXPECT_FALSE(*b.try_hold()) << "not yet";
  EXPECT_FALSE(a.holds()) << "but it has stopped itself before";
  now_ = now_.load() + 1s;
  EXPECT_TRUE(*b.try_hold());
  EXPECT_EQ(holder(), "b");
  EXPECT_EQ(cluster_->at(kube::resources::leases(), "ns", "lead")["spec"]["leaseTransitions"].integer(), 1);
  EXPECT_FALSE(*a.try_hold());
}

TEST_F(LeaseTest, ARenewalResetsTheWait) {
  Lease a = lease("a"), b = lease("b");
  EXPECT_TRUE(*a.try_hold());
  EXPECT_FALSE(*b.try_hold());
  now_ = now_.load() + 9s;
  EXPECT_TRUE(*a.try_hold());
  now_ = now_.load() + 9s;
  EXPECT_FALSE(*b.try_hold()) << "it sees the renewal, and waits from then";
  now_ = now_.load() + 14s;
  EXPECT_FALSE(*b.try_hold());
}

TEST_F(LeaseTest, OfTwoAtOnceOneGetsIt) {
  cluster_->put(kube::resources::leases(), "ns", *parse_json(R"({"metadata":{"name":"lead"}})"));
  Lease a = lease("a"), b = lease("b");
  bool raced = false;
  cluster_->fail = [&](const std::string& verb, const std::string&) -> std::optional<Error> {
    if (verb != "PUT" || raced) return std::nullopt;
    raced = true;
    return Error{Code::Mismatch, "409 conflict"};  // b was quicker
  };
  EXPECT_FALSE(*a.try_hold());
  EXPECT_FALSE(a.holds());
}

TEST_F(LeaseTest, IsGivenAwayAtOnce) {
  Lease a = lease("a"), b = lease("b");
  EXPECT_TRUE(*a.try_hold());
  EXPECT_TRUE(a.release().ok());
  EXPECT_TRUE(*b.try_hold());
}

TEST_F(LeaseTest, AnUnreachableServerEndsIt) {
  Lease a = lease("a");
  EXPECT_TRUE(*a.try_hold());
  cluster_->fail = [](const std::string&, const std::string&) { return std::optional(Error{Code::Unavailable, "down"}); };
  EXPECT_FALSE(a.try_hold().ok());
  EXPECT_TRUE(a.holds()) << "for now";
  now_ = now_.load() + 10s;
  EXPECT_FALSE(a.holds());
}

class LeaseRun : public LeaseTest {
 protected:
  void slept(std::chrono::milliseconds duration) override {
    LeaseTest::slept(duration);
    if (++sleeps_ == 3) cluster_->fail = [](const std::string&, const std::string&) { return std::optional(Error{Code::Unavailable, "down"}); };
    if (sleeps_ == 20) cluster_->fail = {};
    if (sleeps_ == 30) stop_.request_stop();
  }
  int sleeps_ = 0;
  std::stop_source stop_;
};

TEST_F(LeaseRun, LeadsWhileItHoldsAndAgainWhenItMay) {
  Lease a = lease("a");
  int led = 0;
  bool leading = false;
  a.run([&](std::stop_token stop) {
    led++;
    EXPECT_FALSE(std::exchange(leading, true)) << "one at a time";
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    never.wait(lock, stop, [] { return false; });
    leading = false;
  }, stop_.get_token());
  EXPECT_EQ(led, 2);
  EXPECT_FALSE(leading);
  EXPECT_EQ(holder(), "") << "given away at the end";
}

}  // namespace
}  // namespace archway::admission
