#include "build/context.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "build/context_source.h"

namespace archway::build {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

// Says that it is ten minutes later than it is, so that files just written count as settled.
class LaterClock final : public Clock {
 public:
  Time now() override { return {system_clock().now().nanoseconds + offset_ns}; }
  int64_t offset_ns = int64_t{600} * 1'000'000'000;
};

class BuildContextTest : public testing::Test {
 protected:
  BuildContextTest() : dir_(std::move(*TempDir::create(testing::TempDir()))) { fs::create_directory(root()); }
  std::string root() const { return dir_ / "context"; }
  std::string cache() const { return dir_ / "cache"; }
  void write(const std::string& path, std::string_view text) {
    fs::create_directories(fs::path(root() + "/" + path).parent_path());
    std::ofstream(root() + "/" + path, std::ios::binary) << text;
  }
  std::shared_ptr<BuildContext> open(const Strings& ignore = {}) {
    BuildContext::Options options;
    options.ignore = *dockerfile::IgnoreMatcher::create(ignore);
    options.cache_file = cache();
    options.clock = &clock_;
    auto context = BuildContext::open(root(), std::move(options));
    EXPECT_TRUE(context.ok()) << context.error().message;
    return *context;
  }
  // Every path below, folders with a slash.
  Strings list(BuildContext& context, const std::string& path = "") {
    Strings all;
    auto names = context.children(path);
    EXPECT_TRUE(names.ok()) << names.error().message;
    for (const std::string& name : *names) {
      const std::string child = path.empty() ? name : path + "/" + name;
      const bool folder = (**context.stat(child)).entry.type == TarType::Directory;
      all.push_back(child + (folder ? "/" : ""));
      if (!folder) continue;
      for (std::string& below : list(context, child)) all.push_back(std::move(below));
    }
    return all;
  }
  std::string digest(BuildContext& context, const std::string& path) {
    auto file = context.stat(path);
    auto digest = context.content_digest(path, (**file).entry);
    return digest.ok() ? *digest : digest.error().message;
  }

  TempDir dir_;
  LaterClock clock_;
};

TEST_F(BuildContextTest, ListsInByteOrderWithoutWhatIsIgnored) {
  for (const char* path : {"b", "a/x", "a/y.log", "a-b", "Z", "skip/deep/file", "skip/deep/keep", "skip/other"}) write(path, path);
  auto context = open({"**/*.log", "skip", "!skip/deep/keep"});
  EXPECT_EQ(list(*context), (Strings{"Z", "a/", "a/x", "a-b", "b", "skip/", "skip/deep/", "skip/deep/keep"}));
  EXPECT_FALSE(*context->stat("a/y.log"));
  EXPECT_FALSE(*context->resolve("skip/other"));
  EXPECT_FALSE(context->open("skip/other").ok());
}

TEST_F(BuildContextTest, ReportsMetadataAndRootAsOwner) {
  write("file", "12345");
  ::chmod((root() + "/file").c_str(), 04751);
  const timespec times[2] = {{1'700'000'000, 5}, {1'700'000'001, 999'999'999}};
  ::utimensat(AT_FDCWD, (root() + "/file").c_str(), times, 0);
  fs::create_symlink("file", root() + "/link");
  fs::create_hard_link(root() + "/file", root() + "/second");
  ::mkfifo((root() + "/pipe").c_str(), 0600);
  ::chmod(root().c_str(), 0700);
  auto context = open();
  const FileSource::File file = **context->stat("file");
  EXPECT_EQ(file.entry.type, TarType::Regular);
  EXPECT_EQ(file.entry.mode, 04751u);
  EXPECT_EQ(file.entry.size, 5u);
  EXPECT_EQ(file.entry.mtime, Time::from_seconds(1'700'000'001));
  EXPECT_EQ(file.entry.uid + file.entry.gid, 0u);
  EXPECT_FALSE(file.link_group.empty());
  EXPECT_EQ((**context->stat("second")).link_group, file.link_group);
  EXPECT_EQ((**context->stat("link")).entry.link, "file");
  EXPECT_EQ((**context->stat("pipe")).entry.type, TarType::Fifo);
  EXPECT_EQ((**context->stat("")).entry.mode, 0755u);
}

TEST_F(BuildContextTest, LeavesSocketsOut) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = root() + "/s";
  if (path.size() >= sizeof address.sun_path) GTEST_SKIP() << "skipped: the temporary folder's name is too long for a socket";
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(list(*open()), Strings{});
}

TEST_F(BuildContextTest, FollowsLinksButNeverOutOfTheContext) {
  write("real/file", "inside");
  std::ofstream(dir_ / "secret") << "outside";
  fs::create_directory_symlink("/real", root() + "/absolute");
  fs::create_symlink("../../secret", root() + "/up");
  fs::create_symlink("loop", root() + "/loop");
  fs::create_symlink("absolute/../real/file", root() + "/chain");
  auto context = open();
  EXPECT_EQ(*context->resolve("absolute/file"), "real/file");
  EXPECT_EQ(*context->resolve("chain"), "real/file");
  EXPECT_EQ(*context->resolve("../real"), "real");
  EXPECT_EQ(*context->resolve(""), "");
  EXPECT_EQ(*context->resolve("up"), std::nullopt);
  EXPECT_EQ(*context->resolve("loop"), std::nullopt);
  EXPECT_EQ(*context->resolve("real/file/below"), std::nullopt);
  EXPECT_FALSE(context->open("up").ok());
  EXPECT_FALSE(context->open("absolute/file").ok());  // paths are canonical here
  auto source = context->open("real/file");
  ASSERT_TRUE(source.ok());
  EXPECT_EQ(*read_all(**source, 100, "file"), "inside");
}

TEST_F(BuildContextTest, ReadsAnUnchangedFileOnlyOnce) {
  write("a/one", "1");
  write("two", "2");
  {
    auto context = open();
    ASSERT_TRUE(context->prepare({""}).ok());
    EXPECT_EQ(context->files_hashed(), 2u);
    EXPECT_EQ(digest(*context, "a/one"), sha256_hex("1"));
    ASSERT_TRUE(context->prepare({"a", "two", "two", "absent"}).ok());
    EXPECT_EQ(context->files_hashed(), 2u);
  }
  {
    auto context = open();
    ASSERT_TRUE(context->prepare({""}).ok());
    EXPECT_EQ(digest(*context, "two"), sha256_hex("2"));
    EXPECT_EQ(context->files_hashed(), 0u);
  }
  // The same size and the same modification time: ctime gives it away.
  struct stat st = {};
  ::stat((root() + "/two").c_str(), &st);
  write("two", "3");
  const timespec times[2] = {st.st_atim, st.st_mtim};
  ::utimensat(AT_FDCWD, (root() + "/two").c_str(), times, 0);
  auto context = open();
  EXPECT_EQ(digest(*context, "two"), sha256_hex("3"));
  EXPECT_EQ(digest(*context, "a/one"), sha256_hex("1"));
  EXPECT_EQ(context->files_hashed(), 1u);
}

TEST_F(BuildContextTest, ReadsFilesAgainThatMayStillChangeUnnoticed) {
  clock_.offset_ns = -int64_t{3} * 1'000'000'000;  // by this clock, the file is from the future
  write("fresh", "1");
  ASSERT_TRUE(open()->prepare({""}).ok());
  auto context = open();
  ASSERT_TRUE(context->prepare({""}).ok());
  EXPECT_EQ(context->files_hashed(), 1u);
}

TEST_F(BuildContextTest, SurvivesADamagedCache) {
  write("file", "1");
  ASSERT_TRUE(open()->prepare({""}).ok());
  const std::string good = *read_file(cache(), 1 << 20);
  Strings damaged = {"", "x", good.substr(0, good.size() - 1), good + "x", std::string(1000, '\0')};
  for (size_t i = 0; i < good.size(); i += 13) {
    damaged.push_back(good);
    damaged.back()[i] ^= 1;
  }
  for (const std::string& bytes : damaged) {
    std::ofstream(cache(), std::ios::binary | std::ios::trunc) << bytes;
    auto context = open();
    EXPECT_EQ(digest(*context, "file"), sha256_hex("1"));
    EXPECT_EQ(context->files_hashed(), 1u);
  }
}

TEST_F(BuildContextTest, SaysSoWhenAFileChangesDuringTheBuild) {
  write("file", "1");
  write("other", "1");
  auto context = open();
  ASSERT_TRUE(context->stat("file").ok());
  write("file", "longer");
  fs::remove(root() + "/other");
  EXPECT_NE(digest(*context, "file").find("changed while the build was reading it"), std::string::npos);
  EXPECT_FALSE(context->open("file").ok());
  EXPECT_FALSE(context->prepare({"other"}).ok());
}

TEST_F(BuildContextTest, KeepsItsDepthLimit) {
  const std::string deepest = [] {
    std::string path = "d";
    for (size_t i = 1; i < kLayerLimits.depth; ++i) path += "/d";
    return path;
  }();
  fs::create_directories(root() + "/" + deepest);
  EXPECT_TRUE(open()->prepare({""}).ok());
  write(deepest + "/d/file", "");
  auto prepared = open()->prepare({""});
  ASSERT_FALSE(prepared.ok());
  EXPECT_NE(prepared.error().message.find("nested deeper"), std::string::npos);
}

TEST_F(BuildContextTest, PrefersTheDockerfilesOwnIgnoreFile) {
  write("a", "");
  write("b", "");
  write(".dockerignore", "a\n.dockerignore\nDockerfile*");
  write("Dockerfile", "FROM scratch");
  auto shown = [&](const std::string& dockerfile) {
    auto source = open_context_source(root(), dockerfile, dir_ / "contexts", {});
    EXPECT_TRUE(source.ok()) << source.error().message;
    return *(*source)->children("");
  };
  EXPECT_EQ(shown(root() + "/Dockerfile"), (Strings{"b"}));
  EXPECT_EQ(shown(""), (Strings{"b"}));
  write("Dockerfile.dockerignore", "b\n.*\nD*");
  EXPECT_EQ(shown(root() + "/Dockerfile"), (Strings{"a"}));
  EXPECT_EQ(shown(""), (Strings{"b"}));
  write(".dockerignore", "[");
  EXPECT_FALSE(open_context_source(root(), "", dir_ / "contexts", {}).ok());
  EXPECT_FALSE(open_context_source(root() + "/absent", "", dir_ / "contexts", {}).ok());
}

TEST(StatCache, DropsWhatNobodyAsksFor) {
  auto dir = TempDir::create(testing::TempDir());
  LaterClock clock;
  const FileStamp stamp{1, 2, 3, 4, 5};
  {
    StatCache cache(*dir / "cache", clock);
    cache.remember(stamp, {}, clock.now());
    ASSERT_TRUE(cache.save().ok());
  }
  clock.offset_ns += StatCache::kKeepDays * int64_t{86'400} * 1'000'000'000;
  {
    StatCache cache(*dir / "cache", clock);
    EXPECT_EQ(cache.size(), 1u);
    cache.remember({1, 9, 3, 4, 5}, {}, clock.now());
    ASSERT_TRUE(cache.save().ok());
  }
  EXPECT_EQ(StatCache(*dir / "cache", clock).size(), 2u);
  clock.offset_ns += int64_t{86'400} * 1'000'000'000;
  {
    StatCache cache(*dir / "cache", clock);
    cache.remember({1, 8, 3, 4, 5}, {}, clock.now());
    ASSERT_TRUE(cache.save().ok());
  }
  StatCache cache(*dir / "cache", clock);
  EXPECT_FALSE(cache.find(stamp));
  EXPECT_TRUE(cache.find({1, 9, 3, 4, 5}));
  EXPECT_FALSE(cache.find({1, 9, 3, 4, 6}));
}

}  // namespace
}  // namespace archway::build
