#include "catalog/promise.h"

#include <gtest/gtest.h>

#include <map>

namespace archway::catalog {
namespace {

Claim since(std::string_view version, Artifact artifact = Artifact::Image) {
  Claim claim;
  claim.applies_to = artifact;
  if (!version.empty()) claim.since = Version::parse(version);
  return claim;
}

const std::vector<std::string> kTags = {"latest", "v1.13.0", "v1.14.6", "v1.15.0-rc1", "v1.15.0", "v1.15.0-debug", "v1.16.1", "v1.20.0-alpha", "nightly"};

Verdict verdict(const Claim& claim, std::map<std::string, bool> holds, const std::vector<std::string>& tags = kTags) {
  return judge(claim, tags_to_ask(claim, tags), [&](const std::string& tag) -> std::optional<bool> {
    auto found = holds.find(tag);
    if (found == holds.end()) return std::nullopt;
    return found->second;
  });
}

TEST(Promise, AsksForTheFirstTheOneBeforeAndTheNewest) {
  TagsToAsk ask = tags_to_ask(since("1.15.0"), kTags);
  EXPECT_EQ(ask.first, "v1.15.0");
  EXPECT_EQ(ask.before, "v1.14.6");
  EXPECT_EQ(ask.newest, "v1.16.1");
  EXPECT_EQ(tags_to_ask(since("1.15.0-rc1"), kTags).first, "v1.15.0-rc1");
  EXPECT_EQ(tags_to_ask(since("1.15.0", Artifact::Release), kTags).first, std::nullopt);
  EXPECT_EQ(tags_to_ask(since(""), {"latest", "main"}).newest, "latest");
  EXPECT_EQ(tags_to_ask(since(""), {"main"}).newest, std::nullopt);
}

TEST(Promise, HoldsWhereFirstAndNewestDo) {
  Verdict held = verdict(since("1.15.0"), {{"v1.15.0", true}, {"v1.14.6", false}, {"v1.16.1", true}});
  EXPECT_EQ(held.holding, Holding::Holds);
  EXPECT_EQ(held.text, "v1.15.0 holds arm64, as does v1.16.1");
  EXPECT_EQ(verdict(since("1.15.0"), {{"v1.15.0", true}, {"v1.16.1", true}}).holding, Holding::Holds);
  EXPECT_EQ(verdict(since(""), {{"v1.16.1", true}}).holding, Holding::Holds);
}

TEST(Promise, NoLongerHoldsWhereEitherDoesNot) {
  EXPECT_EQ(verdict(since("1.15.0"), {{"v1.15.0", false}, {"v1.16.1", true}}).text, "v1.15.0 holds no arm64");
  EXPECT_EQ(verdict(since("1.15.0"), {{"v1.15.0", true}, {"v1.16.1", false}}).text, "v1.16.1 holds no arm64");
  EXPECT_EQ(verdict(since(""), {{"v1.16.1", false}}).holding, Holding::NoLonger);
}

TEST(Promise, SaysWhereTheCatalogAsksForTooMuch) {
  Verdict early = verdict(since("1.15.0"), {{"v1.15.0", true}, {"v1.14.6", true}, {"v1.16.1", true}});
  EXPECT_EQ(early.holding, Holding::Earlier);
  EXPECT_EQ(early.text, "v1.15.0 holds arm64, as does v1.16.1; v1.14.6 did already");
  EXPECT_EQ(verdict(since("1.16.1"), {{"v1.15.0", true}, {"v1.16.1", true}}).holding, Holding::Earlier);
}

TEST(Promise, IsUnknownWhereNobodyAnswered) {
  EXPECT_EQ(verdict(since("1.15.0"), {}).holding, Holding::Unknown);
  EXPECT_EQ(verdict(since("1.15.0"), {{"v1.16.1", true}}).text, "v1.15.0 could not be looked at");
  EXPECT_EQ(verdict(since("9"), {{"v1.16.1", true}}).text, "no tag is 9 or later");
  EXPECT_EQ(verdict(since(""), {}, {}).holding, Holding::Unknown);
}

TEST(Promise, NoticesThatANoBecameAYes) {
  Claim no = since("");
  no.supports = false;
  EXPECT_EQ(verdict(no, {{"v1.16.1", true}}).holding, Holding::NoLonger);
  EXPECT_EQ(verdict(no, {{"v1.16.1", false}}).holding, Holding::Holds);
  EXPECT_EQ(verdict(no, {}).holding, Holding::Unknown);
}

}  // namespace
}  // namespace archway::catalog
