// The recorded answers of BuildKit and of moby/patternmatcher.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/fd.h"
#include "base/text.h"
#include "dockerfile/expand.h"
#include "dockerfile/ignore.h"
#include "dockerfile/instructions.h"
#include "dockerfile/syntax.h"
#include "format/json.h"

namespace archway::dockerfile {
namespace {

namespace fs = std::filesystem;
const fs::path kVectors = fs::path(ARCHWAY_SOURCE_DIR) / "../shared/vectors";

std::string slurp(const fs::path& path) {
  auto text = read_file(path.string(), 64 << 20);
  EXPECT_TRUE(text.ok()) << path;
  return text.ok() ? *text : "";
}

TEST(Vectors, ParseTreesAreBuildKits) {
  if (!fs::exists(kVectors / "dockerfile")) GTEST_SKIP() << "skipped: no vectors";
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(kVectors / "dockerfile/parser")) {
    Tree tree;
    Complaint complaint;
    ASSERT_TRUE(parse_syntax(slurp(entry.path() / "Dockerfile"), '\\', tree, complaint)) << entry.path() << complaint.message;
    EXPECT_EQ(tree.dump(), replace_all(slurp(entry.path() / "result"), "\r\n", "\n")) << entry.path();
    count++;
  }
  EXPECT_GE(count, 32u);
}

TEST(Vectors, RefusedFilesAreRefused) {
  if (!fs::exists(kVectors / "dockerfile")) GTEST_SKIP() << "skipped: no vectors";
  for (const auto& entry : fs::directory_iterator(kVectors / "dockerfile/parser-negative")) {
    Tree tree;
    Complaint complaint;
    EXPECT_FALSE(parse_syntax(slurp(entry.path() / "Dockerfile"), '\\', tree, complaint)) << entry.path();
    EXPECT_FALSE(complaint.message.empty());
  }
}

Lookup lookup_in(const std::map<std::string, std::string>& environment) {
  return [&environment](std::string_view name) -> std::optional<std::string> {
    auto found = environment.find(std::string(name));
    return found == environment.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(Vectors, WordsExpandLikeBuildKits) {
  if (!fs::exists(kVectors / "dockerfile")) GTEST_SKIP() << "skipped: no vectors";
  const std::map<std::string, std::string> environment = {{"PWD", "/home"}, {"SHELL", "bash"}, {"KOREAN", "한국어"}, {"NULL", ""}};
  std::istringstream file(slurp(kVectors / "dockerfile/envVarTest"));
  size_t count = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#") || trim(line).empty()) continue;
    const auto parts = split(line, '|');
    ASSERT_EQ(parts.size(), 3u) << line;
    if (trim(parts[0]) != "A" && trim(parts[0]) != "U") continue;
    const std::string word(trim(parts[1])), expected(trim(parts[2]));
    auto expanded = expand_word(word, lookup_in(environment));
    EXPECT_EQ(expanded.ok() ? expanded->text : "error", expected) << line << (expanded.ok() ? "" : expanded.error().message);
    count++;
  }
  EXPECT_GE(count, 200u);
}

TEST(Vectors, LinesSplitLikeBuildKits) {
  if (!fs::exists(kVectors / "dockerfile")) GTEST_SKIP() << "skipped: no vectors";
  std::map<std::string, std::string> environment;
  std::istringstream file(slurp(kVectors / "dockerfile/wordsTest"));
  size_t count = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) continue;
    if (line.starts_with("ENV ")) {
      const auto [name, value] = cut(std::string_view(line).substr(4), '=');
      environment[std::string(trim(name))] = std::string(value.value_or(""));
      continue;
    }
    const auto parts = split(line, '|');
    if (parts.size() != 2) continue;
    const std::string word(trim(parts[0]));
    const std::string expected = parts[1].substr(std::min(parts[1].find_first_not_of(' '), parts[1].size()));
    auto words = expand_words(word, lookup_in(environment));
    EXPECT_EQ(words.ok() ? join(*words, ",") : "error", expected) << line;
    count++;
  }
  EXPECT_GE(count, 20u);
}

TEST(Vectors, IgnoreListsMatchLikePatternmatcher) {
  if (!fs::exists(kVectors / "image/ignore.json")) GTEST_SKIP() << "skipped: no vectors";
  auto cases = parse_json(slurp(kVectors / "image/ignore.json"));
  ASSERT_TRUE(cases.ok());
  size_t count = 0;
  for (const Json& one : cases->items()) {
    auto matcher = IgnoreMatcher::create(one["patterns"].strings());
    if (one.has("error")) {
      EXPECT_FALSE(matcher.ok()) << to_json(one);
      continue;
    }
    ASSERT_TRUE(matcher.ok()) << to_json(one["patterns"]) << matcher.error().message;
    for (const JsonMember& member : one["matches"].members()) {
      auto ignored = matcher->ignored(member.key);
      ASSERT_TRUE(ignored.ok());
      EXPECT_EQ(*ignored, member.value.boolean()) << to_json(one["patterns"]) << " " << member.key;
      // What is ignored in spite of its parents must be found by a walk.
      const size_t slash = member.key.find('/');
      if (slash != std::string::npos && !*ignored && matcher->ignored(member.key.substr(0, slash)).value_or(false)) {
        EXPECT_TRUE(matcher->may_reinclude_below(member.key.substr(0, slash))) << to_json(one["patterns"]) << " " << member.key;
      }
      count++;
    }
  }
  EXPECT_GE(count, 4000u);
}

}  // namespace
}  // namespace archway::dockerfile
