#include "scheduler/priority_config.h"

#include <gtest/gtest.h>

namespace archway::scheduler {
namespace {

// The example of the expander's readme, with arm64 first.
TEST(PriorityConfig, TheHighestCounts) {
  auto config = PriorityConfig::parse("10:\n  - .*t3\\.large.*\n50:\n  - .*arm64.*\n  - ^exact$\n");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->priority_of("pool-arm64-1a"), 50);
  EXPECT_EQ(config->priority_of("arm64-t3.large"), 50);
  EXPECT_EQ(config->priority_of("eks-t3.large-1"), 10);
  EXPECT_EQ(config->priority_of("t3xlarge"), std::nullopt);
  EXPECT_EQ(config->priority_of("exactly"), std::nullopt);
  EXPECT_EQ(config->entries()[0].line, 4u);
}

TEST(PriorityConfig, WhereTheExpanderGivesUp) {
  struct Case {
    const char *text, *message;
  };
  const Case cases[] = {
      {"", "line 1: it is empty"},
      {"10:\n  - '*arm*'\n", "line 2: the pattern \"*arm*\" is no regular expression: no argument for repetition operator: *"},
      {"10:\n  - 'a(b'\n", "line 2: the pattern \"a(b\" is no regular expression"},
      {"10:\n  - '(?=a)'\n", "line 2: the pattern \"(?=a)\" is no regular expression"},
      {"10:\n  - '\\C'\n", "line 2: the pattern \"\\C\" is no regular expression"},
      {"high:\n  - a\n", "line 2: the priority \"high\" is no whole number"},
      {"\"10\":\n  - a\n", "line 2: the priority \"10\" is no whole number"},
      {"10: a\n", "line 1: priority 10 must have a list of patterns"},
      {"- a\n", "line 1: it must be a map"},
      {"10:\n  - {a: b}\n", "line 2: a pattern of priority 10 is no string"},
      {"10:\n\t- a\n", "line 2"},
      {"10:\n  - *arm64*\n", "line 2"},
  };
  for (const Case& each : cases) {
    auto config = PriorityConfig::parse(each.text);
    ASSERT_FALSE(config.ok()) << each.text;
    EXPECT_TRUE(config.error().message.starts_with(each.message)) << config.error().message;
  }
}

TEST(PriorityConfig, KeysAsYamlV2TakesThem) {
  auto config = PriorityConfig::parse("0x10:\n  - a\n-1:\n  - b\n1.9:\n  - c\n7:\n");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->priority_of("a"), 16);
  EXPECT_EQ(config->priority_of("b"), -1);
  EXPECT_EQ(config->priority_of("c"), 1);
  EXPECT_EQ(config->remarks().size(), 2u);  // cut off; no patterns
}

TEST(PriorityConfig, ALaterListReplacesAnEarlierOne) {
  auto config = PriorityConfig::parse("10:\n  - a\n10:\n  - b\n");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->priority_of("a"), std::nullopt);
  EXPECT_EQ(config->remarks().at(0).rule, "priority-duplicate");
}

TEST(PriorityConfig, HasLimits) {
  EXPECT_TRUE(Pattern::compile(std::string(kMaxPatternBytes, 'a')).ok());
  EXPECT_FALSE(Pattern::compile(std::string(kMaxPatternBytes + 1, 'a')).ok());
  EXPECT_FALSE(PriorityConfig::parse(std::string(kMaxPriorityBytes + 1, '#')).ok());
}

TEST(Pattern, IsGosSyntax) {
  EXPECT_TRUE(Pattern::compile("(?<name>arm)")->matches("x-arm"));
  EXPECT_TRUE(Pattern::compile("(?P<name>arm)$")->matches("x-arm"));
  EXPECT_TRUE(Pattern::compile("(?i)ARM")->matches("arm"));
  EXPECT_TRUE(Pattern::compile("\\Q\\C\\E")->matches("\\C"));
  EXPECT_FALSE(Pattern::compile("(?!a)").ok());
}

}  // namespace
}  // namespace archway::scheduler
