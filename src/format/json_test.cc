#include "format/json.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace archway {
namespace {

TEST(Json, ReadsWhatItWrites) {
  std::string text = R"({"a":[1,-2,0.5,true,null,"x\"\\\n"],"b":{"c":9223372036854775807}})";
  Json value = parse_json(text).value();
  EXPECT_EQ(to_json(value), text);
  EXPECT_EQ(value["b"]["c"].integer(), INT64_MAX);
  EXPECT_EQ(value["nowhere"]["at all"].string(), "");
}

TEST(Json, NumbersKeepTheirLastBit) {
  for (std::string text : {"0.1", "1.7976931348623157e+308", "5e-324", "2.2250738585072011e-308", "6.02214076e+23", "-9007199254740993.5",
                           "123456789012345680000", "0.30000000000000004", "8.41e+21", "1e-7"}) {
    std::string once = to_json(parse_json(text).value());
    EXPECT_EQ(to_json(parse_json(once).value()), once) << text;
    EXPECT_EQ(parse_json(text).value().number(), std::strtod(text.c_str(), nullptr)) << text;
  }
  // Out of range is no error, as in most readers.
  EXPECT_TRUE(parse_json("1e999").ok());
  EXPECT_TRUE(parse_json("1e-999").ok());
}

TEST(Json, LastOfEqualNamesCounts) {
  EXPECT_EQ(to_json(parse_json(R"({"a":1,"b":2,"a":3})").value()), R"({"b":2,"a":3})");
}

TEST(Json, WritesAsGoDoes) {
  Json value = Json::object({{"b", "a && <b>"}, {"a", Json::array()}});
  EXPECT_EQ(to_json(value, {.indent = 2, .sort_keys = true, .go_escapes = true}),
            "{\n  \"a\": [],\n  \"b\": \"a \\u0026\\u0026 \\u003cb\\u003e\"\n}");
}

TEST(Json, RefusesWithAPlace) {
  for (std::string text : {"", "{", "[1,]", "{\"a\":1} x", "\"\xff\"", "01", "nul"}) EXPECT_FALSE(parse_json(text).ok()) << text;
  EXPECT_NE(parse_json("{\n  \"a\": ?\n}").error().message.find("line 2, column 8"), std::string::npos);
  EXPECT_FALSE(parse_json(std::string(kMaxJsonDepth + 1, '[') + std::string(kMaxJsonDepth + 1, ']')).ok());
  EXPECT_TRUE(parse_json(std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']')).ok());
}

}  // namespace
}  // namespace archway
