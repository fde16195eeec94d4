#include "dockerfile/ignore.h"

#include <gtest/gtest.h>

namespace archway::dockerfile {
namespace {

using Strings = std::vector<std::string>;

IgnoreMatcher matcher_of(const Strings& patterns) {
  auto matcher = IgnoreMatcher::create(patterns);
  EXPECT_TRUE(matcher.ok()) << matcher.error().message;
  return matcher.ok() ? *matcher : IgnoreMatcher();
}

TEST(IgnoreFile, IsCleaned) {
  EXPECT_EQ(parse_ignore_file("\xEF\xBB\xBF# comment\n  # no comment \n\n \t\n/a/\nb/../c//d\r\n! /e\n!\n/\n.\n../x"),
            (Strings{"# no comment", "a", "c/d", "!e", "!", "/", ".", "../x"}));
  EXPECT_EQ(parse_ignore_file(""), Strings{});
}

TEST(IgnoreMatcher, LastMatchingPatternCounts) {
  const IgnoreMatcher matcher = matcher_of({"*", "!src", "src/**/*.o", "!src/keep.o"});
  EXPECT_TRUE(*matcher.ignored("readme"));
  EXPECT_FALSE(*matcher.ignored("src/main.c"));
  EXPECT_TRUE(*matcher.ignored("src/a/b.o"));
  EXPECT_FALSE(*matcher.ignored("src/keep.o"));
}

TEST(IgnoreMatcher, WithoutPatternsIgnoresNothing) {
  EXPECT_TRUE(IgnoreMatcher().empty());
  EXPECT_FALSE(*IgnoreMatcher().ignored("a"));
  IgnoreMatcher::ParentState own;
  EXPECT_FALSE(*IgnoreMatcher().ignored("a", {}, own));
  EXPECT_TRUE(matcher_of({"", "  "}).empty());
}

TEST(IgnoreMatcher, WalksWithTheParentsVerdict) {
  const IgnoreMatcher matcher = matcher_of({"**/*.md", "node_modules", "!docs"});
  IgnoreMatcher::ParentState modules, file, docs;
  EXPECT_TRUE(*matcher.ignored("node_modules", {}, modules));
  EXPECT_TRUE(*matcher.ignored("node_modules/x", modules, file));
  // As BuildKit walks, not as patternmatcher answers for a path alone.
  EXPECT_FALSE(*matcher.ignored("docs", {}, docs));
  EXPECT_TRUE(*matcher.ignored("docs/x.md", docs, file));
  EXPECT_FALSE(*matcher.ignored("docs/x.md"));
  EXPECT_FALSE(matcher.ignored("x", IgnoreMatcher::ParentState{{true}}, file).ok());
}

TEST(IgnoreMatcher, KnowsWhichIgnoredFoldersNeedNoWalk) {
  const IgnoreMatcher matcher = matcher_of({"*", "!a/*/keep", "!b", "!c/[de]/f"});
  EXPECT_TRUE(matcher.may_reinclude_below("a"));
  EXPECT_TRUE(matcher.may_reinclude_below("a/x"));
  EXPECT_FALSE(matcher.may_reinclude_below("a/x/y"));
  EXPECT_FALSE(matcher.may_reinclude_below("a/x/keep"));
  EXPECT_FALSE(matcher.may_reinclude_below("b"));
  EXPECT_FALSE(matcher.may_reinclude_below("node_modules"));
  EXPECT_TRUE(matcher.may_reinclude_below("c/d"));
  EXPECT_TRUE(matcher_of({"*", "!**/x"}).may_reinclude_below("any/where"));
  EXPECT_FALSE(matcher_of({"*"}).may_reinclude_below("a"));
}

TEST(IgnoreMatcher, RefusesBrokenPatternsAndTooMany) {
  for (const char* pattern : {"!", "a[", "[]a]", "a\\", "[z-a", "x[-]"}) EXPECT_FALSE(IgnoreMatcher::create({pattern}).ok()) << pattern;
  EXPECT_TRUE(IgnoreMatcher::create(Strings(kMaxIgnorePatterns, "a")).ok());
  EXPECT_FALSE(IgnoreMatcher::create(Strings(kMaxIgnorePatterns + 1, "a")).ok());
  EXPECT_TRUE(IgnoreMatcher::create({std::string(kMaxIgnorePatternBytes, 'a')}).ok());
  EXPECT_FALSE(IgnoreMatcher::create({std::string(kMaxIgnorePatternBytes + 1, 'a')}).ok());
}

TEST(IgnoreMatcher, TakesNoLongerForHostilePatterns) {
  std::string pattern, path;
  for (int i = 0; i < 500; i++) pattern += "*a", path += "aaaa";
  EXPECT_FALSE(*matcher_of({pattern + "b"}).ignored(path));
}

TEST(PathMatch, IsFilepathMatch) {
  struct Case {
    const char* pattern;
    const char* path;
    bool matches;
  };
  const Case kCases[] = {
      {"abc", "abc", true},      {"*", "abc", true},          {"*c", "abc", true},        {"a*", "a", true},         {"a*", "ab/c", false},
      {"a*/b", "abc/b", true},   {"a*/b", "a/c/b", false},    {"a*b*c*d*e*/f", "axbxcxdxe/f", true},
      {"a*b?c*x", "abxbbxdbxebxczzx", true},                  {"a*b?c*x", "abxbbxdbxebxczzy", false},
      {"ab[c]", "abc", true},    {"ab[b-d]", "abc", true},    {"ab[^c]", "abc", false},   {"ab[^b-d]", "abz", true}, {"a\\*b", "a*b", true},
      {"a\\*b", "ab", false},    {"a?b", "a\xE2\x98\xBA" "b", true},                      {"a[^a][^a][^a]b", "a\xE2\x98\xBA" "b", false},
      {"a?b", "a/b", false},     {"a*b", "a/b", false},       {"[\\]a]", "]", true},      {"[\\-x]", "-", true},     {"*x", "xxx", true},
      {"", "", true},            {"", "a", false},
  };
  for (const Case& one : kCases) {
    auto matches = match_path(one.pattern, one.path);
    ASSERT_TRUE(matches.ok()) << one.pattern;
    EXPECT_EQ(*matches, one.matches) << one.pattern << " " << one.path;
  }
  for (const char* bad : {"[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[", "[^", "[^bc", "a[", "a/["}) {
    EXPECT_FALSE(match_path(bad, "a").ok()) << bad;
  }
}

TEST(PathMatch, CleansPaths) {
  const std::pair<const char*, const char*> kCases[] = {{"", "."},      {"a//b/./c/", "a/b/c"}, {"/..", "/"},     {"/../a", "/a"}, {"../a/..", ".."},
                                                       {"a/../..", ".."}, {"./", "."},            {"/", "/"},       {"///a", "/a"},  {"a/b/../../..", ".."}};
  for (const auto& [path, clean] : kCases) EXPECT_EQ(clean_path(path), clean) << path;
}

}  // namespace
}  // namespace archway::dockerfile
