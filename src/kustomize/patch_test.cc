#include <gtest/gtest.h>

#include "kustomize/json_patch.h"
#include "kustomize/object_id.h"
#include "kustomize/replacements.h"
#include "kustomize/strategic_merge.h"
#include "kustomize/transformers.h"

namespace archway::kustomize {
namespace {

struct Patched {
  ValueArena arena;
  std::string object, patch;
  const Value* value(const std::string& text) { return (*parse_value_trees(text, arena)).at(0).root; }
  // JSON, "gone", or the error.
  std::string shown(const Result<const Value*>& made) {
    if (!made.ok()) return made.error().message;
    return *made ? to_json(json_of_value(**made)) : "gone";
  }
  std::string merge(const std::string& have, const std::string& change) {
    Trees trees(arena);
    object = have;
    patch = change;
    return shown(strategic_merge(*value(object), *value(patch), trees));
  }
  std::string change(const std::string& have, const std::string& operations) {
    Trees trees(arena);
    object = have;
    patch = operations;
    return shown(json_patch(*value(object), *value(patch), trees));
  }
};

// A Pod's spec and what is done to it.
std::string pod(const std::string& have, const std::string& change) {
  const std::string head = "{apiVersion: v1, kind: Pod, spec: ";
  std::string made = Patched().merge(head + have + "}", "{spec: " + change + "}");
  const std::string before = R"({"apiVersion":"v1","kind":"Pod","spec":)";
  return made.starts_with(before) ? made.substr(before.size(), made.size() - before.size() - 1) : made;
}

TEST(StrategicMerge, MappingsListsAndDirectives) {
  struct Case { const char *have, *change, *want; };
  for (const Case& each : std::initializer_list<Case>{
           {"{nodeSelector: {a: b}}", "{nodeSelector: {c: d}}", R"({"nodeSelector":{"a":"b","c":"d"}})"},
           {"{nodeSelector: {a: b, c: d}}", "{nodeSelector: {a: null}}", R"({"nodeSelector":{"c":"d"}})"},
           {"{nodeSelector: {a: b}}", "{nodeSelector: null}", "{}"},
           {"{nodeSelector: {a: b}}", "{nodeSelector: {$patch: replace, c: d}}", R"({"nodeSelector":{"c":"d"}})"},
           {"{nodeSelector: {a: b}}", "{nodeSelector: {$patch: delete}}", "{}"},
           {"{}", "{nodeSelector: {a: null, c: d, $patch: merge}}", R"({"nodeSelector":{"c":"d"}})"},
           {"{tolerations: [{key: a}]}", "{tolerations: [{key: b}]}", R"({"tolerations":[{"key":"b"}]})"},
           {"{containers: [{name: a, image: x}, {name: b}]}", "{containers: [{name: b, image: q}, {name: c}]}", R"({"containers":[{"name":"b","image":"q"},{"name":"c"},{"name":"a","image":"x"}]})"},
           {"{containers: [{name: a}, {name: b}]}", "{containers: [{name: a, $patch: delete}]}", R"({"containers":[{"name":"b"}]})"},
           {"{containers: [{name: a}]}", "{containers: [{$patch: replace}, {name: b}]}", R"({"containers":[{"name":"b"}]})"},
           {"{containers: [{name: a}]}", "{containers: [{$patch: delete}]}", "{}"},
           {"{containers: [{name: a, image: x}]}", "{containers: [{name: a, $patch: replace, image: q}]}", R"({"containers":[{"name":"a","image":"x"}]})"},  // as kustomize has it
           {"{containers: [{name: a, env: [{name: A, value: b}]}]}", "{containers: [{name: a, env: [{name: A, value: c}]}]}", R"({"containers":[{"name":"a","env":[{"name":"A","value":"c"}]}]})"},
           {"{containers: [{name: a, args: [x, y]}]}", "{containers: [{name: a, args: [z]}]}", R"({"containers":[{"name":"a","args":["z"]}]})"},
           {"{containers: [{name: a, image: x}, {name: a, image: q}]}", "{containers: [{name: a, image: z}]}", R"({"containers":[{"name":"a","image":"q"}]})"},
       }) {
    EXPECT_EQ(pod(each.have, each.change), each.want) << each.have << " and " << each.change;
  }
  EXPECT_EQ(Patched().merge("{apiVersion: v1, kind: Pod}", "{$patch: delete}"), "gone");
  EXPECT_NE(pod("{containers: [{name: a}]}", "{containers: {name: a}}").find("another kind of value"), std::string::npos);
  EXPECT_NE(pod("{nodeSelector: {}}", "{nodeSelector: {$patch: x}}").find("unknown $patch \"x\""), std::string::npos);
}

TEST(StrategicMerge, ListsOfWhatIsNotBuiltInAreReplaced) {
  EXPECT_EQ(Patched().merge("{apiVersion: x/v1, kind: Pod, spec: {containers: [{name: a}]}}", "{spec: {containers: [{name: b}]}}"), R"({"apiVersion":"x/v1","kind":"Pod","spec":{"containers":[{"name":"b"}]}})");
}

TEST(JsonPatch, Operations) {
  struct Case { const char *have, *change, *want; };
  for (const Case& each : std::initializer_list<Case>{
           {"{a: [1, 2]}", "[{op: add, path: /a/-, value: 3}]", R"({"a":[1,2,3]})"},
           {"{a: [1, 2]}", "[{op: add, path: /a/0, value: 3}]", R"({"a":[3,1,2]})"},
           {"{a: [1, 2]}", "[{op: remove, path: /a/-1}]", R"({"a":[1]})"},
           {"{a: [1, 2]}", "[{op: remove, path: /a/2}]", "remove /a/2: the list has 2 items, and no index 2"},
           {"{a/b: {c~d: 1}}", "[{op: replace, path: /a~1b/c~0d, value: 2}]", R"({"a/b":{"c~d":2}})"},
           {"{a: 1}", "[{op: replace, path: /b, value: 2}]", R"({"a":1,"b":2})"},
           {"{a: 1}", "[{op: remove, path: /b}]", "remove /b: there is no \"b\""},
           {"{a: 1}", "[{op: add, path: /b/c, value: 2}]", "add /b/c: there is no \"b\""},
           {"{a: {b: 1}}", "[{op: move, from: /a/b, path: /c}]", R"({"a":{},"c":1})"},
           {"{a: 1}", "[{op: copy, from: /a, path: /b}]", R"({"a":1,"b":1})"},
           {"{a: 1}", "[{op: test, path: /a, value: 1}, {op: remove, path: /a}]", "{}"},
           {"{a: 1}", "[{op: remove, path: /a}, {op: test, path: /a, value: 1}]", "test /a: there is no \"a\""},
           {"{a: 1}", "[{op: add, path: a, value: 1}]", "add a: the path \"a\" does not begin with a slash"},
           {"{a: 1}", "[{op: remove, path: ''}]", "remove : the whole object cannot be removed"},
           {"{a: 1}", "[{op: swap, path: /a}]", "swap /a: unknown operation \"swap\""},
       }) {
    EXPECT_EQ(Patched().change(each.have, each.change), each.want) << each.have << " and " << each.change;
  }
}

TEST(Target, PatternsAreForTheWholeOfAName) {
  ValueArena arena;
  auto value = [&](std::string_view text) { return (*parse_value_trees(text, arena)).at(0).root; };
  const std::string object = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web-1, labels: {app: a}, annotations: {n: b}}}";
  auto matches = [&](const std::string& selector) {
    auto target = Target::read(*value(selector));
    const Value* root = value(object);
    return target.ok() && target->matches(*root, ObjectId::of(*root), ObjectId::of(*root));
  };
  for (const char* yes : {"{}", "{name: web-.}", "{kind: Deploy.*|x}", "{group: apps, version: v1}", "{namespace: default}", "{labelSelector: 'app in (a,b)'}", "{annotationSelector: 'n=b,!m'}"}) EXPECT_TRUE(matches(yes)) << yes;
  for (const char* no : {"{name: web}", "{kind: Deploy}", "{group: batch}", "{namespace: x}", "{labelSelector: app=b}", "{annotationSelector: m}", "{name: '('}"}) EXPECT_FALSE(matches(no)) << no;
}

TEST(ImageText, TakenApartAtTheRightColon) {
  for (const char* image : {"nginx", "nginx:1", "host:5000/a/b", "host:5000/a/b:1", "a@sha256:00", "host:5000/a:1@sha256:00"}) EXPECT_EQ(ImageText::split(image).str(), image);
  EXPECT_EQ(ImageText::split("host:5000/a:1@sha256:00").name, "host:5000/a");
  EXPECT_EQ(ImageText::split("host:5000/a:1@sha256:00").tag, "1");
}

TEST(FieldPath, BracketsAndEscapes) {
  using Steps = std::vector<std::string>;
  EXPECT_EQ(split_field_path("a.[name=x.y].b"), (Steps{"a", "[name=x.y]", "b"}));
  EXPECT_EQ(split_field_path("metadata.annotations.[a.b/c]"), (Steps{"metadata", "annotations", "a.b/c"}));
  EXPECT_EQ(split_field_path("a\\.b.0.*"), (Steps{"a.b", "0", "*"}));
}

}  // namespace
}  // namespace archway::kustomize
