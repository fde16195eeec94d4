#include "build/remote_files.h"

#include <gtest/gtest.h>

#include "base/hash.h"

namespace archway::build {
namespace {

struct Page {
  int status = 200;
  std::string body = {}, etag = {}, modified = {}, location = {};
};

class FakeResponse final : public HttpResponse {
 public:
  explicit FakeResponse(const Page& page) : source_(page.body) {
    status = page.status;
    for (auto [name, value] : {std::pair{"ETag", page.etag}, {"Last-Modified", page.modified}, {"Location", page.location}}) {
      if (!value.empty()) headers.set(name, value);
    }
  }
  Source& body() override { return source_; }

 private:
  StringSource source_;
};

// Pages by URL, with conditional requests as servers have them.
class FakeServer final : public HttpClient {
 public:
  Result<std::unique_ptr<HttpResponse>> send(const HttpRequest& request, std::stop_token) override {
    const std::string url = request.url.str();
    asked.push_back(url);
    auto found = pages.find(url);
    Page page = found == pages.end() ? Page{.status = 404} : found->second;
    const bool same = !page.etag.empty() && request.headers.get("If-None-Match") == page.etag;
    if (same) page = Page{.status = 304};
    return std::unique_ptr<HttpResponse>(std::make_unique<FakeResponse>(page));
  }
  std::map<std::string, Page> pages;
  std::vector<std::string> asked;
};

class RemoteFilesTest : public testing::Test {
 protected:
  RemoteFilesTest() : dir_(std::move(*TempDir::create(testing::TempDir()))) {}
  // One build's.
  std::unique_ptr<RemoteFiles> build(uint64_t limit = 1000) {
    return std::make_unique<RemoteFiles>(RemoteFiles::Options{server_, dir_ / "notes", dir_ / "scratch", limit});
  }
  Result<RemoteFile> look(RemoteFiles& files, const std::string& url, const std::string& checksum = "") { return files.look({url, "name", checksum}, *task_, {}); }
  std::string text(RemoteFiles& files, const std::string& url) {
    auto source = files.open({url, "name", ""}, *task_, {});
    return source.ok() ? *read_all(**source, 10'000, "test") : source.error().message;
  }
  TempDir dir_;
  std::shared_ptr<FakeServer> server_ = std::make_shared<FakeServer>();
  std::shared_ptr<ProgressTask> task_ = no_progress().start("test");
};

constexpr const char* kUrl = "http://example.org/a";

TEST_F(RemoteFilesTest, IsFetchedOncePerBuild) {
  server_->pages[kUrl] = {.body = "content", .modified = "Sun, 06 Nov 1994 08:49:37 GMT"};
  auto files = build();
  auto file = look(*files, kUrl);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->sha256, sha256_hex("content"));
  EXPECT_EQ(file->size, 7u);
  EXPECT_EQ(file->mtime.seconds(), 784111777);
  EXPECT_EQ(text(*files, kUrl), "content");
  EXPECT_EQ(text(*files, kUrl), "content");
  EXPECT_EQ(server_->asked.size(), 1u);
}

TEST_F(RemoteFilesTest, TheNextBuildAsksWhetherItChanged) {
  server_->pages[kUrl] = {.body = "content", .etag = "\"1\""};
  ASSERT_TRUE(look(*build(), kUrl).ok());
  auto files = build();
  EXPECT_EQ(look(*files, kUrl)->sha256, sha256_hex("content"));
  EXPECT_EQ(server_->asked.size(), 2u);
  // Its bytes were not sent; who wants them gets them all the same.
  EXPECT_EQ(text(*files, kUrl), "content");
  server_->pages[kUrl] = {.body = "another", .etag = "\"2\""};
  EXPECT_EQ(look(*build(), kUrl)->sha256, sha256_hex("another"));
}

TEST_F(RemoteFilesTest, AChecksumIsHeldAgainstWhatComes) {
  server_->pages[kUrl] = {.body = "content"};
  auto wrong = look(*build(), kUrl, "sha256:" + sha256_hex("other"));
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code, Code::Mismatch);
  EXPECT_NE(wrong.error().message.find("digest mismatch"), std::string::npos);
  ASSERT_TRUE(look(*build(), kUrl, "sha256:" + sha256_hex("content")).ok());
  // Known, nobody need be asked.
  server_->asked.clear();
  EXPECT_TRUE(look(*build(), kUrl, "sha256:" + sha256_hex("content")).ok());
  EXPECT_TRUE(server_->asked.empty());
}

TEST_F(RemoteFilesTest, FollowsRedirectsToACertainExtent) {
  server_->pages[kUrl] = {.status = 302, .location = "/b"};
  server_->pages["http://example.org/b"] = {.body = "there"};
  EXPECT_EQ(text(*build(), kUrl), "there");
  server_->pages["https://example.org/s"] = {.status = 301, .location = "http://example.org/b"};
  EXPECT_NE(look(*build(), "https://example.org/s").error().message.find("redirected from https"), std::string::npos);
  server_->pages["http://example.org/loop"] = {.status = 307, .location = "/loop"};
  server_->asked.clear();
  EXPECT_NE(look(*build(), "http://example.org/loop").error().message.find("more than 10 redirects"), std::string::npos);
  EXPECT_EQ(server_->asked.size(), RemoteFiles::kMaxRedirects + 1);
}

TEST_F(RemoteFilesTest, SaysWhatTheServerSaid) {
  EXPECT_EQ(look(*build(), kUrl).error().code, Code::NotFound);
  server_->pages[kUrl] = {.status = 503};
  EXPECT_EQ(look(*build(), kUrl).error().code, Code::Unavailable);
  server_->pages[kUrl] = {.status = 403};
  EXPECT_EQ(look(*build(), kUrl).error().code, Code::Unauthorized);
}

TEST_F(RemoteFilesTest, SizeHasALimit) {
  server_->pages[kUrl] = {.body = std::string(1000, 'x')};
  EXPECT_TRUE(look(*build(1000), kUrl).ok());
  server_->pages[kUrl] = {.body = std::string(1001, 'x')};
  EXPECT_EQ(look(*build(1000), kUrl).error().code, Code::Invalid);
}

TEST_F(RemoteFilesTest, DamagedNotesAreNoNotes) {
  server_->pages[kUrl] = {.body = "content", .etag = "\"1\""};
  ASSERT_TRUE(look(*build(), kUrl).ok());
  ASSERT_TRUE(write_file_atomic(dir_ / ("notes/" + sha256_hex(kUrl).substr(0, 32)), "{\"url\":").ok());
  EXPECT_EQ(text(*build(), kUrl), "content");
}

TEST(RemoteFileName, IsTheLastPartOfThePath) {
  for (auto [url, name] : {std::pair{"http://h/a/b.tgz", "b.tgz"}, {"http://h/a/b.tgz?x=/y", "b.tgz"}, {"http://h/", "__unnamed__"}, {"http://h", "__unnamed__"}, {"http://h/a%20b", "a b"}, {"http://h/a/", "a"}, {"http://h/..", "__unnamed__"}}) {
    EXPECT_EQ(remote_file_name(url), name) << url;
  }
}

TEST(HttpDate, OneForm) {
  EXPECT_EQ(parse_http_date("Thu, 01 Jan 1970 00:00:10 GMT")->seconds(), 10);
  for (const char* bad : {"", "Thursday", "Thu, 01 Jan 1970 00:00:10", "Thu, 01 Jan 1970 00:00:10 GMT x"}) EXPECT_FALSE(parse_http_date(bad)) << bad;
}

}  // namespace
}  // namespace archway::build
