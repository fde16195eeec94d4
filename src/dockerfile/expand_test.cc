#include "dockerfile/expand.h"

#include <gtest/gtest.h>

#include <map>

#include "dockerfile/duration.h"
#include "dockerfile/json_words.h"
#include "dockerfile/pattern.h"
#include "dockerfile/run_mount.h"
#include "dockerfile/unicode.h"

namespace archway::dockerfile {
namespace {

using Strings = std::vector<std::string>;

std::string expand(std::string_view word, char escape = '\\', Quotes quotes = Quotes::Remove) {
  static const std::map<std::string, std::string, std::less<>> kEnvironment = {
      {"a", "1"}, {"empty", ""}, {"path", "/usr/local/bin"}, {"name", "x.tar.gz"}, {"größe", "L"}, {"two", "b c"}};
  auto lookup = [](std::string_view name) -> std::optional<std::string> {
    auto found = kEnvironment.find(name);
    return found == kEnvironment.end() ? std::nullopt : std::optional(found->second);
  };
  auto expanded = expand_word(word, lookup, escape, quotes);
  return expanded.ok() ? expanded->text : "! " + expanded.error().message;
}

TEST(Expand, KnowsEveryForm) {
  const std::pair<const char*, const char*> kCases[] = {
      {"$a${a}x", "11x"},        {"${none:-d}", "d"},         {"${empty-d}", ""},        {"${empty:-d}", "d"},     {"${a:+s}", "s"},
      {"${none+s}", ""},         {"${name#*.}", "tar.gz"},    {"${name##*.}", "gz"},     {"${name%.*}", "x.tar"},  {"${name%%.*}", "x"},
      {"${path/\\//:}", ":usr/local/bin"},                    {"${path//\\//:}", ":usr:local:bin"},               {"${name//./$a}", "x1tar1gz"},
      {"$größe", "L"},           {"$9a", "a"},                {"$$a", "a"},              {"$", "$"},               {"a'$a'\"$a\"", "a$a1"},
      {"${none:-${none2:-${a}}}", "1"},                       {"${name//[/x}", "x.tar.gz"},                       {"${name//x*/y}", "y"},
  };
  for (const auto& [word, text] : kCases) EXPECT_EQ(expand(word), text) << word;
}

TEST(Expand, RefusesWithTheReason) {
  EXPECT_EQ(expand("${none:?give it}"), "! failed to process \"${none:?give it}\": none: give it");
  EXPECT_EQ(expand("${empty:?}"), "! failed to process \"${empty:?}\": empty: is not allowed to be empty");
  EXPECT_EQ(expand("${a"), "! failed to process \"${a\": syntax error: missing '}'");
  for (const char* bad : {"${a:=x}", "${a:#x}", "${a:%x}", "${}", "${:x}", "${{a}}", "${a#\\x}", "\"", "'", "${a/x}", "${a.}", "${a:-"}) {
    EXPECT_EQ(expand(bad)[0], '!') << bad;
  }
}

TEST(Expand, TakesBacktickAsEscape) {
  EXPECT_EQ(expand("`$a\\$a", '`'), "$a\\1");
  EXPECT_EQ(expand("C:\\dir", '`'), "C:\\dir");
}

TEST(Expand, LeavesQuotesInHeredocs) { EXPECT_EQ(expand("'$a' \"$a\" \\$a it's\n", '\\', Quotes::Keep), "'1' \"1\" $a it's\n"); }

TEST(Expand, SaysWhatHadNoValue) {
  auto expanded = expand_word("$x ${y:-1} '$z'", [](std::string_view) { return std::nullopt; });
  ASSERT_TRUE(expanded.ok());
  EXPECT_EQ(expanded->unset, (std::set<std::string>{"x", "y"}));
}

TEST(Expand, SplitsWhatVariablesBringIn) {
  auto lookup = [](std::string_view) { return std::optional<std::string>("80 81"); };
  EXPECT_EQ(*expand_words("$p/tcp \"$p\" x${q:-1}", lookup), (Strings{"80", "81/tcp", "80 81", "x80", "81"}));
}

TEST(Expand, KeepsItsLimits) {
  std::string nested = "x";
  for (size_t i = 0; i < kMaxExpandDepth; ++i) nested = "${n:-" + nested + "}";
  EXPECT_EQ(expand(nested), "x");
  EXPECT_NE(expand("${n:-" + nested + "}").find("nested deeper"), std::string::npos);

  const std::string half(kMaxExpandedBytes / 2, 'x');
  auto lookup = [&](std::string_view) { return std::optional(half); };
  EXPECT_EQ(expand_word("$a$a", lookup)->text.size(), kMaxExpandedBytes);
  EXPECT_FALSE(expand_word("$a$a$a", lookup).ok());

  EXPECT_TRUE(replace_pattern(std::string(1000, 'a'), std::string(1000, '?'), "", Occurrences::All).ok());
  EXPECT_FALSE(replace_pattern(std::string(kMaxPatternWork / 1000, 'a'), std::string(1000, '?'), "", Occurrences::All).ok());
}

TEST(Pattern, MatchesAsGosRegexpsDo) {
  EXPECT_EQ(*replace_pattern("abab", "*", "x", Occurrences::All), "x");
  EXPECT_EQ(*replace_pattern("ab", "", "-", Occurrences::All), "-a-b-");
  EXPECT_EQ(*replace_pattern("a\nb", "*", "x", Occurrences::All), "x\nx");
  EXPECT_EQ(*trim_prefix("aXbXc", "*X", Greed::Shortest), "bXc");
  EXPECT_EQ(*trim_prefix("aXbXc", "*X", Greed::Longest), "c");
  EXPECT_EQ(*trim_suffix("aXbXc", "X*", Greed::Shortest), "aXb");
  EXPECT_EQ(*trim_suffix("aXbXc", "X*", Greed::Longest), "a");
  EXPECT_EQ(*trim_suffix("a*", "\\*", Greed::Shortest), "a");
  EXPECT_FALSE(trim_prefix("a", "\\", Greed::Shortest).ok());
}

TEST(JsonWords, AreReadLikeGoReadsThem) {
  Strings words;
  EXPECT_EQ(parse_json_words(" [ \"a\" , \"\\u00e9\\ud83d\\ude00\\ud800x\\/\" ] ", words), JsonWords::Words);
  EXPECT_EQ(words, (Strings{"a", "é😀\uFFFDx/"}));
  EXPECT_EQ(parse_json_words("[]", words), JsonWords::Words);
  for (const char* text : {"[1]", "[\"a\", null]", "[[\"a\"]]", "[{\"a\": -1.5e+3, \"b\": [true, false]}]"}) {
    EXPECT_EQ(parse_json_words(text, words), JsonWords::NotStrings) << text;
  }
  for (const char* text : {"", "[", "[\"a\"", "[\"a\",]", "[\"a\"] x", "['a']", "[\"a\n\"]", "[\"\\x\"]", "[01]", "{}", "[\"\\u12\"]", "[\"a\" \"b\"]", "[-]", "[1.]"}) {
    EXPECT_EQ(parse_json_words(text, words), JsonWords::NotJson) << text;
  }
  EXPECT_EQ(parse_json_words("[" + std::string(kMaxJsonWordsDepth, '[') + std::string(kMaxJsonWordsDepth, ']') + "]", words), JsonWords::NotStrings);
  EXPECT_EQ(parse_json_words("[" + std::string(kMaxJsonWordsDepth + 1, '[') + std::string(kMaxJsonWordsDepth + 1, ']') + "]", words), JsonWords::NotJson);
}

TEST(Duration, IsGos) {
  EXPECT_EQ(parse_duration("1h2m3.5s"), 3'723'500'000'000);
  EXPECT_EQ(parse_duration("-1.5ms"), -1'500'000);
  EXPECT_EQ(parse_duration("100us"), 100'000);
  EXPECT_EQ(parse_duration("1µs"), 1'000);
  EXPECT_EQ(parse_duration(".5s"), 500'000'000);
  EXPECT_EQ(parse_duration("0"), 0);
  for (const char* bad : {"", "5", "s", "1x", "1.s.", "-", "9999999h", "1 s", "."}) EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
}

TEST(GoQuote, EscapesAsStrconvDoes) { EXPECT_EQ(go_quote("a\"\\\n\x01\x7f\xff é\u00a0"), "\"a\\\"\\\\\\n\\x01\\x7f\\xff é\\u00a0\""); }

TEST(RunMount, ReadsTypedFields) {
  auto upper = [](const std::string& value) -> Result<std::string> { return value == "$id" ? "42" : value; };
  auto cache = parse_run_mount("type=cache,target=/c,id=$id,sharing=LOCKED,uid=$id,mode=0755,from=x,source=/s", upper);
  ASSERT_TRUE(cache.ok()) << cache.error().message;
  EXPECT_EQ(cache->type, MountType::Cache);
  EXPECT_EQ(cache->id, "42");
  EXPECT_EQ(cache->sharing, CacheSharing::Locked);
  EXPECT_EQ(cache->uid, 42u);
  EXPECT_EQ(cache->mode, 0755u);
  EXPECT_FALSE(cache->read_only);
  EXPECT_TRUE(parse_run_mount("target=/x", upper)->read_only);
  EXPECT_FALSE(parse_run_mount("target=/x,rw", upper)->read_only);
  EXPECT_EQ(parse_run_mount("type=tmpfs,target=/x,size=1.5k", upper)->size_bytes, 1536);
  EXPECT_TRUE(parse_run_mount("type=secret,id=x,required,env=TOKEN", upper)->required);
  for (const char* bad : {"", "type=volume,target=/x", "type=secret", "type=tmpfs,target=/x,uid=1", "size=1,target=/x", "target", "sharing=locked,target=/x",
                          "type=cache,target=/x,size=1", "type=secret,from=a,id=x", "required,target=/x", "mode=9,type=cache", "tarhet=/x", "type=tmpfs,size=x"}) {
    EXPECT_FALSE(parse_run_mount(bad, upper).ok()) << bad;
  }
}

TEST(RunMount, SplitsFieldsAsCsv) {
  EXPECT_EQ(*csv_fields("a,\"b,\"\"c\"\"\",,d"), (Strings{"a", "b,\"c\"", "", "d"}));
  EXPECT_EQ(*csv_fields("\"\""), Strings{""});
  for (const char* bad : {"", "\"a", "a\"b", "\"a\"b"}) EXPECT_FALSE(csv_fields(bad).ok()) << bad;
}

}  // namespace
}  // namespace archway::dockerfile
