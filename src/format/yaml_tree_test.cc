#include "format/yaml_tree.h"

#include <gtest/gtest.h>

#include "format/yaml.h"

namespace archway {
namespace {

using Kind = YamlNode::Kind;
using Style = YamlNode::Style;

std::vector<YamlTreeDocument> documents_of(std::string_view text) {
  auto documents = parse_yaml_tree(text);
  EXPECT_TRUE(documents.ok()) << (documents.ok() ? "" : documents.error().message) << "\n" << text;
  return documents.ok() ? std::move(*documents) : std::vector<YamlTreeDocument>{};
}
YamlNode tree_of(std::string_view text) {
  auto documents = documents_of(text);
  return documents.empty() ? YamlNode{} : std::move(documents[0].root);
}
std::string_view span(std::string_view text, const YamlNode& node) { return text.substr(node.begin, node.end - node.begin); }
std::string error_of(std::string_view text) {
  auto documents = parse_yaml_tree(text);
  return documents.ok() ? "parsed" : documents.error().message;
}

TEST(YamlTree, GivesEveryStyleItsBytes) {
  std::string_view text =
      "plain: a b  # comment\n"
      "single: 'it''s'\n"
      "double: \"a\\tb\" # x\n"
      "literal: |\n  one\n  two\n\n# comment\n"
      "folded: >-\n  one\n  two\n"
      "kept: |+\n  one\n\n"
      "flow: [a, {b: c}]\n"
      "block:\n- x\n- y # last\n";
  YamlNode root = tree_of(text);
  struct Row {
    const char* key;
    Style style;
    const char* span;
    const char* value;
  };
  for (const Row& row : {Row{"plain", Style::Plain, "a b", "a b"}, Row{"single", Style::SingleQuoted, "'it''s'", "it's"},
                         Row{"double", Style::DoubleQuoted, "\"a\\tb\"", "a\tb"}, Row{"literal", Style::Literal, "|\n  one\n  two", "one\ntwo\n"},
                         Row{"folded", Style::Folded, ">-\n  one\n  two", "one two"}, Row{"kept", Style::Literal, "|+\n  one\n", "one\n\n"},
                         Row{"flow", Style::Flow, "[a, {b: c}]", ""}, Row{"block", Style::Block, "- x\n- y", ""}}) {
    const YamlNode* node = root.find(row.key);
    ASSERT_NE(node, nullptr) << row.key;
    EXPECT_EQ(node->style, row.style) << row.key;
    EXPECT_EQ(span(text, *node), row.span) << row.key;
    EXPECT_EQ(node->text, row.value) << row.key;
  }
  EXPECT_EQ(span(text, *root.find("flow")->children[1].find("b")), "c");
  EXPECT_EQ(root.end, text.find(" # last"));
}

TEST(YamlTree, CountsBytesWhereLibyamlCountsCodePoints) {
  std::string_view text = "\xef\xbb\xbfkey: \"한국어 ü\" # 주석\r\nä: {ö: 값, b: [x]}\r\nlast: 1\r\n";
  YamlNode root = tree_of(text);
  EXPECT_EQ(span(text, *root.find("key")), "\"한국어 ü\"");
  EXPECT_EQ(span(text, *root.find("ä")->find("ö")), "값");
  EXPECT_EQ(span(text, *root.find("ä")), "{ö: 값, b: [x]}");
  const YamlNode* last = root.find("last");
  EXPECT_EQ(span(text, *last), "1");
  EXPECT_EQ(last->line, 3u);
  EXPECT_EQ(last->column, 7u);
  EXPECT_EQ(root.find("ä")->find("b")->column, 18u);
  EXPECT_EQ(root.begin, 3u);
  EXPECT_EQ(root.column, 1u);
}

TEST(YamlTree, LeavesAnchorsAndTagsOutOfTheSpan) {
  std::string_view text = "a: &one !!str 1\nb: *one\nc: &two # why\n  k: v\nd: !<tag:x,1> [x]\ne: &three\n";
  YamlNode root = tree_of(text);
  EXPECT_EQ(span(text, *root.find("a")), "1");
  EXPECT_EQ(root.find("a")->anchor, "one");
  EXPECT_TRUE(root.find("a")->is_string);
  EXPECT_EQ(root.find("b")->kind, Kind::Alias);
  EXPECT_EQ(root.find("b")->text, "one");
  EXPECT_EQ(span(text, *root.find("b")), "*one");
  EXPECT_EQ(span(text, *root.find("c")), "k: v");
  EXPECT_EQ(root.find("c")->line, 4u);
  EXPECT_EQ(root.find("c")->column, 3u);
  EXPECT_EQ(span(text, *root.find("d")), "[x]");
  EXPECT_EQ(root.find("e")->begin, text.size() - 1);
  EXPECT_EQ(root.find("e")->begin, root.find("e")->end);
}

TEST(YamlTree, PutsMissingValuesBehindTheirKey) {
  std::string_view text = "a:\n# far away\nb:   # x\nc:\n-\n- 1\n? d\n\n\n? e\n";
  YamlNode root = tree_of(text);
  EXPECT_EQ(root.find("a")->begin, 2u);
  EXPECT_EQ(root.find("b")->begin, text.find("b:") + 2);
  EXPECT_EQ(root.find("c")->children[0].begin, text.find("-\n") + 1);
  EXPECT_EQ(root.find("d")->begin, text.find("d\n") + 1);
  EXPECT_EQ(root.find("e")->end, text.find("e\n", text.find("? e")) + 1);
  EXPECT_FALSE(root.find("a")->is_string);
}

TEST(YamlTree, TellsStringsFromWhatKubernetesReadsOtherwise) {
  struct Row {
    const char* value;
    bool is_string;
  };
  for (const Row& row : {Row{"abc", true}, Row{"yes", false}, Row{"'yes'", true}, Row{"1.10", false}, Row{"\"1.10\"", true}, Row{"1.10.2", true}, Row{"~", false},
                         Row{"null", false}, Row{"nullable", true}, Row{"off", false}, Row{"offer", true}, Row{"0x1F", false}, Row{".5", false}, Row{".nan", false},
                         Row{"2024-01-02", true}, Row{"!!int 3", false}, Row{"!!str 3", true}, Row{"!x 3", true}, Row{"!!int \"3\"", false}, Row{"-", true}}) {
    std::string text = "a: " + std::string(row.value) + "\n";
    if (std::string_view(row.value) == "-") text = "a: -x\n";
    EXPECT_EQ(tree_of(text).find("a")->is_string, row.is_string) << row.value;
  }
}

TEST(YamlTree, SplitsDocumentsEmptyOnesToo) {
  std::string_view text = "# head\na: 1\n--- # x\n---\nb: 2\n...\n# between\n---\nc: 3\n";
  auto documents = documents_of(text);
  ASSERT_EQ(documents.size(), 4u);
  auto part = [&](size_t i) { return text.substr(documents[i].begin, documents[i].end - documents[i].begin); };
  EXPECT_EQ(part(0), "# head\na: 1\n");
  EXPECT_EQ(part(1), " # x\n");
  EXPECT_EQ(documents[1].root.kind, Kind::Scalar);
  EXPECT_EQ(part(2), "\nb: 2\n");
  EXPECT_EQ(part(3), "\nc: 3\n");
  EXPECT_TRUE(documents_of("").empty());
  EXPECT_TRUE(documents_of("# only a comment\n").empty());
}

TEST(YamlTree, KeepsEqualKeysAndFindsTheLast) {
  YamlNode root = tree_of("a: 1\nb: 2\na: 3\n<<: *x\n");
  EXPECT_EQ(root.size(), 4u);
  EXPECT_EQ(root.find("a")->text, "3");
  EXPECT_EQ(root.find("none"), nullptr);
  EXPECT_EQ(root.key_of("b")->line, 2u);
}

TEST(YamlTree, ReadsPairsInFlowSequences) {
  std::string_view text = "[a: b, ? c : d , [e]: f]";
  YamlNode root = tree_of(text);
  ASSERT_EQ(root.size(), 3u);
  EXPECT_EQ(span(text, root.children[0]), "a: b");
  EXPECT_EQ(span(text, root.children[2]), "[e]: f");
}

TEST(YamlTree, ReadsJson) {
  std::string_view text = R"({"a": "x\/y", "b": [1, true, null, {"c": "\u00e9"}], "😀": "y"})";
  YamlNode root = tree_of(text);
  EXPECT_EQ(root.find("a")->text, "x/y");
  EXPECT_FALSE(root.find("b")->children[1].is_string);
  EXPECT_EQ(root.find("b")->children[3].find("c")->text, "é");
  EXPECT_EQ(span(text, *root.find("😀")), "\"y\"");
  EXPECT_EQ(span(text, root), text);
}

TEST(YamlTree, ReadsJsonThatYamlDoesNotKnow) {
  std::string long_key(2000, 'k');
  std::string text = "{\n\t\"a\": \"\\ud83d\\ude00 \\\" x\",\n\t\"" + long_key + "\": {\"b\": [-1.5e3, {}, []]}\n}\n";
  YamlNode root = tree_of(text);
  EXPECT_EQ(root.find("a")->text, "😀 \" x");
  const YamlNode* b = root.find(long_key)->find("b");
  EXPECT_EQ(span(text, *b), "[-1.5e3, {}, []]");
  EXPECT_EQ(span(text, b->children[0]), "-1.5e3");
  EXPECT_EQ(span(text, b->children[1]), "{}");
  EXPECT_EQ(b->children[0].line, 3u);
  EXPECT_EQ(b->children[0].column, 2013u);
}

TEST(YamlTree, NamesThePlaceOfAnError) {
  EXPECT_TRUE(error_of("a: [1, 2\nb: 3").starts_with("line 2, column 2: ")) << error_of("a: [1, 2\nb: 3");
  EXPECT_TRUE(error_of("ü: x\n한국: \tb: c").starts_with("line 2, column ")) << error_of("ü: x\n한국: \tb: c");
  EXPECT_TRUE(error_of("a: b\nc: \xff").starts_with("line 2, column 4: ")) << error_of("a: b\nc: \xff");
  EXPECT_EQ(error_of(std::string_view("\xff\xfe" "a\0", 4)), "line 1, column 1: this is UTF-16");
}

TEST(YamlTree, StopsAtItsDepth) {
  auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(error_of(nested(kMaxYamlDepth)), "parsed");
  EXPECT_EQ(error_of(nested(kMaxYamlDepth + 1)), "line 1, column 257: nested deeper than 256");
}

TEST(YamlTree, TakesABombAsItStands) {
  std::string bomb = "a0: &a0 [x]\n";
  for (int i = 1; i < 60; ++i) bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + ",*a" + std::to_string(i - 1) + "]\n";
  EXPECT_EQ(tree_of(bomb).size(), 60u);
}

// A line of a million non-ASCII values is read in time that grows with its length, not with its square.
TEST(YamlTree, WalksLongLinesOnce) {
  std::string text = "[";
  for (int i = 0; i < 20000; ++i) text += "ü, ";
  text += "x]";
  YamlNode root = tree_of(text);
  EXPECT_EQ(span(text, root.children.back()), "x");
  EXPECT_EQ(root.children.back().column, text.size() - 1);
}

}  // namespace
}  // namespace archway
