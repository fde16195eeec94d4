#include "snapshot/layer_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/fd.h"
#include "base/process.h"
#include "format/compress.h"
#include "snapshot/layer_folder.h"
#include "snapshot/test_tar.h"

namespace archway {
namespace {

using namespace test;
using Lines = std::vector<std::string>;

// A layer in memory, and how often it was opened.
class Layer final : public Provider {
 public:
  explicit Layer(std::string tar, bool gzip = true) : diff_id(Digest::of(tar)) {
    StringSink packed;
    if (gzip) {
      GzipSink sink(packed);
      EXPECT_TRUE(sink.write(tar).ok() && sink.finish().ok());
    }
    bytes = gzip ? packed.text : tar;
    blob = descriptor_of(gzip ? media_type::kOciLayerGzip : media_type::kOciLayerTar, bytes);
  }
  explicit Layer(const std::vector<TarEntry>& entries) : Layer(tar_of(entries)) {}
  Result<std::unique_ptr<Source>> open(const Descriptor&) override {
    opened++;
    return std::unique_ptr<Source>(std::make_unique<StringSource>(bytes));
  }
  Digest diff_id;
  std::string bytes;
  Descriptor blob{.media_type = "", .digest = Digest::of("")};
  std::atomic<int> opened = 0;
};

class LayerStoreTest : public testing::Test {
 protected:
  std::shared_ptr<LayerStore> open() { return LayerStore::open(dir_ / "store").value(); }
  Result<std::string> unpack(LayerStore& store, Layer& layer) { return store.unpacked(layer.diff_id, layer.blob, layer, nullptr, {}); }
  size_t sessions() const { return names(dir_ / "store/tmp").size(); }
  static Lines names(const std::string& path) {
    Lines out;
    std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
    while (dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
      if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  static struct stat stat_of(const std::string& path) {
    struct stat st = {};
    EXPECT_EQ(::lstat(path.c_str(), &st), 0) << path;
    return st;
  }
  TempDir dir_ = TempDir::create("/tmp", "archway-store-").value();
};

TEST_F(LayerStoreTest, IndexesOnceAndRemembers) {
  Layer layer({dir("d"), file("d/f", 3)});
  auto store = open();
  auto index = store->index(layer.diff_id, layer.blob, layer, nullptr, {});
  ASSERT_TRUE(index.ok()) << index.error().message;
  EXPECT_EQ((*index)->entries.size(), 2u);
  EXPECT_TRUE(store->has_index(layer.diff_id));
  EXPECT_FALSE(store->has_unpacked(layer.diff_id));
  auto other_process = open();
  EXPECT_EQ(*other_process->index(layer.diff_id, layer.blob, layer, nullptr, {}).value(), **index);
  EXPECT_EQ(layer.opened, 1);
}

TEST_F(LayerStoreTest, UnpacksEveryKindOfEntry) {
  TarEntry set_id = file("suid", 5, 04755);
  set_id.mtime = Time::from_seconds(1234);
  set_id.xattrs = {{"user.a", "1"}, {"trusted.overlay.opaque", "y"}};
  TarEntry fifo = of_type(TarType::Fifo, "fifo", 0640);
  TarEntry locked = dir("locked", 0);
  locked.mtime = Time::from_seconds(99);
  Layer layer({dir("sticky", 01777), set_id, hardlink("again", "suid"), symlink("l", "/etc/passwd"), fifo, device("null", 1, 3), locked, file("locked/in"),
               file("implied/x/y", 1), file("gone/.wh.z"), dir("o"), file("o/.wh..wh..opq"), file("big", 3'000'000)});
  auto store = open();
  auto fs = unpack(*store, layer);
  ASSERT_TRUE(fs.ok()) << fs.error().message;
  EXPECT_TRUE(store->has_unpacked(layer.diff_id) && store->has_index(layer.diff_id));
  EXPECT_EQ(stat_of(*fs + "/sticky").st_mode, S_IFDIR | 01777u);
  EXPECT_EQ(stat_of(*fs + "/suid").st_mode, S_IFREG | 04755u);
  EXPECT_EQ(stat_of(*fs + "/suid").st_mtime, 1234);
  EXPECT_EQ(stat_of(*fs + "/suid").st_ino, stat_of(*fs + "/again").st_ino);
  EXPECT_EQ(stat_of(*fs + "/fifo").st_mode, S_IFIFO | 0640u);
  EXPECT_EQ(stat_of(*fs + "/locked").st_mode, static_cast<mode_t>(S_IFDIR));
  EXPECT_EQ(stat_of(*fs + "/locked").st_mtime, 99);
  EXPECT_EQ(stat_of(*fs + "/implied/x").st_mode, S_IFDIR | 0755u);
  EXPECT_EQ(stat_of(*fs + "/implied/x").st_mtime, 0);
  EXPECT_TRUE(S_ISCHR(stat_of(*fs + "/gone/z").st_mode));
  EXPECT_EQ(stat_of(*fs + "/gone/z").st_rdev, 0u);
  EXPECT_EQ(read_file(*fs + "/big", 4'000'000).value(), std::string(3'000'000, 'b'));
  char value[8];
  EXPECT_EQ(::getxattr((*fs + "/o").c_str(), "user.overlay.opaque", value, sizeof value), 1);
  EXPECT_EQ(::getxattr((*fs + "/suid").c_str(), "user.a", value, sizeof value), 1);
  EXPECT_EQ(::getxattr((*fs + "/suid").c_str(), "trusted.overlay.opaque", value, sizeof value), -1);
  EXPECT_EQ(unpack(*store, layer).value(), *fs);
  EXPECT_EQ(layer.opened, 1);
}

TEST_F(LayerStoreTest, NothingLeadsOutOfTheFolder) {
  ASSERT_TRUE(write_file_atomic(dir_ / "victim", "safe").ok());
  auto store = open();
  std::string up = "../../../../../../../../../../../..";
  for (const std::vector<TarEntry>& hostile : std::vector<std::vector<TarEntry>>{
           {file("../victim", 4)},
           {symlink("l", up + dir_.path()), file("l/victim", 4)},
           {symlink("l", dir_.path()), file("l/victim", 4)},
           {dir("a"), symlink("a/l", ".."), symlink("m", "a/l/../../" + dir_.path()), file("m/victim", 4)},
           {symlink("victim", dir_ / "victim"), file("victim", 4)},
           {hardlink("h", up + (dir_ / "victim")), file("h", 4)},
           {hardlink("h", dir_ / "victim")},
           {symlink("l", dir_.path()), hardlink("h", "l/victim")},
       }) {
    Layer layer(hostile);
    (void)unpack(*store, layer).ok();
    EXPECT_EQ(read_file(dir_ / "victim", 100).value(), "safe");
    EXPECT_EQ(stat_of(dir_ / "victim").st_nlink, 1u);
  }
  Layer within({symlink("l", "/usr"), dir("usr"), file("l/x", 2), symlink("usr/y", "/etc"), file("l/y", 1)});
  auto fs = unpack(*store, within);
  ASSERT_TRUE(fs.ok()) << fs.error().message;
  EXPECT_EQ(names(*fs + "/usr"), (Lines{"x", "y"}));
  EXPECT_TRUE(S_ISREG(stat_of(*fs + "/usr/y").st_mode));
}

TEST_F(LayerStoreTest, ReplacesWithinALayerOnDiskAsInTheIndex) {
  Layer layer({dir("d"), file("d/x", 1), dir("d/e"), file("d/e/y", 1), file("d", 2), dir("d", 0711), file("d/e/z", 3), file("a", 7), hardlink("b", "a"), file("a", 1)});
  auto store = open();
  auto fs = unpack(*store, layer);
  ASSERT_TRUE(fs.ok()) << fs.error().message;
  EXPECT_EQ(names(*fs + "/d"), (Lines{"e"}));
  EXPECT_EQ(names(*fs + "/d/e"), (Lines{"z"}));
  EXPECT_EQ(stat_of(*fs + "/b").st_size, 7);
  auto index = store->index(layer.diff_id, layer.blob, layer, nullptr, {}).value();
  for (const auto& [path, entry] : index->entries) {
    if (entry.type != TarType::Regular) continue;
    EXPECT_EQ(static_cast<uint64_t>(stat_of(*fs + "/" + path).st_size), entry.size) << path;
  }
}

TEST_F(LayerStoreTest, RefusesWhatWasNotPromised) {
  auto store = open();
  Layer wrong_content({file("f", 3)});
  wrong_content.diff_id = Digest::of("something else");
  EXPECT_EQ(unpack(*store, wrong_content).error().code, Code::Mismatch);
  Layer flipped({file("f", 100'000)});
  flipped.bytes[flipped.bytes.size() / 2] ^= 0x55;
  EXPECT_EQ(unpack(*store, flipped).error().code, Code::Mismatch);
  Layer cut(tar_of({file("f", 3000)}).substr(0, 1024));
  auto ended = unpack(*store, cut);
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code, Code::Invalid);
  Layer foreign({file("f")});
  foreign.blob.media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
  EXPECT_EQ(unpack(*store, foreign).error().code, Code::Unsupported);
  Layer elsewhere({hardlink("h", "of-another-layer")});
  EXPECT_EQ(unpack(*store, elsewhere).error().code, Code::Unsupported);
  for (Layer* each : {&wrong_content, &flipped, &cut, &foreign}) EXPECT_FALSE(store->has_unpacked(each->diff_id) || store->has_index(each->diff_id));
  std::stop_source stopped;
  stopped.request_stop();
  Layer good({file("f")});
  EXPECT_EQ(store->unpacked(good.diff_id, good.blob, good, nullptr, stopped.get_token()).error().code, Code::Cancelled);
  EXPECT_TRUE(unpack(*store, good).ok()) << "after a failure it can be tried again";
}

TEST_F(LayerStoreTest, MakesALayerOnceForManyThreadsAndStores) {
  Layer layer({dir("d"), file("d/f", 2'000'000)});
  auto one = open(), two = open();
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; i++) {
      threads.emplace_back([&, i] { good += unpack(i % 2 ? *one : *two, layer).ok(); });
    }
  }
  EXPECT_EQ(good, 8);
  EXPECT_EQ(layer.opened, 1);
}

TEST_F(LayerStoreTest, MakesAgainWhatAPowerCutDamaged) {
  Layer layer({dir("d"), file("d/f", 3000)});
  std::string fs;
  {
    auto store = open();
    fs = unpack(*store, layer).value();
  }
  std::string folder = fs.substr(0, fs.size() - 3);
  // Still of this boot: trusted. Of an earlier one: compared with the index, and adopted into this one.
  ASSERT_EQ(::chmod((folder + "/fs.whole").c_str(), 0644), 0);
  ASSERT_TRUE(write_file_atomic(folder + "/fs.whole", "an earlier boot").ok());
  EXPECT_TRUE(open()->has_unpacked(layer.diff_id));
  EXPECT_NE(read_file(folder + "/fs.whole", 100).value(), "an earlier boot");
  ASSERT_TRUE(write_file_atomic(folder + "/fs.whole", "an earlier boot").ok());
  ASSERT_EQ(::truncate((fs + "/d/f").c_str(), 0), 0);
  EXPECT_FALSE(open()->has_unpacked(layer.diff_id));
  ASSERT_EQ(unpack(*open(), layer).value(), fs);
  EXPECT_EQ(stat_of(fs + "/d/f").st_size, 3000);
  ASSERT_EQ(::truncate((folder + "/index").c_str(), 50), 0);
  auto store = open();
  EXPECT_FALSE(store->has_index(layer.diff_id));
  EXPECT_TRUE(store->index(layer.diff_id, layer.blob, layer, nullptr, {}).ok());
  EXPECT_TRUE(store->has_index(layer.diff_id));
}

TEST_F(LayerStoreTest, CleansUpAfterKilledProcessesOnly) {
  auto alive = open();
  auto scratch = alive->scratch().value();
  pid_t child = ::fork();
  if (child == 0) {
    auto store = LayerStore::open(dir_ / "store");
    if (store.ok()) (void)(*store)->scratch().value().release();
    ::_exit(0);  // as if killed: no destructor runs
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(sessions(), 2u);
  auto next = open();
  EXPECT_EQ(sessions(), 2u) << "the living one's and ours";
  EXPECT_TRUE(path_exists(scratch.path()));
}

TEST_F(LayerStoreTest, AdoptsAndRemoves) {
  auto store = open();
  Digest diff_id = Digest::of("a RUN");
  auto scratch = store->scratch().value();
  ASSERT_TRUE(make_directories(scratch / "upper").ok());
  ASSERT_TRUE(write_file_atomic(scratch / "upper/f", "abc").ok());
  LayerIndex index{.entries = {{"f", {.type = TarType::Regular, .mode = 0644, .size = 3}}}, .whiteouts = {}, .opaque = {}};
  ASSERT_TRUE(store->adopt(diff_id, scratch / "upper", index).ok());
  EXPECT_TRUE(store->has_unpacked(diff_id));
  Layer nobody({file("x")});
  std::string fs = store->unpacked(diff_id, nobody.blob, nobody, nullptr, {}).value();
  EXPECT_EQ(read_file(fs + "/f", 10).value(), "abc");
  EXPECT_EQ(nobody.opened, 0);
  ASSERT_TRUE(store->remove(diff_id).ok());
  EXPECT_FALSE(store->has_unpacked(diff_id) || store->has_index(diff_id));
  EXPECT_FALSE(path_exists(fs));
  EXPECT_TRUE(store->remove(diff_id).ok());
}

// With mounts of its own, in a child.
TEST_F(LayerStoreTest, OverlayfsSeesWhatTreeSays) {
  if (::geteuid() != 0) GTEST_SKIP() << "skipped: mounts need root";
  auto store = open();
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(std::make_unique<Layer>(std::vector<TarEntry>{dir("d"), file("d/old"), file("d/kept"), dir("o"), file("o/hidden"), file("f"), dir("r"), file("r/x")}));
  layers.push_back(std::make_unique<Layer>(std::vector<TarEntry>{dir("d"), file("d/.wh.old"), dir("o"), file("o/.wh..wh..opq"), file("o/new"), file(".wh.f"), file("r"),
                                                                 file("n/e/w")}));
  Tree tree;
  std::string lower;
  for (auto& layer : layers) {
    std::string fs = unpack(*store, *layer).value();
    lower = lower.empty() ? fs : fs + ":" + lower;
    tree = tree.with(store->index(layer->diff_id, layer->blob, *layer, nullptr, {}).value());
  }
  Lines expected;
  for (std::string folder : {"", "d", "o", "n", "n/e"}) {
    for (const std::string& name : tree.children(folder)) expected.push_back(folder + "/" + name);
  }
  std::string target = dir_ / "merged", out = dir_ / "seen";
  ASSERT_TRUE(make_directories(target).ok());
  pid_t child = ::fork();
  if (child == 0) {
    std::string options = "lowerdir=" + lower + ",userxattr";
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("overlay", target.c_str(), "overlay", MS_RDONLY, options.c_str()) != 0) {
      ::_exit(77);
    }
    std::string seen;
    for (std::string folder : {"", "d", "o", "n", "n/e"}) {
      for (const std::string& name : names(target + "/" + folder)) seen += folder + "/" + name + "\n";
    }
    ::_exit(write_file_atomic(out, seen).ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "skipped: no overlay mounts here";
  ASSERT_EQ(status, 0);
  std::string lines;
  for (const std::string& line : expected) lines += line + "\n";
  EXPECT_EQ(read_file(out, 10'000).value(), lines);
}

TEST_F(LayerStoreTest, MarksWhiteoutsWithXattrsWhereDevicesAreRefused) {
  ASSERT_TRUE(make_directories(dir_ / "fs").ok());
  auto folder = LayerFolder::open(dir_ / "fs", false, WhiteoutForm::Xattr);
  ASSERT_TRUE(folder.ok());
  LayerIndex index{.entries = {}, .whiteouts = {"d/gone", "top"}, .opaque = {}};
  auto finished = folder->finish(index);
  ASSERT_TRUE(finished.ok()) << finished.error().message;
  char value[8];
  EXPECT_EQ(::getxattr((dir_ / "fs/d/gone").c_str(), "user.overlay.whiteout", value, sizeof value), 1);
  ASSERT_EQ(::getxattr((dir_ / "fs/d").c_str(), "user.overlay.opaque", value, sizeof value), 1);
  EXPECT_EQ(value[0], 'x');
}

// Against an unpacker that others wrote.
TEST_F(LayerStoreTest, UnpacksAsTarDoes) {
  if (!find_program("tar")) GTEST_SKIP() << "skipped: no tar";
  ASSERT_TRUE(make_directories(dir_ / "theirs").ok());
  ASSERT_EQ(run_process({"tar", "-C", "/usr", "-c", "--sort=name", "--format=pax", "-f", dir_ / "t.tar", "share/doc/bash", "share/doc/tar", "share/zoneinfo"}).value().exit_code & ~2, 0);
  std::string tar = read_file(dir_ / "t.tar", 1 << 30).value();
  if (tar.size() < 20'000) GTEST_SKIP() << "skipped: nothing to pack here";
  ASSERT_EQ(run_process({"tar", "-C", dir_ / "theirs", "--numeric-owner", "-xpf", dir_ / "t.tar"}).value().exit_code, 0);
  Layer layer(tar);
  auto store = open();
  std::string ours = unpack(*store, layer).value();
  std::string list = "find . -mindepth 1 \\( -type d -printf '%p %m %U %G %l\\n' -o -printf '%p %m %U %G %s %Ts %l %n\\n' \\) | LC_ALL=C sort; find . -type f | LC_ALL=C sort | xargs sha256sum";
  auto seen = [&](const std::string& where) { return run_process({"sh", "-c", list}, {.directory = where}).value().out; };
  EXPECT_EQ(seen(ours), seen(dir_ / "theirs"));
}

}  // namespace
}  // namespace archway
