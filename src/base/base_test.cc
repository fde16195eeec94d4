#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

#include "base/clock.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/process.h"
#include "base/shared_text.h"
#include "base/text.h"
#include "base/thread_pool.h"

namespace archway {
namespace {

Result<int> half(int n) {
  if (n % 2) return Error{Code::Invalid, "odd"};
  return n / 2;
}
Result<int> quarter(int n) {
  int h = TRY(half(n));
  return TRY(half(h));
}

TEST(SharedText, CopiesShareWhatTheyHoldAndReadAsStrings) {
  SharedText text = std::string("Deployment shop/web");
  SharedText copy = text;
  EXPECT_EQ(copy.str().data(), text.str().data());
  EXPECT_EQ(copy, "Deployment shop/web");
  EXPECT_EQ(copy, SharedText("Deployment shop/web"));  // equal by what they say, not by where it is
  EXPECT_NE(copy, std::string("Deployment shop/api"));
  EXPECT_LT(SharedText("a"), SharedText("b"));
  EXPECT_EQ("in " + copy + "!", "in Deployment shop/web!");
  std::string_view view = copy;
  EXPECT_EQ(view.size(), copy.size());
}

TEST(SharedText, ChangingOneLeavesItsCopiesAlone) {
  SharedText text = "a";
  SharedText copy = text;
  text += "b";
  EXPECT_EQ(text, "ab");
  EXPECT_EQ(copy, "a");
  copy.clear();
  EXPECT_TRUE(copy.empty());
  EXPECT_TRUE(SharedText("").empty());
  EXPECT_EQ(copy, SharedText());
}

TEST(Result, TryPassesErrorsOn) {
  EXPECT_EQ(quarter(8).value(), 2);
  auto failed = quarter(6).context("quartering");
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message, "quartering: odd");
  EXPECT_EQ(failed.error().code, Code::Invalid);
}

TEST(Stream, LimitRefusesOneByteMore) {
  MemorySource five(std::string_view("12345"));
  EXPECT_EQ(read_all(five, 5, "it").value(), "12345");
  MemorySource six(std::string_view("123456"));
  EXPECT_EQ(read_all(six, 5, "it").error().code, Code::Invalid);
}

TEST(Hash, KnownAnswers) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Hasher h(HashAlgorithm::Sha512);
  h.update("abc");
  EXPECT_EQ(h.hex().substr(0, 16), "ddaf35a193617aba");
  h.update("d");
  EXPECT_EQ(h.hex().substr(0, 16), "d8022f2060ad6efd");
}

TEST(Text, Base64BothWays) {
  for (std::string s : {"", "a", "ab", "abc", "user:pass"}) EXPECT_EQ(base64_decode(base64_encode(s)).value(), s);
  EXPECT_EQ(base64_encode("ab"), "YWI=");
  EXPECT_FALSE(base64_decode("a").has_value());
  EXPECT_FALSE(base64_decode("a*b=").has_value());
}

TEST(Text, Nearest) {
  EXPECT_EQ(nearest("FORM", {"RUN", "FROM", "COPY"}).value(), "FROM");
  EXPECT_FALSE(nearest("XYZZY", {"RUN", "FROM"}).has_value());
}

TEST(Text, HumanBytes) {
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1500), "1.5 kB");
  EXPECT_EQ(human_bytes(123456789), "123 MB");
}

TEST(Clock, Rfc3339BothWays) {
  for (std::string text : {"1970-01-01T00:00:00Z", "2026-11-22T20:27:00.5Z", "2024-02-29T23:59:59.123456789Z"}) {
    EXPECT_EQ(format_rfc3339(parse_rfc3339(text).value()), text);
  }
  EXPECT_EQ(parse_rfc3339("2020-01-01T01:00:00+01:00")->seconds(), 1577836800);
  EXPECT_FALSE(parse_rfc3339("2020-01-01").has_value());
  EXPECT_FALSE(parse_rfc3339("0001-01-01T00:00:00Z").has_value());  // beyond what 64 bits of nanoseconds hold
}

TEST(Fd, RootHoldsEvilPaths) {
  auto dir = TempDir::create("/tmp").value();
  ASSERT_TRUE(write_file_atomic(dir / "inside", "x").ok());
  ASSERT_EQ(::symlink("/etc", (dir / "link").c_str()), 0);
  Fd root = open_file(dir.path(), O_PATH | O_DIRECTORY).value();
  EXPECT_TRUE(open_in_root(root.get(), "../../../inside", O_RDONLY).ok());
  EXPECT_EQ(open_in_root(root.get(), "link/passwd", O_RDONLY).error().code, Code::NotFound);
}

TEST(Fd, RemoveTreeCopesWithLockedFolders) {
  auto dir = TempDir::create("/tmp").value();
  ASSERT_TRUE(make_directories(dir / "a/b/c").ok());
  ASSERT_EQ(::chmod((dir / "a/b").c_str(), 0), 0);
  EXPECT_TRUE(remove_tree(dir / "a").ok());
  EXPECT_FALSE(path_exists(dir / "a"));
}

TEST(Process, CapturesAndReports) {
  auto result = run_process({"sh", "-c", "cat; echo err >&2; exit 3"}, {.input = "hello"}).value();
  EXPECT_EQ(result.out, "hello");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(run_process({"no-such-program-anywhere"}).error().code, Code::NotFound);
  EXPECT_EQ(run_process({"sleep", "60"}, {.timeout = std::chrono::milliseconds(100)}).error().code, Code::Unavailable);
}

TEST(ThreadPool, ParallelForReportsLowestFailure) {
  std::atomic<int> sum = 0;
  EXPECT_TRUE(parallel_for(100, 4, [&](size_t i) -> Result<void> { return sum += static_cast<int>(i), Result<void>{}; }).ok());
  EXPECT_EQ(sum, 4950);
  auto failed = parallel_for(10, 1, [](size_t i) -> Result<void> {
    if (i >= 3) return Error{Code::Io, std::to_string(i)};
    return {};
  });
  EXPECT_EQ(failed.error().message, "3");
}

}  // namespace
}  // namespace archway
