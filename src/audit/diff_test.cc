#include "audit/diff.h"

#include <gtest/gtest.h>

namespace archway::audit {
namespace {

TEST(UnifiedDiff, IsEmptyForEqualTexts) { EXPECT_EQ(unified_diff("a\n", "a\n", "f"), ""); }

TEST(UnifiedDiff, ShowsContextAndJoinsHunksThatAreNear) {
  std::string before, after;
  for (int i = 1; i <= 30; ++i) {
    before += std::to_string(i) + "\n";
    if (i == 5 || i == 25) continue;
    after += std::to_string(i) + "\n";
    if (i == 8) after += "new\n";
  }
  EXPECT_EQ(unified_diff(before, after, "./x/f.yaml"),
            "--- a/x/f.yaml\n+++ b/x/f.yaml\n@@ -2,10 +2,10 @@\n 2\n 3\n 4\n-5\n 6\n 7\n 8\n+new\n 9\n 10\n 11\n@@ -22,7 +22,6 @@\n 22\n 23\n 24\n-25\n 26\n 27\n 28\n");
}

TEST(UnifiedDiff, SaysWhereALineEndIsMissing) {
  EXPECT_EQ(unified_diff("a\nb", "a\nc", "f"), "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n");
  EXPECT_EQ(unified_diff("", "a\n", "f"), "--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+a\n");
  EXPECT_EQ(unified_diff("a\n", "", "f"), "--- a/f\n+++ b/f\n@@ -1 +0,0 @@\n-a\n");
}

TEST(UnifiedDiff, KeepsCarriageReturns) { EXPECT_EQ(unified_diff("a\r\n", "b\r\n", "f"), "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\r\n+b\r\n"); }

}  // namespace
}  // namespace archway::audit
