#include "snapshot/layer_writer.h"

#include <gtest/gtest.h>

#include "snapshot/test_tar.h"

namespace archway {
namespace {

using namespace test;
using Lines = std::vector<std::string>;

const Time kThen = Time::from_seconds(1'500'000'000);

std::shared_ptr<const LayerIndex> layer(const std::vector<TarEntry>& entries) {
  return std::make_shared<const LayerIndex>(index_of(entries).value());
}
TreeEntry plain(uint32_t mode = 0644) {
  TreeEntry entry;
  entry.mode = mode;
  entry.mtime = kThen;
  return entry;
}
TreeEntry symlink_to(std::string target) {
  TreeEntry entry = plain(0777);
  entry.type = TarType::Symlink;
  entry.link = std::move(target);
  return entry;
}

// "path mode [type: link] [=content]" for each entry of the tar, in its order.
Lines written(LayerWriter& writer) {
  StringSink sink;
  TarWriter tar(sink);
  auto index = writer.write(tar);
  if (!index.ok()) return {index.error().message};
  StringSource again(sink.text);
  auto said = index_tar(again);
  EXPECT_TRUE(said.ok() && *said == *index) << "the index is not that of the tar";
  Lines lines;
  StringSource source(sink.text);
  TarReader reader(source);
  while (auto entry = reader.next().value()) {
    char mode[8];
    std::snprintf(mode, sizeof mode, " %04o", entry->mode);
    std::string line = entry->path + mode;
    if (entry->type == TarType::Symlink) line += " -> " + entry->link;
    if (entry->type == TarType::Hardlink) line += " = " + entry->link;
    if (entry->size) line += " " + read_all(reader.data(), 100, "data").value();
    lines.push_back(std::move(line));
  }
  return lines;
}

// ../shared/vectors/builder/mp-copy-over-existing: what BuildKit made of it.
TEST(LayerWriter, CopiesOntoWhatExistsAsBuildKitDoes) {
  Tree base = Tree().with(layer({symlink("ln", "/t"), dir("t", 0700), file("t/a.txt", 4), dir("t/dir")}));
  LayerWriter one(base);
  ASSERT_TRUE(one.put_bytes(one.resolve_for_create("/t/a.txt"), plain(), "a\n").ok());
  EXPECT_EQ(written(one), (Lines{"t/ 0700", "t/a.txt 0644 a\n"}));

  LayerWriter two(base);
  ASSERT_TRUE(two.put_directory("t/dir", plain(0700), OntoDirectory::KeepButTime).ok());
  ASSERT_TRUE(two.put_bytes("t/dir/1.txt", plain(), "1").ok());
  ASSERT_TRUE(two.put_directory("t/dir/sub", plain(0755), OntoDirectory::TakeMetadata).ok());
  ASSERT_TRUE(two.put_node("t/dir/up", symlink_to("../b.txt")).ok());
  EXPECT_EQ(two.lookup("t/dir")->mtime, kThen);
  EXPECT_EQ(written(two), (Lines{"t/ 0700", "t/dir/ 0755", "t/dir/1.txt 0644 1", "t/dir/sub/ 0755", "t/dir/up 0777 -> ../b.txt"}));

  LayerWriter three(base);
  EXPECT_EQ(three.resolve_for_create("/ln/b.txt"), "t/b.txt");
  ASSERT_TRUE(three.put_bytes("t/b.txt", plain(), "b").ok());
  EXPECT_EQ(written(three), (Lines{"t/ 0700", "t/b.txt 0644 b"}));
}

TEST(LayerWriter, MakesMissingParents) {
  LayerWriter writer(Tree(), {.now = kThen, .parent_mode = 0750, .parent_uid = 7});
  ASSERT_TRUE(writer.put_bytes("a/b/c", plain(), "c").ok());
  EXPECT_EQ(writer.lookup("a/b")->uid, 7u);
  EXPECT_EQ(written(writer), (Lines{"a/ 0750", "a/b/ 0750", "a/b/c 0644 c"}));
}

TEST(LayerWriter, AFolderThatIsThereIsNoChange) {
  Tree base = Tree().with(layer({dir("srv")}));
  LayerWriter writer(base);
  auto made = writer.make_directories("srv/app/x", plain(0755));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(*made, (Lines{"srv/app", "srv/app/x"}));
  EXPECT_EQ(written(writer), (Lines{"srv/ 0755", "srv/app/ 0755", "srv/app/x/ 0755"}));
  LayerWriter nothing(base);
  ASSERT_TRUE(nothing.make_directories("srv", plain(0700)).ok());
  EXPECT_TRUE(nothing.empty());
  ASSERT_TRUE(nothing.put_directory("srv", plain(0755), OntoDirectory::TakeMetadata).ok());
  EXPECT_EQ(written(nothing), Lines{});
  LayerWriter changed(base);
  ASSERT_TRUE(changed.put_directory("srv", plain(0700), OntoDirectory::TakeMetadata).ok());
  EXPECT_EQ(written(changed), (Lines{"srv/ 0700"}));
}

TEST(LayerWriter, RefusesAFolderOverAFileAndAFileOverAFolder) {
  LayerWriter writer(Tree().with(layer({dir("d"), file("f"), symlink("s", "f")})));
  EXPECT_EQ(writer.put_bytes("d", plain(), "x").error().message, "cannot replace the folder /d with a file");
  EXPECT_EQ(writer.put_directory("f", plain(0755), OntoDirectory::TakeMetadata).error().code, Code::Invalid);
  EXPECT_EQ(writer.put_bytes("f/x", plain(), "x").error().message, "cannot make the folder /f: there is a file of that name");
  EXPECT_TRUE(writer.put_bytes("s", plain(), "x").ok());
  EXPECT_EQ(written(writer), (Lines{"s 0644 x"}));
}

TEST(LayerWriter, AnArchiveReplacesWhateverIsThere) {
  Tree base = Tree().with(layer({dir("d"), file("d/old"), dir("d/both"), file("d/both/x"), file("f")}));
  LayerWriter writer(base);
  ASSERT_TRUE(writer.put_bytes("d", plain(), "now a file", OntoOther::Replace).ok());
  ASSERT_TRUE(writer.put_directory("f", plain(0711), OntoDirectory::TakeMetadata, OntoOther::Replace).ok());
  EXPECT_EQ(writer.lookup("d/old"), nullptr);
  EXPECT_EQ(writer.children("d"), Lines{});
  EXPECT_EQ(writer.children(""), (Lines{"d", "f"}));
  EXPECT_EQ(written(writer), (Lines{"d 0644 now a file", "f/ 0711"}));

  LayerWriter again(base);
  ASSERT_TRUE(again.put_bytes("d", plain(), "a file", OntoOther::Replace).ok());
  ASSERT_TRUE(again.put_directory("d", plain(0755), OntoDirectory::TakeMetadata, OntoOther::Replace).ok());
  ASSERT_TRUE(again.put_directory("d/both", plain(0755), OntoDirectory::TakeMetadata).ok());
  ASSERT_TRUE(again.put_bytes("d/new", plain(), "n").ok());
  EXPECT_EQ(again.children("d"), (Lines{"both", "new"}));
  EXPECT_EQ(written(again), (Lines{"d/ 0755", "d/both/ 0755", "d/both/.wh.x 0000", "d/new 0644 n", "d/.wh.old 0000"}));
}

TEST(LayerWriter, WritesHardlinksAfterTheirFirstNameInOrder) {
  LayerWriter writer{Tree()};
  ASSERT_TRUE(writer.put_bytes("z", plain(), "data").ok());
  ASSERT_TRUE(writer.put_link("a", "z").ok());
  ASSERT_TRUE(writer.put_link("m", "a").ok());
  EXPECT_EQ(writer.put_link("x", "nothing").error().code, Code::NotFound);
  EXPECT_EQ(written(writer), (Lines{"a 0644 data", "m 0644 = a", "z 0644 = a"}));
}

TEST(LayerWriter, AsksWhetherAnEqualFileIsTheSame) {
  TarEntry old = file("f", 4);
  old.mtime = kThen;
  TarEntry empty = file("e", 0);
  empty.mtime = kThen;
  Tree base = Tree().with(layer({empty, old}));
  for (bool same : {true, false}) {
    LayerWriter writer(base, {.same_content = [same](const std::string&, const Tree::Found&) -> Result<bool> { return same; }});
    ASSERT_TRUE(writer.put_bytes("f", plain(), "ffff").ok());
    ASSERT_TRUE(writer.put_bytes("e", plain(), "").ok());
    EXPECT_EQ(written(writer), same ? Lines{} : (Lines{"f 0644 ffff"}));
  }
}

TEST(LayerWriter, ClampsTimesAndSaysWhereAFileCameShort) {
  LayerWriter writer(Tree(), {.now = Time::from_seconds(9), .clamp_mtime = Time::from_seconds(5)});
  ASSERT_TRUE(writer.put_bytes("d/f", plain(), "x").ok());
  StringSink sink;
  TarWriter tar(sink);
  auto index = writer.write(tar);
  ASSERT_TRUE(index.ok());
  for (const auto& [path, entry] : index->entries) EXPECT_EQ(entry.mtime, Time::from_seconds(5)) << path;

  LayerWriter shrunk{Tree()};
  TreeEntry ten = plain();
  ten.size = 10;
  ASSERT_TRUE(shrunk.put_file("f", ten, []() -> Result<std::unique_ptr<Source>> { return std::unique_ptr<Source>(std::make_unique<StringSource>("short")); }).ok());
  EXPECT_NE(written(shrunk)[0].find("/f is shorter than the 10 bytes"), std::string::npos);
}

}  // namespace
}  // namespace archway
