#include "build/run_image.h"

#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/build_flags.h"
#include "cli/command.h"
#include "cli/registry_access.h"

namespace archway::cli {

namespace {

// As docker has them: 125 the tool failed, 126 the program cannot be run, 127 there is no such program.
constexpr int kRunFailed = 125, kCannotInvoke = 126, kNoSuchProgram = 127;

// -v HOST:CONTAINER[:ro]
Result<Mount> parse_volume(const std::string& text) {
  std::vector<std::string> parts = split(text, ':');
  bool valid = parts.size() == 2 || (parts.size() == 3 && (parts[2] == "ro" || parts[2] == "rw"));
  if (!valid || !parts[0].starts_with('/') || !parts[1].starts_with('/')) {
    return usage_error("archway run: -v " + text + " is not /HOST/PATH:/CONTAINER/PATH[:ro]");
  }
  Mount mount{"bind", parts[0], parts[1], {"rbind"}};
  if (parts.size() == 3 && parts[2] == "ro") mount.options.push_back("ro");
  return mount;
}

Result<build::RunImageRequest> make_request(const Arguments& arguments, const Context& context) {
  build::RunImageRequest request;
  const auto& words = arguments.positional();
  request.image = words[0];
  request.arguments.assign(words.begin() + 1, words.end());
  if (auto platform = arguments.one("platform")) {
    auto parsed = parse_platform(*platform);
    if (!parsed.ok()) return usage_error("archway run: --platform: " + parsed.error().message);
    request.platform = *parsed;
  }
  for (const std::string& variable : arguments.many("env")) {
    if (variable.find('=') != std::string::npos) request.environment.push_back(variable);
    else if (auto value = context.environment(variable)) request.environment.push_back(variable + "=" + *value);
  }
  for (const std::string& volume : arguments.many("volume")) request.mounts.push_back(TRY(parse_volume(volume)));
  if (auto entrypoint = arguments.one("entrypoint")) request.entrypoint = entrypoint->empty() ? std::vector<std::string>{} : std::vector<std::string>{*entrypoint};
  request.working_directory = arguments.one("workdir");
  if (request.working_directory && !request.working_directory->starts_with('/')) return usage_error("archway run: -w " + *request.working_directory + " is not an absolute path");
  request.user = arguments.one("user");
  std::string network = arguments.one_or("network", "host");
  if (network != "host" && network != "none" && network != "default") return usage_error("archway run: --network " + network + ": there is host and none");
  request.network = network == "none" ? NetworkMode::None : NetworkMode::Host;
  bool from_terminal = ::isatty(0);
  request.terminal = from_terminal ? arguments.has("tty") && context.terminal_out : arguments.has("interactive");
  request.pull = arguments.has("pull");
  request.state_root = state_root(context);
  request.runtime = TRY(runtime_options(arguments));
  request.registry = TRY(make_registry_client(arguments, context));
  request.warn = [](const std::string& text) { log_warn(text); };
  return request;
}

int status_of(const Error& cannot_start) {
  if (cannot_start.code == Code::NotFound) return kNoSuchProgram;
  return cannot_start.code == Code::Invalid ? kCannotInvoke : kRunFailed;
}

int complain(const Context& context, const Error& error, int status) {
  context.err("archway: " + error.message + "\n" + (error.hint.empty() ? "" : "hint: " + error.hint + "\n"));
  return status;
}

Result<int> run_run(const Arguments& arguments, const Context& context) {
  auto request = TRY(make_request(arguments, context));
  auto progress = TRY(make_progress(context.terminal_err ? "tty" : "quiet", context));
  RunOutput output{[&](std::string_view text) { context.out(text); }, [&](std::string_view text) { context.err(text); }};
  auto result = build::run_image(request, output, *progress, context.stop);
  progress.reset();
  if (!result.ok()) return complain(context, result.error(), kRunFailed);
  if (!result->program.ok()) return complain(context, result->program.error(), status_of(result->program.error()));
  return result->program->exit_code;
}

}  // namespace

Command run_command() {
  using enum Flag::Kind;
  Command command;
  command.name = "run";
  command.summary = "Run an image, also one for another processor";
  command.usage = "archway run [flags] IMAGE [PROGRAM [ARGUMENTS]]";
  command.description =
      "Pulls the image for one platform and runs it; another processor's under QEMU. What it writes is gone afterwards.\n\n"
      "  archway run --platform linux/arm64 registry.example.org/app:1.0\n\n"
      "Exit status is the program's; 125 archway itself failed, 126 the program cannot be run, 127 there is none of that name.";
  command.flags = {
      {"platform", 0, One, "PLATFORM", "which image of an index (default: this machine's)"},
      {"env", 'e', Many, "NAME[=VALUE]", "environment variable"},
      {"volume", 'v', Many, "HOST:CONTAINER[:ro]", "bind mount"},
      {"workdir", 'w', One, "DIR", "working directory"},
      {"user", 'u', One, "USER", "user, as in USER of a Dockerfile"},
      {"entrypoint", 0, One, "PROGRAM", "in place of the image's ENTRYPOINT"},
      {"network", 0, One, "MODE", "host (default) or none"},
      {"interactive", 'i', Bool, "", "standard input goes to the program (a terminal's with -t)"},
      {"tty", 't', Bool, "", "the program has this terminal"},
      {"rm", 0, Bool, "", "accepted as docker's; containers never stay"},
      {"pull", 0, Bool, "", "insist on asking the registry what the tag names"},
  };
  for (Flag& flag : runtime_flags()) command.flags.push_back(std::move(flag));
  for (Flag& flag : registry_flags()) command.flags.push_back(std::move(flag));
  command.min_positional = 1;
  command.stop_at_positional = true;
  command.needs_user_namespace = true;
  command.run = run_run;
  return command;
}

}  // namespace archway::cli
