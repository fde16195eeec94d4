#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "image/content.h"
#include "image/manifest.h"

// What every place for blobs must do. A fixture has provider() and ingester(), the two sides of one empty place, and is
// made anew for each test:
//     INSTANTIATE_TYPED_TEST_SUITE_P(Memory, ContentSuite, MemoryFixture);
namespace archway {

// Hands out what the test says, true or not.
class FixedProvider final : public Provider {
 public:
  explicit FixedProvider(std::string bytes) : bytes_(std::move(bytes)) {}
  Result<std::unique_ptr<Source>> open(const Descriptor&) override {
    ++opened;
    return std::unique_ptr<Source>(std::make_unique<StringSource>(bytes_));
  }
  std::atomic<int> opened = 0;

 private:
  std::string bytes_;
};

template <class Fixture>
class ContentSuite : public testing::Test {
 protected:
  Fixture fixture;
  Provider& provider() { return fixture.provider(); }
  Ingester& ingester() { return fixture.ingester(); }
  static Descriptor blob_of(std::string_view bytes) { return descriptor_of(media_type::kOciLayerTar, bytes); }
  Result<PutOutcome> put(const Descriptor& blob, Provider& from, std::stop_token stop = {}) { return ingester().put(blob, from, nullptr, stop); }
  bool holds(const Descriptor& blob) { return read_blob(provider(), blob, 64 << 20).ok(); }
};
TYPED_TEST_SUITE_P(ContentSuite);

TYPED_TEST_P(ContentSuite, GivesBackWhatWasPut) {
  for (std::string bytes : {std::string(), std::string("hello"), std::string(3 << 20, 'x')}) {
    Descriptor blob = this->blob_of(bytes);
    FixedProvider from(bytes);
    auto outcome = this->put(blob, from);
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    EXPECT_EQ(*outcome, PutOutcome::Stored);
    auto back = read_blob(this->provider(), blob, 64 << 20);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_TRUE(*back == bytes);
  }
}

TYPED_TEST_P(ContentSuite, OpensTheSourceOnlyWhereItMust) {
  FixedProvider from("hello");
  Descriptor blob = this->blob_of("hello");
  ASSERT_TRUE(this->put(blob, from).ok());
  int before = from.opened;
  auto again = this->put(blob, from);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, PutOutcome::Existed);
  EXPECT_EQ(from.opened, before);
}

TYPED_TEST_P(ContentSuite, AMissingBlobIsNotFound) {
  auto missing = this->provider().open(this->blob_of("never put"));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::NotFound);
}

TYPED_TEST_P(ContentSuite, KeepsNothingOfABlobThatLies) {
  Descriptor blob = this->blob_of("hello");
  for (std::string bytes : {"hellO", "hell", "hello!", ""}) {
    FixedProvider from(bytes);
    auto outcome = this->put(blob, from);
    ASSERT_FALSE(outcome.ok()) << bytes;
    EXPECT_EQ(outcome.error().code, Code::Mismatch) << bytes;
    EXPECT_FALSE(this->holds(blob)) << bytes;
  }
}

TYPED_TEST_P(ContentSuite, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  FixedProvider from("hello");
  Descriptor blob = this->blob_of("hello");
  auto outcome = this->put(blob, from, stop.get_token());
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, Code::Cancelled);
  EXPECT_FALSE(this->holds(blob));
}

TYPED_TEST_P(ContentSuite, WritersOfOneBlobAreWelcomeAtOnce) {
  std::string bytes(1 << 20, 'y');
  Descriptor blob = this->blob_of(bytes);
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> writers;
    for (int i = 0; i < 8; ++i) {
      writers.emplace_back([&] {
        FixedProvider from(bytes);
        if (this->put(blob, from).ok()) ++good;
      });
    }
  }
  EXPECT_EQ(good, 8);
  EXPECT_TRUE(this->holds(blob));
}

REGISTER_TYPED_TEST_SUITE_P(ContentSuite, GivesBackWhatWasPut, OpensTheSourceOnlyWhereItMust, AMissingBlobIsNotFound, KeepsNothingOfABlobThatLies,
                            StopsWhenAsked, WritersOfOneBlobAreWelcomeAtOnce);

}  // namespace archway
