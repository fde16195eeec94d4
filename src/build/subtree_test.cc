#include "build/subtree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "build/context.h"

namespace archway::build {
namespace {

namespace fs = std::filesystem;

class SubtreeTest : public testing::Test {
 protected:
  SubtreeTest() : dir_(std::move(*TempDir::create(testing::TempDir()))) {
    fs::create_directories(dir_ / "context/sub/deep");
    fs::create_directory(copy());
    write("sub/file", "one");
    write("sub/deep/file", "two");
    fs::create_symlink("deep/file", dir_ / "context/sub/link");
    fs::create_symlink("sub", dir_ / "context/other");
  }
  std::string copy() const { return dir_ / "copy"; }
  void write(const std::string& path, std::string_view text) { std::ofstream(dir_ / ("context/" + path), std::ios::binary) << text; }
  // Contexts are read once: each question has its own.
  std::shared_ptr<BuildContext> context() { return *BuildContext::open(dir_ / "context", {}); }
  Subtree list(const std::string& path) {
    auto subtree = Subtree::list(*context(), path, {});
    EXPECT_TRUE(subtree.ok()) << subtree.error().message;
    return *subtree;
  }
  // Brings the copy up to date, and says what is in it.
  std::string update(const std::string& path) {
    auto from = context();
    Subtree wanted = *Subtree::list(*from, path, {});
    auto done = update_copy(*from, wanted, there_, copy(), {});
    EXPECT_TRUE(done.ok()) << done.error().message;
    there_ = *Subtree::decode(wanted.encode());
    EXPECT_EQ(there_, wanted.entries());
    return shown();
  }
  std::string shown() const {
    std::vector<std::string> lines;
    for (const auto& entry : fs::recursive_directory_iterator(copy())) {
      std::string line = entry.path().lexically_relative(copy());
      if (entry.is_symlink()) line += "@" + fs::read_symlink(entry.path()).string();
      else if (entry.is_directory()) line += "/";
      else line += "=" + read_file(entry.path(), 1000).value_or("?");
      lines.push_back(line);
    }
    std::sort(lines.begin(), lines.end());
    std::string all;
    for (const std::string& line : lines) all += line + " ";
    return all;
  }
  struct stat stat_of(const std::string& path) const {
    struct stat st = {};
    EXPECT_EQ(::lstat((copy() + "/" + path).c_str(), &st), 0) << path;
    return st;
  }
  TempDir dir_;
  std::vector<Subtree::Entry> there_;
};

TEST_F(SubtreeTest, CopiesWhatIsThereWithModesAndTimes) {
  ::chmod((dir_ / "context/sub/file").c_str(), 0751);
  ::chmod((dir_ / "context/sub/deep").c_str(), 0500);
  timespec times[2] = {{1'000'000'000, 5}, {1'234'567'890, 123'456'789}};
  ::utimensat(AT_FDCWD, (dir_ / "context/sub/file").c_str(), times, 0);
  EXPECT_EQ(update("other"), "deep/ deep/file=two file=one link@deep/file ");
  EXPECT_EQ(stat_of("file").st_mode & 07777, 0751u);
  EXPECT_EQ(stat_of("deep").st_mode & 07777, 0500u);
  EXPECT_EQ(stat_of("file").st_mtim.tv_sec, 1'234'567'890);
  EXPECT_EQ(stat_of("file").st_mtim.tv_nsec, 123'456'789);
  ::chmod((dir_ / "context/sub/deep").c_str(), 0700);
}

TEST_F(SubtreeTest, KeepsWhatIsTheSameAndMakesTheRestAnew) {
  update("sub");
  const ino_t kept = stat_of("deep/file").st_ino, replaced = stat_of("file").st_ino;
  write("sub/file", "another");
  write("sub/new", "x");
  fs::remove(dir_ / "context/sub/link");
  EXPECT_EQ(update("sub"), "deep/ deep/file=two file=another new=x ");
  EXPECT_EQ(stat_of("deep/file").st_ino, kept);
  (void)replaced;
  // A folder becomes a file, and a file a folder.
  fs::remove_all(dir_ / "context/sub/deep");
  write("sub/deep", "file now");
  fs::remove(dir_ / "context/sub/new");
  fs::create_directory(dir_ / "context/sub/new");
  write("sub/new/inner", "y");
  EXPECT_EQ(update("sub"), "deep=file now file=another new/ new/inner=y ");
}

TEST_F(SubtreeTest, NamesOfOneFileStaySo) {
  fs::create_hard_link(dir_ / "context/sub/file", dir_ / "context/sub/same");
  update("sub");
  EXPECT_EQ(stat_of("file").st_ino, stat_of("same").st_ino);
  // They part.
  fs::remove(dir_ / "context/sub/same");
  write("sub/same", "one");
  update("sub");
  EXPECT_NE(stat_of("file").st_ino, stat_of("same").st_ino);
  EXPECT_EQ(shown(), "deep/ deep/file=two file=one link@deep/file same=one ");
}

TEST_F(SubtreeTest, ASingleFileHasANameOfItsOwn) {
  EXPECT_FALSE(list("other/link").is_folder());
  EXPECT_EQ(update("other/link"), "file=two ");
}

TEST_F(SubtreeTest, KeysTellOfWhatCanBeSeen) {
  const Subtree before = list("sub");
  EXPECT_EQ(list("other").content_key(), before.content_key());
  timespec times[2] = {{1, 1}, {1, 1}};
  ::utimensat(AT_FDCWD, (dir_ / "context/sub/deep").c_str(), times, 0);
  EXPECT_EQ(list("sub").version(), before.version());  // a folder's time says nothing
  ::utimensat(AT_FDCWD, (dir_ / "context/sub/file").c_str(), times, 0);
  EXPECT_EQ(list("sub").content_key(), before.content_key());
  EXPECT_NE(list("sub").version(), before.version());
  ::chmod((dir_ / "context/sub/file").c_str(), 0777);
  EXPECT_NE(list("sub").content_key(), before.content_key());
}

TEST_F(SubtreeTest, WhatIsNotThereIsNotFound) {
  auto absent = Subtree::list(*context(), "sub/absent", {});
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code, Code::NotFound);
  EXPECT_EQ(absent.error().message, "\"/sub/absent\": not found");
}

TEST_F(SubtreeTest, DamagedListsAreNoLists) {
  const std::string good = list("sub").encode();
  for (size_t cut : {size_t{1}, size_t{7}, good.size() / 2, good.size() - 1}) EXPECT_FALSE(Subtree::decode(good.substr(0, cut)).ok()) << cut;
  for (const char* bad : {"x", "3:ab", "99999999999999999999:", "-1:", "1:a1:x"}) EXPECT_FALSE(Subtree::decode(bad).ok()) << bad;
}

TEST_F(SubtreeTest, LargeFilesAreCopiedWhole) {
  std::string large(3'000'000, 'a');
  for (size_t i = 0; i < large.size(); i += 4099) large[i] = static_cast<char>('a' + i % 26);
  write("sub/large", large);
  update("sub");
  EXPECT_EQ(read_file(copy() + "/large", 4'000'000).value_or(""), large);
}

}  // namespace
}  // namespace archway::build
