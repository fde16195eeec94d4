#include "audit/plain_yaml.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "audit/yaml_documents.h"
#include "audit/yaml_edit.h"
#include "base/text.h"
#include "format/plain_yaml_reader.h"
#include "format/yaml.h"

namespace archway::audit {
namespace {

std::string shown(const YamlNode& node) {
  std::string out = std::to_string(static_cast<int>(node.kind)) + "/" + std::to_string(static_cast<int>(node.style)) + (node.is_string ? "s" : "") + " " + std::to_string(node.begin) + "-" +
                    std::to_string(node.end) + " " + std::to_string(node.line) + ":" + std::to_string(node.column) + " <" + node.text + ">" + node.anchor + "\n";
  for (const YamlNode& child : node.children) out += shown(child);
  return out;
}

// What is read as plain is what libyaml makes of it, to the last span. False: it is left to libyaml.
bool reads_alike(std::string_view text) {
  auto plain = read_plain_yaml(text);
  if (!plain) return false;
  auto tree = parse_yaml_tree(text);
  EXPECT_TRUE(tree.ok() && tree->size() == 1) << text;
  if (!tree.ok() || tree->size() != 1) return true;
  EXPECT_EQ(shown(plain->root), shown((*tree)[0].root)) << text;
  EXPECT_EQ(plain->begin, (*tree)[0].begin) << text;
  EXPECT_EQ(plain->end, (*tree)[0].end) << text;
  auto value = parse_yaml(text);
  EXPECT_TRUE(value.ok()) << text;
  if (value.ok()) {
    EXPECT_TRUE(same_value(plain_yaml_value(plain->root), *value)) << text;
    EXPECT_TRUE(plain_yaml_says(text, *value)) << text;
    EXPECT_FALSE(plain_yaml_says(text, Json("something else"))) << text;
  }
  return true;
}

TEST(PlainYaml, ReadsWhatLibyamlReads) {
  for (const char* text : {"a: 1\n", "a: 1", "a:\n", "a:", "---\na: b\n", "--- # c\n\n# d\na: b # e\n\n# f\n", "a:\n- b\n- c: d\n  e: f\n-\n- g\nh: i\n", "a:\n  - b\n  -   c: d\n      e:\n        f: g\n  -\n    h: i\n",
                           "- a\n- b: c\n", "a: {b: c, d: [e, \"f\", 'g'], h: {}, i: []}\n", "a: [ x , y ]  # z\n", "a: [--port=80, h:5000/i:1]\n", "'a': \"b c\"\n\"d e\": 'f\"g'\n", "a: b c   # d\ne: f#g\nh: i:j\n",
                           "a: |\n  b\n   c\n\n  d\n\n# e\nf: |-\n    g\nh: |\n  i", "a:\n  - |\n    b\n  - c\n", "1.5.2: x\nb: yes\n", "a: 1e3\nb: 0x1f\nc: 1_000\nd: ~\ne: null\nf: 12:30\n",
                           "a: -b\nc: --d=e\n", "a:\n    b:\n      c: d\n    e: f\ng: h\n", "a: b\nc:\n  d: e\n # f\n  g: h\n", "- - a\n  - b\n", "a: \"b\\n\"\n'c''d': 'e''f'\n", "a: [b,\n  c]\n", "a: [b c, d]\n", "{a: b}\n", "[a]\n", "{\"a\":1,\n\"b\": []}\n", "a: http://x/y?z=1&b=2\n", "a: C:\\x\nb: 'C:\\'\n"}) {
    EXPECT_TRUE(reads_alike(text)) << text;
  }
}

// Wrong, or not plain: never read as something that it is not.
TEST(PlainYaml, LeavesTheRestToLibyaml) {
  for (const char* text : {"", "\n", "# only\n", "a", "a: b: c\n", "a: b:\n", "a: &x b\n", "a: *x\n", "a: !!str 1\n", "a:\tb\n", "a: b\r\n", "a: \xc3\xbc\n", "a: >\n  b\n", "a: |+\n  b\n",
                           "a: |2\n  b\n", "a: |\n\n  b\n", "a: |\n  b\n  \n  c\n", "a: |\n  b \n", "a: [b\n", "a: [b: c]\n", "a: {b}\n", "a: {b:c}\n", "a: [,]\n", "a: {}b\n", "? a\n: b\n", "a : b\n", "a b: c\n",
                           "<<: {a: b}\n", "a: b\n c: d\n", "  a: b\n c: d\n", "a:\n  b: c\n d: e\n", "a:\n- b\n c: d\n", "- a\nb: c\n", "a: b\n- c\n", "a: 'b' c\n", "a: \"b\"c\n", "a: \"b\n", "a: %b\n", "a: @b\n", "a: `b`\n",
                           "a: |\n  b\n c: d\n", "a: .nan\n", "true: x\n", "on: x\n", "1.5: x\n", "a: - b\n", "a: b\n  c\n", "a: ?b\n", "a: :b\n", "a:b\n", "a:\n  b\n", "a: [-]\n", "a: [b, ]\n", "a: \"b\": c\n", "a: b #\n\tc: d\n", "%YAML 1.1\n---\na: b\n"}) {
    EXPECT_FALSE(reads_alike(text)) << text;
  }
}

TEST(PlainYaml, MembersMayComeInAnyOrderButOnce) {
  Json value = Json::object({{"a", Json("1")}, {"b", Json(2)}});
  EXPECT_TRUE(plain_yaml_says("b: 2\na: '1'\n", value));
  EXPECT_FALSE(plain_yaml_says("a: '1'\n", value));
  EXPECT_FALSE(plain_yaml_says("a: '1'\nb: 2\nc: 3\n", value));
  EXPECT_FALSE(plain_yaml_says("a: 1\nb: 2\n", value));
  EXPECT_FALSE(plain_yaml_says("a: '1'\na: '1'\nb: 2\n", value));
  EXPECT_FALSE(plain_yaml_says("a: '1'\na: '1'\n", value));
  EXPECT_FALSE(plain_yaml_says("- a\n", Json(Json::Array{"a", "b"})));
  EXPECT_FALSE(plain_yaml_says("- a\n- b\n", Json(Json::Array{"a"})));
}

TEST(PlainYaml, LimitsHold) {
  auto nested = [](size_t depth) {
    std::string text;
    for (size_t i = 0; i < depth; ++i) text += std::string(i, ' ') + "a:\n";
    return text;
  };
  EXPECT_TRUE(read_plain_yaml(nested(kMaxPlainYamlDepth)));
  EXPECT_FALSE(read_plain_yaml(nested(kMaxPlainYamlDepth + 2)));
  EXPECT_TRUE(reads_alike(std::string(1000, 'k') + ": v\n"));
  EXPECT_FALSE(read_plain_yaml(std::string(1001, 'k') + ": v\n"));
  EXPECT_FALSE(read_plain_yaml("a: " + std::string(kMaxPlainYamlBytes, 'b') + "\n"));
}

// What lies about in this repository: manifests, seeds of the fuzz targets.
TEST(PlainYaml, ReadsFilesAlike) {
  size_t documents = 0, plain = 0;
  for (const char* folder : {"deploy", "fuzz/corpus", "data"}) {
    std::filesystem::path root = std::filesystem::path(ARCHWAY_SOURCE_DIR) / folder;
    if (!std::filesystem::is_directory(root)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      std::string extension = entry.path().extension();
      if ((extension != ".yaml" && extension != ".yml") || entry.file_size() > (1 << 20)) continue;
      std::ifstream file(entry.path());
      std::stringstream stream;
      stream << file.rdbuf();
      std::string text = stream.str();
      for (const DocumentText& part : split_documents(text)) {
        if (part.whole) continue;
        ++documents;
        plain += reads_alike(part.text);
      }
    }
  }
  EXPECT_GT(plain, 10u);
  EXPECT_GT(documents, plain);
}

}  // namespace
}  // namespace archway::audit
