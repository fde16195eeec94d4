// Load for `archway admission serve`: keep-alive TLS connections that send recorded reviews in turn.
//     admission_bench PORT SECONDS CONNECTIONS RATE REVIEW...
// RATE 0: as fast as answers come; else that many reviews a second, at times fixed beforehand, so that an answer that is late makes
// the next ones late, too, as it would for the API server. Prints reviews per second and percentiles. bench/admission_bench.sh starts the server.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/text.h"

using namespace archway;
using Clock_ = std::chrono::steady_clock;

namespace {

constexpr size_t kMaxReviewFileBytes = 16 << 20;

class Connection {
 public:
  Connection(SSL_CTX* context, uint16_t port) {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd_);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || SSL_connect(ssl_) != 1) fail("connecting");
  }
  ~Connection() {
    SSL_free(ssl_);
    ::close(fd_);
  }
  void exchange(const std::string& request) {
    if (SSL_write(ssl_, request.data(), static_cast<int>(request.size())) != static_cast<int>(request.size())) fail("writing");
    size_t have = 0, need = 0;
    while (need == 0 || have < need) {
      int count = SSL_read(ssl_, buffer_ + have, static_cast<int>(sizeof buffer_ - have));
      if (count <= 0) fail("reading");
      have += static_cast<size_t>(count);
      std::string_view text(buffer_, have);
      size_t head = text.find("\r\n\r\n");
      if (need > 0 || head == std::string_view::npos) continue;
      if (!text.starts_with("HTTP/1.1 200")) fail("a status other than 200");
      size_t length = text.find("Content-Length: ");
      if (length == std::string_view::npos) fail("no length");
      need = head + 4 + static_cast<size_t>(std::atol(buffer_ + length + 16));
    }
  }

 private:
  [[noreturn]] static void fail(const char* what) {
    std::fprintf(stderr, "admission_bench: %s\n", what);
    std::exit(2);
  }
  int fd_ = -1;
  SSL* ssl_ = nullptr;
  char buffer_[256 * 1024];
};

std::string request_of(const std::string& body) {
  return "POST /mutate?timeout=10s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return std::fprintf(stderr, "admission_bench PORT SECONDS CONNECTIONS RATE REVIEW...\n"), 64;
  auto port = static_cast<uint16_t>(std::atoi(argv[1]));
  int seconds = std::atoi(argv[2]), connections = std::atoi(argv[3]);
  double rate = std::atof(argv[4]);
  std::vector<std::string> requests;
  for (int i = 5; i < argc; ++i) {
    auto text = read_file(argv[i], kMaxReviewFileBytes);
    if (!text.ok()) return std::fprintf(stderr, "%s\n", text.error().message.c_str()), 2;
    requests.push_back(request_of(*text));
  }
  ::signal(SIGPIPE, SIG_IGN);
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  std::atomic<size_t> next = 0;
  std::vector<std::vector<double>> latencies(static_cast<size_t>(connections));
  auto begun = Clock_::now() + std::chrono::milliseconds(300);  // handshakes first
  auto end = begun + std::chrono::seconds(seconds);
  std::vector<std::thread> threads;
  for (int t = 0; t < connections; ++t) {
    threads.emplace_back([&, t] {
      Connection connection(context, port);
      auto& mine = latencies[static_cast<size_t>(t)];
      std::this_thread::sleep_until(begun);
      for (;;) {
        size_t number = next++;
        auto due = Clock_::now();
        if (rate > 0) {
          due = begun + std::chrono::nanoseconds(static_cast<int64_t>(static_cast<double>(number) / rate * 1e9));
          std::this_thread::sleep_until(due);
        }
        if (due >= end) break;
        connection.exchange(requests[number % requests.size()]);
        mine.push_back(std::chrono::duration<double, std::milli>(Clock_::now() - due).count());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<double> all;
  for (const auto& mine : latencies) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  if (all.empty()) return 2;
  auto at = [&](double part) { return all[std::min(all.size() - 1, static_cast<size_t>(part * static_cast<double>(all.size())))]; };
  std::printf("%.0f reviews/s  p50 %.3f ms  p90 %.3f ms  p99 %.3f ms  max %.3f ms  (%d connections)\n", static_cast<double>(all.size()) / seconds, at(0.5), at(0.9), at(0.99), all.back(), connections);
  return 0;
}
