#include "image/content.h"

#include <gtest/gtest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/fd.h"
#include "image/content_suite.h"
#include "image/layout.h"

namespace archway {
namespace {

struct MemoryFixture {
  MemoryStore store;
  Provider& provider() { return store; }
  Ingester& ingester() { return store; }
};
template <BlobStore::Durability durability>
struct FolderFixture {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  std::shared_ptr<BlobStore> store = BlobStore::open(folder / "store", durability).value();
  Provider& provider() { return *store; }
  Ingester& ingester() { return *store; }
};
struct LayoutFixture {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  std::shared_ptr<Layout> layout = Layout::create(folder / "layout").value();
  Provider& provider() { return *layout; }
  Ingester& ingester() { return *layout; }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, ContentSuite, MemoryFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(SyncedFolder, ContentSuite, FolderFixture<BlobStore::Durability::Synced>);
INSTANTIATE_TYPED_TEST_SUITE_P(CacheFolder, ContentSuite, FolderFixture<BlobStore::Durability::Cache>);
INSTANTIATE_TYPED_TEST_SUITE_P(OciLayout, ContentSuite, LayoutFixture);

size_t files_below(const std::string& path) {
  size_t count = 0;
  if (!std::filesystem::exists(path)) return 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) count += entry.is_regular_file();
  return count;
}

void overwrite(const std::string& path, std::string_view bytes) { std::ofstream(path, std::ios::trunc) << bytes; }

TEST(OpenBlob, GivesOutNoLastByteBeforeTheWholeIsTrue) {
  FixedProvider from("hellO");
  auto source = open_blob(from, descriptor_of("x/y", "hello")).value();
  std::byte buffer[5];
  auto read = source->read(buffer);  // exactly the promised length: a caller that stops here must not be fooled
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, Code::Mismatch);
}

TEST(OpenBlob, ChecksSha512Too) {
  Hasher hasher(HashAlgorithm::Sha512);
  hasher.update(std::string_view("hello"));
  Descriptor blob{"x/y", Digest::from_hex(HashAlgorithm::Sha512, hasher.hex()), 5};
  FixedProvider good("hello"), bad("hellO");
  EXPECT_EQ(read_blob(good, blob, 5).value(), "hello");
  EXPECT_EQ(read_blob(bad, blob, 5).error().code, Code::Mismatch);
}

TEST(ReadBlob, LimitAtTheEdge) {
  FixedProvider from("hello");
  EXPECT_TRUE(read_blob(from, descriptor_of("x/y", "hello"), 5).ok());
  EXPECT_EQ(read_blob(from, descriptor_of("x/y", "hello"), 4).error().code, Code::Invalid);
}

TEST(BlobStore, FailuresLeaveNoFile) {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  auto store = BlobStore::open(folder.path()).value();
  FixedProvider bad("hellO");
  EXPECT_FALSE(store->put(descriptor_of("x/y", "hello"), bad, nullptr, {}).ok());
  {
    auto writer = store->begin().value();
    ASSERT_TRUE(writer->write("hello").ok());
    EXPECT_EQ(writer->commit("x/y", Digest::of("other")).error().code, Code::Mismatch);
  }
  {
    auto abandoned = store->begin().value();
    ASSERT_TRUE(abandoned->write("hello").ok());
  }
  EXPECT_EQ(files_below(folder.path()), 0u);
}

TEST(BlobStore, AWriterIsInvisibleUntilItCommits) {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  auto store = BlobStore::open(folder.path()).value();
  auto writer = store->begin().value();
  ASSERT_TRUE(writer->write("hello").ok());
  EXPECT_FALSE(store->has(Digest::of("hello")));
  auto blob = writer->commit("x/y", Digest::of("hello"));
  ASSERT_TRUE(blob.ok());
  EXPECT_EQ(*blob, descriptor_of("x/y", "hello"));
  EXPECT_EQ(store->size_of(blob->digest), 5u);
  EXPECT_EQ(read_blob(*store, *blob, 5).value(), "hello");
  ASSERT_TRUE(store->remove(blob->digest).ok());
  EXPECT_FALSE(store->has(blob->digest));
}

TEST(BlobStore, AnEmptyBlobIsABlob) {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  auto store = BlobStore::open(folder.path()).value();
  auto blob = store->begin().value()->commit("x/y").value();
  EXPECT_EQ(blob, descriptor_of("x/y", ""));
  EXPECT_EQ(read_blob(*store, blob, 0).value(), "");
}

TEST(BlobStore, KeepsSha512Apart) {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  auto store = BlobStore::open(folder.path()).value();
  auto writer = store->begin(HashAlgorithm::Sha512).value();
  ASSERT_TRUE(writer->write("hello").ok());
  auto blob = writer->commit("x/y").value();
  EXPECT_TRUE(path_exists(folder.path() + "/blobs/sha512/" + blob.digest.hex()));
  EXPECT_EQ(read_blob(*store, blob, 5).value(), "hello");
}

TEST(BlobStore, CorruptionIsFoundWhenRead) {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  auto store = BlobStore::open(folder.path(), BlobStore::Durability::Cache).value();
  Descriptor blob = store->put_bytes("x/y", "hello").value();
  overwrite(store->path_of(blob.digest), "hellO");
  EXPECT_EQ(read_blob(*store, blob, 5).error().code, Code::Mismatch);
}

TEST(BlobStore, WhatAPowerCutShortenedIsWrittenAnew) {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  auto store = BlobStore::open(folder.path(), BlobStore::Durability::Cache).value();
  Descriptor blob = store->put_bytes("x/y", "hello").value();
  overwrite(store->path_of(blob.digest), "");
  EXPECT_EQ(read_blob(*store, blob, 5).error().code, Code::Mismatch);
  FixedProvider from("hello");
  EXPECT_EQ(store->put(blob, from, nullptr, {}).value(), PutOutcome::Stored);
  EXPECT_EQ(read_blob(*store, blob, 5).value(), "hello");
}

TEST(BlobStore, AFifoInABlobsPlaceIsRefused) {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  auto store = BlobStore::open(folder.path()).value();
  ASSERT_EQ(::mkfifo(store->path_of(Digest::of("hello")).c_str(), 0600), 0);
  EXPECT_EQ(store->open(descriptor_of("x/y", "hello")).error().code, Code::Invalid);
}

TEST(BlobStore, ClearsAwayOnlyWhatIsOlderThanADay) {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  ASSERT_TRUE(make_directories(folder / "tmp").ok());
  auto aged = [&](std::string name, time_t age) {
    overwrite(folder / ("tmp/" + name), "x");
    timespec times[2] = {{::time(nullptr) - age, 0}, {::time(nullptr) - age, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (folder / ("tmp/" + name)).c_str(), times, 0), 0);
  };
  aged("blob-old", 25 * 3600);
  aged("blob-young", 23 * 3600);
  aged("other-old", 25 * 3600);
  BlobStore::open(folder.path()).value();
  EXPECT_FALSE(path_exists(folder / "tmp/blob-old"));
  EXPECT_TRUE(path_exists(folder / "tmp/blob-young"));
  EXPECT_TRUE(path_exists(folder / "tmp/other-old"));
}

TEST(BlobStore, AKilledWriterLeavesNoBlob) {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  for (int round = 0; round < 10; ++round) {
    pid_t child = ::fork();
    if (child == 0) {  // writes blobs until it dies, the tenth in the middle of a write
      auto store = BlobStore::open(folder.path(), BlobStore::Durability::Cache).value();
      for (int i = 0; i < 5; ++i) (void)store->put_bytes("x/y", std::string(static_cast<size_t>(100000 + i), static_cast<char>('a' + round))).ok();
      auto writer = store->begin().value();
      (void)writer->write(std::string(50000, 'z')).ok();
      ::raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  size_t blobs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "blobs/sha256")) {
    EXPECT_EQ(sha256_hex(read_file(entry.path().string(), 1 << 20).value()), entry.path().filename().string());
    ++blobs;
  }
  EXPECT_EQ(blobs, 50u);
}

TEST(BlobStore, ManyProcessesTagAtOnce) {
  TempDir folder = TempDir::create("/tmp", "archway-test-").value();
  constexpr int kProcesses = 6, kTags = 5;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    pid_t child = ::fork();
    if (child == 0) {
      auto layout = Layout::create(folder / "layout");
      bool good = layout.ok();
      for (int t = 0; good && t < kTags; ++t) {
        std::string raw = std::to_string(p) + "/" + std::to_string(t);
        good = (*layout)->tag(descriptor_of(media_type::kOciManifest, raw), raw, raw).ok();
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(read_layout_index(folder / "layout")->size(), static_cast<size_t>(kProcesses * kTags));
}

TEST(UnionProvider, LooksInEachInTurn) {
  auto first = std::make_shared<MemoryStore>(), second = std::make_shared<MemoryStore>();
  first->put_bytes("x/y", "a");
  second->put_bytes("x/y", "b");
  UnionProvider both({first, second});
  EXPECT_EQ(read_blob(both, descriptor_of("x/y", "a"), 1).value(), "a");
  EXPECT_EQ(read_blob(both, descriptor_of("x/y", "b"), 1).value(), "b");
  EXPECT_EQ(read_blob(both, descriptor_of("x/y", "c"), 1).error().code, Code::NotFound);
}

}  // namespace
}  // namespace archway
