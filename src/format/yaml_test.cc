#include "format/yaml.h"

#include <gtest/gtest.h>

namespace archway {
namespace {

std::string json_of(std::string_view text) {
  auto value = parse_yaml(text);
  return value.ok() ? to_json(*value) : "error: " + value.error().message;
}

TEST(Yaml, ResolvesScalarsAsKubectlDoes) {
  struct Row {
    const char* yaml;
    const char* json;
  };
  for (const Row& row : {Row{"a: yes", R"({"a":true})"}, Row{"a: 'yes'", R"({"a":"yes"})"}, Row{"a: off", R"({"a":false})"},
                         Row{"a: ~", R"({"a":null})"}, Row{"a:", R"({"a":null})"}, Row{"a: 0777", R"({"a":511})"},
                         Row{"a: 0x1F", R"({"a":31})"}, Row{"a: 1_000", R"({"a":1000})"}, Row{"a: 1e3", R"({"a":1000})"},
                         Row{"a: 2024-01-02", R"({"a":"2024-01-02"})"}, Row{"a: 1.5Gi", R"({"a":"1.5Gi"})"},
                         Row{"a: 12:30", R"({"a":"12:30"})"}, Row{"a: !!str 12", R"({"a":"12"})"}, Row{"1: x", R"({"1":"x"})"},
                         Row{"yes: x", R"({"true":"x"})"}, Row{"a: 1\na: 2", R"({"a":2})"}, Row{"a: !custom 3", R"({"a":"3"})"},
                         Row{"a: -0b11", R"({"a":-3})"}, Row{"a: .5", R"({"a":0.5})"}, Row{"a: |\n  x\n  y\n", R"({"a":"x\ny\n"})"}}) {
    auto have = parse_yaml(row.yaml);
    ASSERT_TRUE(have.ok()) << row.yaml << ": " << have.error().message;
    EXPECT_EQ(*have, *parse_json(row.json)) << row.yaml << " gave " << to_json(*have);
  }
}

TEST(Yaml, ReadsAnchorsAndMerges) {
  EXPECT_EQ(json_of("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n"), R"({"a":{"k":1,"l":2},"b":{"k":3,"l":2}})");
  EXPECT_EQ(json_of("- &x [1]\n- *x\n"), "[[1],[1]]");
}

TEST(Yaml, SplitsDocumentsAndLeavesEmptyOnesOut) {
  auto documents = parse_yaml_documents("---\na: 1\n---\n---\nb: 2\n...\n");
  ASSERT_TRUE(documents.ok());
  ASSERT_EQ(documents->size(), 2u);
  EXPECT_EQ((*documents)[1].marks.children[0].line, 5u);
  EXPECT_EQ((*documents)[1].marks.children[0].column, 4u);
}

TEST(Yaml, NamesThePlaceOfAnError) {
  EXPECT_TRUE(json_of("a: [1, 2\nb: 3").starts_with("error: line 2")) << json_of("a: [1, 2\nb: 3");
  EXPECT_EQ(json_of("a: .nan"), "error: line 1, column 4: \".nan\" cannot be written as JSON");
  EXPECT_EQ(json_of("a: *nope"), "error: line 1, column 4: unknown anchor *nope");
  EXPECT_EQ(json_of("a: &x [*x]"), "error: line 1, column 8: anchor *x contains itself");
  EXPECT_TRUE(json_of("? [a]\n: b").starts_with("error: "));
}

TEST(Yaml, StopsAliasBombs) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 1; k < 10; ++k) bomb += "," + before;
    bomb += "]\n";
  }
  EXPECT_NE(json_of(bomb).find("aliases repeat more than"), std::string::npos);
}

TEST(Yaml, StopsAtItsDepth) {
  auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(parse_yaml(nested(kMaxYamlDepth)).ok());
  EXPECT_FALSE(parse_yaml(nested(kMaxYamlDepth + 2)).ok());
}

TEST(Yaml, WritesWhatReadsBackTheSame) {
  Json value = *parse_json(R"({"a":["x",1,true,null,"yes","1.5","~","a: b","- c","#d","",{"k":[[1],{}],"m":[]}],"b c":{"x":"line\nline"},"d":1.5,"é":"é"})");
  auto back = parse_yaml(to_yaml(value));
  ASSERT_TRUE(back.ok()) << to_yaml(value);
  EXPECT_EQ(*back, value) << to_yaml(value);
}

TEST(Yaml, ReadsWholeFloatsAsJsonWritesThem) { EXPECT_EQ(parse_yaml(" 1.").value(), Json(1)); }

TEST(Yaml, TakesNoBytesAtAll) { EXPECT_EQ(parse_yaml(std::string_view()).ok(), parse_yaml("").ok()); }

}  // namespace
}  // namespace archway
