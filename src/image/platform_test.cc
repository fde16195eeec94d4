#include "image/platform.h"

#include "image/known_platform.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/fd.h"
#include "format/json.h"

namespace archway {
namespace {

const std::string kVectors = std::string(ARCHWAY_SOURCE_DIR) + "/../shared/vectors/image/";
const Platform kRecordedOn = {"linux", "amd64"};

Platform parsed(std::string_view text) { return parse_platform(text, kRecordedOn).value(); }

std::optional<Json> vectors(const std::string& name) {
  auto text = read_file(kVectors + name, 16 << 20);
  if (!text.ok()) return std::nullopt;
  return parse_json(*text).value();
}

TEST(Platform, ParsesAsContainerdDoes) {
  auto cases = vectors("platform-parse.json");
  if (!cases) GTEST_SKIP() << "skipped: no vectors";
  ASSERT_GT(cases->size(), 200u);
  for (const Json& c : cases->items()) {
    const std::string& in = c["in"].string();
    auto platform = parse_platform(in, kRecordedOn);
    ASSERT_EQ(platform.ok(), !c.has("error")) << in;
    if (!platform.ok()) continue;
    EXPECT_EQ(platform->os, c["platform"]["OS"].string()) << in;
    EXPECT_EQ(platform->architecture, c["platform"]["Architecture"].string()) << in;
    EXPECT_EQ(platform->variant, c["platform"]["Variant"].string()) << in;
    EXPECT_EQ(platform->os_version, c["osVersion"].string()) << in;
    EXPECT_EQ(platform->str(), c["format"].string()) << in;
    if (platform->os_version.empty()) {
      EXPECT_EQ(parsed(platform->str()), *platform) << in;
    }
  }
}

TEST(Platform, MatchesAndRanksAsContainerdDoes) {
  auto cases = vectors("platform-match.json");
  if (!cases) GTEST_SKIP() << "skipped: no vectors";
  ASSERT_GE(cases->size(), 20u);
  for (const Json& c : cases->items()) {
    Platform want = parsed(c["want"].string());
    for (const JsonMember& m : c["match"].members()) EXPECT_EQ(platform_matches(want, parsed(m.key)), m.value.boolean()) << want.str() << " " << m.key;
    for (const JsonMember& m : c["strict"].members()) EXPECT_EQ(platform_matches_strictly(want, parsed(m.key)), m.value.boolean()) << want.str() << " " << m.key;
    const auto& order = c["order"].items();
    for (size_t i = 0; i < order.size(); ++i) {
      for (size_t k = i + 1; k < order.size(); ++k) {
        EXPECT_FALSE(platform_better(want, parsed(order[k].string()), parsed(order[i].string()))) << want.str() << ": " << order[k].string() << " before " << order[i].string();
      }
    }
  }
}

TEST(Platform, OrderOfPreferenceIsStrictBetweenDifferentPlatforms) {
  Platform want = parsed("linux/arm64");
  std::vector<std::string> order = {"linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5", "linux/amd64"};
  for (size_t i = 0; i + 1 < order.size(); ++i) EXPECT_TRUE(platform_better(want, parsed(order[i]), parsed(order[i + 1]))) << order[i];
}

TEST(Platform, NineHoldsEightPlusFive) {
  EXPECT_TRUE(platform_matches(parsed("linux/arm64/v9.1"), parsed("linux/arm64/v8.6")));
  EXPECT_FALSE(platform_matches(parsed("linux/arm64/v9.1"), parsed("linux/arm64/v8.7")));
  EXPECT_TRUE(platform_matches(parsed("linux/arm64/v9.1"), parsed("linux/arm64/v9")));
  EXPECT_TRUE(platform_matches(parsed("linux/arm64/v8.2"), parsed("linux/arm64")));
  EXPECT_FALSE(platform_matches(parsed("linux/arm64"), parsed("linux/arm64/v8.1")));
}

TEST(Platform, ForbiddenFallbackTakesNo32Bit) {
  EXPECT_FALSE(platform_matches(parsed("linux/arm64"), parsed("linux/arm/v7"), Fallback::Forbid));
  EXPECT_FALSE(platform_matches(parsed("linux/amd64"), parsed("linux/386"), Fallback::Forbid));
  EXPECT_TRUE(platform_matches(parsed("linux/arm/v7"), parsed("linux/arm/v6"), Fallback::Forbid));
}

TEST(Platform, WindowsRunsItsOwnBuildAndSinceServer2022Older) {
  auto windows = [](std::string version) { return Platform{"windows", "amd64", "", std::move(version)}; };
  EXPECT_TRUE(platform_matches(windows("10.0.17763.1"), windows("10.0.17763.5000")));
  EXPECT_FALSE(platform_matches(windows("10.0.17763.1"), windows("10.0.20348.1")));
  EXPECT_TRUE(platform_matches(windows("10.0.22000.1"), windows("10.0.20348.1")));
  EXPECT_FALSE(platform_matches(windows("10.0.26100.1"), windows("10.0.20348.1")));
  EXPECT_TRUE(platform_matches(windows(""), windows("10.0.20348.1")));
}

TEST(Platform, ChoosesTheBestAndNeverAnAttestation) {
  std::vector<Platform> have = {{"unknown", "unknown"}, parsed("linux/arm/v6"), parsed("linux/arm/v7"), parsed("linux/arm64")};
  EXPECT_EQ(choose_platform(parsed("linux/arm64"), have), 3u);
  EXPECT_EQ(choose_platform(parsed("linux/arm/v7"), have), 2u);
  EXPECT_EQ(choose_platform(parsed("linux/arm/v8"), have), 2u);
  EXPECT_EQ(choose_platform(parsed("linux/amd64"), have), std::nullopt);
  EXPECT_EQ(choose_platform(Platform{"unknown", "unknown"}, have), std::nullopt);
}

TEST(Platform, ListsDropDuplicatesAndKnowLocal) {
  auto list = parse_platforms({"linux/arm64,linux/amd64", "arm64/", "local"});
  EXPECT_FALSE(list.ok());
  list = parse_platforms({"linux/arm64, linux/aarch64", "linux/amd64,linux/arm64/v8", "local"});
  ASSERT_TRUE(list.ok());
  EXPECT_EQ((*list)[0].str(), "linux/arm64");
  EXPECT_EQ((*list)[1].str(), "linux/amd64");
  EXPECT_NE(std::find(list->begin(), list->end(), host_platform()), list->end());
  EXPECT_EQ(std::count(list->begin(), list->end(), parsed("linux/arm64")), 1);
}

TEST(Platform, ALoneWordIsCompletedFromTheHost) {
  Platform pi = {"linux", "arm", "v6"};
  EXPECT_EQ(parse_platform("linux", pi)->str(), "linux/arm/v6");
  EXPECT_EQ(parse_platform("amd64", pi)->str(), "linux/amd64");
  EXPECT_EQ(parse_platform("loong46", pi).error().hint, "did you mean loong64?");
}

TEST(Platform, ExplainsWhatThereIsInstead) {
  auto explain = [](std::string_view want, std::vector<std::string> have) {
    std::vector<Platform> platforms;
    for (const std::string& text : have) platforms.push_back(parsed(text));
    return explain_no_match(parsed(want), platforms);
  };
  EXPECT_EQ(explain("linux/arm64", {"linux/amd64"}), "nothing for linux/arm64: there is only linux/amd64");
  EXPECT_EQ(explain("linux/arm64", {"linux/amd64", "linux/s390x", "linux/s390x", "unknown/unknown"}), "nothing for linux/arm64: there is linux/amd64 and linux/s390x");
  EXPECT_EQ(explain("linux/arm64", {"linux/amd64", "linux/arm/v7"}),
            "nothing for linux/arm64: there is linux/amd64 and linux/arm/v7; linux/arm/v7 is 32-bit and was not taken, because many arm64 machines "
            "cannot run it: ask for linux/arm/v7 by name to have it");
  EXPECT_NE(explain("linux/arm/v6", {"linux/arm"}).find("an entry that has no variant counts as v7"), std::string::npos);
  EXPECT_NE(explain("linux/arm64", {"linux/arm64/v9"}).find("newer processors"), std::string::npos);
  EXPECT_NE(explain("linux/amd64", {"windows/amd64"}).find("is for windows"), std::string::npos);
  EXPECT_NE(explain("linux/arm/v7", {"linux/arm64"}).find("64-bit"), std::string::npos);
  EXPECT_NE(explain("linux/arm64", {}).find("empty"), std::string::npos);
  EXPECT_NE(explain("linux/arm64", {"unknown/unknown"}).find("attestations only"), std::string::npos);
}

}  // namespace
TEST(Platform, KnowsWhatCanBeBuiltFor) {
  EXPECT_TRUE(check_known(*parse_platform("linux/aarch64")).ok());
  EXPECT_TRUE(check_known(*parse_platform("linux/arm/v7")).ok());
  EXPECT_EQ(check_known(*parse_platform("linux/amr64")).error().message, "linux/amr64: there is no architecture \"amr64\"; did you mean amd64?");
  EXPECT_EQ(check_known(*parse_platform("linus/arm64")).error().message, "linus/arm64: there is no operating system \"linus\"; did you mean linux?");
  EXPECT_EQ(check_known(*parse_platform("plan/nine")).error().message.substr(0, 42), "plan/nine: there is no operating system \"p");
}

}  // namespace archway
