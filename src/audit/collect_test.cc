#include "audit/collect.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "audit/file_kind.h"
#include "audit/kubernetes_reader.h"
#include "base/fd.h"

namespace archway::audit {
namespace {

Collection read(std::string_view text, const std::string& name = "a.yaml") {
  Collection all = collect_text(text, name, {.threads = 1, .run_helm = false});
  all.settle();
  return all;
}

std::vector<std::string> images(const Collection& all) {
  std::vector<std::string> found;
  for (const ImageUse& use : all.uses) found.push_back(use.image + (use.skip.empty() ? "" : " (skipped)"));
  std::sort(found.begin(), found.end());
  return found;
}

using Images = std::vector<std::string>;

TEST(Collect, SpansAreTheBytesOfTheImage) {
  const std::string text = "# ü\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - image: \"nginx:1\"\n    args: [\"--x-image=a/b:2\"]\n";
  Collection all = read(text);
  ASSERT_EQ(all.uses.size(), 2u);
  auto span = [&](const ImageUse& use) { return text.substr(use.place.begin, use.place.end - use.place.begin); };
  EXPECT_EQ(span(all.uses[0]), "\"nginx:1\"");
  EXPECT_EQ(all.uses[0].place.line, 7u);
  EXPECT_EQ(all.uses[0].place.path, "/spec/containers/0/image");
  EXPECT_EQ(all.uses[0].place.object, "Pod p");
  EXPECT_EQ(span(all.uses[1]), "a/b:2");
  EXPECT_EQ(all.uses[1].confidence, Confidence::Likely);
  EXPECT_EQ(all.workloads.size(), 1u);
}

TEST(Collect, PodsBelongToWhoMadeThem) {
  const std::string pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web-7d4b9c-x%, namespace: s, ownerReferences: [{kind: ReplicaSet, name: web-7d4b9c5f6, controller: true}]}\nspec: {containers: [{name: c, image: 'a:1'}]}\n---\n";
  std::string text;
  for (char n : {'1', '2', '3'}) {
    std::string one = pod;
    one[one.find('%')] = n;
    text += one;
  }
  Collection alone = read(text);
  ASSERT_EQ(alone.workloads.size(), 1u);
  EXPECT_EQ(alone.workloads[0].place.object, "Deployment s/web");
  ASSERT_EQ(alone.uses.size(), 1u);
  EXPECT_EQ(alone.uses[0].count, 3u);
  Collection with = read(text + "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: s}\nspec: {replicas: 2, template: {spec: {containers: [{name: c, image: 'a:1'}]}}}\n");
  ASSERT_EQ(with.workloads.size(), 1u);
  EXPECT_EQ(with.workloads[0].pods, 3u);
  EXPECT_EQ(with.uses[0].place.kind, "Deployment");  // where it can be mended
}

std::string owned(const std::string& kind, const std::string& name, const std::string& owner_kind, const std::string& owner, const std::string& image) {
  std::string spec = "{containers: [{name: c, image: '" + image + "'}]}";
  return "apiVersion: v1\nkind: " + kind + "\nmetadata: {name: " + name + ", namespace: s, ownerReferences: [{kind: " + owner_kind + ", name: " + owner + ", controller: true}]}\nspec: " +
         (kind == "Pod" ? spec : "{template: {spec: " + spec + "}}") + "\n---\n";
}

TEST(Collect, PodsBelongToTheOwnerOfTheirOwner) {
  const std::string other = "apiVersion: v1\nkind: Pod\nmetadata: {name: other, namespace: s}\nspec: {containers: [{name: c, image: 'o:1'}]}\n---\n";
  // Two Deployments of one operator's object that is not there: it stands for both, and for their pods.
  Collection all = read(other + owned("Deployment", "one", "Shop", "x", "a:1") + owned("Deployment", "two", "Shop", "x", "b:1") + owned("Pod", "two-1", "Deployment", "two", "b:1"));
  ASSERT_EQ(all.workloads.size(), 2u);
  EXPECT_EQ(all.workloads[1].place.object, "Shop s/x");
  ASSERT_EQ(all.uses.size(), 3u);
  EXPECT_EQ(all.uses[0].workload, 0u);
  EXPECT_EQ(all.uses[2].image, "b:1");
  EXPECT_EQ(all.uses[2].workload, 1u);
}

TEST(Collect, OwnersInACircleEnd) {
  Collection all = read(owned("A", "a", "B", "b", "x:1") + owned("B", "b", "C", "c", "x:2") + owned("C", "c", "A", "a", "x:3"));
  ASSERT_EQ(all.workloads.size(), 1u);
  for (const ImageUse& use : all.uses) EXPECT_EQ(use.workload, 0u);
  EXPECT_EQ(images(all), (Images{"x:1", "x:2", "x:3"}));
}

TEST(Collect, ListsTellTheKindOfTheirItems) {
  Collection all = read(R"({"kind":"DaemonSetList","apiVersion":"apps/v1","items":[{"metadata":{"name":"d","annotations":{"last":"image: no/such:1"}},"spec":{"template":{"spec":{"containers":[{"name":"c","image":"a:1"}]}}},"status":{"image":"no:2"}}]})", "a.json");
  EXPECT_EQ(images(all), Images{"a:1"});
  EXPECT_EQ(all.workloads.at(0).place.object, "DaemonSet d");
  EXPECT_EQ(all.workloads[0].place.api_version, "apps/v1");
}

TEST(Collect, WhatIsBuiltHereIsNotPulled) {
  EXPECT_EQ(images(read("services:\n  a: {image: own/app:1, build: .}\n  b: {image: 'own/app:2'}\n  c: {image: 'x:${V:-3}'}\n", "compose.yaml")), (Images{"own/app:1 (skipped)", "own/app:2 (skipped)", "x:3"}));
}

TEST(Collect, AliasesAreFollowedAndBombsEndSomewhere) {
  EXPECT_EQ(images(read("apiVersion: v1\nkind: Pod\nx: &x {image: 'a:1'}\nspec:\n  containers:\n  - {<<: *x, name: n}\n")).back(), "a:1");
  std::string bomb = "apiVersion: x/v1\nkind: X\nl0: &l0 [image, x]\n";
  for (int i = 1; i < 12; ++i) bomb += "l" + std::to_string(i) + ": &l" + std::to_string(i) + " [" + "*l" + std::to_string(i - 1) + ", *l" + std::to_string(i - 1) + "]\n";
  EXPECT_TRUE(read(bomb).unseen.empty());
  // Aliases of aliases nest deeper than any text may.
  std::string chain = "apiVersion: x/v1\nkind: X\nimage: a/b:1\nl0: &l0 [x]\n";
  for (int i = 1; i < 3000; ++i) chain += "l" + std::to_string(i) + ": &l" + std::to_string(i) + " [*l" + std::to_string(i - 1) + "]\n";
  EXPECT_EQ(images(read(chain)), Images{"a/b:1"});
}

TEST(Collect, OneBrokenDocumentDoesNotTakeTheOthersWithIt) {
  Collection all = read("apiVersion: v1\nkind: Pod\nspec: {containers: [{name: c, image: 'a:1'}]}\n---\nimage: [\n---\napiVersion: v1\nkind: Pod\nspec: {containers: [{name: c, image: 'b:1'}]}\n");
  EXPECT_EQ(images(all), (Images{"a:1", "b:1"}));
  ASSERT_EQ(all.unseen.size(), 1u);
  EXPECT_NE(all.unseen[0].why.find("line 6"), std::string::npos) << all.unseen[0].why;
}

TEST(Collect, KindsByContent) {
  EXPECT_EQ(text_kind("-", "nginx:1\n# c\nquay.io/a/b\n"), FileKind::List);
  EXPECT_EQ(text_kind("-", "# c\nFROM alpine\n"), FileKind::Dockerfile);
  EXPECT_EQ(text_kind("-", " {\"a\": 1}"), FileKind::Json);
  EXPECT_EQ(text_kind("-", "a: b\n"), FileKind::Yaml);
  EXPECT_EQ(file_kind("x/Dockerfile.prod"), FileKind::Dockerfile);
  EXPECT_EQ(file_kind("docker-compose.override.yml"), FileKind::Compose);
  EXPECT_EQ(file_kind(".github/workflows/x.yaml"), FileKind::Pipeline);
  EXPECT_EQ(file_kind("README.md"), FileKind::Other);
}

TEST(Collect, KustomizationsInACircleEnd) {
  auto folder = TempDir::create("/tmp");
  ASSERT_TRUE(folder.ok());
  for (const char* name : {"a", "b"}) ASSERT_TRUE(make_directories(*folder / name).ok());
  ASSERT_TRUE(write_file_atomic(*folder / "a/kustomization.yaml", "resources: [../b]\n").ok());
  ASSERT_TRUE(write_file_atomic(*folder / "b/kustomization.yaml", "resources: [../a]\n").ok());
  Collection all = collect_path(folder->path(), {.threads = 1});
  ASSERT_FALSE(all.unseen.empty());
  EXPECT_NE(all.unseen[0].why.find("names itself"), std::string::npos);
}

TEST(Collect, TwoOverlaysOfOneBaseAreOneWorkload) {
  auto folder = TempDir::create("/tmp");
  ASSERT_TRUE(folder.ok());
  for (const char* name : {"base", "dev", "prod"}) ASSERT_TRUE(make_directories(*folder / name).ok());
  ASSERT_TRUE(write_file_atomic(*folder / "base/kustomization.yaml", "resources: [web.yaml]\n").ok());
  ASSERT_TRUE(write_file_atomic(*folder / "base/web.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: c, image: 'web:1'}]}}}\n").ok());
  ASSERT_TRUE(write_file_atomic(*folder / "dev/kustomization.yaml", "resources: [../base]\n").ok());
  ASSERT_TRUE(write_file_atomic(*folder / "prod/kustomization.yaml", "resources: [../base]\nimages: [{name: web, newTag: '2'}]\n").ok());
  Collection all = collect_path(folder->path(), {.threads = 2});
  all.settle();
  EXPECT_EQ(images(all), (Images{"web:1", "web:2"}));
  EXPECT_EQ(all.workloads.size(), 1u);
}

}  // namespace
}  // namespace archway::audit
