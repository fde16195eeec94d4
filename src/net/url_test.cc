#include "net/url.h"

#include <gtest/gtest.h>

#include "net/http.h"

namespace archway {
namespace {

TEST(Url, ParsesAndPrints) {
  struct Case {
    const char *text, *printed, *origin;
    int port;
  };
  for (const Case& c : std::vector<Case>{
           {"https://example.org", "https://example.org/", "https://example.org", 443},
           {"HTTP://Example.ORG:80/a%2Fb?x=1#frag", "http://example.org/a%2Fb?x=1", "http://example.org", 80},
           {"http://localhost:5000/v2/", "http://localhost:5000/v2/", "http://localhost:5000", 5000},
           {"https://[::1]:8443/x", "https://[::1]:8443/x", "https://[::1]:8443", 8443},
           {"https://h?q", "https://h/?q", "https://h", 443},
       }) {
    auto url = parse_url(c.text);
    ASSERT_TRUE(url.ok()) << c.text << ": " << url.error().message;
    EXPECT_EQ(url->str(), c.printed);
    EXPECT_EQ(url->origin(), c.origin);
    EXPECT_EQ(url->port, c.port);
  }
}

TEST(Url, RefusesWhatCouldBeMisread) {
  for (const char* text : {"", "example.org", "ftp://x/", "http://", "http:///x", "http://a b/", "http://a/\r\nX: y", "http://u:p@h/", "http://h:0/", "http://h:65536/",
                           "http://h:x/", "http://[::1/", "http://[x]/", "http://[::1]x/", "http://h\\x/", "http://\xc3\xa4/", "file:///etc/passwd"}) {
    EXPECT_FALSE(parse_url(text).ok()) << text;
  }
  EXPECT_TRUE(parse_url("http://h/" + std::string(16 * 1024 - 9, 'a')).ok());
  EXPECT_FALSE(parse_url("http://h/" + std::string(16 * 1024 - 8, 'a')).ok());
}

TEST(Url, ResolvesLocations) {
  Url base = *parse_url("https://h:1234/v2/x/blobs/uploads/?a=b");
  struct Case {
    const char *reference, *resolved;
  };
  for (const Case& c : std::vector<Case>{
           {"/v2/y?z=1", "https://h:1234/v2/y?z=1"},
           {"uuid?_state=1", "https://h:1234/v2/x/blobs/uploads/uuid?_state=1"},
           {"../../m/./t", "https://h:1234/v2/x/m/t"},
           {"../../../../../etc", "https://h:1234/etc"},
           {"//other/x", "https://other/x"},
           {"http://other/x", "http://other/x"},
           {"?q=2", "https://h:1234/v2/x/blobs/uploads/?q=2"},
           {"", "https://h:1234/v2/x/blobs/uploads/?a=b"},
       }) {
    auto url = resolve_url(base, c.reference);
    ASSERT_TRUE(url.ok()) << c.reference;
    EXPECT_EQ(url->str(), c.resolved) << c.reference;
  }
  for (const char* bad : {"file:///x", "javascript:x", "http://u@h/", "/a b", "/a\nb"}) EXPECT_FALSE(resolve_url(base, bad).ok()) << bad;
}

TEST(Url, KnowsLoopback) {
  for (const char* host : {"localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]", "::ffff:127.0.0.1"}) EXPECT_TRUE(is_loopback_host(host)) << host;
  for (const char* host : {"", "localhost.example.org", "128.0.0.1", "127.0.0.1.example.org", "::2", "10.0.0.1"}) EXPECT_FALSE(is_loopback_host(host)) << host;
}

TEST(Headers, CompareNamesWithoutCase) {
  Headers headers;
  headers.add("X-A", "1");
  headers.add("x-a", "2");
  headers.add("B", "3");
  EXPECT_EQ(headers.all("X-a"), (std::vector<std::string>{"1", "2"}));
  headers.set("x-A", "9");
  EXPECT_EQ(headers.all("X-A"), std::vector<std::string>{"9"});
  EXPECT_EQ(headers.get("b"), "3");
  EXPECT_EQ(headers.find("C"), nullptr);
}

TEST(PercentEncoding, IsUndone) {
  std::string all;
  for (int c = 0; c < 256; c++) all += static_cast<char>(c);
  EXPECT_EQ(percent_decode(percent_encode(all)), all);
  EXPECT_EQ(percent_encode("a/b c~"), "a%2Fb%20c~");
  EXPECT_EQ(percent_decode("%2"), std::nullopt);
  EXPECT_EQ(percent_decode("%zz"), std::nullopt);
  EXPECT_EQ(encode_query({{"a", "1 2"}, {"b", ""}}), "a=1%202&b=");
}

}  // namespace
}  // namespace archway
