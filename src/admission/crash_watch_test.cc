#include "admission/crash_watch.h"

#include <gtest/gtest.h>

#include "admission/fake_cluster_fixture.h"
#include "base/text.h"

namespace archway::admission {
namespace {

using testing::FakeCluster;

TEST(CrashSigns, InMessages) {
  const std::pair<const char*, std::optional<CrashKind>> cases[] = {
      {R"(failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/app": exec format error: unknown)", CrashKind::ExecFormat},
      {"container_linux.go:380: starting container process caused: exec: \"/app\": Exec format error", CrashKind::ExecFormat},
      {R"(Failed to pull image "app:1": rpc error: code = NotFound desc = failed to pull and unpack image: no match for platform in manifest: not found)", CrashKind::NoMatch},
      {"no matching manifest for linux/arm64/v8 in the manifest list entries", CrashKind::NoMatch},
      {"choosing image instance: no image found in manifest list for architecture arm64, variant \"v8\", OS linux", CrashKind::NoMatch},
      {"choosing image instance: no image found in image index for architecture arm64, variant \"v8\", OS linux", CrashKind::NoMatch},
      {"Back-off restarting failed container", std::nullopt},
      {"", std::nullopt},
  };
  for (const auto& [message, kind] : cases) {
    auto sign = sign_in_message(message);
    ASSERT_EQ(sign.has_value(), kind.has_value()) << message;
    EXPECT_TRUE(!kind || (*sign == CrashSign{*kind, Certainty::Certain})) << message;
  }
}

TEST(CrashSigns, InLogs) {
  for (const char* certain : {"exec /app: exec format error\n", "standard_init_linux.go:228: exec user process caused: exec format error", "[FATAL tini (7)] exec /app failed: Exec format error",
                              "starting\n/entry.sh: line 3: /usr/bin/app: cannot execute binary file: Exec format error\n\n", "sh: 1: /app: Exec format error", "/entry.sh: exec: line 2: /app: Exec format error",
                              "standard_init_linux.go:178: exec user process caused \"exec format error\"\r\n"}) {
    EXPECT_EQ(sign_in_log(certain), (CrashSign{CrashKind::ExecFormat, Certainty::Certain})) << certain;
  }
  for (const char* likely : {"fork/exec /tmp/tool: exec format error", "exec /app: exec format error\ngiving up", "OSError: [Errno 8] Exec format error: '/opt/x'"}) {
    EXPECT_EQ(sign_in_log(likely), (CrashSign{CrashKind::ExecFormat, Certainty::Likely})) << likely;
  }
  for (const char* none : {"", "\n\n\n", "panic: nil", "exec format error\n1\n2\n3\n4\n5\n"}) EXPECT_EQ(sign_in_log(none), std::nullopt) << none;
}

TEST(CrashOwner, IsTheDeploymentBehindTheReplicaSet) {
  auto owner = [](const char* metadata) { return owner_of(*parse_json(std::string(R"({"metadata":)") + metadata + "}")); };
  EXPECT_EQ(owner(R"({"namespace":"n","labels":{"pod-template-hash":"abc"},"ownerReferences":[{"kind":"ReplicaSet","name":"web-abc","controller":true}]})"), "Deployment n/web");
  EXPECT_EQ(owner(R"({"namespace":"n","ownerReferences":[{"kind":"Node","name":"x"},{"kind":"ReplicaSet","name":"web-abc","controller":true}]})"), "ReplicaSet n/web-abc");
  EXPECT_EQ(owner(R"({"namespace":"n"})"), "");
}

// Knows one image: an index with amd64 and arm64.
class OneImage final : public ImageLookup {
 public:
  const Digest index = *Digest::parse("sha256:" + std::string(64, 'a')), amd = *Digest::parse("sha256:" + std::string(64, 'b')), arm = *Digest::parse("sha256:" + std::string(64, 'c'));
  std::vector<std::string> asked;
  std::vector<std::pair<Digest, WrongPlatform>> wrong;
  bool has_arm = true;

  Result<Facts> look_up(const std::string& reference, const Keychain&, std::optional<std::chrono::steady_clock::time_point>, std::stop_token) override {
    asked.push_back(reference);
    ImageFacts facts;
    facts.is_index = true;
    facts.images.push_back({*parse_platform("linux/amd64"), amd});
    if (has_arm) facts.images.push_back({*parse_platform("linux/arm64"), arm});
    return Facts(std::make_shared<const ImageFacts>(facts));
  }
  std::vector<Result<Facts>> look_up_all(const std::vector<std::string>&, const Keychain&, std::function<void(size_t)>, std::stop_token) override { return {}; }
  Facts peek(const std::string&, const Keychain&) override { return nullptr; }
  Result<void> remember_wrong(const Digest& manifest, const WrongPlatform& platform) override {
    wrong.emplace_back(manifest, platform);
    return {};
  }
  Result<std::vector<std::string>> tags(const std::string&, const Keychain&, std::stop_token) override { return std::vector<std::string>(); }
  Result<std::shared_ptr<RegistryClient>> client(const std::string&, const Keychain&) override { return Error{Code::Unsupported, ""}; }
  std::optional<RateLimit> rate_limit(const std::string&) override { return std::nullopt; }
  LookupCounters counters() const override { return {}; }
};

class CrashWatchTest : public ::testing::Test {
 protected:
  CrashWatchTest() {
    cluster_->put(kube::resources::nodes(), "", *parse_json(R"({"metadata":{"name":"arm-1","labels":{"kubernetes.io/arch":"arm64","kubernetes.io/os":"linux"}}})"));
    options_.lookup = image_;
    options_.on_crash = [this](const Crash& crash) { crashes_.push_back(crash); };
  }
  Json pod(const std::string& status) {
    std::string text = R"({"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop","name":"web-abc-1","uid":"u1","labels":{"pod-template-hash":"abc"},
      "ownerReferences":[{"kind":"ReplicaSet","name":"web-abc","controller":true}]},"spec":{"nodeName":"arm-1","containers":[{"name":"app","image":"example.org/app:1"}]},
      "status":{"containerStatuses":[{"name":"app","image":"example.org/app:1","imageID":"example.org/app@)" + image_->index.str() + R"(",)" + status + "}]}}";
    return *parse_json(text);
  }
  std::shared_ptr<FakeCluster> cluster_ = std::make_shared<FakeCluster>();
  std::shared_ptr<OneImage> image_ = std::make_shared<OneImage>();
  CrashWatchOptions options_;
  std::vector<Crash> crashes_;
};

TEST_F(CrashWatchTest, NamesImageNodeOwnerAndWhereItWasSeen) {
  CrashWatch watch(cluster_, options_);
  Json crashed = pod(R"("restartCount":1,"state":{"waiting":{"reason":"RunContainerError","message":"runc create failed: exec: \"/app\": exec format error"}})");
  watch.look_at_pod(crashed, {});
  watch.look_at_pod(crashed, {});
  ASSERT_EQ(crashes_.size(), 1u) << "once";
  const Crash& crash = crashes_[0];
  EXPECT_EQ(crash.image + " " + crash.node + " " + crash.platform + " " + crash.owner + " " + crash.seen, "example.org/app:1 arm-1 linux/arm64 Deployment shop/web status");
  EXPECT_EQ(crash.words, "runc create failed: exec: \"/app\": exec format error");
  EXPECT_EQ(watch.counters().exec_format, 1u);
  EXPECT_EQ(image_->asked, std::vector<std::string>{"example.org/app@" + image_->index.str()});
  ASSERT_EQ(image_->wrong.size(), 1u);
  EXPECT_EQ(image_->wrong[0].first, image_->arm) << "the image of the node's platform, not the index";
  EXPECT_EQ(image_->wrong[0].second.platform.str(), "linux/arm64");
}

TEST_F(CrashWatchTest, ReadsTheLogOfWhatEndedLikeIt) {
  cluster_->logs["shop/web-abc-1/app"] = "exec /app: exec format error\n";
  CrashWatch watch(cluster_, options_);
  watch.look_at_pod(pod(R"("restartCount":2,"state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":255,"reason":"Error"}})"), {});
  ASSERT_EQ(crashes_.size(), 1u);
  EXPECT_EQ(crashes_[0].seen, "log");
  EXPECT_EQ(image_->wrong.size(), 1u);
}

TEST_F(CrashWatchTest, OtherEndsCostNoLog) {
  CrashWatch watch(cluster_, options_);
  watch.look_at_pod(pod(R"("state":{"terminated":{"exitCode":0}})"), {});
  watch.look_at_pod(pod(R"("state":{"terminated":{"exitCode":137}})"), {});
  watch.look_at_pod(pod(R"("ready":true,"state":{"running":{}},"lastState":{"terminated":{"exitCode":1}})"), {});
  EXPECT_EQ(cluster_->count("LOG"), 0u);
}

TEST_F(CrashWatchTest, ALogIsReadAFewTimesOnly) {
  cluster_->logs["shop/web-abc-1/app"] = "panic\n";
  CrashWatch watch(cluster_, options_);
  for (int restart = 0; restart < 10; restart++) {
    Json crashed = pod(R"("restartCount":)" + std::to_string(restart) + R"(,"state":{"terminated":{"exitCode":1}})");
    watch.look_at_pod(crashed, {});
    watch.look_at_pod(crashed, {});
  }
  EXPECT_EQ(cluster_->count("LOG"), 3u);
  EXPECT_TRUE(crashes_.empty());
}

TEST_F(CrashWatchTest, WhatIsOnlyLikelyIsToldAndNotRemembered) {
  cluster_->logs["shop/web-abc-1/app"] = "fork/exec /tmp/helper: exec format error\n";
  CrashWatch watch(cluster_, options_);
  watch.look_at_pod(pod(R"("state":{"terminated":{"exitCode":1}})"), {});
  ASSERT_EQ(crashes_.size(), 1u);
  EXPECT_EQ(crashes_[0].certainty, Certainty::Likely);
  EXPECT_TRUE(image_->wrong.empty());
}

TEST_F(CrashWatchTest, AnImageThatNeverClaimedThePlatformIsNotWrong) {
  image_->has_arm = false;
  CrashWatch watch(cluster_, options_);
  watch.look_at_pod(pod(R"("state":{"waiting":{"message":"exec format error"}})"), {});
  EXPECT_EQ(crashes_.size(), 1u);
  EXPECT_TRUE(image_->wrong.empty());
}

TEST_F(CrashWatchTest, SeesPullsThatFindNothing) {
  CrashWatch watch(cluster_, options_);
  watch.look_at_pod(pod(R"("state":{"waiting":{"reason":"ErrImagePull","message":"no match for platform in manifest: not found"}})"), {});
  ASSERT_EQ(crashes_.size(), 1u);
  EXPECT_EQ(crashes_[0].kind, CrashKind::NoMatch);
  EXPECT_TRUE(image_->asked.empty());
  EXPECT_EQ(watch.counters().no_match, 1u);
}

TEST_F(CrashWatchTest, ReadsTheKubeletsEventsAndNobodyElses) {
  Json object = pod(R"("state":{})");
  cluster_->put(kube::resources::pods(), "shop", object);
  CrashWatch watch(cluster_, options_);
  auto event = [](const std::string& component, const std::string& uid) {
    return *parse_json(R"({"involvedObject":{"kind":"Pod","namespace":"shop","name":"web-abc-1","uid":")" + uid + R"(","fieldPath":"spec.containers{app}"},"message":"Error: exec format error","source":{"component":")" + component + R"("}})");
  };
  watch.look_at_event(event("somebody", "u1"), {});
  watch.look_at_event(event("kubelet", "another"), {});
  EXPECT_TRUE(crashes_.empty());
  watch.look_at_event(event("kubelet", "u1"), {});
  ASSERT_EQ(crashes_.size(), 1u);
  EXPECT_EQ(crashes_[0].container + crashes_[0].seen, "appevent");
}

TEST_F(CrashWatchTest, WordsAreOneShortLine) {
  CrashWatch watch(cluster_, options_);
  std::string message = "exec format error\\n\\u001b[31m" + std::string(1000, 'x');
  watch.look_at_pod(pod(R"("state":{"waiting":{"message":")" + message + R"("}})"), {});
  ASSERT_EQ(crashes_.size(), 1u);
  EXPECT_EQ(crashes_[0].words, "exec format error  [31m" + std::string(kMaxCrashWords - 23, 'x'));
}

}  // namespace
}  // namespace archway::admission
