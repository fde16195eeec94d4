#include "snapshot/tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "snapshot/test_tar.h"

namespace archway {
namespace {

using namespace test;

std::shared_ptr<const LayerIndex> layer(const std::vector<TarEntry>& entries) {
  auto index = index_of(entries);
  EXPECT_TRUE(index.ok()) << (index.ok() ? "" : index.error().message);
  return std::make_shared<const LayerIndex>(index.ok() ? *index : LayerIndex{});
}

std::string refusal(const std::vector<TarEntry>& entries, LayerLimits limits = {}) {
  auto index = index_of(entries, limits);
  if (index.ok()) return "taken";
  EXPECT_EQ(index.error().code, Code::Invalid);
  return index.error().message;
}

std::vector<std::string> paths(const LayerIndex& index) {
  std::vector<std::string> out;
  for (const auto& [path, entry] : index.entries) out.push_back(path);
  return out;
}

using Names = std::vector<std::string>;

TEST(PathOrder, IsThatOfAWalk) {
  Names shuffled{"a-b", "a/b", "a", "a.b", "a/b/c", "ab", "", "a/b-c"};
  std::sort(shuffled.begin(), shuffled.end(), PathOrder());
  EXPECT_EQ(shuffled, (Names{"", "a", "a/b", "a/b/c", "a/b-c", "a-b", "a.b", "ab"}));
}

TEST(CanonicalPath, CleansAndRefuses) {
  auto canonical = [](std::string_view path) {
    auto result = canonical_path(path);
    return result.ok() ? *result : "refused";
  };
  EXPECT_EQ(canonical("./a//b/../c"), "a/c");
  EXPECT_EQ(canonical("/a/c/"), "a/c");
  EXPECT_EQ(canonical("./"), "");
  EXPECT_EQ(canonical("a/.."), "");
  EXPECT_EQ(canonical("../a"), "refused");
  EXPECT_EQ(canonical("a/../../etc/passwd"), "refused");
  EXPECT_EQ(canonical(std::string_view("a\0b", 3)), "refused");
  EXPECT_EQ(canonical(std::string(255, 'n')), std::string(255, 'n'));
  EXPECT_EQ(canonical(std::string(256, 'n')), "refused");
  std::string deep = "d";
  for (size_t i = 1; i < kLayerLimits.depth; i++) deep += "/d";
  EXPECT_EQ(canonical(deep), deep);
  EXPECT_EQ(canonical(deep + "/d"), "refused");
  std::string longest;
  while (longest.size() < 4095) longest += longest.empty() ? std::string(127, 'x') : "/" + std::string(127, 'x');
  longest.resize(4095);
  EXPECT_EQ(canonical(longest), longest);
  EXPECT_EQ(canonical(longest + "x"), "refused");
}

TEST(IndexTar, SortsAndKeepsTheLastOfEqualNames) {
  auto index = layer({file("b", 3), dir("./a/"), file("/a/x", 1), file("b", 5, 0600)});
  EXPECT_EQ(paths(*index), (Names{"a", "a/x", "b"}));
  EXPECT_EQ(index->find("b")->size, 5u);
  EXPECT_EQ(index->find("b")->mode, 0600u);
  EXPECT_EQ(index->find("nothing"), nullptr);
}

TEST(IndexTar, ReadsEveryFormOfWhiteout) {
  auto index = layer({dir("d"), file("d/.wh.gone"), dir("o"), file("o/.wh..wh..opq"), file("o/new"), file(".wh..wh.plnk/17.4"), file(".wh..wh.aufs"),
                      device("e/zero", 0, 0), device("e/null", 1, 3)});
  EXPECT_EQ(paths(*index), (Names{"d", "e/null", "o", "o/new"}));
  EXPECT_EQ(index->whiteouts, (Names{"d/gone", "e/zero"}));
  EXPECT_EQ(index->opaque, (Names{"o"}));
}

TEST(IndexTar, RemovedAndMadeAnewIsOpaque) {
  auto index = layer({file(".wh.d"), dir("d"), file("d/new"), file(".wh.f"), file("f", 1)});
  EXPECT_EQ(index->opaque, (Names{"d"}));
  EXPECT_EQ(index->whiteouts, Names{});
}

TEST(IndexTar, RefusesHostilePaths) {
  EXPECT_NE(refusal({file("../x")}).find("../x"), std::string::npos);
  EXPECT_NE(refusal({file("a/../../x")}).find("leads out of the root"), std::string::npos);
  EXPECT_NE(refusal({file("a"), file("a/b")}).find("lies below a, which is no folder"), std::string::npos);
  EXPECT_NE(refusal({dir("d"), hardlink("h", "d")}).find("hard link to a folder"), std::string::npos);
  EXPECT_NE(refusal({hardlink("h", "../../etc/passwd")}).find("leads out of the root"), std::string::npos);
  EXPECT_NE(refusal({hardlink("h", "h")}).find("to itself"), std::string::npos);
  EXPECT_NE(refusal({symlink("a", "b"), symlink("b", "a"), file("a/x")}).find("too many symlinks"), std::string::npos);
  EXPECT_NE(refusal({file("d/.wh..")}).find("whiteout of nothing"), std::string::npos);
  EXPECT_NE(refusal({file(".wh.x/y")}).find("below a whiteout"), std::string::npos);
  EXPECT_NE(refusal({symlink(".", "x")}).find("the root has to be a folder"), std::string::npos);
}

TEST(IndexTar, HoldsItsLimitsAtTheEdge) {
  std::vector<TarEntry> three{file("aaa"), file("bbb"), file("ccc")};
  EXPECT_EQ(refusal(three, {.entries = 3}), "taken");
  EXPECT_NE(refusal(three, {.entries = 2}), "taken");
  EXPECT_EQ(refusal(three, {.metadata_bytes = 9}), "taken");
  EXPECT_NE(refusal(three, {.metadata_bytes = 8}), "taken");
  EXPECT_EQ(refusal({file("a/b")}, {.depth = 2}), "taken");
  EXPECT_NE(refusal({file("a/b")}, {.depth = 1}), "taken");
  EXPECT_EQ(refusal({file("a/b")}, {.path_bytes = 3}), "taken");
  EXPECT_NE(refusal({file("a/bc")}, {.path_bytes = 3}), "taken");
  EXPECT_EQ(refusal({file("abc")}, {.name_bytes = 3}), "taken");
  EXPECT_NE(refusal({file("abcd")}, {.name_bytes = 3}), "taken");
  // A short name below a symlink to something long is as long as where it ends up.
  EXPECT_NE(refusal({symlink("s", "xxxxxxxx"), file("s/y")}, {.path_bytes = 9}), "taken");
}

TEST(IndexTar, FollowsSymlinksOfTheSameLayerInParents) {
  auto index = layer({dir("usr"), dir("usr/lib"), symlink("lib", "usr/lib"), file("lib/x", 1), symlink("out", "../../.."), file("out/y", 1)});
  EXPECT_EQ(paths(*index), (Names{"lib", "out", "usr", "usr/lib", "usr/lib/x", "y"}));
}

TEST(IndexTar, ReplacingAFolderTakesItsContentAlong) {
  auto index = layer({dir("d"), file("d/x"), dir("d/e"), file("d/e/y"), file("d", 4), file("d.txt")});
  EXPECT_EQ(paths(*index), (Names{"d", "d.txt"}));
}

TEST(IndexTar, HardlinksKeepTheirFileWhenItsFirstNameGoes) {
  auto index = layer({file("a", 7), hardlink("b", "a"), hardlink("c", "./b"), file("a", 1)});
  EXPECT_EQ(index->find("a")->size, 1u);
  EXPECT_EQ(index->find("b")->type, TarType::Regular);
  EXPECT_EQ(index->find("b")->size, 7u);
  EXPECT_EQ(index->find("c")->type, TarType::Hardlink);
  EXPECT_EQ(index->find("c")->link, "b");
}

TEST(IndexTar, DropsXattrsThatSteerOverlayfs) {
  TarEntry entry = dir("d");
  entry.xattrs = {{"trusted.overlay.redirect", "/x"}, {"user.keep", "1"}, {"user.overlay.opaque", "y"}};
  auto index = layer({entry});
  using Xattrs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(index->find("d")->xattrs, (Xattrs{{"user.keep", "1"}}));
}

TEST(LayerIndexFile, RoundTrips) {
  TarEntry special = file("s", 9, 04755);
  special.uid = 1000;
  special.gid = 4'294'967'294;
  special.mtime = Time::from_seconds(-5);
  special.xattrs = {{"security.capability", std::string("\0\1", 2)}};
  auto index = layer({dir("."), dir("a"), special, symlink("l", "a/b"), hardlink("h", "s"), device("dev", 8, 1), file("a/.wh.x"), dir("o"), file("o/.wh..wh..opq")});
  auto read = read_layer_index(write_layer_index(*index));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, *index);
}

TEST(LayerIndexFile, NoticesEveryCutAndEveryChangedByte) {
  std::string bytes = write_layer_index(*layer({dir("a"), file("a/b", 3), file("a/.wh.c")}));
  for (size_t i = 0; i < bytes.size(); i++) {
    EXPECT_FALSE(read_layer_index(bytes.substr(0, i)).ok()) << i;
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(read_layer_index(changed).ok()) << i;
  }
}

TEST(Tree, MergesLayers) {
  Tree tree = Tree().with(layer({dir("etc"), file("etc/a", 1), file("etc/b", 1), dir("var", 0700), dir("var/x"), file("var/x/1")}))
                  .with(layer({file("etc/.wh.a"), file("etc/b", 2), file("var/x/2"), dir("opt"), file("opt/.wh..wh..opq")}));
  EXPECT_FALSE(tree.lookup("etc/a"));
  EXPECT_EQ(tree.lookup("etc/b")->entry->size, 2u);
  EXPECT_EQ(tree.lookup("etc/b")->layer, 1u);
  EXPECT_EQ(tree.lookup("var")->entry->mode, 0700u) << "only implied in the upper layer";
  EXPECT_EQ(tree.lookup("")->entry->mode, 0755u);
  EXPECT_FALSE(tree.lookup("etc/b/c"));
  EXPECT_EQ(tree.children(""), (Names{"etc", "opt", "var"}));
  EXPECT_EQ(tree.children("etc"), (Names{"b"}));
  EXPECT_EQ(tree.children("var/x"), (Names{"1", "2"}));
  EXPECT_EQ(tree.children("etc/b"), Names{});
  EXPECT_EQ(tree.children("nothing"), Names{});
}

TEST(Tree, HidesWhatLiesBelowWhatReplacedIt) {
  auto base = layer({dir("d"), dir("d/e"), file("d/e/f")});
  Tree file_over = Tree().with(base).with(layer({file("d")})).with(layer({dir("d"), file("d/new")}));
  EXPECT_FALSE(file_over.lookup("d/e"));
  EXPECT_EQ(file_over.children("d"), (Names{"new"}));
  Tree opaque = Tree().with(base).with(layer({dir("d"), file("d/.wh..wh..opq"), file("d/x")}));
  EXPECT_EQ(opaque.children("d"), (Names{"x"}));
  EXPECT_FALSE(opaque.lookup("d/e/f"));
  Tree removed = Tree().with(base).with(layer({file(".wh.d")}));
  EXPECT_FALSE(removed.lookup("d"));
  EXPECT_FALSE(removed.lookup("d/e/f"));
  EXPECT_EQ(removed.children(""), Names{});
  Tree again = removed.with(layer({file("d/y")}));
  EXPECT_EQ(again.children("d"), (Names{"y"}));
}

TEST(Tree, AnswersAHardlinkWithItsFile) {
  Tree tree = Tree().with(layer({file("a", 7), hardlink("z/b", "a"), hardlink("dangling", "nowhere")}));
  auto a = tree.lookup("a"), b = tree.lookup("z/b");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->entry, b->entry);
  EXPECT_EQ(b->name, "a");
  EXPECT_FALSE(tree.lookup("dangling"));
  Tree linked_across = Tree().with(layer({file("a", 7)})).with(layer({hardlink("b", "a")}));
  EXPECT_EQ(linked_across.lookup("b")->entry->size, 7u);
}

TEST(Tree, ResolvesAsTheKernelWould) {
  Tree tree = Tree()
                  .with(layer({dir("usr"), dir("usr/bin"), file("usr/bin/sh"), symlink("bin", "usr/bin"), symlink("abs", "/usr/bin"), symlink("up", "../../../usr"),
                               symlink("loop", "loop"), symlink("dangling", "/not/there"), file("plain")}))
                  .with(layer({symlink("usr/bin/bash", "../../bin/sh")}));
  using Path = std::optional<std::string>;
  EXPECT_EQ(tree.resolve("/bin/bash"), Path("usr/bin/sh"));
  EXPECT_EQ(tree.resolve("bin/bash", false), Path("usr/bin/bash"));
  EXPECT_EQ(tree.resolve("bin", false), Path("bin"));
  EXPECT_EQ(tree.resolve("bin/", false), Path("usr/bin"));
  EXPECT_EQ(tree.resolve("abs/../bin"), Path("usr/bin"));
  EXPECT_EQ(tree.resolve("up/bin/sh"), Path("usr/bin/sh"));
  EXPECT_EQ(tree.resolve("/"), Path(""));
  EXPECT_EQ(tree.resolve("loop"), std::nullopt);
  EXPECT_EQ(tree.resolve("dangling"), std::nullopt);
  EXPECT_EQ(tree.resolve("plain/"), std::nullopt);
  EXPECT_EQ(tree.resolve("plain/x"), std::nullopt);
  EXPECT_EQ(tree.resolve_for_create("dangling/x"), "not/there/x");
  EXPECT_EQ(tree.resolve_for_create("dangling"), "not/there");
  EXPECT_EQ(tree.resolve_for_create("bin/new"), "usr/bin/new");
  EXPECT_EQ(tree.resolve_for_create("new/../bin/x"), "usr/bin/x");
  EXPECT_EQ(tree.resolve_for_create("loop"), "loop");
}

TEST(Tree, FollowsFortySymlinksAndNotOneMore) {
  std::vector<TarEntry> chain{file("l0")};
  for (int i = 1; i <= 41; i++) chain.push_back(symlink("l" + std::to_string(i), "l" + std::to_string(i - 1)));
  Tree tree = Tree().with(layer(chain));
  EXPECT_EQ(tree.resolve("l40"), "l0");
  EXPECT_EQ(tree.resolve("l41"), std::nullopt);
}

// The same answers as a model that simply applies one layer after the other to a map.
TEST(Tree, AgreesWithAppliedLayers) {
  std::mt19937 random(7);
  auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  auto some_path = [&] {
    std::string path(1, static_cast<char>('a' + pick(3)));
    for (int depth = pick(3); depth > 0; depth--) path += std::string("/") + static_cast<char>('a' + pick(3));
    return path;
  };
  for (int round = 0; round < 200; round++) {
    Tree tree;
    std::map<std::string, std::pair<TarType, uint64_t>, PathOrder> model;
    auto drop = [&](const std::string& path, bool self) {
      std::erase_if(model, [&](const auto& item) { return (self && item.first == path) || item.first.starts_with(path + "/"); });
    };
    for (int l = 0; l < 4; l++) {
      LayerIndex index;
      std::map<std::string, char, PathOrder> actions;  // f, d, w(hiteout), o(paque)
      for (int i = pick(6); i >= 0; i--) actions[some_path()] = "fddwo"[pick(5)];
      // Well-formed: nothing below a file or a whiteout.
      for (auto at = actions.begin(); at != actions.end();) {
        bool blocked = std::any_of(actions.begin(), actions.end(), [&](const auto& other) {
          return (other.second == 'f' || other.second == 'w') && at->first.starts_with(other.first + "/");
        });
        at = blocked ? actions.erase(at) : std::next(at);
      }
      for (const auto& [path, action] : actions) {
        for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
          auto at = model.find(path.substr(0, slash));
          if (at == model.end()) model[path.substr(0, slash)] = {TarType::Directory, 0};
          else if (at->second.first != TarType::Directory) at->second = {TarType::Directory, 0};
        }
        uint64_t size = static_cast<uint64_t>(pick(1000));
        if (action == 'w') {
          drop(path, true);
          index.whiteouts.push_back(path);
          continue;
        }
        if (action != 'd') drop(path, false);
        else if (auto at = model.find(path); at != model.end() && at->second.first != TarType::Directory) model.erase(at);
        TarType type = action == 'f' ? TarType::Regular : TarType::Directory;
        uint64_t shown = action == 'f' ? size : 0;
        model[path] = {type, shown};
        index.entries.push_back({path, {.type = type, .size = shown}});
        if (action == 'o') index.opaque.push_back(path);
      }
      tree = tree.with(std::make_shared<const LayerIndex>(std::move(index)));
    }
    std::vector<std::string> pending{""};
    std::map<std::string, std::pair<TarType, uint64_t>, PathOrder> seen;
    while (!pending.empty()) {
      std::string folder = pending.back();
      pending.pop_back();
      for (const std::string& name : tree.children(folder)) {
        std::string path = folder.empty() ? name : folder + "/" + name;
        auto found = tree.lookup(path);
        ASSERT_TRUE(found) << path;
        seen[path] = {found->entry->type, found->entry->size};
        pending.push_back(path);
      }
    }
    ASSERT_EQ(seen, model) << "round " << round;
  }
}

}  // namespace
}  // namespace archway
