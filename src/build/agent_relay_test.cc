#include "build/agent_relay.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "base/fd.h"

namespace archway::build {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

std::string framed(const std::string& body) {
  const size_t n = body.size();
  return std::string{static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8), static_cast<char>(n)} + body;
}

// Answers each message with its kind in front of what was asked.
class AgentRelayTest : public testing::Test {
 protected:
  AgentRelayTest() : dir_(std::move(*TempDir::create("/tmp"))), listening_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    const sockaddr_un address = address_of(agent());
    EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listening_.get(), 5), 0);
    thread_ = std::jthread([this] { serve(); });
  }
  ~AgentRelayTest() override { ::shutdown(listening_.get(), SHUT_RDWR); }

  void serve() {
    std::vector<std::jthread> threads;
    for (;;) {
      Fd client(::accept(listening_.get(), nullptr, nullptr));
      if (!client) return;
      threads.emplace_back([this, fd = std::move(client)] {
        for (std::string question = receive(fd.get()); !question.empty(); question = receive(fd.get())) {
          ++asked_;
          const std::string answer = framed("answer to " + question.substr(4));
          (void)::send(fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
        }
      });
    }
  }
  static std::string receive(int fd) {
    std::string text;
    while (text.size() < 4 || text.size() < 4 + static_cast<uint8_t>(text[3]) + (static_cast<size_t>(static_cast<uint8_t>(text[2])) << 8)) {
      char buffer[512];
      const ssize_t n = ::read(fd, buffer, sizeof buffer);
      if (n <= 0) return "";
      text.append(buffer, static_cast<size_t>(n));
    }
    return text;
  }
  Fd connect() const {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    const sockaddr_un address = address_of(place());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  static std::string ask(const Fd& fd, const std::string& bytes) {
    EXPECT_EQ(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    return receive(fd.get());
  }
  std::string agent() const { return dir_ / "agent"; }
  std::string place() const { return dir_ / "relay"; }
  std::unique_ptr<AgentRelay> start(uint32_t mode = 0600) {
    auto relay = AgentRelay::start(agent(), place(), mode, ::getuid(), ::getgid());
    EXPECT_TRUE(relay.ok()) << relay.error().message;
    return std::move(*relay);
  }

  TempDir dir_;
  Fd listening_;
  std::atomic<int> asked_ = 0;
  std::jthread thread_;
};

TEST_F(AgentRelayTest, ListsAndSigns) {
  auto relay = start(0741);
  struct stat st = {};
  ASSERT_EQ(::stat(place().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0741u);
  Fd one = connect(), two = connect();
  EXPECT_EQ(ask(one, framed("\x0b")), framed("answer to \x0b"));
  EXPECT_EQ(ask(two, framed("\x0d key and data")), framed("answer to \x0d key and data"));
  EXPECT_EQ(ask(one, framed("\x0b")), framed("answer to \x0b"));
  EXPECT_EQ(asked_, 3);
}

TEST_F(AgentRelayTest, RefusesWhatWouldChangeTheAgent) {
  auto relay = start();
  Fd fd = connect();
  for (const int kind : {17, 18, 19, 20, 21, 22, 23, 25, 27, 1}) EXPECT_EQ(ask(fd, framed(std::string(1, static_cast<char>(kind)) + "data")), framed("\x05")) << kind;
  EXPECT_EQ(ask(fd, framed("\x0b")), framed("answer to \x0b"));
  EXPECT_EQ(asked_, 1);
}

TEST_F(AgentRelayTest, HangsUpOnNonsense) {
  auto relay = start();
  EXPECT_EQ(ask(connect(), std::string(4, '\0')), "");
  EXPECT_EQ(ask(connect(), "\x7f\xff\xff\xff"), "");
  EXPECT_EQ(ask(connect(), std::string("\0\4\0\1", 4)), "");  // one byte more than there may be
}

TEST_F(AgentRelayTest, EndsWithConnectionsOpen) {
  auto relay = start();
  Fd idle = connect(), half = connect();
  ASSERT_EQ(::send(half.get(), "\0\0", 2, MSG_NOSIGNAL), 2);
  EXPECT_EQ(ask(connect(), framed("\x0b")), framed("answer to \x0b"));
  relay.reset();
  EXPECT_EQ(receive(idle.get()), "");
  EXPECT_EQ(receive(half.get()), "");
}

TEST_F(AgentRelayTest, NeedsAnAgent) {
  EXPECT_FALSE(AgentRelay::start(dir_ / "absent", place(), 0600, 0, 0).ok());
  ASSERT_TRUE(write_file_atomic(dir_ / "key", "-----BEGIN").ok());
  EXPECT_FALSE(AgentRelay::start(dir_ / "key", place(), 0600, 0, 0).ok());
}

TEST_F(AgentRelayTest, APathMayBeLongerThanAnAddress) {
  const std::string folder = dir_ / std::string(150, 'x');
  ASSERT_TRUE(make_directories(folder).ok());
  auto relay = AgentRelay::start(agent(), folder + "/s", 0600, ::getuid(), ::getgid());
  ASSERT_TRUE(relay.ok()) << relay.error().message;
  EXPECT_TRUE(path_exists(folder + "/s"));
}

}  // namespace
}  // namespace archway::build
