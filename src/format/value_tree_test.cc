#include "format/value_tree.h"

#include <gtest/gtest.h>

#include "format/yaml.h"

namespace archway {
namespace {

struct Read {
  std::string text;
  ValueArena arena;
  Result<std::vector<ValueDocument>> documents = std::vector<ValueDocument>{};
  explicit Read(std::string from) : text(std::move(from)) { documents = parse_value_trees(text, arena); }
  const Value& root(size_t at = 0) { return *documents.value().at(at).root; }
  std::string span(const Value& value) const { return text.substr(value.begin, value.end - value.begin); }
};

TEST(ValueTree, KnowsTheBytesOfEveryValue) {
  Read read("# ü\na: 'x''y' # c\nlist:\n- one\n- {b: \"t\\tt\", ü: [1, 2]}\nz: |\n  text\n");
  ASSERT_TRUE(read.documents.ok());
  const Value& root = read.root();
  EXPECT_EQ(root["a"].text, "x'y");
  EXPECT_EQ(read.span(root["a"]), "'x''y'");
  EXPECT_EQ(read.span(root["list"]), "- one\n- {b: \"t\\tt\", ü: [1, 2]}");
  const Value& flow = *root["list"].first->next;
  EXPECT_EQ(flow["b"].text, "t\tt");
  EXPECT_EQ(read.span(flow["b"]), "\"t\\tt\"");
  EXPECT_EQ(read.span(flow["ü"]), "[1, 2]");
  EXPECT_EQ(root["a"].line, 2u);
  EXPECT_EQ(root["a"].column, 4u);
  EXPECT_EQ(root["z"].text, "text\n");
  EXPECT_EQ(root.size, 3u);
}

TEST(ValueTree, ByteOrderMarkAndCarriageReturnsCount) {
  Read read("\xef\xbb\xbf" "a: 1\r\nb: 'two'\r\n");
  ASSERT_TRUE(read.documents.ok());
  EXPECT_EQ(read.span(read.root()["b"]), "'two'");
  EXPECT_FALSE(read.root()["a"].is_string());
  EXPECT_TRUE(read.root()["b"].is_string());
}

TEST(ValueTree, AliasesAndMergeKeysAreFollowed) {
  Read read("base: &b {image: x, tag: '1'}\nuse:\n  <<: *b\n  tag: '2'\nsame: *b\nmany: {<<: [{image: why}, *b]}\n");
  ASSERT_TRUE(read.documents.ok());
  EXPECT_EQ(read.documents.value()[0].aliases, 3u);
  EXPECT_EQ(read.root()["use"]["image"].text, "x");
  EXPECT_EQ(read.root()["use"]["tag"].text, "2");
  EXPECT_EQ(read.root()["same"]["tag"].text, "1");
  EXPECT_EQ(read.root()["many"]["image"].text, "why");
  EXPECT_EQ(to_json(json_of_value(read.root()["many"])), R"({"image":"why","tag":"1"})");
}

TEST(ValueTree, RefusesWhatHasNoEnd) {
  EXPECT_EQ(Read("a: &a [*a]").documents.error().message, "line 1, column 8: anchor *a contains itself");
  EXPECT_EQ(Read("a: *b").documents.error().message, "line 1, column 4: unknown anchor *b");
  EXPECT_TRUE(Read(std::string(kMaxYamlDepth, '[') + std::string(kMaxYamlDepth, ']')).documents.ok());
  EXPECT_FALSE(Read(std::string(kMaxYamlDepth + 1, '[') + std::string(kMaxYamlDepth + 1, ']')).documents.ok());
  EXPECT_NE(Read("a:\n\tb: 1").documents.error().message.find("line 2"), std::string::npos);
  EXPECT_FALSE(Read("\xff\xfe" "a\0").documents.ok());
}

TEST(ValueTree, ABombCostsNothing) {
  std::string text = "l0: &l0 [x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 10; ++level) {
    std::string before = "*l" + std::to_string(level - 1);
    text += "l" + std::to_string(level) + ": &l" + std::to_string(level) + " [";
    for (int i = 0; i < 9; ++i) text += (i ? ", " : "") + before;
    text += "]\n";
  }
  Read read(text);
  ASSERT_TRUE(read.documents.ok());
  EXPECT_EQ(read.documents.value()[0].aliases, 81u);
  EXPECT_LT(to_json(json_of_value(read.root(), 1000)).size(), 10'000u);
}

TEST(ValueTree, DocumentsAndEmptyOnes) {
  Read read("a: 1\n---\n---\nb: 2\n...\n");
  ASSERT_TRUE(read.documents.ok());
  ASSERT_EQ(read.documents.value().size(), 3u);
  EXPECT_TRUE(read.root(1).is_null());
  EXPECT_EQ(read.root(2)["b"].text, "2");
  EXPECT_TRUE(Read("").documents.value().empty());
}

TEST(ValueTree, JsonThereAndBack) {
  Json json = *parse_json(R"({"a":[1,"2",null,true],"b":{"c":1.5,"d":"yes"}})");
  ValueArena arena;
  EXPECT_EQ(json_of_value(*value_of_json(json, arena)), json);
  arena.clear();
  EXPECT_EQ(value_of_json(json, arena)->find("b")->find("d")->is_string(), true);
}

}  // namespace
}  // namespace archway
