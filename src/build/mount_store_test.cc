#include "build/mount_store.h"

#include <gtest/gtest.h>
#include <sys/file.h>

#include <future>
#include <thread>

#include "build/build_store.h"

namespace archway::build {
namespace {

using dockerfile::CacheSharing;

class MountStoreTest : public testing::Test {
 protected:
  MountStoreTest() : dir_(std::move(*TempDir::create(testing::TempDir()))), store_(std::move(*BuildStore::open(dir_.path()))) {}

  MountStore::Cache cache(const std::string& name, CacheSharing sharing) {
    return {name, "what " + name, sharing, [this](const std::string& data) {
              ++filled_;
              return write_file_atomic(data + "/first", "content");
            }};
  }
  Result<MountStore::Taken> take(const std::string& name, CacheSharing sharing) { return store_->mounts->take_cache(cache(name, sharing), {}); }
  // The folder's version becomes its only file's content, by way of an update.
  Result<MountStore::Taken> take_version(const std::string& version) {
    return store_->mounts->take_folder({"folder", "/", version,
                                        [this, version](const std::string& data, const std::string& list) -> Result<std::string> {
                                          seen_.push_back(list);
                                          TRY(write_file_atomic(data + "/file", version));
                                          return "list of " + version;
                                        }},
                                       {});
  }
  static std::string text(const MountStore::Taken& taken, const std::string& name) { return read_file(taken.data + "/" + name, 1000).value_or("(absent)"); }

  TempDir dir_;
  std::unique_ptr<BuildStore> store_;
  int filled_ = 0;
  std::vector<std::string> seen_;
};

TEST_F(MountStoreTest, ACacheIsFilledOnceAndStays) {
  {
    auto first = take("a", CacheSharing::Shared);
    ASSERT_TRUE(first.ok()) << first.error().message;
    EXPECT_EQ(text(*first, "first"), "content");
    ASSERT_TRUE(write_file_atomic(first->data + "/more", "x").ok());
  }
  auto again = take("a", CacheSharing::Locked);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(text(*again, "more"), "x");
  EXPECT_EQ(filled_, 1);
  EXPECT_NE(take("b", CacheSharing::Shared)->data, again->data);
}

TEST_F(MountStoreTest, SharedIsTogetherPrivateIsApart) {
  auto one = take("a", CacheSharing::Shared), two = take("a", CacheSharing::Shared);
  EXPECT_EQ(one->data, two->data);
  auto three = take("a", CacheSharing::Private), four = take("a", CacheSharing::Private);
  EXPECT_NE(three->data, one->data);
  EXPECT_NE(three->data, four->data);
  const std::string kept = three->data;
  three->lock.reset();
  EXPECT_EQ(take("a", CacheSharing::Private)->data, kept);  // no more than there have to be
}

TEST_F(MountStoreTest, LockedWaitsForWhoHasIt) {
  auto first = take("a", CacheSharing::Locked);
  auto second = std::async(std::launch::async, [&] { return take("a", CacheSharing::Locked); });
  EXPECT_EQ(second.wait_for(std::chrono::milliseconds(60)), std::future_status::timeout);
  const std::string data = first->data;
  first->lock.reset();
  auto got = second.get();
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->data, data);
}

TEST_F(MountStoreTest, WaitingCanBeStopped) {
  auto first = take("a", CacheSharing::Locked);
  ASSERT_TRUE(first.ok()) << first.error().message;
  std::stop_source stop;
  stop.request_stop();
  auto second = store_->mounts->take_cache(cache("a", CacheSharing::Shared), stop.get_token());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::Cancelled);
}

TEST_F(MountStoreTest, AFillThatFailsLeavesNothing) {
  MountStore::Cache failing{"a", "a", CacheSharing::Shared, [](const std::string& data) -> Result<void> {
                              TRY(write_file_atomic(data + "/half", "x"));
                              return Error{Code::Io, "no"};
                            }};
  EXPECT_FALSE(store_->mounts->take_cache(failing, {}).ok());
  EXPECT_TRUE(store_->mounts->entries()->empty());
  EXPECT_EQ(text(*take("a", CacheSharing::Shared), "half"), "(absent)");
  failing.name = "b";
  EXPECT_FALSE(store_->mounts->take_cache(failing, {}).ok());
  ASSERT_TRUE(store_->prune(0, BuildStore::Wait::Yes).ok());
  EXPECT_FALSE(path_exists(dir_ / "mounts/b"));
}

TEST_F(MountStoreTest, AFolderIsBroughtFromVersionToVersion) {
  const std::string data = take_version("1")->data;
  EXPECT_EQ(seen_, std::vector<std::string>{""});
  EXPECT_EQ(take_version("1")->data, data);  // nothing to do
  EXPECT_EQ(seen_.size(), 1u);
  auto second = take_version("2");
  EXPECT_EQ(second->data, data);
  EXPECT_EQ(seen_.back(), "list of 1");
  // Who has version 2 keeps it; version 3 is made beside it.
  auto third = take_version("3");
  EXPECT_NE(third->data, data);
  EXPECT_EQ(text(*second, "file"), "2");
  EXPECT_EQ(text(*third, "file"), "3");
}

TEST_F(MountStoreTest, OfAHalfMadeFolderNothingIsKept) {
  const std::string data = take_version("1")->data;
  const std::string copy = data.substr(0, data.rfind('/'));
  ASSERT_TRUE(write_file_atomic(data + "/stray", "x").ok());
  ASSERT_EQ(::unlink((copy + "/version").c_str()), 0);
  auto again = take_version("1");
  EXPECT_EQ(again->data, data);
  EXPECT_EQ(text(*again, "stray"), "(absent)");
  EXPECT_EQ(seen_.back(), "");
  // Nor of one that was made before the machine's last start.
  again->lock.reset();
  ASSERT_TRUE(write_file_atomic(copy + "/version", "1 another-boot").ok());
  EXPECT_EQ(text(*take_version("1"), "file"), "1");
  EXPECT_EQ(seen_.size(), 3u);
}

TEST_F(MountStoreTest, WhatIsInUseIsNotRemoved) {
  auto taken = take("a", CacheSharing::Shared);
  auto entries = store_->mounts->entries();
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ((*entries)[0].what, "what a");
  EXPECT_EQ((*entries)[0].kind, MountStore::Kind::Cache);
  EXPECT_FALSE(*store_->mounts->remove((*entries)[0]));
  taken->lock.reset();
  EXPECT_TRUE(*store_->mounts->remove((*entries)[0]));
  EXPECT_TRUE(store_->mounts->entries()->empty());
  EXPECT_FALSE(path_exists(taken->data));
}

TEST_F(MountStoreTest, MeasuresAgainWhatWasUsedAgain) {
  std::string data = take("a", CacheSharing::Shared)->data;
  const uint64_t before = (*store_->mounts->entries())[0].bytes;
  {
    auto taken = take("a", CacheSharing::Shared);
    ASSERT_TRUE(write_file_atomic(data + "/large", std::string(100'000, 'x')).ok());
  }
  EXPECT_GE((*store_->mounts->entries())[0].bytes, before + 100'000);
  // One file of two names counts once.
  { auto taken = take("a", CacheSharing::Shared); ASSERT_EQ(::link((data + "/large").c_str(), (data + "/same").c_str()), 0); }
  EXPECT_LT((*store_->mounts->entries())[0].bytes, before + 200'000);
}

TEST_F(MountStoreTest, PruneTakesTheLeastRecentlyUsedFirst) {
  { auto a = take("a", CacheSharing::Shared); ASSERT_TRUE(write_file_atomic(a->data + "/x", std::string(200'000, 'x')).ok()); }
  { auto b = take("b", CacheSharing::Shared); ASSERT_TRUE(write_file_atomic(b->data + "/x", std::string(200'000, 'x')).ok()); }
  { auto a = take("a", CacheSharing::Shared); }
  auto removed = store_->prune(300'000, BuildStore::Wait::Yes);
  ASSERT_TRUE(removed.ok()) << removed.error().message;
  ASSERT_EQ(removed->size(), 1u);
  EXPECT_EQ((*removed)[0].what, "what b");
  EXPECT_EQ((*removed)[0].kind, BuildStore::Entry::Kind::CacheMount);
  EXPECT_EQ(store_->entries()->size(), 1u);
  EXPECT_EQ(store_->prune(0, BuildStore::Wait::Yes)->size(), 1u);
}

}  // namespace
}  // namespace archway::build
