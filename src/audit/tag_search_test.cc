#include "audit/tag_search.h"

#include <gtest/gtest.h>

#include <set>

namespace archway::audit {
namespace {

using Tags = std::vector<std::string>;

TEST(LaterTags, KeepSuffixPrecisionAndPrefix) {
  const Tags all = {"1.25", "1.26", "1.27.1", "1.28-alpine", "v1.29", "2.0-rc1", "1.30", "latest", "1.24", "1.100", "12.0", "sha-abcdef"};
  EXPECT_EQ(later_tags("1.25", all), (Tags{"1.26", "1.30", "1.100"}));  // 12.0 is more than ten majors ahead
  EXPECT_EQ(later_tags("1.25-alpine", all), (Tags{"1.28-alpine"}));
  EXPECT_EQ(later_tags("v1.2", all), (Tags{"v1.29"}));
  EXPECT_EQ(later_tags("latest", all), Tags{});
  EXPECT_EQ(later_tags("2.0", all), (Tags{"12.0"}));
}

TagSearch search(const Tags& later, std::set<std::string> has, size_t probes = 12) {
  return search_tags("1.0", later, probes, [&](const std::string& tag) { return has.contains(tag); });
}

TEST(SearchTags, FindsTheFirstAmongFew) {
  TagSearch found = search({"1.1", "1.2", "1.3"}, {"1.2", "1.3"});
  EXPECT_EQ(found.first, "1.2");
  EXPECT_EQ(found.newest, "1.3");
  EXPECT_EQ(search({"1.1", "1.2"}, {}).first, "");
  EXPECT_EQ(search({}, {}).looked_at, 0u);
}

TEST(SearchTags, HalvesManyAndAsksFew) {
  Tags later;
  std::set<std::string> has;
  for (int i = 1; i <= 1000; ++i) {
    later.push_back("1." + std::to_string(i));
    if (i >= 731) has.insert(later.back());
  }
  TagSearch found = search(later, has);
  EXPECT_EQ(found.first, "1.731");
  EXPECT_EQ(found.newest, "1.1000");
  EXPECT_LE(found.looked_at, 12u);
  EXPECT_EQ(search(later, {}).first, "");
  EXPECT_LE(search(later, {}).looked_at, 3u);
  // Out of questions before the first is found: what is known to have it.
  EXPECT_TRUE(has.contains(search(later, has, 4).first));
}

TEST(WithoutProcessor, TakesTheNameAway) {
  EXPECT_EQ(without_processor("1.2-amd64"), "1.2");
  EXPECT_EQ(without_processor("amd64-1.2"), "1.2");
  EXPECT_EQ(without_processor("1.2-linux-amd64"), "1.2");
  EXPECT_EQ(without_processor("1.2"), "");
  EXPECT_EQ(without_processor("amd64"), "");
}

}  // namespace
}  // namespace archway::audit
