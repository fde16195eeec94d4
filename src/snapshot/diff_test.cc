#include "snapshot/diff.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "snapshot/test_tar.h"

namespace archway {
namespace {

using namespace test;
using Lines = std::vector<std::string>;

// A folder to fill by hand, as overlayfs would.
class Upper {
 public:
  Upper() : dir_(TempDir::create("/tmp", "archway-diff-").value()) {}
  std::string path() const { return dir_.path(); }
  void folder(const std::string& name, mode_t mode = 0755) {
    ASSERT_EQ(::mkdir((dir_ / name).c_str(), 0700), 0);
    ASSERT_EQ(::chmod((dir_ / name).c_str(), mode), 0);
  }
  void file(const std::string& name, std::string_view content = "", int64_t seconds = 100, int64_t nanoseconds = 5) {
    Fd fd = open_file(dir_ / name, O_CREAT | O_WRONLY | O_TRUNC).value();
    ASSERT_TRUE(write_all(fd.get(), as_bytes(content)).ok());
    ASSERT_EQ(::fchmod(fd.get(), 0644), 0);
    timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
    ASSERT_EQ(::futimens(fd.get(), times), 0);
  }
  void link(const std::string& to, const std::string& name) { ASSERT_EQ(::link((dir_ / to).c_str(), (dir_ / name).c_str()), 0); }
  void whiteout(const std::string& name) { ASSERT_EQ(::mknod((dir_ / name).c_str(), S_IFCHR, 0), 0); }
  void xattr(const std::string& name, const char* key, std::string_view value) {
    ASSERT_EQ(::setxattr((dir_ / name).c_str(), key, value.data(), value.size(), 0), 0);
  }

 private:
  TempDir dir_;
};

Result<Lines> diff(const Upper& upper, const Tree& lower, DiffOptions options = {}) {
  StringSink sink;
  TarWriter tar(sink);
  LayerIndex index = TRY(write_upper_as_tar(upper.path(), lower, options, tar));
  StringSource again(sink.text);
  EXPECT_EQ(TRY(index_tar(again)), index);
  Lines lines;
  StringSource source(sink.text);
  TarReader reader(source);
  while (auto entry = TRY(reader.next())) {
    std::string line = entry->path;
    if (entry->type == TarType::Hardlink) line += " = " + entry->link;
    if (entry->type == TarType::Symlink) line += " -> " + entry->link;
    if (entry->size) line += " " + TRY(read_all(reader.data(), 1000, "data"));
    lines.push_back(line);
  }
  return lines;
}

std::shared_ptr<const LayerIndex> layer(const std::vector<TarEntry>& entries) { return std::make_shared<const LayerIndex>(index_of(entries).value()); }

TEST(Diff, WalksInOrderWithParentsAndWithoutUnchangedFolders) {
  Upper upper;
  upper.folder("etc");
  upper.folder("etc/same");
  upper.folder("etc-d");
  upper.file("etc/x", "x");
  upper.folder("same");
  upper.folder("other", 0700);
  ASSERT_EQ(::symlink("../x", (upper.path() + "/l").c_str()), 0);
  Tree lower = Tree().with(layer({dir("etc"), dir("etc/same"), dir("same"), dir("other")}));
  EXPECT_EQ(diff(upper, lower).value(), (Lines{"etc/", "etc/x x", "etc-d/", "l -> ../x", "other/"}));
  EXPECT_EQ(diff(Upper(), lower).value(), Lines{});
}

TEST(Diff, WritesWhiteoutsOnlyForWhatWasThere) {
  Upper upper;
  upper.folder("d");
  upper.whiteout("d/a");
  upper.whiteout("d/never");
  upper.file("d/b", "b");
  upper.whiteout("z");
  Tree lower = Tree().with(layer({dir("d"), file("d/a", 1), dir("z"), file("z/in")}));
  EXPECT_EQ(diff(upper, lower).value(), (Lines{"d/", "d/.wh.a", "d/b b", ".wh.z"}));
}

TEST(Diff, SpellsOutOpaqueFolders) {
  Upper upper;
  upper.folder("d", 0700);
  upper.xattr("d", "user.overlay.opaque", "y");
  upper.folder("d/kept");
  upper.file("d/kept/new", "n");
  upper.file("d/m", "m");
  upper.folder("fresh");
  upper.xattr("fresh", "user.overlay.opaque", "y");
  upper.file("fresh/f", "f");
  Tree lower = Tree().with(layer({dir("d"), file("d/a"), dir("d/gone"), file("d/gone/x"), dir("d/kept"), file("d/kept/old"), file("d/m", 9), file("d/z")}));
  EXPECT_EQ(diff(upper, lower).value(),
            (Lines{"d/", "d/.wh.a", "d/.wh.gone", "d/kept/", "d/kept/new n", "d/kept/.wh.old", "d/m m", "d/.wh.z", "fresh/", "fresh/f f"}));
}

TEST(Diff, WritesOneInodeOnce) {
  Upper upper;
  upper.file("b", "data");
  upper.link("b", "a");
  upper.folder("d");
  upper.link("b", "d/c");
  EXPECT_EQ(diff(upper, Tree()).value(), (Lines{"a data", "b = a", "d/", "d/c = a"}));
}

TEST(Diff, SkipsSocketsAndTruncatesAndClampsTimes) {
  Upper upper;
  upper.file("late", "", 200, 999);
  upper.file("early", "", 50, 999);
  Fd server(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", upper.path().c_str());
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  StringSink sink;
  TarWriter tar(sink);
  auto index = write_upper_as_tar(upper.path(), Tree(), {.clamp_mtime = Time::from_seconds(100)}, tar);
  ASSERT_TRUE(index.ok());
  ASSERT_EQ(index->entries.size(), 2u);
  EXPECT_EQ(index->find("late")->mtime, Time::from_seconds(100));
  EXPECT_EQ(index->find("early")->mtime, Time::from_seconds(50));
}

TEST(Diff, ComparesCopiedUpFilesByContentWhereItKnowsTheLowerFolder) {
  Upper lower_dir, upper;
  for (Upper* each : {&lower_dir, &upper}) {
    each->folder("d");
    each->file("d/same", "same", 100, 0);
    each->file("d/nanos", "n", 100, 7);
  }
  lower_dir.file("d/other", "aaaa", 100, 0);
  upper.file("d/other", "bbbb", 100, 0);
  auto at = [](TarEntry entry) { entry.mtime = Time::from_seconds(100); return entry; };
  Tree lower = Tree().with(layer({dir("d"), at(file("d/nanos", 1)), at(file("d/other", 4)), at(file("d/same", 4))}));
  EXPECT_EQ(diff(upper, lower, {.lower_dirs = {lower_dir.path()}}).value(), (Lines{"d/", "d/other bbbb"}));
  EXPECT_EQ(diff(upper, lower).value(), (Lines{"d/", "d/nanos n", "d/other bbbb", "d/same same"}));
}

TEST(Diff, AnUnchangedFolderKeepsTheImagesOwner) {
  Upper lower_dir, upper;
  lower_dir.folder("home");
  upper.folder("home");
  upper.file("home/new", "n");
  TarEntry home = dir("home");
  home.uid = home.gid = 1000;
  StringSink sink;
  TarWriter tar(sink);
  auto index = write_upper_as_tar(upper.path(), Tree().with(layer({home})), {.lower_dirs = {lower_dir.path()}}, tar);
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->find("home")->uid, 1000u);
}

TEST(Diff, RefusesWhatALayerCannotSay) {
  Upper redirected;
  redirected.folder("d");
  redirected.xattr("d", "user.overlay.redirect", "/old");
  EXPECT_EQ(diff(redirected, Tree()).error().code, Code::Unsupported);
  Upper metacopy;
  metacopy.file("f", "x");
  metacopy.xattr("f", "user.overlay.metacopy", "");
  EXPECT_EQ(diff(metacopy, Tree()).error().code, Code::Unsupported);
  Upper reserved;
  reserved.file(".wh.f");
  EXPECT_EQ(diff(reserved, Tree()).error().code, Code::Unsupported);
}

}  // namespace
}  // namespace archway
