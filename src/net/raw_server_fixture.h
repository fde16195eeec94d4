#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/text.h"

// For tests: servers that behave as badly as told. Nothing of the product's own server is in them.
namespace archway::testing {

inline Fd listen_on_loopback(uint16_t& port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd.get(), 64) != 0) std::abort();
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

inline Fd connect_to_loopback(uint16_t port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return Fd();
  return fd;
}

// Accepts connections and serves each on a thread; all are shut down when it is destroyed.
class TcpServer {
 public:
  using Serve = std::function<void(int)>;
  explicit TcpServer(Serve serve) : serve_(std::move(serve)), listener_(listen_on_loopback(port_)) {
    ::signal(SIGPIPE, SIG_IGN);  // clients may go at any moment
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~TcpServer() { stop(); }
  uint16_t port() const { return port_; }
  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
  int connections() const { return connections_; }

  void stop() {
    if (stopping_.exchange(true)) return;
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    {
      std::lock_guard lock(mutex_);
      for (int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }
  bool stopping() const { return stopping_; }

 private:
  void accept_all() {
    for (;;) {
      int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      int one = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      connections_++;
      {
        std::lock_guard lock(mutex_);
        open_.push_back(fd);
      }
      threads_.emplace_back([this, fd] {
        serve_(fd);
        std::lock_guard lock(mutex_);
        open_.remove(fd);
        ::close(fd);
      });
    }
  }
  Serve serve_;
  uint16_t port_ = 0;
  Fd listener_;
  std::thread acceptor_;
  std::mutex mutex_;
  std::list<int> open_;
  std::list<std::thread> threads_;
  std::atomic<int> connections_{0};
  std::atomic<bool> stopping_{false};
};

// Passes bytes on to `target`, and cuts each connection once `limit` bytes have gone through it, both ways together.
class CuttingProxy {
 public:
  CuttingProxy(uint16_t target, uint64_t limit) : target_(target), limit_(limit), server_([this](int fd) { pass(fd); }) {}
  std::string host() const { return server_.host(); }
  uint64_t bytes_up() const { return up_; }
  uint64_t bytes_down() const { return down_; }
  int connections() const { return server_.connections(); }

 private:
  void pass(int client) {
    Fd upstream = connect_to_loopback(target_);
    if (!upstream) return;
    uint64_t left = limit_;
    std::vector<char> buffer(64 * 1024);
    for (;;) {
      pollfd fds[2] = {{client, POLLIN, 0}, {upstream.get(), POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0) return;
      for (int i = 0; i < 2; i++) {
        if (!(fds[i].revents & (POLLIN | POLLHUP | POLLERR))) continue;
        ssize_t n = ::read(fds[i].fd, buffer.data(), std::min<uint64_t>(buffer.size(), left));
        if (n <= 0) return;
        (i == 0 ? up_ : down_) += static_cast<uint64_t>(n);
        left -= static_cast<uint64_t>(n);
        if (!write_all(fds[1 - i].fd, as_bytes({buffer.data(), static_cast<size_t>(n)})).ok()) return;
        if (left == 0) {
          ::shutdown(client, SHUT_RDWR);
          return;
        }
      }
    }
  }
  uint16_t target_;
  uint64_t limit_;
  std::atomic<uint64_t> up_{0}, down_{0};
  TcpServer server_;  // last: its threads use the others
};

struct RawRequest {
  std::string method, target;  // "GET", "/v2/x?y"
  std::string head;            // all of it
  std::string body;
  std::string header(const std::string& name) const {
    std::string lower = to_lower(head), wanted = "\r\n" + to_lower(name) + ":";
    size_t at = lower.find(wanted);
    if (at == std::string::npos) return "";
    size_t begin = at + wanted.size();
    return std::string(trim(std::string_view(head).substr(begin, head.find("\r\n", begin) - begin)));
  }
};

// An HTTP/1.1 server that answers what the handler says, byte for byte; "" drops the connection. A handler may also
// write to the socket itself.
class RawServer {
 public:
  using Handler = std::function<std::string(const RawRequest&, int fd)>;
  explicit RawServer(Handler handler) : handler_(std::move(handler)), server_([this](int fd) { serve(fd); }) {}
  std::string host() const { return server_.host(); }
  uint16_t port() const { return server_.port(); }
  int connections() const { return server_.connections(); }
  // "GET /v2/..." of each request that came, in order.
  std::vector<std::string> log() {
    std::lock_guard lock(mutex_);
    return log_;
  }
  std::vector<RawRequest> requests() {
    std::lock_guard lock(mutex_);
    return requests_;
  }

  static std::string reply(int status, const std::string& headers = "", const std::string& body = "") {
    return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  // Blocks until the client closes the connection (a server that stalls).
  static void wait_for_close(int fd) {
    char c;
    while (::read(fd, &c, 1) > 0) {
    }
  }

 private:
  void serve(int fd) {
    std::string input;
    for (;;) {
      size_t end;
      while ((end = input.find("\r\n\r\n")) == std::string::npos) {
        if (!more(fd, input)) return;
      }
      RawRequest request;
      request.head = input.substr(0, end + 2);
      input.erase(0, end + 4);
      auto words = split(request.head.substr(0, request.head.find("\r\n")), ' ');
      if (words.size() < 3) return;
      request.method = words[0];
      request.target = words[1];
      size_t length = parse_uint(request.header("Content-Length")).value_or(0);
      while (input.size() < length) {
        if (!more(fd, input)) return;
      }
      request.body = input.substr(0, length);
      input.erase(0, length);
      {
        std::lock_guard lock(mutex_);
        log_.push_back(request.method + " " + request.target);
        requests_.push_back(request);
      }
      std::string answer = handler_(request, fd);
      if (request.method == "HEAD") answer = answer.substr(0, answer.find("\r\n\r\n") + 4);
      if (answer.empty() || !write_all(fd, as_bytes(answer)).ok()) return;
    }
  }
  static bool more(int fd, std::string& input) {
    char buffer[65536];
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n > 0) input.append(buffer, static_cast<size_t>(n));
    return n > 0;
  }
  Handler handler_;
  std::mutex mutex_;
  std::vector<std::string> log_;
  std::vector<RawRequest> requests_;
  TcpServer server_;
};

}  // namespace archway::testing
