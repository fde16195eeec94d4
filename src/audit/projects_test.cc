#include <gtest/gtest.h>

#include "audit/chart.h"
#include "audit/compose_reader.h"
#include "audit/gitlab_reader.h"
#include "audit/readers.h"
#include "base/fd.h"

// Files that name others, or themselves, more often than anybody means to.
namespace archway::audit {
namespace {

class Folder {
 public:
  Folder() : folder_(*TempDir::create("/tmp")) {}
  std::string write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(write_file_atomic(folder_ / name, text).ok());
    return folder_ / name;
  }
  std::string operator/(const std::string& name) const { return folder_ / name; }

 private:
  TempDir folder_;
};

std::vector<std::string> images(const Collection& all) {
  std::vector<std::string> found;
  for (const ImageUse& use : all.uses) found.push_back(use.image);
  return found;
}

TEST(Compose, ValuesOfValuesStopGrowing) {
  Folder folder;
  std::string environment = "A0=xxxxxxxxxx\n";
  for (int i = 1; i < 60; ++i) environment += "A" + std::to_string(i) + "=${A" + std::to_string(i - 1) + "}${A" + std::to_string(i - 1) + "}\n";
  folder.write(".env", environment + "T=1\n");
  std::string file = folder.write("compose.yaml", "services:\n  a: {image: 'x/a:${T}'}\n  b: {image: 'x/b:${A59:-none}'}\n");
  std::set<std::string> used;
  std::vector<std::string> found = images(collect_compose(file, used));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0], "x/a:1");
  EXPECT_LT(found[1].size(), 1000u);
  EXPECT_NE(found[1].find("${A55}"), std::string::npos);  // what was not put in stays as written
}

TEST(Compose, ChainsOfExtendsEnd) {
  Folder folder;
  std::string text = "services:\n  s0: {image: 'x/a:1'}\n";
  for (int i = 1; i < 60; ++i) text += "  s" + std::to_string(i) + ": {extends: s" + std::to_string(i - 1) + "}\n";
  std::string file = folder.write("compose.yaml", text);
  std::set<std::string> used;
  size_t found = collect_compose(file, used).uses.size();
  EXPECT_GE(found, 33u);  // those at the limit's edge
  EXPECT_LT(found, 60u);
}

TEST(Gitlab, VariablesOfVariablesEnd) {
  Folder folder;
  std::string text = "variables:\n  V0: x\n";
  for (int i = 1; i < 30; ++i) {
    text += "  V" + std::to_string(i) + ": '";
    for (int k = 0; k < 50; ++k) text += "$V" + std::to_string(i - 1);
    text += "'\n";
  }
  text += "  LOOP: $LOOP\n  T: '1'\na: {script: [x], image: 'x/a:$V29'}\nb: {script: [x], image: 'x/b:$LOOP'}\nc: {script: [x], image: 'x/c:$T'}\n";
  std::string file = folder.write(".gitlab-ci.yml", text);
  std::set<std::string> used;
  Collection all = collect_gitlab(file, used);
  ASSERT_EQ(all.uses.size(), 3u);
  EXPECT_EQ(all.uses[1].image, "x/b:$LOOP");
  EXPECT_EQ(all.uses[2].image, "x/c:1");
}

TEST(Gitlab, AMatrixHasAsManyJobsAsGitLabAllows) {
  Folder folder;
  std::string text = "a:\n  script: [x]\n  image: 'x/a:$A-$B'\n  parallel: {matrix: [{A: [";
  for (int i = 0; i < 100; ++i) text += std::to_string(i) + ",";
  text += "], B: [1, 2, 3]}]}\n";
  std::string file = folder.write(".gitlab-ci.yml", text);
  std::set<std::string> used;
  EXPECT_EQ(collect_gitlab(file, used).uses.size(), 200u);
}

TEST(Github, ProductsOfMatricesAreBounded) {
  std::string list = "[";
  for (int i = 0; i < 40; ++i) list += std::to_string(i) + ",";
  std::string text = "on: push\njobs:\n  a:\n    runs-on: x\n    strategy: {matrix: {v: " + list + "]}}\n    container: 'x/a:";
  for (int i = 0; i < 8; ++i) text += "${{ matrix.v }}";
  text += "'\n";
  ValueArena arena;
  auto documents = parse_value_trees(text, arena);
  ASSERT_TRUE(documents.ok()) << documents.error().message;
  Collection all;
  read_pipeline(*documents->front().root, Where{"w.yml"}, all);
  EXPECT_EQ(all.uses.size(), 256u);
}

TEST(ChartArchive, WhatIsNoneIsNone) {
  Folder folder;
  EXPECT_FALSE(is_chart_archive(folder.write("a.tgz", "no gzip")));
  EXPECT_FALSE(is_chart_archive(folder.write("b.tgz", "")));
  EXPECT_FALSE(is_chart_archive(folder / "gone.tgz"));
  EXPECT_FALSE(unpack_chart(folder.write("c.tgz", std::string("\x1f\x8b", 2)), folder / "to").ok());
}

TEST(Chart, DependenciesAndWhereTheyAre) {
  Folder folder;
  ASSERT_TRUE(make_directories(folder / "charts/other").ok());
  folder.write("Chart.yaml", "name: c\nappVersion: 7\nkubeVersion: '>=1.30'\ndependencies:\n- {name: a, alias: b, version: 1.x}\n- {name: packed}\n- {name: gone, condition: gone.on}\n");
  folder.write("charts/other/Chart.yaml", "name: a\n");
  folder.write("charts/packed-2.1.0.tgz", "");
  Chart chart = describe_chart(folder / "", "shown");
  ASSERT_EQ(chart.dependencies.size(), 3u);
  EXPECT_EQ(chart.dependencies[0].called(), "b");
  EXPECT_TRUE(chart.dependencies[0].present);
  EXPECT_TRUE(chart.dependencies[1].present);
  EXPECT_FALSE(chart.dependencies[2].present);
  EXPECT_EQ(chart.app_version + " " + chart.kube_version, "7 >=1.30");
}

}  // namespace
}  // namespace archway::audit
