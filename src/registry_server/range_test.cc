#include "registry_server/range.h"

#include <gtest/gtest.h>

namespace archway::registry_server {
namespace {

TEST(Range, TakesOneRangeOfBytes) {
  struct Case {
    const char* header;
    uint64_t first, length;
  };
  for (const Case& c : {Case{"bytes=0-0", 0, 1}, {"bytes=500-1499", 500, 1000}, {"bytes=500-", 500, 1548}, {"bytes=-500", 1548, 500},
                        {"bytes=2000-5000", 2000, 48}, {"bytes=-5000", 0, 2048}, {"Bytes= 0 - 1 ", 0, 2}, {"bytes=2047-", 2047, 1}}) {
    auto range = parse_range(c.header, 2048);
    EXPECT_EQ(range.kind, RangeKind::Part) << c.header;
    EXPECT_EQ(range.part, (ByteRange{c.first, c.length})) << c.header;
  }
}

TEST(Range, RefusesWhatIsNotThere) {
  for (const char* header : {"bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0", "bytes=18446744073709551615-"}) {
    EXPECT_EQ(parse_range(header, 2048).kind, RangeKind::Unsatisfiable) << header;
  }
  EXPECT_EQ(parse_range("bytes=0-", 0).kind, RangeKind::Unsatisfiable);
}

TEST(Range, GivesTheWholeForWhatItDoesNotUnderstand) {
  for (const char* header : {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "items=0-1", "bytes=0-1,5-6", "bytes=--1", "bytes=99999999999999999999-"}) {
    EXPECT_EQ(parse_range(header, 2048).kind, RangeKind::Whole) << header;
  }
}

TEST(ContentRange, TakesTheFormsThatClientsSend) {
  EXPECT_EQ(parse_content_range("0-1023"), (ByteRange{0, 1024}));
  EXPECT_EQ(parse_content_range("bytes 5-5/*"), (ByteRange{5, 1}));
  EXPECT_EQ(parse_content_range("bytes=5-6/100"), (ByteRange{5, 2}));
  EXPECT_EQ(parse_content_range("0-18446744073709551614"), (ByteRange{0, UINT64_MAX}));
  for (const char* header : {"", "-", "5-", "-5", "6-5", "a-b", "0-18446744073709551615", "bytes", "1-2-3"}) {
    EXPECT_EQ(parse_content_range(header), std::nullopt) << header;
  }
}

}  // namespace
}  // namespace archway::registry_server
