#include "admission/patch.h"

#include <gtest/gtest.h>

namespace archway::admission {
namespace {

Json json(std::string_view text) {
  auto parsed = parse_json(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return std::move(parsed).value_or(Json());
}

TEST(PatchWriter, MakesMissingParentsInOneOperation) {
  Json spec = json(R"({"affinity":{"podAffinity":{}}})");
  PatchWriter patch;
  patch.put(spec, "/spec", {"affinity", "nodeAffinity", "x/y~z"}, Json(1));
  EXPECT_EQ(to_json(patch.operations()), R"([{"op":"add","path":"/spec/affinity/nodeAffinity","value":{"x/y~z":1}}])");
  EXPECT_EQ(to_json(spec), R"({"affinity":{"podAffinity":{},"nodeAffinity":{"x/y~z":1}}})");
  patch.put(spec, "/spec", {"affinity", "nodeAffinity", "x/y~z"}, Json(2));
  EXPECT_EQ(patch.operations().items()[1]["path"].string(), "/spec/affinity/nodeAffinity/x~1y~0z");
}

TEST(PatchWriter, TakesNullForMissing) {
  Json spec = json(R"({"tolerations":null,"affinity":null})");
  PatchWriter patch;
  patch.append(spec, "/spec", {"tolerations"}, Json("a"));
  patch.append(spec, "/spec", {"tolerations"}, Json("b"));
  patch.put(spec, "/spec", {"affinity", "nodeAffinity"}, Json(true));
  Json document = json(R"({"spec":{"tolerations":null,"affinity":null}})");
  auto after = apply_patch(document, patch.operations());
  ASSERT_TRUE(after.ok()) << after.error().message;
  EXPECT_EQ(to_json(*after), R"({"spec":{"tolerations":["a","b"],"affinity":{"nodeAffinity":true}}})");
  EXPECT_EQ(patch.operations().items()[1]["path"].string(), "/spec/tolerations/-");
}

// The examples of RFC 6902, appendix A.
TEST(ApplyPatch, DoesWhatTheSpecificationShows) {
  struct Case {
    std::string_view document, patch, expected;
  };
  for (const Case& each : {
           Case{R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux"}])", R"({"foo":"bar","baz":"qux"})"},
           Case{R"({"foo":["bar","baz"]})", R"([{"op":"add","path":"/foo/1","value":"qux"}])", R"({"foo":["bar","qux","baz"]})"},
           Case{R"({"baz":"qux","foo":"bar"})", R"([{"op":"remove","path":"/baz"}])", R"({"foo":"bar"})"},
           Case{R"({"foo":["bar","qux","baz"]})", R"([{"op":"remove","path":"/foo/1"}])", R"({"foo":["bar","baz"]})"},
           Case{R"({"baz":"qux"})", R"([{"op":"replace","path":"/baz","value":"boo"}])", R"({"baz":"boo"})"},
           Case{R"({"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}})", R"([{"op":"move","from":"/foo/waldo","path":"/qux/thud"}])",
                R"({"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}})"},
           Case{R"({"foo":["all","grass","cows","eat"]})", R"([{"op":"move","from":"/foo/1","path":"/foo/3"}])", R"({"foo":["all","cows","eat","grass"]})"},
           Case{R"({"baz":"qux","foo":["a",2,"c"]})", R"([{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}])",
                R"({"baz":"qux","foo":["a",2,"c"]})"},
           Case{R"({"/":9,"~1":10})", R"([{"op":"test","path":"/~01","value":10}])", R"({"/":9,"~1":10})"},
           Case{R"({"foo":["bar"]})", R"([{"op":"add","path":"/foo/-","value":["abc"]}])", R"({"foo":["bar",["abc"]]})"},
           Case{R"({"foo":1})", R"([{"op":"copy","from":"/foo","path":"/bar"},{"op":"add","path":"","value":{"x":1}}])", R"({"x":1})"},
       }) {
    auto after = apply_patch(json(each.document), json(each.patch));
    ASSERT_TRUE(after.ok()) << each.patch << after.error().message;
    EXPECT_EQ(to_json(*after), each.expected) << each.patch;
  }
}

TEST(ApplyPatch, RefusesWhatDoesNotApply) {
  for (std::string_view patch :
       {R"([{"op":"test","path":"/baz","value":"bar"}])", R"([{"op":"add","path":"/a/b","value":1}])", R"([{"op":"add","path":"/list/7","value":1}])",
        R"([{"op":"add","path":"/list/01","value":1}])", R"([{"op":"remove","path":"/list/-"}])", R"([{"op":"add","path":"baz","value":1}])",
        R"([{"op":"add","path":"/baz~2","value":1}])", R"([{"op":"add","path":"/x"}])", R"([{"op":"nonsense","path":"/baz"}])", R"([{"path":"/baz"}])",
        R"([{"op":"move","from":"/o","path":"/o/p"}])", R"([{"op":"remove","path":""}])", R"({"op":"add"})"}) {
    EXPECT_FALSE(apply_patch(json(R"({"baz":"qux","list":[1,2],"o":{}})"), json(patch)).ok()) << patch;
  }
}

}  // namespace
}  // namespace archway::admission
