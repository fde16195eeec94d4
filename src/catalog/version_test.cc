#include "catalog/version.h"

#include <gtest/gtest.h>

namespace archway::catalog {
namespace {

TEST(Version, TakesATagApart) {
  struct Case { const char *text, *prefix, *numbers, *prerelease, *variant; };
  for (const Case& c : {Case{"1.15.0", "", "1.15.0", "", ""}, Case{"v0.3.7", "v", "0.3.7", "", ""}, Case{"2.0.0-beta", "", "2.0.0", "beta", ""},
                        Case{"1.25.3-alpine", "", "1.25.3", "", "alpine"}, Case{"v1.22.2-eks-5e0fdde", "v", "1.22.2", "", "eks-5e0fdde"},
                        Case{"1.6.0-alpha.1", "", "1.6.0", "alpha.1", ""}, Case{"2.10.0-rc0", "", "2.10.0", "rc0", ""},
                        Case{"1.27.0-rc.1-alpine3.20", "", "1.27.0", "rc.1", "alpine3.20"}, Case{"3.13.0rc2-slim", "", "3.13.0", "rc2", "slim"},
                        Case{"2.7.0-cpu-py38-ubuntu20.04-e3-v1.0", "", "2.7.0", "", "cpu-py38-ubuntu20.04-e3-v1.0"}, Case{"release-1.2", "release-", "1.2", "", ""},
                        Case{"1.6.x", "", "1.6", "", "x"}, Case{"v.0.3.7", "v.", "0.3.7", "", ""}, Case{"17", "", "17", "", ""}, Case{"9-slim", "", "9", "", "slim"},
                        Case{"1.0.0-beta-2", "", "1.0.0", "beta-2", ""}}) {
    auto version = Version::parse(c.text);
    ASSERT_TRUE(version) << c.text;
    EXPECT_EQ(version->prefix(), c.prefix) << c.text;
    EXPECT_EQ(version->numbers(), c.numbers) << c.text;
    EXPECT_EQ(version->prerelease(), c.prerelease) << c.text;
    EXPECT_EQ(version->variant(), c.variant) << c.text;
    EXPECT_EQ(version->text(), c.text);
  }
}

TEST(Version, RefusesWhatHasNoOrder) {
  for (const char* text : {"", "latest", "master", "main", "v", "nightly-2024", "20240131", "1234567", "3f2a9c", "1password", "1.", "1.2.3.", "1-", "sha-1.2", "-1",
                           "1.2.3.4.5.6.7", "1.1234567890", "vv1"}) {
    EXPECT_FALSE(Version::parse(text)) << text;
  }
  EXPECT_TRUE(Version::parse("1.2.3.4.5.6"));
  EXPECT_TRUE(Version::parse("1.123456789"));
  EXPECT_TRUE(Version::parse("123456"));
  EXPECT_TRUE(Version::parse("1-" + std::string(kMaxVersionBytes - 2, 'x')));
  EXPECT_FALSE(Version::parse("1-" + std::string(kMaxVersionBytes - 1, 'x')));
}

TEST(Version, OrdersAsSemverDoes) {
  const char* ordered[] = {"0.7.1", "0.14", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
                           "1.0.0-rc2", "1.0.0-rc10", "1.0.0", "1.6.0-alpha.1", "1.6.0", "1.15", "1.15.1", "v2.0.0-beta", "2.0.0", "3033.2.0"};
  for (size_t i = 0; i < std::size(ordered); ++i) {
    for (size_t j = 0; j < std::size(ordered); ++j) {
      EXPECT_EQ(compare(*Version::parse(ordered[i]), *Version::parse(ordered[j])), i <=> j) << ordered[i] << " and " << ordered[j];
    }
  }
}

TEST(Version, IsEqualWhateverItsPrefixZerosAndVariant) {
  for (auto [a, b] : {std::pair{"0.14", "v0.14.0"}, {"1.2.3", "1.2.3-alpine"}, {"1.2.3-rc1", "1.2.3-rc.1"}, {"01.2", "1.02"}}) {
    EXPECT_EQ(compare(*Version::parse(a), *Version::parse(b)), std::weak_ordering::equivalent) << a << " and " << b;
  }
}

}  // namespace
}  // namespace archway::catalog
