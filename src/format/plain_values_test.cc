#include <gtest/gtest.h>

#include <string>

#include "format/value_tree.h"
#include "format/yaml.h"

namespace archway {
namespace {

std::string shown(const Value& value) {
  std::string out = std::to_string(static_cast<int>(value.kind)) + "/" + std::to_string(static_cast<int>(value.style)) + " " + std::to_string(value.begin) + "-" + std::to_string(value.end) + " " +
                    std::to_string(value.line) + ":" + std::to_string(value.column) + " " + std::to_string(value.size) + " <" + std::string(value.text) + ">\n";
  value.each_item([&](const Value& item) { out += shown(item); });
  value.each_member([&](const Value& key, const Value& member) { out += shown(key) + shown(member); });
  return out;
}

// What is read quickly is what libyaml makes of it, to the last mark. False: it is left to libyaml.
bool reads_alike(const std::string& text) {
  // As a part of a file, too: places count from its begin.
  const std::string above = "# above\n---\n";
  for (const std::string& before : {std::string(), above}) {
    std::string file = before + text + "\n---\nbelow: it\n";
    TextPart part{before.size(), before.empty() ? size_t{0} : size_t{2}, text.size(), before.empty() ? 0u : 1000u};
    ValueArena arena;
    const Value* plain = read_plain_values(file, arena, part);
    if (!plain) return false;
    auto by_events = parse_value_trees_by_events(file, arena, part);
    EXPECT_TRUE(by_events.ok() && by_events->size() == 1) << text;
    if (!by_events.ok() || by_events->size() != 1) return true;
    EXPECT_EQ(shown(*plain), shown(*(*by_events)[0].root)) << text;
  }
  return true;
}

TEST(PlainValues, AreWhatLibyamlReads) {
  for (const char* text : {
           "a: 1\n", "a: 1", "a:\n", "a:", "---\na: b\n", "--- # c\n\n# d\na: b # e\n\n# f\n", "\n\n  # x\n  a: b\n  c: d\n",
           "a:\n- b\n- c: d\n  e: f\n-\n- g\nh: i\n", "a:\n  - b\n  -   c: d\n      e:\n        f: g\n  -\n    h: i\n", "- a\n- b: c\n", "- - a\n  - b\n-\n  - c\n", "-\n-\n", "- - - a\n    - b\n  - c\n",
           "a:\n-\nb: 1\n", "a:\n  b:\n  c:\nd:\n",
           "a: {b: c, d: [e, \"f\", 'g'], h: {}, i: []}\n", "a: [ x , y ]  # z\n", "a: [--port=80, h:5000/i:1, echo hello, -1]\n", "a: [b,\n  c,\n\n d ]\n", "{\"a\":1,\"b\":[true,null],\n\"c\": {\n}}\n", "[a, b]\n",
           "a: [{b: c}, [d]]\n", "- [a]\n- {b: c}\n", "{a:\n b, 'c':d}\n",
           "'a': \"b c\"\n\"d e\": 'f\"g'\n", "a: \"b\\n\\\"c\\\\\\t\\/\"\nd: 'e''f'\n\"g\\th\": i\n", "a: ''\nb: \"\"\nc: ''''\n", "- 'a': b\n- \"c\": d\n- \"e\"\n",
           "a: b c   # d\ne: f#g\nh: i:j\n", "a: -b\nc: --d=e\nf: 1 - 2\n", "a:    b   \n", "a:    # b\n  c: d\n", "a: http://x/y?z=1&b=2\n", "a: C:\\x\nb: 'C:\\'\n", "a: (b) {c} [d], e\n",
           "a: |\n  b\n   c\n\n  d\n\n# e\nf: |-\n    g\nh: |\n  i", "a:\n  - |\n    b\n  - c\n", "a: |\n  b\n\n\nc: d\n", "a: |-\n  b\n\n\n", "a:\n- b: |\n    c\n\n  d: e\n", "a: |\n b\n", "- |\n a\n- b\n", "a: |   \n  # b\n  c\n",
           "1.5.2: x\nb: yes\n", "a: 1e3\nb: 0x1f\nc: ~\nd: null\ne: 12:30\n", "a:\n    b:\n      c: d\n    e: f\ng: h\n", "a: b\nc:\n  d: e\n # f\n  g: h\n", "a: b\na: c\n",
       }) {
    EXPECT_TRUE(reads_alike(text)) << text;
  }
}

// Wrong, or not plain: never read as something that it is not.
TEST(PlainValues, LeaveTheRestToLibyaml) {
  for (const char* text : {
           "", "\n", "# only\n", "---\n", "a", "'a'\n", "a: b: c\n", "a: b:\n", "a: &x b\n", "a: *x\n", "a: !!str 1\n", "a: \"b\\x41\"\n", "a: \"b\\'\"\n", "a: \"b\\\n", "a: \"b\\", "a:\tb\n", "a: b\r\n", "a: \xc3\xbc\n", "a: \x7f\n", "a: \x1f\n",
           "\xef\xbb\xbf" "a: b\n", "a: >\n  b\n", "a: |+\n  b\n", "a: |2\n  b\n", "a: | # b\n  c\n", "a: |\n\n  b\n", "a: |\n", "a: |\nb: c\n", "a: |\n  b\n  \n  c\n", "a: |\n  b \n", "a: |\n  b\n c: d\n", "a: |\n  b\n c\n",
           "a: [b\n", "a: [b,\n", "a: [b c: d]\n", "a: [b: c]\n", "a: {b}\n", "a: {b:c}\n", "a: {b: }\n", "a: {b: ,c: d}\n", "a: [,]\n", "a: [b, ]\n", "a: {}b\n", "a: [b]]\n", "a: [b}\n", "a: [b # c\n  ]\n", "a: [b,# c\n  d]\n",
           "a: [b\n  c]\n", "a: [-]\n", "a: [- b]\n", "a: [b,\n---\n]\n", "a: [b,\n...\n]\n", "a: [b?, c]\n", "a: [*b]\n", "[a]: b\n", "{a: b}: c\n", "[a]\nb: c\n", "[a] # b\nc\n",
           "? a\n: b\n", "a : b\n", "a b: c\n", "<<: {a: b}\n", "a: b\n c: d\n", "  a: b\n c: d\n", "a:\n  b: c\n d: e\n", "a:\n- b\n c: d\n", "- a\nb: c\n", "a: b\n- c\n", "a: 'b' c\n", "a: \"b\"c\n", "a: \"b\n", "a: 'b\n  c'\n",
           "a: %b\n", "a: @b\n", "a: `b`\n", "a: - b\n", "a: b\n  c\n", "a: ?b\n", "a: :b\n", "a:b\n", "a:\n  b\n", "a: \"b\": c\n", "a: b #\n\tc: d\n", "%YAML 1.1\n---\na: b\n", "a: b\n---\nc: d\n", "a: b\n...\n", "--- a: b\n", "---a: b\n",
           "'a':b\n", "'a' : b\n", "-a: b\n", "- a\n - b\n", "a: {b: c}\n  d\n",
       }) {
    EXPECT_FALSE(reads_alike(text)) << text;
  }
}

TEST(PlainValues, LimitsHold) {
  auto nested = [](size_t depth) {
    std::string text;
    for (size_t i = 0; i < depth; ++i) text += std::string(i, ' ') + "a:\n";
    return text;
  };
  EXPECT_TRUE(reads_alike(nested(65)));
  EXPECT_FALSE(reads_alike(nested(66)));
  EXPECT_TRUE(reads_alike(std::string(65, '[') + std::string(65, ']')));
  EXPECT_FALSE(reads_alike(std::string(66, '[') + std::string(66, ']')));
  EXPECT_TRUE(reads_alike(std::string(1000, 'k') + ": v\n"));
  EXPECT_FALSE(reads_alike(std::string(1001, 'k') + ": v\n"));
}

}  // namespace
}  // namespace archway
