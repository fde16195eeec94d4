// archway: containers that run on every processor. main is the table of contents; each verb is in the file of its name.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "base/log.h"
#include "base/text.h"
#include "base/fd.h"
#include "cli/admission_commands.h"
#include "cli/audit_commands.h"
#include "cli/catalog_commands.h"
#include "cli/ci_commands.h"
#include "cli/command.h"
#include "cli/parse.h"
#include "cli/place_commands.h"
#include "runtime/runtime.h"

namespace archway::cli {

namespace {

std::vector<Command> commands() {
  return {build_command(),  run_command(),          inspect_command(),  verify_command(),   copy_command(),   index_create_command(),
          login_command(),  logout_command(),       registry_serve_command(), cache_du_command(), cache_prune_command(), doctor_command(),
          simulate_command(), explain_pod_command(), autoscaler_lint_command(), autoscaler_simulate_command(), autoscaler_config_command(),
          plan_command(),
          admission_review_command(), admission_explain_command(), admission_serve_command(), admission_manifests_command(),
          audit_command(), fix_command(),
          catalog_list_command(), catalog_show_command(), catalog_search_command(), catalog_check_command(),
          ci_command("gitlab"), ci_command("github"), ci_command("codebuild"), ci_command("jenkins"), ci_command("circleci"), ci_command("tekton"), ci_check_command()};
}

// Longest name that the words begin with: "registry serve" before "registry".
const Command* find_command(const std::vector<Command>& all, const std::vector<std::string>& words, size_t& used) {
  const Command* best = nullptr;
  for (const Command& command : all) {
    std::vector<std::string> name = split(command.name, ' ');
    if (name.size() > words.size() || !std::equal(name.begin(), name.end(), words.begin())) continue;
    if (best && name.size() <= used) continue;
    best = &command;
    used = name.size();
  }
  return best;
}

std::string verb_list(const std::vector<Command>& verbs) {
  std::string text = "Verbs:\n";
  size_t width = 0;
  for (const Command& command : verbs) width = std::max(width, command.name.size());
  for (const Command& command : verbs) text += "  " + command.name + std::string(width + 2 - command.name.size(), ' ') + command.summary + "\n";
  return text;
}

std::string overview(const std::vector<Command>& all) {
  return "archway builds, proves, serves and places containers for every processor.\n\n"
      "Usage: archway VERB [flags] ...\n\n" + verb_list(all) +
      "\n`archway VERB --help` tells more; `archway --version` the version.\n"
      "Exit status: 0 done, 1 found problems, 2 could not do it, 64 wrong usage.\n";
}

// `verb`: whose help tells more; "" where none is known.
int complain(const Context& context, const Error& error, const std::string& verb = "") {
  bool usage = error.hint == kUsageHint;
  std::string text = usage ? error.message : "archway: " + error.message;
  text += "\n";
  if (usage && !verb.empty()) {
    text += "hint: see archway " + verb + " --help\n";
  } else if (!error.hint.empty()) {
    text += "hint: " + error.hint + "\n";
  }
  context.err(text);
  return usage ? kUsage : kCouldNot;
}

Error unknown_verb(const std::vector<Command>& all, const std::vector<std::string>& words) {
  std::vector<std::string> names;
  std::string group;
  for (const Command& command : all) {
    names.push_back(command.name);
    if (command.name.starts_with(words[0] + " ")) group += (group.empty() ? "" : ", ") + command.name;
  }
  if (!group.empty()) return usage_error("archway " + words[0] + ": which? There is " + group);
  auto near = nearest(words[0], names);
  return usage_error("archway: unknown verb " + words[0] + (near ? " (did you mean " + *near + "?)" : ""));
}

// SIGINT and SIGTERM become a stop request; the second one ends the program at once.
std::stop_source watch_signals() {
  std::stop_source source;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::thread([set, source]() mutable {
    for (int count = 0;; ++count) {
      int signal = 0;
      sigwait(&set, &signal);
      if (count > 0) ::_exit(128 + signal);
      source.request_stop();
    }
  }).detach();
  return source;
}

int run(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  Context context;
  context.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (!value) return std::nullopt;
    return std::string(value);
  };
  context.terminal_out = ::isatty(1);
  context.terminal_err = ::isatty(2);
  context.color = context.terminal_err && !context.environment("NO_COLOR");
  ::signal(SIGPIPE, SIG_IGN);

  std::vector<Command> all = commands();
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    context.out(overview(all));
    return words.empty() ? kUsage : kOk;
  }
  if (words[0] == "--version" || words[0] == "version") {
    context.out("archway " ARCHWAY_VERSION "\n");
    return kOk;
  }
  size_t used = 0;
  const Command* command = find_command(all, words, used);
  if (!command && words.size() == 2 && (words[1] == "--help" || words[1] == "-h")) {
    std::vector<Command> group;
    std::copy_if(all.begin(), all.end(), std::back_inserter(group), [&](const Command& each) { return each.name.starts_with(words[0] + " "); });
    if (!group.empty()) {
      context.out("Usage: archway " + words[0] + " VERB [flags] ...\n\n" + verb_list(group) + "\n`archway " + words[0] + " VERB --help` tells more.\n");
      return kOk;
    }
  }
  if (!command) return complain(context, unknown_verb(all, words));
  std::vector<std::string> rest(words.begin() + static_cast<long>(used), words.end());
  if (!rest.empty() && rest[0] == "--version") {
    context.out("archway " ARCHWAY_VERSION " " + command->name + "\n");
    return kOk;
  }
  auto arguments = parse_arguments(*command, rest);
  if (!arguments.ok()) return complain(context, arguments.error(), command->name);
  if (arguments->has("help")) {
    context.out(help_text(*command));
    return kOk;
  }
  if (command->needs_user_namespace) {
    auto entered = enter_user_namespace(argc, argv);
    if (!entered.ok()) return complain(context, entered.error(), command->name);
  }
  // No thread may exist before this line: a user namespace can only be entered by a process of one thread.
  std::stop_source stop = watch_signals();
  context.stop = stop.get_token();
  auto status = command->run(*arguments, context);
  if (status.ok()) return *status;
  return complain(context, status.error(), command->name);
}

}  // namespace

void Context::out(std::string_view text) const {
  if (write_all(1, as_bytes(text)).ok()) return;
  ::_exit(kCouldNot);
}
void Context::err(std::string_view text) const { (void)write_all(2, as_bytes(text)).ok(); }

}  // namespace archway::cli

int main(int argc, char** argv) {
  if (auto status = archway::sandbox_main(argc, argv)) return *status;
  return archway::cli::run(argc, argv);
}
