#include "audit/yaml_edit.h"

#include <gtest/gtest.h>

#include "audit/placement_edit.h"
#include "base/text.h"
#include "format/yaml.h"

namespace archway::audit {
namespace {

// The one document of the text, edited to be what `change` makes of its value; the result reads back as that.
template <class F>
std::string edited(std::string_view text, F&& change) {
  auto tree = parse_yaml_tree(text);
  auto have = parse_yaml(text);
  if (!tree.ok() || !have.ok()) return "does not parse: " + (tree.ok() ? have.error() : tree.error()).message;
  Json want = *have;
  change(want);
  auto edits = edit_yaml(text, (*tree)[0], *have, want);
  if (!edits.ok()) return "refused: " + edits.error().message;
  auto after = apply_edits(text, *edits);
  if (!after.ok()) return "overlap: " + after.error().message;
  auto again = parse_yaml(*after);
  if (!again.ok()) return "broken: " + again.error().message + "\n" + *after;
  return same_value(*again, want) ? *after : "another value:\n" + *after;
}

Json& at(Json& root, std::initializer_list<const char*> path) {
  std::vector<std::string> steps(path.begin(), path.end());
  return *value_at(root, steps);
}

TEST(YamlEdit, LeavesAllElseAsItWas) {
  EXPECT_EQ(edited("# head\na:   'x'   # why\n\n\nb: [1,  2]\n", [](Json& v) { v.set("a", "it's"); }), "# head\na:   'it''s'   # why\n\n\nb: [1,  2]\n");
  EXPECT_EQ(edited("a: 1\n", [](Json&) {}), "a: 1\n");
}

TEST(YamlEdit, QuotesWhatWouldBeReadOtherwise) {
  struct Row {
    const char* before;
    const char* value;
    const char* after;
  };
  for (const Row& row : {Row{"tag: v1\n", "1.20", "tag: \"1.20\"\n"}, Row{"x: 'q'\ntag: v1\n", "1.20", "x: 'q'\ntag: '1.20'\n"}, Row{"tag: \"1.19\"\n", "1.20", "tag: \"1.20\"\n"},
                         Row{"tag: '1.19'\n", "1.20", "tag: '1.20'\n"}, Row{"tag: v1\n", "a@sha256:0", "tag: a@sha256:0\n"}, Row{"tag: v1\n", "h:5000/a:1", "tag: h:5000/a:1\n"},
                         Row{"{tag: v1}\n", "h:5000/a:1", "{tag: h:5000/a:1}\n"}, Row{"tag: v1\n", "yes", "tag: \"yes\"\n"}, Row{"tag: v1\n", "12:30", "tag: \"12:30\"\n"},
                         Row{"tag: v1\n", "2024-01-02", "tag: \"2024-01-02\"\n"}, Row{"tag: v1\n", "1.2.3", "tag: 1.2.3\n"}, Row{"tag: 1.19\n", "1.20", "tag: \"1.20\"\n"},
                         Row{"tag: v1\n", "", "tag: \"\"\n"}, Row{"tag: v1\n", "a: b", "tag: \"a: b\"\n"}, Row{"[v1, tag: v1]\n", "x", "x"}}) {
    if (std::string_view(row.after) == "x") continue;
    EXPECT_EQ(edited(row.before, [&](Json& v) { v.set("tag", row.value); }), row.after) << row.before;
  }
}

TEST(YamlEdit, ReplacesWordsWithinLongTexts) {
  auto replace = [](std::string_view from, std::string_view to) { return [=](Json& v) { v.set("a", replace_all(v["a"].string(), from, to)); }; };
  EXPECT_EQ(edited("a: |\n  image one:1\n  one:1\n\n# c\nb: 1\n", replace("image one:1", "image one:2")), "a: |\n  image one:2\n  one:1\n\n# c\nb: 1\n");
  EXPECT_EQ(edited("a: >-\n  image\n  one:1\n", replace("one:1", "one:2")), "a: >-\n  image\n  one:2\n");
  EXPECT_EQ(edited("a: --image=one:1  # c\n", replace("one:1", "one:2@sha256:0")), "a: --image=one:2@sha256:0  # c\n");
  EXPECT_EQ(edited("a: \"x \\t one:1\"\n", replace("one:1", "one:2")), "a: \"x \\t one:2\"\n");
}

TEST(YamlEdit, RemovesMembersWithTheirLines) {
  auto without = [](const char* key) { return [=](Json& v) { v.erase(key); }; };
  EXPECT_EQ(edited("a: 1\n# about b\nb:\n  c: 1 # c\n  # d\nd: 2\n", without("b")), "a: 1\n# about b\n  # d\nd: 2\n");
  EXPECT_EQ(edited("a: 1\r\nb: 2 # x\r\nc: 3\r\n", without("b")), "a: 1\r\nc: 3\r\n");
  EXPECT_EQ(edited("a: 1\nb: |\n  x\n  y\n\nc: 3\n", without("b")), "a: 1\n\nc: 3\n");
  EXPECT_EQ(edited("a: 1\nb: 2", without("b")), "a: 1");
  EXPECT_EQ(edited("a: 1\nb: 2\na: 3\nc: 4\n", without("a")), "b: 2\nc: 4\n");
  EXPECT_EQ(edited("b: {a: 1}\n", [](Json& v) { at(v, {"b"}).erase("a"); }), "b: {}\n");
  EXPECT_EQ(edited("b: # c\n  a: 1\nc: 2\n", [](Json& v) { at(v, {"b"}).erase("a"); }), "b: {} # c\nc: 2\n");
  EXPECT_EQ(edited("{a: 1, b: 2, c: 3}", without("b")), "{a: 1, c: 3}");
  EXPECT_EQ(edited("{a: 1, b: 2, c: 3}", without("c")), "{a: 1, b: 2}");
  EXPECT_EQ(edited("{\n  \"a\": 1,\n  \"b\": 2\n}\n", without("b")), "{\n  \"a\": 1\n}\n");
  EXPECT_EQ(edited("{\n  \"a\": 1,\n  \"b\": 2\n}\n", without("a")), "{\n  \"b\": 2\n}\n");
}

TEST(YamlEdit, MovesTheNextMemberUpToTheDash) {
  auto without = [](const char* key) { return [=](Json& v) { v.mutable_items()[0].erase(key); }; };
  EXPECT_EQ(edited("- a: 1 # x\n  b: 2\n- c: 3\n", without("a")), "- b: 2\n- c: 3\n");
  EXPECT_EQ(edited("-   a:\n      x: 1\n    # about b\n    b: 2\n", without("a")), "-   # about b\n    b: 2\n");
  EXPECT_EQ(edited("- a: 1\n  b: 2\n  c: 3\n", [](Json& v) { v.mutable_items()[0] = Json::object({{"c", 3}}); }), "- c: 3\n");
}

TEST(YamlEdit, AddsMembersInTheFilesOwnStyle) {
  auto toleration = [](Json& v) { at(v, {"spec"}).set("tolerations", Json(Json::Array{Json::object({{"key", "arch"}, {"value", "true"}})})); };
  EXPECT_EQ(edited("spec:\n  containers:\n  - name: a # x\n    # about a\n# about b\nb: 1\n", toleration),
            "spec:\n  containers:\n  - name: a # x\n    # about a\n  tolerations:\n  - key: arch\n    value: \"true\"\n# about b\nb: 1\n");
  EXPECT_EQ(edited("spec:\n    containers:\n      - name: 'a'", toleration),
            "spec:\n    containers:\n      - name: 'a'\n    tolerations:\n      - key: arch\n        value: 'true'");
  EXPECT_EQ(edited("spec:\r\n  a: 1\r\n", toleration), "spec:\r\n  a: 1\r\n  tolerations:\r\n  - key: arch\r\n    value: \"true\"\r\n");
  EXPECT_EQ(edited("spec: {a: 1}\n", toleration), "spec: {a: 1, tolerations: [{key: arch, value: \"true\"}]}\n");
  EXPECT_EQ(edited("{\"spec\":{\"a\":1}}", toleration), R"({"spec":{"a":1,"tolerations":[{"key":"arch","value":"true"}]}})");
  EXPECT_EQ(edited("{\"spec\": {\"a\": 1}}", toleration), R"({"spec": {"a": 1, "tolerations": [{"key": "arch", "value": "true"}]}})");
  EXPECT_EQ(edited("{\n\t\"spec\": {\n\t\t\"a\": 1\n\t}\n}\n", toleration),
            "{\n\t\"spec\": {\n\t\t\"a\": 1,\n\t\t\"tolerations\": [\n\t\t\t{\n\t\t\t\t\"key\": \"arch\",\n\t\t\t\t\"value\": \"true\"\n\t\t\t}\n\t\t]\n\t}\n}\n");
}

TEST(YamlEdit, FillsWhatWasEmpty) {
  auto fill = [](Json& v) { v.set("a", Json::object({{"b", Json(std::vector<std::string>{"c"})}})); };
  EXPECT_EQ(edited("a: {} # x\nz: 1\n", fill), "a: # x\n  b:\n  - c\nz: 1\n");
  EXPECT_EQ(edited("a:  # x\nz: 1\n", fill), "a:  # x\n  b:\n  - c\nz: 1\n");
  EXPECT_EQ(edited("a: null\nz: 1\n", fill), "a:\n  b:\n  - c\nz: 1\n");
  EXPECT_EQ(edited("a: []\n", [](Json& v) { v.set("a", Json(std::vector<std::string>{"x"})); }), "a:\n- x\n");
  EXPECT_EQ(edited("{\"a\": {}}", fill), R"({"a": {"b": ["c"]}})");
  EXPECT_EQ(edited("- x: {}\n", [](Json& v) { v.mutable_items()[0].set("x", Json::object({{"k", 1}})); }), "- x:\n    k: 1\n");
}

TEST(YamlEdit, AddsAndRemovesItems) {
  auto items = [](std::vector<std::string> list) { return [=](Json& v) { v.set("a", Json(list)); }; };
  EXPECT_EQ(edited("a:\n  - x # 1\n  - q\nb: 1\n", items({"x", "q", "z"})), "a:\n  - x # 1\n  - q\n  - z\nb: 1\n");
  EXPECT_EQ(edited("a:\n  - x # 1\n  - q\nb: 1\n", items({"q"})), "a:\n  - q\nb: 1\n");
  EXPECT_EQ(edited("a:\n  - x # 1\n  - q\nb: 1\n", items({"x"})), "a:\n  - x # 1\nb: 1\n");
  EXPECT_EQ(edited("a: [x, q]\n", items({"x", "q", "z"})), "a: [x, q, z]\n");
  EXPECT_EQ(edited("a: [x, q]\n", items({"q"})), "a: [q]\n");
  EXPECT_EQ(edited("a: [x, q]\n", items({})), "a: []\n");
  EXPECT_EQ(edited("a:\n- x\n- q\nb: 1\n", items({})), "a: []\nb: 1\n");
  EXPECT_EQ(edited("a:\n-   x\n-   q", items({"x", "q", "z"})), "a:\n-   x\n-   q\n-   z");
}

TEST(YamlEdit, AddsBehindLinesThatGo) {
  auto change = [](Json& v) {
    at(v, {"a", "b"}) = Json(std::vector<std::string>{"x"});
    v.set("c", 1);
  };
  EXPECT_EQ(edited("a:\n  b:\n  - x\n  - p\n  - q\n\n# end\n", change), "a:\n  b:\n  - x\nc: 1\n\n# end\n");
  EXPECT_EQ(edited("a:\r\n  b:\r\n  - x\r\n  - p", change), "a:\r\n  b:\r\n  - x\r\nc: 1");
}

TEST(YamlEdit, MeetsItemsByTheirNames) {
  std::string_view text = "- name: a\n  image: x\n- name: b\n  image: y\n- name: c\n  image: z\n";
  auto change = [](Json& v) {
    v.mutable_items()[1].set("image", "new");
    v.mutable_items().erase(v.mutable_items().begin());
  };
  EXPECT_EQ(edited(text, change), "- name: b\n  image: new\n- name: c\n  image: z\n");
}

TEST(YamlEdit, RenamesKeysInPlace) {
  auto rename = [](Json& v) { v = Json::object({{"new", 1}, {"x", 2}}); };
  EXPECT_EQ(edited("old: 1 # c\nx: 2\n", rename), "new: 1 # c\nx: 2\n");
  EXPECT_EQ(edited("{\"old\": 1, \"x\": 2}", rename), "{\"new\": 1, \"x\": 2}");
}

TEST(YamlEdit, CountsBytes) {
  EXPECT_EQ(edited("\xef\xbb\xbf" "ä: '한국' # 주석\nb: {ö: 값, c: d}\n", [](Json& v) { at(v, {"b"}).set("c", "e"); }), "\xef\xbb\xbf" "ä: '한국' # 주석\nb: {ö: 값, c: e}\n");
}

TEST(YamlEdit, KeepsWhatOthersShareAsItIs) {
  std::string_view shared = "a: &x\n  k: 1\nb: *x\n";
  EXPECT_TRUE(edited(shared, [](Json& v) { at(v, {"b"}).set("k", 2); }).starts_with("refused: line 3: *x stands for what is written at its anchor &x"));
  EXPECT_TRUE(edited(shared, [](Json& v) { at(v, {"a"}).set("k", 2); }).starts_with("refused: line 3: *x "));
  // What shall change for all of them changes once.
  auto both = [](Json& v) { at(v, {"a"}).set("k", 2), at(v, {"b"}).set("k", 2); };
  EXPECT_EQ(edited(shared, both), "a: &x\n  k: 2\nb: *x\n");
  std::string_view merged = "a: &x\n  k: 1\nb:\n  <<: *x\n  l: 2\n";
  EXPECT_TRUE(edited(merged, [](Json& v) { at(v, {"b"}).erase("k"); }).starts_with("refused: line 4: k comes from elsewhere by <<")) << edited(merged, [](Json& v) { at(v, {"b"}).erase("k"); });
  EXPECT_EQ(edited(merged, [](Json& v) { at(v, {"b"}).set("m", 3); }), "a: &x\n  k: 1\nb:\n  <<: *x\n  l: 2\n  m: 3\n");
}

TEST(YamlEdit, KeepsTheEmptyLinesOfATextThatKeepsThem) {
  EXPECT_EQ(edited("a: |+\n  x\n\n", [](Json& v) { v.set("b", 1); }), "a: |+\n  x\n\nb: 1\n");
}

TEST(Edit, RefusesToOverlap) {
  EXPECT_FALSE(apply_edits("abc", {{0, 2, "x"}, {1, 3, "y"}}).ok());
  EXPECT_FALSE(apply_edits("abc", {{2, 4, "x"}}).ok());
  EXPECT_EQ(apply_edits("abc", {{1, 2, ""}, {1, 1, "x"}, {3, 3, "!"}}).value(), "axc!");
}

}  // namespace
}  // namespace archway::audit
