#include "format/json_stream.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "format/json_brackets.h"
#include "format/json_item_reader.h"

namespace archway {
namespace {

struct Seen {
  std::vector<std::string> items;  // "KIND VALUE"
  std::string error;
};

Seen read(std::string_view text, const JsonStreamOptions& options = {}) {
  Seen seen;
  MemorySource source(text);
  auto done = read_json_items(source, options, [&](JsonItem item) -> Result<void> {
    seen.items.push_back(item.kind() + " " + to_json(item.value));
    return {};
  });
  if (!done.ok()) seen.error = std::string(code_name(done.error().code)) + ": " + done.error().message;
  return seen;
}

using Items = std::vector<std::string>;

TEST(JsonStream, HandsOutTheItemsOfATypedListWithItsKind) {
  EXPECT_EQ(read(R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{"a":1}, {"kind":"Node"}]})").items,
            (Items{"Pod {\"a\":1}", "Node {\"kind\":\"Node\"}"}));
}

TEST(JsonStream, WaitsForAKindThatComesAfterTheItems) {
  EXPECT_EQ(read(R"({"apiVersion":"v1","items":[{"a":1},{"a":2}],"kind":"NodeList"})").items, (Items{"Node {\"a\":1}", "Node {\"a\":2}"}));
}

TEST(JsonStream, HandsOutALoneObjectAnArrayAndDocumentsInARow) {
  EXPECT_EQ(read(R"({"kind":"Pod","spec":{}})").items, (Items{R"(Pod {"kind":"Pod","spec":{}})"}));
  EXPECT_EQ(read(R"([{"kind":"Pod"},3,"x",[]])").items, (Items{R"(Pod {"kind":"Pod"})", " 3", " \"x\"", " []"}));
  EXPECT_EQ(read("{\"kind\":\"A\"}\n{\"kind\":\"B\"}{\"kind\":\"CList\",\"items\":[]}[]").items, (Items{R"(A {"kind":"A"})", R"(B {"kind":"B"})"}));
}

TEST(JsonStream, LeavesAnObjectThatOnlyHasItemsWhole) {
  EXPECT_EQ(read(R"({"kind":"ConfigMap","items":[1,2]})").items, (Items{R"(ConfigMap {"kind":"ConfigMap","items":[1,2]})"}));
  EXPECT_EQ(read(R"({"kind":"PodList","items":{"a":1}})").items, (Items{R"(PodList {"kind":"PodList","items":{"a":1}})"}));
}

TEST(JsonStream, SkipsWhatNobodyWants) {
  JsonStreamOptions options;
  options.skip = {{"metadata", "managedFields"}, {"spec", "containers", "env"}};
  EXPECT_EQ(read(R"([{"metadata":{"managedFields":[{"a":"}\\\"]"}],"name":"n"},"spec":{"containers":[{"env":"x","name":"c"},{"env":7}]},"env":1}])", options).items,
            (Items{R"( {"metadata":{"name":"n"},"spec":{"containers":[{"name":"c"},{}]},"env":1})"}));
}

TEST(JsonStream, SaysWhereAFileEndsEarlyAfterAllItemsBefore) {
  Seen seen = read("{\"kind\":\"PodList\",\"items\":[\n{\"a\":1},\n{\"a\":\"x");
  EXPECT_EQ(seen.items, (Items{"Pod {\"a\":1}"}));
  EXPECT_EQ(seen.error, "mismatch: line 3, byte 44: the file ends inside an item that begins at byte 37");
  for (std::string_view text : {"", " ", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "[", "[1", "[1,", "{\"items\":[", "{\"items\":[1]"}) {
    EXPECT_TRUE(read(text).error.starts_with("mismatch: line 1, byte ")) << text << ": " << read(text).error;
  }
}

TEST(JsonStream, SaysWhereItIsNoJson) {
  EXPECT_EQ(read("[1,\n2 3]").error, "invalid: line 2, byte 6: not JSON: expected a comma or the end of a list");
  EXPECT_EQ(read("[{\"a\":1},{\"a\"\n:truth}]").error, "invalid: line 2, byte 15: not JSON: expected a value");
  for (std::string_view text : {"x", "3", "{]", "{\"a\" 1}", "{\"a\":1,}", "[1,]", "{\"items\":[],}", "{\"items\":[] 1}", "{\"a\":1 \"b\":2}"}) {
    EXPECT_TRUE(read(text).error.starts_with("invalid: line 1, byte ")) << text << ": " << read(text).error;
  }
}

TEST(JsonStream, RefusesAnItemThatIsTooLarge) {
  // A chunk is read at once, so the limit bites beyond one.
  constexpr size_t kLimit = 1 << 20;
  auto item = [](size_t bytes) { return "[\"" + std::string(bytes - 2, 'x') + "\"]"; };
  JsonStreamOptions options;
  options.max_item_bytes = kLimit;
  EXPECT_EQ(read(item(kLimit), options).error, "");
  EXPECT_EQ(read(item(4 * kLimit), options).error, "invalid: line 1, byte 1: an item of more than 1048576 bytes");
}

TEST(JsonStream, KeepsOrderOverManyChunks) {
  std::string text = "{\"items\":[";
  for (int i = 0; i < 4000; ++i) text += (i ? "," : "") + std::string("{\"kind\":\"K\",\"i\":") + std::to_string(i) + ",\"pad\":\"" + std::string(1000, 'p') + "\"}";
  text += "],\"kind\":\"List\"}";
  JsonStreamOptions options;
  options.threads = 3;
  options.skip = {{"pad"}};
  int next = 0;
  MemorySource source(text);
  auto done = read_json_items(source, options, [&](JsonItem item) -> Result<void> {
    EXPECT_EQ(item.value["i"].integer(), next++);
    EXPECT_EQ(text.substr(item.offset, 13), "{\"kind\":\"K\",\"");
    return {};
  });
  EXPECT_TRUE(done.ok());
  EXPECT_EQ(next, 4000);
}

TEST(JsonStream, StopsWhereTheCallerRefuses) {
  int count = 0;
  MemorySource source(std::string_view("[1,2,3]"));
  auto done = read_json_items(source, {}, [&](JsonItem) -> Result<void> {
    if (++count == 2) return Error{Code::Unsupported, "no"};
    return {};
  });
  EXPECT_EQ(done.error().message, "no");
  EXPECT_EQ(count, 2);
}

// The quick reader against the plain one.
TEST(JsonStream, ReadsItemsAsParseJsonDoes) {
  std::string deep, deeper;
  for (size_t i = 0; i < kMaxJsonDepth; ++i) deep += '[';
  deeper = deep + "[]" + std::string(kMaxJsonDepth, ']');
  deep += std::string(kMaxJsonDepth, ']');
  std::string many = "{";
  for (int i = 0; i < 60; ++i) many += "\"k" + std::to_string(i % 40) + "\":" + std::to_string(i) + ",";
  many += "\"z\":0}";
  const std::string texts[] = {
      "{}", "[]", "0", "-0", "-1", "01", "1.5", "1e400", "-", "123456789012345678", "1234567890123456789", "-9223372036854775808", "18446744073709551615", "1e2",
      "\"\"", "\"a\\u0041\\n\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"gr\xc3\xbc\xc3\x9f\"", "\"\xc3\"", "\"\xff\"", "\"\t\"", "\"\\x\"", "\"a\\\\\"", "\"a\\\"",
      "true", "false", "null", "nul", "truee", " [ 1 , 2 ] ", "[1,,2]", "[1 2]", "{\"a\":1,\"a\":2,\"b\":3}", "{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":{\"b\":[{}]}}", "{\"a\"}",
      "{a:1}", "\"12345678\"", "\"1234567\"", "\"123456\x7f\"", "{\"a\":1}x", deep, deeper, many};
  JsonSkips none({});
  for (const std::string& text : texts) {
    auto plain = parse_json(text);
    auto quick = JsonItemReader(text, none).read();
    ASSERT_EQ(plain.ok(), quick.ok()) << text;
    if (plain.ok()) {
      EXPECT_EQ(to_json(*plain), to_json(*quick));
    }
  }
}

// Every way in which a text may be cut over the sixty-four byte blocks, against a count byte by byte.
TEST(JsonBrackets, FindTheEndWhereverTheTextIsCut) {
  std::string text = R"({"a":"\\","b":[{"c":"}]\"{"},[[]]],"d\\\"":"x\\\\\\","e":{}})" + std::string(70, ' ') + "}";
  text.insert(5, std::string(61, ' '));
  size_t end = text.find_last_of('}', text.size() - 2) + 1;
  for (size_t lead = 0; lead < 130; ++lead) {
    std::string padded = text;
    padded.insert(1, std::string(lead, '\n'));
    JsonBrackets whole;
    EXPECT_EQ(whole.scan(padded, true), end + lead);
    EXPECT_EQ(count_newlines(padded), lead);
    JsonBrackets parts;
    size_t at = 0, found = JsonBrackets::kNotHere;
    for (size_t given = 1; found == JsonBrackets::kNotHere; given = std::min(given + 37, padded.size())) {
      found = parts.scan(std::string_view(padded).substr(at, given - at), given == padded.size());
      if (found == JsonBrackets::kNotHere) at += parts.consumed();
    }
    EXPECT_EQ(at + found, end + lead);
  }
}

}  // namespace
}  // namespace archway
