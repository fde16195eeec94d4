#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/fd.h"
#include "base/text.h"

extern char** environ;

namespace archway {

std::optional<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), X_OK) == 0) return name;
    return std::nullopt;
  }
  const char* path = std::getenv("PATH");
  // An ordinary user's PATH often lacks the sbin folders, where Debian keeps runc.
  std::string folders = std::string(path ? path : "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin";
  for (const std::string& folder : split(folders, ':')) {
    std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

namespace {

struct Pipe {
  Fd read_end;
  Fd write_end;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return errno_error("creating a pipe");
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

std::vector<char*> c_strings(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_of(const ProcessOptions& options) {
  std::vector<std::string> all = options.environment.value_or(std::vector<std::string>{});
  for (char** entry = environ; !options.environment && *entry; entry++) all.emplace_back(*entry);
  for (const std::string& more : options.more_environment) {
    std::string prefix = more.substr(0, more.find('=')) + "=";
    std::erase_if(all, [&](const std::string& entry) { return entry.starts_with(prefix); });
    all.push_back(more);
  }
  return all;
}

}  // namespace

Result<ProcessResult> run_process(const std::vector<std::string>& arguments, const ProcessOptions& options, std::stop_token stop) {
  auto program = find_program(arguments.at(0));
  if (!program) return Error{Code::NotFound, arguments[0] + ": no such program in PATH"};
  Pipe in = TRY(make_pipe()), out = TRY(make_pipe()), err = TRY(make_pipe());

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read_end.get(), 0);
  posix_spawn_file_actions_adddup2(&actions, out.write_end.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, err.write_end.get(), 2);
  if (!options.directory.empty()) posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (int signal : {SIGPIPE, SIGINT, SIGTERM, SIGHUP}) sigaddset(&defaults, signal);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  auto argv = c_strings(arguments);
  auto environment = environment_of(options);
  auto envp = c_strings(environment);
  int failed = ::posix_spawn(&pid, program->c_str(), &actions, &attributes, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) return errno_error("running " + *program, failed);
  in.read_end.reset();
  out.write_end.reset();
  err.write_end.reset();
  // A child that does not read its input must not stop us, nor kill us with SIGPIPE.
  ::fcntl(in.write_end.get(), F_SETFL, O_NONBLOCK);

  ProcessResult result;
  std::optional<Error> problem;
  auto deadline = std::chrono::steady_clock::now() + options.timeout;
  std::string_view input = options.input;
  if (input.empty()) in.write_end.reset();
  sigset_t pipe_signal, previous;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &previous);
  while (out.read_end || err.read_end) {
    if (stop.stop_requested()) problem = Error{Code::Cancelled, arguments[0] + ": cancelled"};
    if (std::chrono::steady_clock::now() >= deadline) problem = Error{Code::Unavailable, arguments[0] + ": did not finish in time"};
    if (problem) break;
    std::array<pollfd, 3> polled = {pollfd{out.read_end.get(), POLLIN, 0}, pollfd{err.read_end.get(), POLLIN, 0},
                                    pollfd{in.write_end.get(), POLLOUT, 0}};
    if (::poll(polled.data(), polled.size(), 50) <= 0) continue;
    auto drain = [&](Fd& fd, std::string& into) {
      char buffer[16384];
      ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
      if (n > 0) into.append(buffer, static_cast<size_t>(n));
      if (n == 0 || (n < 0 && errno != EINTR)) fd.reset();
      if (into.size() > options.output_limit_bytes) problem = Error{Code::Invalid, arguments[0] + ": printed more than the limit"};
    };
    if (polled[0].revents) drain(out.read_end, result.out);
    if (polled[1].revents) drain(err.read_end, result.err);
    if (polled[2].revents) {
      ssize_t n = ::write(in.write_end.get(), input.data(), input.size());
      if (n > 0) input.remove_prefix(static_cast<size_t>(n));
      if (input.empty() || (n < 0 && errno != EAGAIN && errno != EINTR)) in.write_end.reset();
    }
  }
  // A SIGPIPE that our write raised is pending on this thread only; take it before unblocking.
  timespec no_wait = {};
  while (::sigtimedwait(&pipe_signal, nullptr, &no_wait) > 0) {
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  if (problem) ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (problem) return *problem;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace archway
