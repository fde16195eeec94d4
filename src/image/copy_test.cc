#include "image/copy.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/sync.h"
#include "image/sample_image.h"

namespace archway {
namespace {

const Platform kAmd64 = {"linux", "amd64"}, kArm64 = {"linux", "arm64"}, kArmV7 = {"linux", "arm", "v7"};

// Remembers in which order things came.
class RecordingIngester final : public Ingester {
 public:
  Result<PutOutcome> put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) override {
    if (blob.digest.str() == refuse) return Error{Code::Unavailable, "no room"};
    auto outcome = store.put(blob, from, progress, stop);
    order.lock()->push_back(blob.media_type);
    ++(*puts.lock())[blob.digest];
    return outcome;
  }
  Result<void> tag(const Descriptor& root, std::string_view raw, std::string_view name) override {
    order.lock()->push_back("tag " + std::string(name));
    return store.tag(root, raw, name);
  }
  MemoryStore store;
  std::string refuse;
  Sync<std::vector<std::string>> order;
  Sync<std::map<Digest, int>> puts;
};

struct Sample {
  MemoryStore store;
  Root amd64 = sample_image(store, kAmd64, {plain_layer("shared"), plain_layer("amd64")});
  Root arm64 = sample_image(store, kArm64, {plain_layer("shared"), plain_layer("arm64")});
  Root index = sample_index(store, {entry_for(amd64, kAmd64), entry_for(arm64, kArm64)});
};

TEST(CopyImage, BlobsThenManifestsThenIndexesThenTags) {
  Sample sample;
  RecordingIngester to;
  auto stats = copy_image(sample.store, to, sample.index, {.tags = {"1", "latest"}});
  ASSERT_TRUE(stats.ok()) << stats.error().message;
  EXPECT_EQ(stats->stored, 8u);  // three layers (one of them shared), two configs, two manifests, one index
  auto& order = *to.order.lock();
  auto kind = [](const std::string& what) { return what.starts_with("tag") ? 3 : is_index(what) ? 2 : is_manifest(what) ? 1 : 0; };
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end(), [&](const auto& a, const auto& b) { return kind(a) < kind(b); }));
  EXPECT_EQ(order[order.size() - 2], "tag 1");
  EXPECT_EQ(order.back(), "tag latest");
  for (const auto& [digest, times] : *to.puts.lock()) EXPECT_EQ(times, 1) << digest.str();
  EXPECT_EQ(to.store.tagged("latest")->digest, sample.index.descriptor.digest);
}

TEST(CopyImage, WhatIsThereCountsAsExisting) {
  Sample sample;
  MemoryStore to;
  ASSERT_TRUE(copy_image(sample.store, to, sample.amd64, {}).ok());
  auto stats = copy_image(sample.store, to, sample.index, {});
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->existed, 4u);
  EXPECT_EQ(stats->stored, 4u);
}

TEST(CopyImage, NoTagMovesWhenABlobFails) {
  Sample sample;
  RecordingIngester to;
  to.refuse = parse_manifest(sample.arm64.raw, "")->layers[1].digest.str();
  auto stats = copy_image(sample.store, to, sample.index, {.tags = {"latest"}});
  ASSERT_FALSE(stats.ok());
  EXPECT_EQ(stats.error().code, Code::Unavailable);
  EXPECT_NE(stats.error().message.find(to.refuse), std::string::npos);
  EXPECT_FALSE(to.store.tagged("latest").has_value());
  for (const std::string& what : *to.order.lock()) EXPECT_FALSE(is_manifest(what) || is_index(what)) << what;
}

TEST(CopyImage, StopsWhenAsked) {
  Sample sample;
  MemoryStore to;
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(copy_image(sample.store, to, sample.index, {.tags = {"latest"}}, stop.get_token()).error().code, Code::Cancelled);
  EXPECT_FALSE(to.tagged("latest").has_value());
}

TEST(CopyImage, LeavesForeignLayersWithTheirRegistry) {
  MemoryStore store;
  SampleLayer foreign = {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "windows", Digest::of("windows")};
  Root image = sample_image(store, {"windows", "amd64"}, {foreign, plain_layer("ours")});
  MemoryStore to;
  ASSERT_TRUE(copy_image(store, to, image, {}).ok());
  EXPECT_FALSE(to.open(descriptor_of("", "windows")).ok());
  EXPECT_TRUE(to.open(descriptor_of("", "ours")).ok());
}

TEST(CopyImage, NestedIndexesUpToTheLimit) {
  MemoryStore store;
  Root root = sample_image(store, kArm64, {plain_layer("x")});
  for (size_t depth = 1; depth <= kMaxIndexDepth; ++depth) {
    root = sample_index(store, {entry_for(root, std::nullopt)});
    MemoryStore to;
    EXPECT_TRUE(copy_image(store, to, root, {}).ok()) << depth;
    EXPECT_TRUE(choose_image(store, root, kArm64).ok()) << depth;
  }
  root = sample_index(store, {entry_for(root, std::nullopt)});
  MemoryStore to;
  EXPECT_EQ(copy_image(store, to, root, {}).error().code, Code::Invalid);
  EXPECT_EQ(choose_image(store, root, kArm64).error().code, Code::Invalid);
  EXPECT_EQ(walk(store, root, [](const Descriptor&, std::string_view) { return Result<void>(); }).error().code, Code::Invalid);
}

TEST(CopyImage, AManifestThatLiesIsRefused) {
  Sample sample;
  MemoryStore source;
  Descriptor lying = sample.arm64.descriptor;
  lying.size += 1;
  Root index = sample_index(sample.store, {lying});
  MemoryStore to;
  EXPECT_EQ(copy_image(sample.store, to, index, {}).error().code, Code::Mismatch);
}

TEST(Walk, ChildrenFirstEachOnce) {
  Sample sample;
  std::set<Digest> seen;
  auto visit = [&](const Descriptor& descriptor, std::string_view raw) -> Result<void> {
    EXPECT_TRUE(seen.insert(descriptor.digest).second);
    if (is_manifest(descriptor.media_type)) {
      Manifest manifest = parse_manifest(raw, "").value();
      EXPECT_TRUE(seen.contains(manifest.config.digest));
    }
    return {};
  };
  ASSERT_TRUE(walk(sample.store, sample.index, visit).ok());
  EXPECT_EQ(seen.size(), 8u);
}

TEST(ChooseImage, PicksThePlatform) {
  Sample sample;
  auto image = choose_image(sample.store, sample.index, kArm64);
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_EQ(image->descriptor.digest, sample.arm64.descriptor.digest);
  EXPECT_EQ(parse_image_config(image->raw_config)->platform, kArm64);
}

TEST(ChooseImage, SaysWhatThereIsInstead) {
  Sample sample;
  auto image = choose_image(sample.store, sample.index, {"linux", "s390x"});
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.error().code, Code::NotFound);
  EXPECT_EQ(image.error().message, "nothing for linux/s390x: there is linux/amd64 and linux/arm64");
  EXPECT_EQ(choose_image(sample.store, sample.amd64, kArm64).error().message, "nothing for linux/arm64: there is only linux/amd64");
}

TEST(ChooseImage, JudgesAnEntryWithoutPlatformByItsConfig) {
  Sample sample;
  Root index = sample_index(sample.store, {entry_for(sample.amd64, std::nullopt), entry_for(sample.arm64, std::nullopt)});
  auto image = choose_image(sample.store, index, kArm64);
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_EQ(image->descriptor.digest, sample.arm64.descriptor.digest);
}

TEST(ChooseImage, Takes32BitOnlyWhenToldTo) {
  MemoryStore store;
  Root image = sample_image(store, kArmV7, {plain_layer("x")});
  Root index = sample_index(store, {entry_for(image, kArmV7)});
  auto refused = choose_image(store, index, kArm64);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("32-bit"), std::string::npos);
  EXPECT_TRUE(choose_image(store, index, kArm64, Fallback::Allow).ok());
}

TEST(ChooseImage, NeverAnAttestation) {
  Sample sample;
  Descriptor attestation = entry_for(sample.arm64, Platform{"unknown", "unknown"});
  Root index = sample_index(sample.store, {attestation, entry_for(sample.amd64, kAmd64)});
  EXPECT_FALSE(choose_image(sample.store, index, kArm64).ok());
}

}  // namespace
}  // namespace archway
