#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>
#include <optional>

#include "base/process.h"
#include "net/raw_server_fixture.h"

// For tests: Debian's docker-registry (distribution 2.8) on a free port of loopback, gone when this is.
namespace archway::testing {

class DockerRegistry {
 public:
  static bool available() { return find_program("docker-registry").has_value(); }

  // With `user` and `password`, it asks for them.
  static std::unique_ptr<DockerRegistry> start(const std::string& user = "", const std::string& password = "") {
    auto registry = std::unique_ptr<DockerRegistry>(new DockerRegistry(*TempDir::create("/tmp", "archway-registry-test-")));
    std::string auth;
    if (!user.empty()) {
      auto line = *run_process({"htpasswd", "-Bbn", user, password});
      if (line.exit_code != 0 || !write_file_atomic(registry->dir_ / "htpasswd", line.out).ok()) return nullptr;
      auth = "auth:\n  htpasswd:\n    realm: test\n    path: " + (registry->dir_ / "htpasswd") + "\n";
    }
    std::string config = "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: false\nstorage:\n  filesystem:\n    rootdirectory: " + (registry->dir_ / "data") +
                         "\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n  secret: test\n" + auth;
    if (!write_file_atomic(registry->dir_ / "config.yml", config).ok() || !registry->launch()) return nullptr;
    return registry;
  }
  ~DockerRegistry() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    if (reader_.joinable()) reader_.join();
  }
  uint16_t port() const { return port_; }
  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
  // What it has logged so far: requests among it.
  std::string log() {
    std::lock_guard lock(mutex_);
    return log_;
  }

 private:
  explicit DockerRegistry(TempDir dir) : dir_(std::move(dir)) {}

  bool launch() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return false;
    Fd read_end(fds[0]), write_end(fds[1]);
    std::string program = *find_program("docker-registry"), config = dir_ / "config.yml";
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(write_end.get(), 1);
      ::dup2(write_end.get(), 2);
      ::execl(program.c_str(), "docker-registry", "serve", config.c_str(), nullptr);
      ::_exit(127);
    }
    write_end.reset();
    char buffer[4096];
    static constexpr std::string_view kListening = "listening on 127.0.0.1:";
    while (port_ == 0) {
      ssize_t n = ::read(read_end.get(), buffer, sizeof buffer);
      if (n <= 0) return false;
      log_.append(buffer, static_cast<size_t>(n));
      size_t at = log_.find(kListening);
      if (at != std::string::npos && log_.find_first_not_of("0123456789", at + kListening.size()) != std::string::npos) {
        port_ = static_cast<uint16_t>(std::strtoul(log_.c_str() + at + kListening.size(), nullptr, 10));
      }
    }
    reader_ = std::thread([this, fd = std::move(read_end)] {
      char more[4096];
      for (ssize_t n; (n = ::read(fd.get(), more, sizeof more)) > 0;) {
        std::lock_guard lock(mutex_);
        log_.append(more, static_cast<size_t>(n));
      }
    });
    return true;
  }

  TempDir dir_;
  pid_t pid_ = -1;
  uint16_t port_ = 0;
  std::mutex mutex_;
  std::string log_;
  std::thread reader_;
};

}  // namespace archway::testing
