#include "runtime/container.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "base/fd.h"

extern char** environ;

namespace archway {

namespace {

constexpr uint64_t kMaxReportBytes = 1 << 20;

struct Pipe {
  Fd read_end, write_end;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return errno_error("creating a pipe");
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

Result<Fd> spec_file(const SandboxSpec& spec) {
  std::string text = encode_sandbox_spec(spec);
  if (text.size() > kMaxSandboxSpecBytes) return Error{Code::Invalid, "arguments, environment and secrets of the program are larger than 16 MiB"};
  Fd fd(::memfd_create("archway-sandbox", MFD_CLOEXEC));
  if (!fd) return errno_error("creating a memory file");
  TRY(write_all(fd.get(), as_bytes(text)));
  return fd;
}

// A runtime sets our terminal to raw; killed, it does not set it back.
class TerminalGuard {
 public:
  explicit TerminalGuard(bool active) : saved_(active && ::tcgetattr(0, &state_) == 0) {}
  ~TerminalGuard() {
    if (saved_) (void)::tcsetattr(0, TCSADRAIN, &state_);
  }
  TerminalGuard(const TerminalGuard&) = delete;

 private:
  termios state_ = {};
  bool saved_;
};

struct Streams {
  Fd input, out, err, report, spec;  // what the child gets; empty: ours
  std::vector<Fd> held;
};

Result<pid_t> spawn(const Streams& streams, bool terminal) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  auto give = [&](const Fd& fd, int as) {
    if (fd) posix_spawn_file_actions_adddup2(&actions, fd.get(), as);
  };
  give(streams.input, 0);
  give(streams.out, 1);
  give(streams.err, 2);
  give(streams.spec, kSandboxSpecFd);
  give(streams.report, kSandboxReportFd);
  for (size_t i = 0; i < streams.held.size(); ++i) give(streams.held[i], kSandboxFirstHeldFd + static_cast<int>(i));
  sigset_t none, defaults;
  sigemptyset(&none);
  sigfillset(&defaults);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  // Without a terminal of its own, a Ctrl-C on ours must not reach it: we decide what is cancelled.
  posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (terminal ? 0 : POSIX_SPAWN_SETSID)));
  char name[] = "archway", verb[] = "internal-sandbox";
  char* argv[] = {name, verb, nullptr};
  pid_t pid = -1;
  int failed = ::posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) return errno_error("starting the container's process", failed);
  return pid;
}

// Above the numbers that spawn() gives away, so that no dup2 overwrites one that is still to come.
class HighFds {
 public:
  explicit HighFds(size_t held) : lowest_(kSandboxFirstHeldFd + static_cast<int>(held)) {}
  Result<Fd> copy_of(int fd) const {
    int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, lowest_);
    if (moved < 0) return errno_error("duplicating a file descriptor");
    return Fd(moved);
  }
  Result<Fd> operator()(Fd fd) const {
    if (!fd) return Fd();
    return copy_of(fd.get());
  }

 private:
  int lowest_;
};

// Reads what there is; closes at the end.
void drain(Fd& fd, const std::function<void(std::string_view)>& take) {
  std::array<char, 65536> buffer;
  ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
  if (n > 0 && take) take({buffer.data(), static_cast<size_t>(n)});
  if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) fd.reset();
}

// Until every writer has gone: with the last of them the pid namespace has, too.
std::string pass_on(Fd out, Fd err, Fd report, const RunOutput& output, int stop_event, pid_t pid) {
  std::string text;
  auto keep_report = [&](std::string_view piece) {
    if (text.size() + piece.size() <= kMaxReportBytes) text += piece;
  };
  bool killed = false;
  while (out || err || report) {
    std::array<pollfd, 4> polled = {pollfd{out.get(), POLLIN, 0}, pollfd{err.get(), POLLIN, 0}, pollfd{report.get(), POLLIN, 0},
                                    pollfd{killed ? -1 : stop_event, POLLIN, 0}};
    if (::poll(polled.data(), polled.size(), -1) <= 0) continue;
    if (polled[0].revents) drain(out, output.out);
    if (polled[1].revents) drain(err, output.err);
    if (polled[2].revents) drain(report, keep_report);
    if (polled[3].revents) {
      ::kill(pid, SIGKILL);
      killed = true;
    }
  }
  return text;
}

}  // namespace

Result<RunResult> run_sandbox(SandboxSpec spec, const RunOutput& output, std::stop_token stop) {
  if (stop.stop_requested()) return Error{Code::Cancelled, "cancelled"};
  spec.parent_pid = ::getpid();
  const HighFds high(spec.run.held.size());
  Pipe out, err;
  Pipe report = TRY(make_pipe());
  Streams given;
  given.spec = TRY(high(TRY(spec_file(spec))));
  given.report = TRY(high(std::move(report.write_end)));
  if (!spec.has_terminal) {
    out = TRY(make_pipe());
    err = TRY(make_pipe());
    given.out = TRY(high(std::move(out.write_end)));
    given.err = TRY(high(std::move(err.write_end)));
  }
  if (!spec.run.terminal) given.input = TRY(high(TRY(open_file("/dev/null", O_RDONLY))));
  for (int held : spec.run.held) {
    Fd moved = TRY(high.copy_of(held));
    given.held.push_back(std::move(moved));
  }
  Fd stop_event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_event) return errno_error("creating an eventfd");

  TerminalGuard terminal(spec.has_terminal);
  pid_t pid = TRY(spawn(given, spec.has_terminal));
  given = Streams{};
  std::string text;
  {
    std::stop_callback wake(stop, [&] { (void)::eventfd_write(stop_event.get(), 1); });
    text = pass_on(std::move(out.read_end), std::move(err.read_end), std::move(report.read_end), output, stop_event.get(), pid);
  }
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (stop.stop_requested() && text.empty()) return Error{Code::Cancelled, "cancelled"};
  SandboxReport heard = TRY(decode_sandbox_report(text));
  if (heard.error) return *heard.error;
  return RunResult{heard.exit_code};
}

}  // namespace archway
