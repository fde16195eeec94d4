#include "net/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <thread>

#include "base/process.h"
#include "base/sync.h"
#include "base/text.h"

namespace archway {
namespace {

// A client that says exactly what it is told to.
class RawClient {
 public:
  explicit RawClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  bool connected() const { return connected_; }
  bool send(std::string_view text) {
    while (!text.empty()) {
      ssize_t n = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  // One head and, by its Content-Length, one body.
  std::string receive(bool with_body = true) {
    while (rest_.find("\r\n\r\n") == std::string::npos) {
      if (!more()) return std::exchange(rest_, {});
    }
    size_t end = rest_.find("\r\n\r\n") + 4;
    std::string lower = to_lower(rest_.substr(0, end));
    size_t at = lower.find("content-length: ");
    if (with_body && at != std::string::npos) end += std::strtoul(lower.c_str() + at + 16, nullptr, 10);
    while (rest_.size() < end && more()) {
    }
    std::string answer = rest_.substr(0, end);
    rest_.erase(0, end);
    return answer;
  }
  std::string receive_all() {
    while (more()) {
    }
    return std::exchange(rest_, {});
  }
  void close() { fd_.reset(); }

 private:
  bool more() {
    char buffer[65536];
    ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    rest_.append(buffer, static_cast<size_t>(n));
    return true;
  }
  Fd fd_;
  bool connected_ = false;
  std::string rest_;
};

std::string body_of(const std::string& answer) {
  size_t at = answer.find("\r\n\r\n");
  return at == std::string::npos ? "" : answer.substr(at + 4);
}

class Handler final : public RequestHandler {
 public:
  using Body = std::function<Result<void>(Bytes)>;
  using Finish = std::function<ServerResponse(const std::string&, bool)>;
  explicit Handler(Finish finish, Body body = {}) : finish_(std::move(finish)), body_(std::move(body)) {}
  Result<void> body(Bytes piece) override {
    if (body_) return body_(piece);
    text_.append(as_text(piece));
    return {};
  }
  ServerResponse finish(bool complete) override { return finish_(text_, complete); }

 private:
  Finish finish_;
  Body body_;
  std::string text_;
};

ServerResponse text_response(std::string text, int status = 200) {
  ServerResponse response;
  response.status = status;
  response.body = std::move(text);
  return response;
}

Fd memory_file(std::string_view text) {
  Fd fd(::memfd_create("test", MFD_CLOEXEC));
  EXPECT_TRUE(write_all(fd.get(), as_bytes(text)).ok());
  return fd;
}

std::unique_ptr<HttpServer> serve(Router router, HttpServerOptions options = {}) {
  auto server = HttpServer::start(std::move(options), std::move(router));
  EXPECT_TRUE(server.ok()) << server.error().message;
  return std::move(server).value();
}

Router answering(Handler::Finish finish) {
  return [finish](const ServerRequest&) { return std::make_unique<Handler>(finish); };
}

TEST(HttpServer, KeepsThePathRawAndDecodesTheQuery) {
  auto server = serve([](const ServerRequest& request) {
    std::string said = request.method + " " + request.path + " " + request.query_value("a").value_or("none") + " " +
                       request.query_value("b").value_or("none") + " " + request.headers.get("x-one") + " " + request.remote_address;
    return std::make_unique<Handler>([said](const std::string&, bool) { return text_response(said); });
  });
  RawClient client(server->port());
  client.send("GET /x%2Fy/z?a=1%2B+2&b=&a=3 HTTP/1.1\r\nHost: h\r\nX-One: eins\r\n\r\n");
  EXPECT_EQ(body_of(client.receive()), "GET /x%2Fy/z 1++2  eins 127.0.0.1");
}

TEST(HttpServer, RefusesAMalformedEscapeInTheQuery) {
  auto server = serve(answering([](const std::string&, bool) { return text_response("reached"); }));
  RawClient client(server->port());
  client.send("GET /x?a=%zz HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(client.receive().starts_with("HTTP/1.1 400 "));
}

TEST(HttpServer, BringsBodiesWithLengthAndChunked) {
  auto server = serve(answering([](const std::string& body, bool complete) { return text_response(body + (complete ? "!" : "?"), 201); }));
  RawClient client(server->port());
  client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
  std::string answer = client.receive();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 201 ")) << answer;
  EXPECT_EQ(body_of(answer), "hello!");
  client.send("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(body_of(client.receive()), "abcde!");
  client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(body_of(client.receive()), "!");
}

TEST(HttpServer, BringsALargeBodyWhole) {
  std::atomic<uint64_t> got = 0;
  auto server = serve([&](const ServerRequest&) {
    return std::make_unique<Handler>([&](const std::string&, bool) { return text_response(std::to_string(got)); },
                                     [&](Bytes piece) -> Result<void> { got += piece.size(); return {}; });
  });
  RawClient client(server->port());
  std::string megabyte(1 << 20, 'x');
  client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(32 * megabyte.size()) + "\r\n\r\n");
  for (int i = 0; i < 32; i++) ASSERT_TRUE(client.send(megabyte));
  EXPECT_EQ(body_of(client.receive()), std::to_string(32 << 20));
}

TEST(HttpServer, DropsTheRestOfABodyThatWasRefusedAndAnswers) {
  int pieces = 0;
  auto server = serve([&](const ServerRequest&) {
    return std::make_unique<Handler>([](const std::string&, bool) { return text_response("no", 400); },
                                     [&](Bytes) -> Result<void> { pieces++; return Error{Code::Invalid, "no"}; });
  });
  RawClient client(server->port());
  client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + std::string(1000000, 'x'));
  EXPECT_TRUE(client.receive().starts_with("HTTP/1.1 400 "));
  EXPECT_EQ(pieces, 1);
  // The connection is still good.
  client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
  EXPECT_TRUE(client.receive().starts_with("HTTP/1.1 400 "));
}

TEST(HttpServer, TellsTheHandlerThatTheClientBrokeOff) {
  Sync<std::optional<bool>> complete;
  std::condition_variable changed;
  auto server = serve(answering([&](const std::string&, bool whole) {
    *complete.lock() = whole;
    changed.notify_all();
    return text_response("");
  }));
  RawClient client(server->port());
  client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
  client.close();
  auto locked = complete.lock();
  locked.wait(changed, [&] { return locked->has_value(); });
  EXPECT_FALSE(**locked);
}

TEST(HttpServer, SendsPartOfAFile) {
  auto server = serve(answering([](const std::string&, bool) {
    ServerResponse response;
    response.status = 206;
    response.headers.set("Content-Type", "application/octet-stream");
    response.file = memory_file("0123456789");
    response.file_offset = 3;
    response.file_length = 4;
    return response;
  }));
  RawClient client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  std::string answer = client.receive();
  EXPECT_EQ(body_of(answer), "3456");
  EXPECT_NE(answer.find("Content-Type: application/octet-stream\r\n"), std::string::npos);
}

TEST(HttpServer, AnswersHeadWithTheLengthAndNoBody) {
  auto server = serve([](const ServerRequest& request) {
    std::string path = request.path;
    return std::make_unique<Handler>([path](const std::string&, bool) {
      ServerResponse response;
      response.head_only = true;
      if (path == "/text") response.body = "12345";
      if (path == "/file") response.file = memory_file("1234567");
      if (path != "/text") response.file_length = path == "/file" ? 7 : uint64_t{5} << 30;
      return response;
    });
  });
  RawClient client(server->port());
  for (auto [path, length] : {std::pair{"/text", "5"}, {"/file", "7"}, {"/none", "5368709120"}}) {
    client.send(std::string("HEAD ") + path + " HTTP/1.1\r\nHost: h\r\n\r\n");
    std::string answer = client.receive(false);
    EXPECT_NE(answer.find(std::string("Content-Length: ") + length + "\r\n"), std::string::npos) << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
  }
}

TEST(HttpServer, LimitsTheHeadOfARequest) {
  HttpServerOptions options;
  options.max_header_bytes = 2000;
  auto server = serve(answering([](const std::string&, bool) { return text_response("ok"); }), options);
  auto status = [&](size_t padding) {
    RawClient client(server->port());
    client.send("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(padding, 'x') + "\r\n\r\n");
    return client.receive().substr(9, 3);
  };
  // "/" is 1 byte, "Host: h" counts 4 + 1 + 4, "X: " 1 + 4.
  EXPECT_EQ(status(2000 - 1 - 9 - 5), "200");
  EXPECT_EQ(status(2000 - 1 - 9 - 5 + 1), "431");
  std::string answer = status(1 << 20);
  EXPECT_TRUE(answer == "431" || answer == "413" || answer == "414" || answer.empty()) << answer;
}

TEST(HttpServer, DoesNotLetAValueSplitTheAnswer) {
  auto server = serve(answering([](const std::string&, bool) {
    ServerResponse response;
    response.headers.add("X-Evil", "a\r\nX-Injected: b");
    response.headers.add("X-Good", "c");
    return response;
  }));
  RawClient client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  std::string answer = client.receive();
  EXPECT_EQ(answer.find("X-Injected"), std::string::npos);
  EXPECT_NE(answer.find("X-Good: c\r\n"), std::string::npos);
}

TEST(HttpServer, ClosesIdleConnections) {
  HttpServerOptions options;
  options.idle_timeout_seconds = 1;
  auto server = serve(answering([](const std::string&, bool) { return text_response("ok"); }), options);
  RawClient client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(body_of(client.receive()), "ok");
  EXPECT_EQ(client.receive_all(), "");  // returns once the server has closed
}

TEST(HttpServer, LetsRequestsInFlightEndWhenItStops) {
  Sync<bool> begun, released;
  std::condition_variable changed;
  auto server = serve(answering([&](const std::string&, bool) {
    *begun.lock() = true;
    changed.notify_all();
    auto locked = released.lock();
    locked.wait(changed, [&] { return *locked; });
    return text_response("done");
  }));
  uint16_t port = server->port();
  RawClient idle(port), client(port);
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  {
    auto locked = begun.lock();
    locked.wait(changed, [&] { return *locked; });
  }
  std::jthread stopping([&] { server.reset(); });
  // The request holds until the server refuses newcomers, which shows that it is stopping.
  while (RawClient(port).connected()) std::this_thread::yield();
  *released.lock() = true;
  changed.notify_all();
  std::string answer = client.receive();
  EXPECT_EQ(body_of(answer), "done");
  EXPECT_NE(to_lower(answer).find("connection: close"), std::string::npos);
}

TEST(HttpServer, StopsEventuallyWhenAClientStalls) {
  HttpServerOptions options;
  options.stop_grace = std::chrono::milliseconds(50);
  std::atomic<int> finished = 0;
  auto server = serve(answering([&](const std::string&, bool complete) {
    if (!complete) finished++;
    return text_response("");
  }), options);
  RawClient client(server->port());
  client.send("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
  EXPECT_TRUE(client.receive(false).starts_with("HTTP/1.1 100 "));
  server.reset();
  EXPECT_EQ(finished, 1);
}

TEST(HttpServer, SaysWhichAddressIsTaken) {
  auto server = serve(answering([](const std::string&, bool) { return text_response(""); }));
  HttpServerOptions options;
  options.port = server->port();
  auto second = HttpServer::start(options, answering([](const std::string&, bool) { return text_response(""); }));
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find("127.0.0.1:" + std::to_string(options.port)), std::string::npos) << second.error().message;
}

TEST(HttpServer, RefusesACertificateThatIsNone) {
  auto folder = TempDir::create("/tmp", "archway-http-");
  ASSERT_TRUE(folder.ok());
  ASSERT_TRUE(write_file_atomic(*folder / "pem", "this is no certificate").ok());
  HttpServerOptions options;
  options.tls_cert_file = options.tls_key_file = *folder / "pem";
  auto server = HttpServer::start(options, answering([](const std::string&, bool) { return text_response(""); }));
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.error().code, Code::Invalid);
  options.tls_key_file = "";
  EXPECT_FALSE(HttpServer::start(options, answering([](const std::string&, bool) { return text_response(""); })).ok());
}

TEST(HttpServer, SpeaksTls) {
  if (!find_program("openssl") || !find_program("curl")) GTEST_SKIP() << "skipped: needs openssl and curl";
  auto folder = TempDir::create("/tmp", "archway-http-");
  ASSERT_TRUE(folder.ok());
  auto made = run_process({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                           "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", *folder / "key", "-out", *folder / "cert"});
  ASSERT_TRUE(made.ok());
  ASSERT_EQ(made->exit_code, 0) << made->err;
  std::string content(3'000'000, 'y');
  HttpServerOptions options;
  options.tls_cert_file = *folder / "cert";
  options.tls_key_file = *folder / "key";
  auto server = serve(answering([&](const std::string& body, bool) {
    ServerResponse response;
    response.file = memory_file(content + body);
    response.file_length = content.size() + body.size();
    return response;
  }), options);
  auto got = run_process({"curl", "-sS", "--noproxy", "*", "--cacert", *folder / "cert", "-d", "sent", "https://localhost:" + std::to_string(server->port()) + "/"});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->exit_code, 0) << got->err;
  EXPECT_TRUE(got->out == content + "sent");
}

TEST(HttpServer, TakesANewCertificateWhileItServes) {
  if (!find_program("openssl") || !find_program("curl")) GTEST_SKIP() << "skipped: needs openssl and curl";
  auto folder = TempDir::create("/tmp", "archway-http-");
  ASSERT_TRUE(folder.ok());
  for (std::string name : {"a", "b"}) {
    auto made = run_process({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                             "-addext", "subjectAltName=DNS:localhost", "-keyout", *folder / (name + ".key"), "-out", *folder / (name + ".cert")});
    ASSERT_TRUE(made.ok() && made->exit_code == 0);
  }
  auto use = [&](const std::string& cert, const std::string& key) {
    ASSERT_TRUE(write_file_atomic(*folder / "cert", *read_file(*folder / (cert + ".cert"), 1 << 20)).ok());
    ASSERT_TRUE(write_file_atomic(*folder / "key", *read_file(*folder / (key + ".key"), 1 << 20)).ok());
  };
  use("a", "a");
  HttpServerOptions options;
  options.tls_cert_file = *folder / "cert";
  options.tls_key_file = *folder / "key";
  auto server = serve(answering([&](const std::string&, bool) { return text_response("hello"); }), options);
  auto trusts = [&](const std::string& name) {
    auto got = run_process({"curl", "-sS", "--noproxy", "*", "--cacert", *folder / (name + ".cert"), "https://localhost:" + std::to_string(server->port()) + "/"});
    return got.ok() && got->exit_code == 0 && got->out == "hello";
  };
  EXPECT_TRUE(trusts("a"));
  // Half of a rotation: the certificate is there, its key not yet.
  use("b", "a");
  EXPECT_FALSE(server->reload_certificate().ok());
  EXPECT_TRUE(trusts("a"));
  use("b", "b");
  EXPECT_TRUE(server->reload_certificate().ok());
  EXPECT_TRUE(trusts("b"));
  EXPECT_FALSE(trusts("a"));
}

TEST(HttpServer, AnswersManyConnectionsAtOnce) {
  auto server = serve(answering([](const std::string& body, bool) { return text_response(body); }));
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 16; t++) {
      threads.emplace_back([&, t] {
        RawClient client(server->port());
        for (int i = 0; i < 50; i++) {
          std::string text = std::to_string(t * 1000 + i);
          client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text);
          if (body_of(client.receive()) == text) right++;
        }
      });
    }
  }
  EXPECT_EQ(right, 16 * 50);
}

TEST(HttpServer, RunsOnEventLoopsWhereAsked) {
  HttpServerOptions options;
  options.threads = 2;
  auto server = serve(answering([](const std::string& body, bool) { return text_response(body); }), options);
  RawClient client(server->port());
  for (int i = 0; i < 3; i++) {
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
    EXPECT_EQ(body_of(client.receive()), "ab");
  }
}

}  // namespace
}  // namespace archway
