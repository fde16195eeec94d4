#include "build/agent_relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <list>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "runtime/runtime.h"

namespace archway::build {

namespace {

constexpr uint8_t kFailure = 5, kRequestIdentities = 11, kSignRequest = 13;
constexpr int kBacklog = 16;
constexpr int kAcceptPauseMs = 50;
constexpr size_t kHeaderBytes = 4;

// A path of any length, by its folder's descriptor: a sockaddr_un holds 107 bytes.
struct SocketPath {
  Fd folder;
  sockaddr_un address = {};
};
Result<SocketPath> socket_path(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  SocketPath place{TRY(open_file(parent, O_PATH | O_DIRECTORY))};
  const std::string text = "/proc/self/fd/" + std::to_string(place.folder.get()) + "/" + path.substr(slash + 1);
  place.address.sun_family = AF_UNIX;
  if (text.size() >= sizeof place.address.sun_path) return Error{Code::Invalid, path + ": the name of a socket is too long"};
  std::copy(text.begin(), text.end(), place.address.sun_path);
  return place;
}

Result<Fd> connect_to(const std::string& agent) {
  SocketPath place = TRY(socket_path(agent));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error("creating a socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&place.address), sizeof place.address) != 0) return errno_error("connecting to the ssh-agent at " + agent);
  return fd;
}

Result<Fd> listen_at(const std::string& path, uint32_t mode, uint32_t uid, uint32_t gid) {
  SocketPath place = TRY(socket_path(path));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error("creating a socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&place.address), sizeof place.address) != 0) return errno_error("creating the socket " + path);
  // With one id nobody else can own it, and nobody else is there to use it.
  if (::chown(path.c_str(), uid, gid) != 0 && !single_id_namespace()) return errno_error("setting the owner of " + path);
  if (::chmod(path.c_str(), mode) != 0) return errno_error("setting the mode of " + path);
  if (::listen(fd.get(), kBacklog) != 0) return errno_error("listening at " + path);
  return fd;
}

// Waits until there are bytes, or room for some, or for the end: false where it has come.
bool ready(int fd, short events, int stop) {
  std::array<pollfd, 2> polled = {pollfd{fd, events, 0}, pollfd{stop, POLLIN, 0}};
  while (::poll(polled.data(), polled.size(), -1) < 0) {
    if (errno != EINTR) return false;
  }
  return polled[1].revents == 0;
}

bool read_exactly(int fd, int stop, uint8_t* into, size_t count) {
  while (count > 0) {
    if (!ready(fd, POLLIN, stop)) return false;
    const ssize_t n = ::read(fd, into, count);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    into += n;
    count -= static_cast<size_t>(n);
  }
  return true;
}

// A message with its length in front; empty at the end, or where it makes no sense.
std::vector<uint8_t> read_message(int fd, int stop) {
  std::vector<uint8_t> message(kHeaderBytes);
  if (!read_exactly(fd, stop, message.data(), kHeaderBytes)) return {};
  const uint32_t size = uint32_t{message[0]} << 24 | uint32_t{message[1]} << 16 | uint32_t{message[2]} << 8 | message[3];
  if (size == 0 || size > kMaxAgentMessageBytes) return {};
  message.resize(kHeaderBytes + size);
  if (!read_exactly(fd, stop, message.data() + kHeaderBytes, size)) return {};
  return message;
}

bool send_message(int fd, int stop, const std::vector<uint8_t>& message) {
  size_t sent = 0;
  while (sent < message.size()) {
    if (!ready(fd, POLLOUT, stop)) return false;
    const ssize_t n = ::send(fd, message.data() + sent, message.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return false;
    sent += static_cast<size_t>(n);
  }
  return true;
}

// One question, one answer, until somebody hangs up.
void relay(int client, const std::string& agent, int stop) {
  auto connection = connect_to(agent);
  if (!connection.ok()) return;
  const std::vector<uint8_t> refusal = {0, 0, 0, 1, kFailure};
  for (;;) {
    const std::vector<uint8_t> question = read_message(client, stop);
    if (question.empty()) return;
    const uint8_t kind = question[kHeaderBytes];
    if (kind != kRequestIdentities && kind != kSignRequest) {
      if (!send_message(client, stop, refusal)) return;
      continue;
    }
    if (!send_message(connection->get(), stop, question)) return;
    const std::vector<uint8_t> answer = read_message(connection->get(), stop);
    if (answer.empty() || !send_message(client, stop, answer)) return;
  }
}

}  // namespace

struct AgentRelay::State {
  std::string agent;
  Fd listening, stop;
  struct Connection {
    Fd client;
    std::atomic<bool> done = false;
    std::jthread thread;
  };
  std::list<Connection> connections;  // the accepting thread's
  std::jthread accepting;

  void accept_all() {
    while (ready(listening.get(), POLLIN, stop.get())) {
      connections.remove_if([](const Connection& one) { return one.done.load(); });
      Fd client(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) {
        // No descriptor left, most likely: who waits is still there in a moment.
        pollfd stopped = {stop.get(), POLLIN, 0};
        (void)::poll(&stopped, 1, kAcceptPauseMs);
        continue;
      }
      if (connections.size() >= kMaxAgentConnections) continue;
      Connection& one = connections.emplace_back();
      one.client = std::move(client);
      one.thread = std::jthread([this, &one] {
        relay(one.client.get(), agent, stop.get());
        (void)::shutdown(one.client.get(), SHUT_RDWR);
        one.done = true;
      });
    }
    connections.clear();
  }
};

AgentRelay::AgentRelay(std::unique_ptr<State> state) : state_(std::move(state)) {}

AgentRelay::~AgentRelay() { (void)::eventfd_write(state_->stop.get(), 1); }

Result<std::unique_ptr<AgentRelay>> AgentRelay::start(const std::string& agent, const std::string& place, uint32_t mode, uint32_t uid, uint32_t gid) {
  auto state = std::make_unique<State>();
  state->agent = agent;
  // Now rather than when the program asks: what is wrong is then our error, not its.
  (void)TRY(connect_to(agent));
  state->stop = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!state->stop) return errno_error("creating an eventfd");
  state->listening = TRY(listen_at(place, mode, uid, gid));
  State& running = *state;
  running.accepting = std::jthread([&running] { running.accept_all(); });
  return std::unique_ptr<AgentRelay>(new AgentRelay(std::move(state)));
}

}  // namespace archway::build
