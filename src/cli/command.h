#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "base/result.h"

// The command line: a table of verbs (cli/main.cc), each in one file that defines a Command.
namespace archway::cli {

// Exit statuses, documented in docs/cli.md.
inline constexpr int kOk = 0, kFoundProblems = 1, kCouldNot = 2, kUsage = 64;

// One flag, spelt as docker, kubectl and crane spell theirs.
struct Flag {
  std::string name;        // "platform", without dashes
  char letter = 0;         // 't' for -t
  enum class Kind { Bool, One, Many } kind = Kind::One;
  std::string value_name;  // "PLATFORMS" in the help
  std::string help;        // one line
};

// What was on the command line after the verb.
class Arguments {
 public:
  bool has(std::string_view flag) const;                    // given (a Bool flag: and not =false)
  std::optional<std::string> one(std::string_view flag) const;  // the last given
  std::string one_or(std::string_view flag, std::string_view fallback) const;
  std::vector<std::string> many(std::string_view flag) const;
  const std::vector<std::string>& positional() const { return positional_; }

  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> positional_;
};

// The world as commands see it. Only cli reads the environment.
struct Context {
  std::function<std::optional<std::string>(const std::string&)> environment;
  bool terminal_out = false, terminal_err = false;
  bool color = false;                       // a terminal, and no NO_COLOR
  std::stop_token stop;                     // SIGINT, SIGTERM
  void out(std::string_view text) const;    // standard output; an error of writing ends the program with status 2
  void err(std::string_view text) const;
};

struct Command {
  std::string name;                     // "build", "registry serve"
  std::string summary;                  // one line for `archway --help`
  std::string usage;                    // "archway build [flags] CONTEXT"
  std::string description;              // paragraphs, with examples
  std::vector<Flag> flags;
  size_t min_positional = 0, max_positional = 0;
  bool stop_at_positional = false;      // what follows the first positional is not ours (run)
  bool needs_user_namespace = false;    // runs containers or unpacks images
  std::function<Result<int>(const Arguments&, const Context&)> run;  // an exit status; an Error prints and exits 2 (or 64: usage_error)
};

// An Error that main turns into exit status 64.
Error usage_error(std::string message);
inline constexpr std::string_view kUsageHint = "see archway --help";

// Flags that several verbs share, with one meaning.
std::vector<Flag> registry_flags();       // --plain-http HOST, --mirror HOST=URL, --tls-ca FILE, --insecure-skip-tls-verify HOST

// Each defined in the file of its name.
// A Progress for standard error: "auto" (tty on a terminal, else plain), "tty", "plain", "rawjson" or "quiet".
Result<std::unique_ptr<Progress>> make_progress(std::string_view kind, const Context& context);

Command build_command();
Command run_command();
Command inspect_command();
Command copy_command();
Command index_create_command();
Command verify_command();
Command login_command();
Command logout_command();
Command registry_serve_command();
Command cache_du_command();
Command cache_prune_command();
Command doctor_command();

}  // namespace archway::cli
