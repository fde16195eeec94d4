#include "net/http_client.h"

#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "net/raw_server_fixture.h"

namespace archway {
namespace {

using namespace std::chrono_literals;
using testing::RawRequest;
using testing::RawServer;

std::shared_ptr<HttpClient> client(HttpClientOptions options = {}) { return *HttpClient::create(std::move(options)); }

HttpRequest get(const RawServer& server, const std::string& path = "/") {
  HttpRequest request;
  request.url = *parse_url("http://" + server.host() + path);
  return request;
}

// Many different bytes, so that a shift shows.
std::string pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t x = 1;
  for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

TEST(HttpClient, GetsStatusHeadersAndBody) {
  RawServer server([](const RawRequest&, int) { return RawServer::reply(404, "X-One: a\r\nx-two:b\r\n", "gone"); });
  auto response = client()->send(get(server, "/a?b=c"));
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ((*response)->status, 404);
  EXPECT_EQ((*response)->headers.get("X-ONE"), "a");
  EXPECT_EQ((*response)->headers.get("X-Two"), "b");
  EXPECT_EQ((*response)->text(100).value(), "gone");
  EXPECT_EQ(server.log(), std::vector<std::string>{"GET /a?b=c"});
}

TEST(HttpClient, StreamsLargeBodiesInSmallReads) {
  std::string body = pattern(5 << 20);
  RawServer server([&](const RawRequest&, int) { return RawServer::reply(200, "", body); });
  auto response = *client()->send(get(server));
  std::string got;
  std::vector<std::byte> buffer(7777);
  for (;;) {
    auto count = response->body().read(buffer);
    ASSERT_TRUE(count.ok()) << count.error().message;
    if (*count == 0) break;
    got += as_text({buffer.data(), *count});
  }
  EXPECT_TRUE(got == body);
  EXPECT_EQ(*response->body().read(buffer), 0u) << "the end stays the end";
}

// What arrives while the rest is thrown away has nowhere to go, and must not be written behind what was read last.
TEST(HttpClient, DropsTheRestOfABodyThatWasReadInPart) {
  std::latch head(1), read(1), sent(1);
  RawServer server([&](const RawRequest&, int fd) {
    (void)write_all(fd, as_bytes("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"));
    head.wait();
    (void)write_all(fd, as_bytes(std::string(1000, 'x')));
    read.wait();
    (void)write_all(fd, as_bytes(std::string(5000, 'y')));
    sent.count_down();
    return "";
  });
  auto response = *client()->send(get(server));
  head.count_down();
  std::vector<std::byte> buffer(1000);
  for (size_t left = buffer.size(); left > 0;) {
    auto count = response->body().read(std::span(buffer).first(left));
    ASSERT_TRUE(count.ok() && *count > 0);
    left -= *count;
  }
  read.count_down();
  sent.wait();
  response.reset();
}

TEST(HttpClient, DoesNotReadAheadWithoutLimit) {
  std::atomic<uint64_t> sent{0};
  std::latch blocked(1);
  RawServer server([&](const RawRequest&, int fd) {
    std::string piece(64 * 1024, 'x');
    if (!write_all(fd, as_bytes("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")).ok()) return "";
    timeval patience{0, 200'000};
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    while (sent < (256u << 20) && ::send(fd, piece.data(), piece.size(), MSG_NOSIGNAL) > 0) sent += piece.size();
    blocked.count_down();
    return "";
  });
  auto response = *client()->send(get(server));
  std::vector<std::byte> buffer(1000);
  ASSERT_TRUE(response->body().read(buffer).ok());
  blocked.wait();
  EXPECT_LT(sent, 64u << 20);
}

TEST(HttpClient, SendsTextAndStreams) {
  RawServer server([](const RawRequest& request, int) {
    return RawServer::reply(200, "", request.method + " " + request.header("Content-Length") + " " + request.header("Expect") + request.header("Content-Type") + " " + request.body);
  });
  auto http = client();
  HttpRequest request = get(server);
  request.method = "PUT";
  request.body = "hello";
  request.headers.add("Content-Type", "text/x");
  EXPECT_EQ((*http->send(request))->text(1000).value(), "PUT 5 text/x hello");
  request.method = "POST";
  request.body = "";
  request.headers = {};
  EXPECT_EQ((*http->send(request))->text(1000).value(), "POST 0  ");

  std::string body = pattern(3 << 20);
  MemorySource source(body);
  request.method = "PATCH";
  request.body_source = &source;
  request.body_size = body.size();
  EXPECT_TRUE((*http->send(request))->text(10 << 20).value() == "PATCH " + std::to_string(body.size()) + "  " + body);
  EXPECT_EQ(server.connections(), 1) << "one connection serves all";
}

TEST(HttpClient, HeadHasNoBody) {
  RawServer server([](const RawRequest&, int) { return RawServer::reply(200, "", "four"); });
  auto http = client();
  HttpRequest request = get(server);
  request.method = "HEAD";
  auto response = *http->send(request);
  EXPECT_EQ(response->headers.get("Content-Length"), "4");
  EXPECT_EQ(response->text(10).value(), "");
}

TEST(HttpClient, ReusesConnectionsAfterUnreadErrors) {
  RawServer server([](const RawRequest&, int) { return RawServer::reply(401, "", "{\"errors\":[]}"); });
  auto http = client();
  for (int i = 0; i < 5; i++) EXPECT_EQ((*http->send(get(server)))->status, 401);
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpClient, FreshConnectionIsNotShared) {
  RawServer server([](const RawRequest&, int) { return RawServer::reply(200); });
  auto http = client();
  for (int i = 0; i < 3; i++) {
    HttpRequest request = get(server);
    request.fresh_connection = true;
    EXPECT_EQ((*http->send(request))->status, 200);
  }
  EXPECT_EQ(server.connections(), 3);
}

TEST(HttpClient, GivesTheBytesThatCameBeforeABreak) {
  RawServer server([](const RawRequest&, int fd) {
    (void)write_all(fd, as_bytes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"));
    return "";
  });
  auto response = *client()->send(get(server));
  std::vector<std::byte> buffer(100);
  auto first = response->body().read(buffer);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(as_text({buffer.data(), *first}), "only this");
  auto second = response->body().read(buffer);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::Unavailable);
}

TEST(HttpClient, AStallIsUnavailable) {
  RawServer server([](const RawRequest& request, int fd) {
    if (request.target == "/body") (void)write_all(fd, as_bytes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"));
    RawServer::wait_for_close(fd);
    return "";
  });
  HttpClientOptions options;
  options.stall_timeout = 50ms;
  auto http = client(options);
  auto no_head = http->send(get(server));
  ASSERT_FALSE(no_head.ok());
  EXPECT_EQ(no_head.error().code, Code::Unavailable);
  auto response = *http->send(get(server, "/body"));
  auto text = response->text(1000);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().code, Code::Unavailable);
}

TEST(HttpClient, StopsAtOnceWhenAsked) {
  std::latch reached(1);
  RawServer server([&](const RawRequest&, int fd) {
    reached.count_down();
    RawServer::wait_for_close(fd);
    return "";
  });
  std::stop_source stop;
  std::jthread stopper([&] {
    reached.wait();
    stop.request_stop();
  });
  auto begin = std::chrono::steady_clock::now();
  auto response = client()->send(get(server), stop.get_token());
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, Code::Cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST(HttpClient, AnErrorOfTheBodySourceIsTheResult) {
  struct Failing final : Source {
    Result<size_t> read(std::span<std::byte>) override { return Error{Code::Mismatch, "the blob is wrong"}; }
  } source;
  RawServer server([](const RawRequest&, int) { return RawServer::reply(200); });
  HttpRequest request = get(server);
  request.method = "PUT";
  request.body_source = &source;
  request.body_size = 10;
  auto response = client()->send(request);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, Code::Mismatch);
  EXPECT_EQ(response.error().message, "the blob is wrong");
}

TEST(HttpClient, RefusesHeadersWithLineBreaks) {
  RawServer server([](const RawRequest&, int) { return RawServer::reply(200); });
  HttpRequest request = get(server);
  request.headers.add("X", "a\r\nY: b");
  EXPECT_EQ(client()->send(request).error().code, Code::Invalid);
  request.headers = {};
  request.headers.add("X\r\nY", "b");
  EXPECT_EQ(client()->send(request).error().code, Code::Invalid);
  EXPECT_TRUE(server.log().empty());
}

TEST(HttpClient, AHeadWithoutEndIsAnError) {
  RawServer server([](const RawRequest&, int fd) {
    std::string line = "X-Long: " + std::string(8000, 'x') + "\r\n";
    (void)write_all(fd, as_bytes("HTTP/1.1 200 OK\r\n"));
    while (::send(fd, line.data(), line.size(), MSG_NOSIGNAL) > 0) {
    }
    return "";
  });
  EXPECT_FALSE(client()->send(get(server)).ok());
}

TEST(HttpClient, ARefusedConnectionIsUnavailable) {
  uint16_t port = 0;
  testing::listen_on_loopback(port).reset();
  HttpRequest request;
  request.url = *parse_url("http://127.0.0.1:" + std::to_string(port) + "/");
  EXPECT_EQ(client()->send(request).error().code, Code::Unavailable);
}

TEST(HttpClient, DoesNotAskAProxyForLoopback) {
  RawServer server([](const RawRequest&, int) { return RawServer::reply(200, "", "direct"); });
  RawServer proxy([](const RawRequest&, int) { return RawServer::reply(200, "", "proxied"); });
  HttpClientOptions options;
  options.proxy.http = "http://" + proxy.host();
  auto http = client(options);
  EXPECT_EQ((*http->send(get(server)))->text(100).value(), "direct");
  HttpRequest request;
  request.url = *parse_url("http://registry.invalid/v2/");
  EXPECT_EQ((*http->send(request))->text(100).value(), "proxied");
  EXPECT_EQ(proxy.log(), std::vector<std::string>{"GET http://registry.invalid/v2/"});
}

TEST(HttpClient, ServesManyThreads) {
  std::string body = pattern(200'000);
  RawServer server([&](const RawRequest&, int) { return RawServer::reply(200, "", body); });
  auto http = client();
  std::atomic<int> right{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; t++) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10; i++) {
          auto response = http->send(get(server));
          if (response.ok() && (*response)->text(1 << 20).value_or("") == body) right++;
        }
      });
    }
  }
  EXPECT_EQ(right, 80);
  EXPECT_LE(server.connections(), 8);
}

}  // namespace
}  // namespace archway
