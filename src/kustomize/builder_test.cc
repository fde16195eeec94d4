#include "kustomize/builder.h"

#include <gtest/gtest.h>

#include "kustomize/build_suite.h"

namespace archway::kustomize {
namespace {

const char* const kWeb =
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      nodeSelector:\n        kubernetes.io/arch: amd64\n"
    "      containers:\n      - name: main\n        image: quay.io/a/web:1\n";

const Value& container(const Value& object, size_t index = 0) { return *Trees::items(object["spec"]["template"]["spec"]["containers"])[index]; }

TEST(Build, ValuesKeepThePlaceTheyWereWrittenAt) {
  BuiltFolder folder({{"base/kustomization.yaml", "resources: [web.yaml]\n"},
                      {"base/web.yaml", kWeb},
                      {"kustomization.yaml", "resources: [base]\npatches:\n- path: p.yaml\n- target: {kind: Deployment}\n  patch: |-\n    - op: add\n      path: /spec/template/spec/containers/-\n      value: {name: side, image: 'quay.io/a/side:1'}\n"},
                      {"p.yaml", "# ü\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: init, image: 'quay.io/a/init:1'}]}}}\n"}});
  ASSERT_EQ(folder.build.objects.size(), 1u);
  EXPECT_TRUE(folder.build.unseen.empty());
  const Value& object = *folder.build.objects[0];
  EXPECT_EQ(folder.file_of(container(object, 0)["image"]), "p.yaml");
  EXPECT_EQ(folder.text_at(container(object, 0)["image"]), "'quay.io/a/init:1'");
  EXPECT_EQ(folder.file_of(container(object, 1)["image"]), "base/web.yaml");
  EXPECT_EQ(folder.text_at(container(object, 1)["image"]), "quay.io/a/web:1");
  const Value& side = container(object, 2)["image"];
  EXPECT_EQ(folder.file_of(side), "kustomization.yaml");
  EXPECT_EQ(folder.text_at(side), "'quay.io/a/side:1'");
  EXPECT_EQ(folder.where(side).line, 8u);
  EXPECT_EQ(folder.where(side).column, 34u);
  EXPECT_EQ(folder.named.size(), 4u);
}

TEST(Build, AnImageIsWhereItsTagWasChosen) {
  BuiltFolder folder({{"web.yaml", kWeb}, {"kustomization.yaml", "resources: [web.yaml]\nimages:\n- name: quay.io/a/web\n  newName: b/web\n  newTag: '2'\n"}});
  const Value& image = container(*folder.build.objects.at(0))["image"];
  EXPECT_EQ(image.scalar(), "b/web:2");
  EXPECT_EQ(folder.text_at(image), "'2'");
}

TEST(Build, WhatAPatchDecidesIsNotTheBasesToChange) {
  BuiltFolder folder({{"web.yaml", kWeb}, {"kustomization.yaml", "resources: [web.yaml]\npatches:\n- path: p.yaml\n"}, {"p.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {nodeSelector: {disk: ssd}}}}\n"}});
  const Value& spec = (*folder.build.objects.at(0))["spec"]["template"]["spec"];
  EXPECT_EQ(folder.file_of(spec), "web.yaml");
  EXPECT_EQ(folder.where(spec).begin, folder.where(spec).end);
  EXPECT_EQ(to_json(json_of_value(spec["nodeSelector"])), R"({"kubernetes.io/arch":"amd64","disk":"ssd"})");
}

TEST(Build, WhatIsMissingIsNamedAndTheRestIsBuilt) {
  BuiltFolder folder({{"web.yaml", kWeb},
                      {"kustomization.yaml", "resources: [web.yaml, gone.yaml, 'https://example.org/x']\npatches:\n- path: gone.patch\n- target: {kind: Deployment}\n  patch: '[{\"op\": \"remove\", \"path\": \"/spec/nope\"}]'\n"
                                             "- target: {kind: '('}\n  patch: '[]'\n"}});
  EXPECT_EQ(folder.build.objects.size(), 1u);
  std::string said;
  for (const Note& note : folder.build.unseen) said += note.what.substr(note.what.rfind('/') + 1) + ": " + note.why + "\n";
  EXPECT_NE(said.find("gone.yaml: named in"), said.npos) << said;
  EXPECT_NE(said.find("gone.patch: the patch cannot be read"), said.npos) << said;
  EXPECT_NE(said.find("does not fit Deployment web: remove /spec/nope: there is no \"nope\""), said.npos) << said;
  EXPECT_NE(said.find("\"(\" is no regular expression"), said.npos) << said;
  ASSERT_EQ(folder.build.skipped.size(), 1u);
  EXPECT_EQ(folder.build.skipped[0].what, "https://example.org/x");
}

TEST(Build, APatchOfNothingIsAFaultUnlessSomethingIsElsewhere) {
  const std::string patch = "patches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: other}\n";
  BuiltFolder here({{"web.yaml", kWeb}, {"kustomization.yaml", "resources: [web.yaml]\n" + patch}});
  EXPECT_EQ(here.build.unseen.size(), 1u);
  BuiltFolder elsewhere({{"kustomization.yaml", "resources: ['github.com/a/b?ref=v1']\n" + patch}});
  EXPECT_TRUE(elsewhere.build.unseen.empty());
  EXPECT_EQ(elsewhere.build.skipped.size(), 2u);
}

TEST(Build, CirclesEnd) {
  BuiltFolder folder({{"kustomization.yaml", "resources: [a]\n"}, {"a/kustomization.yaml", "resources: [..]\ncomponents: [../a]\n"}});
  ASSERT_EQ(folder.build.unseen.size(), 2u);
  EXPECT_NE(folder.build.unseen[0].why.find("names itself"), std::string::npos);
}

TEST(Build, ABombInAPatchCostsLittle) {
  std::string bomb = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  l0: &l0 {a: b}\n";
  for (int i = 1; i < 40; ++i) bomb += "  l" + std::to_string(i) + ": &l" + std::to_string(i) + " {a: *l" + std::to_string(i - 1) + ", b: *l" + std::to_string(i - 1) + "}\n";
  BuiltFolder folder({{"web.yaml", kWeb}, {"kustomization.yaml", "resources: [web.yaml]\nimages: [{name: quay.io/a/web, newTag: '2'}]\npatches: [{path: p.yaml}]\n"}, {"p.yaml", bomb}});
  ASSERT_FALSE(folder.build.unseen.empty());
  EXPECT_NE(folder.build.unseen[0].why.find("repeats too many values"), std::string::npos) << folder.build.unseen[0].why;
}

TEST(Build, ChartsAreRenderedByWhoIsGiven) {
  std::map<std::string, std::string> files = {{"charts/c/Chart.yaml", "name: c\n"},
                                              {"kustomization.yaml", "namespace: n\nhelmCharts:\n- name: c\n  releaseName: r\n  valuesFile: v.yaml\n  valuesInline: {a: {b: 1}}\n  includeCRDs: true\nimages: [{name: quay.io/a/web, newTag: '2'}]\n"}};
  ChartRequest asked;
  BuildOptions options;
  options.render = [&](const ChartRequest& request) -> Result<std::string> {
    asked = request;
    return std::string(kWeb);
  };
  BuiltFolder folder(files, options);
  ASSERT_EQ(folder.build.objects.size(), 1u);
  EXPECT_EQ(container(*folder.build.objects[0])["image"].scalar(), "quay.io/a/web:2");
  EXPECT_EQ(asked.folder, folder.path("charts/c"));
  EXPECT_EQ(asked.release + " " + asked.name_space + " " + asked.values, "r n a:\n  b: 1\n");
  EXPECT_TRUE(asked.crds);
  EXPECT_EQ(asked.values_files, std::vector<std::string>{folder.path("v.yaml")});
  BuiltFolder without(files);
  ASSERT_EQ(without.build.skipped.size(), 1u);
  EXPECT_NE(without.build.skipped[0].why.find("there is no helm"), std::string::npos);
}

}  // namespace
}  // namespace archway::kustomize
