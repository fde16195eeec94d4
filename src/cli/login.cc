#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/registry_access.h"
#include "registry/docker_config.h"

namespace archway::cli {
namespace {

inline constexpr size_t kMaxSecretBytes = 64 * 1024;
inline constexpr int kPollMs = 100;

// A terminal that does not show what is typed, until this is gone.
class EchoOff {
 public:
  explicit EchoOff(int fd) : fd_(fd), changed_(::tcgetattr(fd, &before_) == 0) {
    if (!changed_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    quiet.c_lflag |= ECHONL;
    ::tcsetattr(fd_, TCSAFLUSH, &quiet);
  }
  EchoOff(const EchoOff&) = delete;
  ~EchoOff() {
    if (changed_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
  }

 private:
  int fd_;
  termios before_ = {};
  bool changed_;
};

// One line of standard input. Looks up now and then whether somebody pressed Ctrl-C, which here is not the end of the
// process but a stop token: the terminal must get its echo back.
Result<std::string> read_line(const Context& context) {
  std::string line;
  for (;;) {
    if (context.stop.stop_requested()) return Error{Code::Cancelled, "cancelled"};
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, kPollMs) <= 0) continue;
    char c;
    ssize_t n = ::read(STDIN_FILENO, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("reading standard input");
    if (n == 0 || c == '\n') return line;
    line += c;
    if (line.size() > kMaxSecretBytes) return Error{Code::Invalid, "standard input: a line longer than " + std::to_string(kMaxSecretBytes) + " bytes"};
  }
}

Result<std::string> ask(const Context& context, const std::string& prompt) {
  if (!::isatty(STDIN_FILENO)) {
    return Error{Code::Invalid, "cannot ask for " + to_lower(prompt) + ": standard input is no terminal", "archway login -u USER --password-stdin HOST"};
  }
  context.err(prompt + ": ");
  return std::string(trim(TRY(read_line(context))));
}

Result<std::string> ask_secret(const Context& context, const std::string& prompt) {
  EchoOff quiet(STDIN_FILENO);
  return ask(context, prompt);
}

// All of standard input, less one line break at its end, as docker reads it.
Result<std::string> password_from_stdin() {
  FdSource input(Fd(::dup(STDIN_FILENO)), "standard input");
  std::string text = TRY(read_all(input, kMaxSecretBytes, "the password"));
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

Result<Credentials> credentials_from(const Arguments& arguments, const Context& context, const DockerConfig& config, const std::string& host) {
  Credentials given;
  given.username = arguments.one_or("username", "");
  if (arguments.has("password")) {
    if (arguments.has("password-stdin")) return usage_error("--password and --password-stdin exclude each other");
    context.err("archway: warning: a password on the command line can be read by others on this machine; use --password-stdin\n");
    given.password = arguments.one_or("password", "");
  }
  if (arguments.has("password-stdin")) {
    if (given.username.empty()) return usage_error("--password-stdin needs --username");
    given.password = TRY(password_from_stdin());
    if (given.password.empty()) return usage_error("standard input holds no password");
  }
  if (given.username.empty() && given.password.empty()) {
    auto stored = TRY(config.credentials_for(host, context.stop));
    if (stored) {
      context.err("Trying the credentials that are stored for " + host + "\n");
      return *stored;
    }
  }
  if (given.username.empty()) given.username = TRY(ask(context, "Username"));
  if (given.username.empty()) return usage_error("the user name is empty");
  if (given.password.empty()) given.password = TRY(ask_secret(context, "Password"));
  if (given.password.empty()) return usage_error("the password is empty");
  return given;
}

Result<int> run(const Arguments& arguments, const Context& context) {
  std::string host = TRY(registry_host(arguments.positional().empty() ? "docker.io" : arguments.positional()[0]));
  std::string path = docker_config_path(context);
  DockerConfig config = TRY(DockerConfig::load(path));
  Credentials credentials = TRY(credentials_from(arguments, context, config, host));
  auto client = TRY(make_registry_client(arguments, context));
  TRY(client->check_credentials(host, credentials, context.stop).context("logging in to " + host));
  TRY(config.store(host, credentials));
  if (config.stores_in_plain_text(host)) {
    context.err("archway: warning: your password is stored unencrypted in " + path + "\nhint: set credsStore or credHelpers there to keep it in a credential helper\n");
  }
  context.out("Login Succeeded\n");
  return kOk;
}

}  // namespace

Command login_command() {
  Command command;
  command.name = "login";
  command.summary = "Log in to a registry";
  command.usage = "archway login [-u USER] [-p PASSWORD | --password-stdin] [HOST]";
  command.description =
      "Checks user name and password with the registry and keeps them where docker does: in the credential helper that\n"
      "~/.docker/config.json names, else in that file. HOST is docker.io unless given.\n\n"
      "  echo $TOKEN | archway login -u me --password-stdin ghcr.io";
  command.flags = registry_flags();
  command.flags.push_back({"username", 'u', Flag::Kind::One, "USER", "User name"});
  command.flags.push_back({"password", 'p', Flag::Kind::One, "PASSWORD", "Password (others can see it: prefer --password-stdin)"});
  command.flags.push_back({"password-stdin", 0, Flag::Kind::Bool, "", "Read the password from standard input"});
  command.max_positional = 1;
  command.run = run;
  return command;
}

}  // namespace archway::cli
