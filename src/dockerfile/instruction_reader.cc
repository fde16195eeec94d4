#include "dockerfile/instruction_reader.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "dockerfile/duration.h"
#include "dockerfile/flags.h"
#include "dockerfile/run_mount.h"
#include "dockerfile/unicode.h"

namespace archway::dockerfile {
namespace {

using What = decltype(Instruction::what);
constexpr int64_t kMinHealthInterval = 1'000'000;  // one millisecond; what is not zero must not be shorter

Error invalid(std::string message) { return Error{Code::Invalid, std::move(message)}; }
Error at_least_one(std::string_view keyword) { return invalid(std::string(keyword) + " requires at least one argument"); }
Error exactly_one(std::string_view keyword) { return invalid(std::string(keyword) + " requires exactly one argument"); }

Result<void> no_flags(const Node& node, std::string& culprit) {
  TRY(Flags::read(node.flags, {}, culprit));
  return {};
}

CommandLine command_line(const Node& node) {
  CommandLine line;
  line.shell = !node.json;
  line.words = node.arguments;
  if (line.shell && line.words.empty()) line.words.emplace_back();  // a bare `CMD` is a shell with nothing to do
  return line;
}

Result<What> read_arg(const Node& node, std::string& culprit) {
  if (node.arguments.empty()) return at_least_one("ARG");
  Arg arg;
  for (const std::string& word : node.arguments) {
    const auto [name, value] = cut(word, '=');
    culprit = word;
    if (value && name.empty()) return invalid("ARG names can not be blank");
    arg.args.emplace_back(name, value ? std::optional<std::string>(*value) : std::nullopt);
  }
  return What(std::move(arg));
}

Result<Pairs> read_pairs(const Node& node, std::string_view keyword, std::string& culprit) {
  TRY(no_flags(node, culprit));
  if (node.arguments.empty()) return at_least_one(keyword);
  Pairs pairs;
  for (size_t i = 0; i + 2 < node.arguments.size(); i += 3) {
    if (node.arguments[i].empty()) {
      culprit = "=" + node.arguments[i + 1];
      return invalid(std::string(keyword) + " names can not be blank");
    }
    pairs.emplace_back(node.arguments[i], node.arguments[i + 1]);
  }
  return pairs;
}

Result<std::string> read_text(const Node& node, std::string_view keyword, std::string& culprit) {
  if (node.arguments.size() != 1) return exactly_one(keyword);
  TRY(no_flags(node, culprit));
  return node.arguments[0];
}

Result<void> read_sources(const Node& node, std::string_view keyword, Copy& copy, std::string& culprit) {
  copy.destination = node.arguments.back();
  if (parse_heredoc(copy.destination)) {
    culprit = copy.destination;
    return invalid(std::string(keyword) + " cannot accept a heredoc as a destination");
  }
  for (size_t i = 0; i + 1 < node.arguments.size(); i++) {
    auto heredoc = parse_heredoc(node.arguments[i]);
    if (!heredoc) {
      copy.sources.push_back(node.arguments[i]);
      continue;
    }
    for (const Heredoc& body : node.heredocs) {
      if (body.name == heredoc->name) heredoc->content = body.content;
    }
    if (heredoc->chomp) heredoc->content = chomp_heredoc(heredoc->content);
    std::string name = heredoc->name;
    copy.inline_files.emplace_back(std::move(name), std::move(*heredoc));
  }
  return {};
}

Result<What> read_copy(const Node& node, bool add, std::string& culprit) {
  const std::string_view keyword = add ? "ADD" : "COPY";
  if (node.arguments.empty()) return invalid(std::string(keyword) + " requires at least two arguments");
  if (node.arguments.size() < 2) {
    return invalid(std::string(keyword) + " requires at least two arguments, but only one was provided. Destination could not be determined");
  }
  using enum FlagKind;
  auto flags = add ? Flags::read(node.flags,
                                 {{"chown", Text}, {"chmod", Text}, {"link", Bool}, {"keep-git-dir", Bool}, {"checksum", Text}, {"unpack", Bool}, {"exclude", List}},
                                 culprit)
                   : Flags::read(node.flags,
                                 {{"chown", Text}, {"from", Text}, {"chmod", Text}, {"link", Bool}, {"exclude", List}, {"parents", Bool}}, culprit);
  if (!flags.ok()) return std::move(flags).error();
  Copy copy;
  copy.add = add;
  TRY(read_sources(node, keyword, copy, culprit));
  copy.from = flags->text("from");
  copy.chown = flags->text("chown");
  copy.chmod = flags->text("chmod");
  copy.checksum = flags->text("checksum");
  copy.link = flags->boolean("link");
  copy.parents = flags->boolean("parents");
  copy.unpack = flags->boolean("unpack");
  copy.keep_git_dir = flags->boolean("keep-git-dir");
  copy.excludes = flags->list("exclude");
  return What(std::move(copy));
}

Result<void> one_of(std::string_view flag, const std::string& value, std::initializer_list<std::string_view> known, std::string& culprit) {
  if (std::find(known.begin(), known.end(), value) != known.end()) return {};
  culprit = "--" + std::string(flag);
  std::vector<std::string> names(known.begin(), known.end());
  std::string message = "invalid value " + go_quote(value) + " for --" + std::string(flag);
  if (auto guess = nearest(value, names)) return invalid(message + " (did you mean " + *guess + "?)");
  return invalid(message + ": it can be " + join(names, ", "));
}

Result<What> read_run(const Node& node, std::string& culprit) {
  using enum FlagKind;
  const Flags flags = TRY(Flags::read(node.flags, {{"mount", List}, {"network", Text}, {"security", Text}, {"device", List}}, culprit));
  Run run;
  run.command = command_line(node);
  run.heredocs = node.heredocs;
  run.mounts = flags.list("mount");
  run.network = flags.text("network");
  run.security = flags.text("security");
  run.devices = flags.list("device");
  if (flags.given("network")) TRY(one_of("network", run.network, {"default", "none", "host"}, culprit));
  if (flags.given("security")) TRY(one_of("security", run.security, {"sandbox", "insecure"}, culprit));
  for (const std::string& mount : run.mounts) {
    culprit = "--mount";
    TRY(check_run_mount(mount));
  }
  if (run.command.words.empty()) return at_least_one("RUN");  // RUN []
  return What(std::move(run));
}

Result<What> read_command(const Node& node, bool entrypoint, std::string& culprit) {
  TRY(no_flags(node, culprit));
  if (entrypoint) return What(Entrypoint{command_line(node)});
  return What(Cmd{command_line(node)});
}

Result<What> read_expose(const Node& node, std::string& culprit) {
  if (node.arguments.empty()) return at_least_one("EXPOSE");
  TRY(no_flags(node, culprit));
  Expose expose{node.arguments};
  std::sort(expose.ports.begin(), expose.ports.end());
  return What(std::move(expose));
}

Result<What> read_volume(const Node& node, std::string& culprit) {
  if (node.arguments.empty()) return at_least_one("VOLUME");
  TRY(no_flags(node, culprit));
  Volume volume;
  for (const std::string& path : node.arguments) {
    volume.paths.emplace_back(trim_space(path));
    if (volume.paths.back().empty()) return invalid("VOLUME specified can not be an empty string");
  }
  return What(std::move(volume));
}

Result<What> read_shell(const Node& node, std::string& culprit) {
  TRY(no_flags(node, culprit));
  if (node.arguments.empty()) return at_least_one("SHELL");
  if (!node.json) return invalid("SHELL requires the arguments to be in JSON form, as in SHELL [\"/bin/bash\", \"-c\"]");
  return What(Shell{node.arguments});
}

Result<int64_t> read_interval(const Flags& flags, std::string_view name, std::string& culprit) {
  const std::string text = flags.text(name);
  if (text.empty()) return int64_t{0};
  culprit = "--" + std::string(name);
  const auto value = parse_duration(text);
  if (!value) return invalid("invalid duration " + go_quote(text) + " for --" + std::string(name) + ": it is a number and a unit, as in 30s or 1m30s");
  if (*value != 0 && *value < kMinHealthInterval) return invalid("Interval " + go_quote(name) + " cannot be less than 1ms");
  culprit.clear();
  return *value;
}

Result<int> read_retries(const Flags& flags, std::string& culprit) {
  std::string text = flags.text("retries");
  if (text.empty()) return 0;
  culprit = "--retries";
  if (text[0] == '+') text.erase(0, 1);
  const auto value = parse_int(text);
  if (!value || *value > INT32_MAX || *value < INT32_MIN) return invalid("invalid number " + go_quote(text) + " for --retries");
  if (*value < 0) return invalid("--retries cannot be negative (" + text + ")");
  culprit.clear();
  return static_cast<int>(*value);
}

Result<What> read_healthcheck(const Node& node, std::string& culprit) {
  if (node.arguments.empty()) return at_least_one("HEALTHCHECK");
  std::string type = node.arguments[0];
  std::transform(type.begin(), type.end(), type.begin(), [](char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
  const std::vector<std::string> command(node.arguments.begin() + 1, node.arguments.end());
  HealthcheckInstruction health;
  if (type == "NONE") {
    if (!command.empty()) return invalid("HEALTHCHECK NONE takes no arguments");
    health.test = {"NONE"};
    return What(std::move(health));
  }
  using enum FlagKind;
  const Flags flags = TRY(Flags::read(
      node.flags, {{"interval", Text}, {"timeout", Text}, {"start-period", Text}, {"start-interval", Text}, {"retries", Text}}, culprit));
  if (type != "CMD") {
    culprit = node.arguments[0];
    return invalid("Unknown type " + go_quote(type) + " in HEALTHCHECK (try CMD)");
  }
  if (command.empty()) return invalid("Missing command after HEALTHCHECK CMD");
  health.test = {node.json ? "CMD" : "CMD-SHELL"};
  health.test.insert(health.test.end(), command.begin(), command.end());
  health.interval = TRY(read_interval(flags, "interval", culprit));
  health.timeout = TRY(read_interval(flags, "timeout", culprit));
  health.start_period = TRY(read_interval(flags, "start-period", culprit));
  health.start_interval = TRY(read_interval(flags, "start-interval", culprit));
  health.retries = TRY(read_retries(flags, culprit));
  return What(std::move(health));
}

Result<What> read_onbuild(const Node& node, std::string& culprit) {
  if (node.trigger.empty()) return at_least_one("ONBUILD");
  TRY(no_flags(node, culprit));
  const std::string trigger = to_lower(trim_space(node.trigger[0].keyword));
  culprit = node.trigger[0].keyword;
  if (trigger == "onbuild") return invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger == "maintainer" || trigger == "from") return invalid(to_lower(trigger) == "from" ? "FROM isn't allowed as an ONBUILD trigger" : "MAINTAINER isn't allowed as an ONBUILD trigger");
  culprit.clear();
  // The text as written, without the keyword, and with the heredocs' lines put back.
  std::string_view text = trim_space_left(node.original);
  text = trim_space_left(text.substr(std::min(text.size(), node.keyword.size())));
  Onbuild onbuild{std::string(text)};
  for (const Heredoc& heredoc : node.heredocs) onbuild.text += "\n" + heredoc.content + heredoc.name;
  return What(std::move(onbuild));
}

const std::vector<std::string>& keywords() {
  static const std::vector<std::string> kKeywords = {"ADD",     "ARG",   "CMD",        "COPY",    "ENTRYPOINT", "ENV",        "EXPOSE", "FROM",   "HEALTHCHECK",
                                                     "LABEL",   "MAINTAINER", "ONBUILD", "RUN",     "SHELL",      "STOPSIGNAL", "USER",   "VOLUME", "WORKDIR"};
  return kKeywords;
}

Result<What> unknown_instruction(const Node& node, std::string& culprit) {
  culprit = node.keyword;
  std::string upper = node.keyword;
  std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
  std::string message = "unknown instruction: " + node.keyword;
  if (auto guess = nearest(upper, keywords())) message += " (did you mean " + *guess + "?)";
  return invalid(std::move(message));
}

Result<What> read_what(const Node& node, std::string& culprit) {
  const std::string keyword = to_lower(node.keyword);
  if (keyword == "arg") return read_arg(node, culprit);
  if (keyword == "env") return What(Env{TRY(read_pairs(node, "ENV", culprit))});
  if (keyword == "label") return What(Label{TRY(read_pairs(node, "LABEL", culprit))});
  if (keyword == "maintainer") return What(Maintainer{TRY(read_text(node, "MAINTAINER", culprit))});
  if (keyword == "workdir") return What(Workdir{TRY(read_text(node, "WORKDIR", culprit))});
  if (keyword == "user") return What(User{TRY(read_text(node, "USER", culprit))});
  if (keyword == "stopsignal") return What(StopSignal{TRY(read_text(node, "STOPSIGNAL", culprit))});
  if (keyword == "copy" || keyword == "add") return read_copy(node, keyword == "add", culprit);
  if (keyword == "run") return read_run(node, culprit);
  if (keyword == "cmd" || keyword == "entrypoint") return read_command(node, keyword == "entrypoint", culprit);
  if (keyword == "expose") return read_expose(node, culprit);
  if (keyword == "volume") return read_volume(node, culprit);
  if (keyword == "shell") return read_shell(node, culprit);
  if (keyword == "healthcheck") return read_healthcheck(node, culprit);
  if (keyword == "onbuild") return read_onbuild(node, culprit);
  return unknown_instruction(node, culprit);
}

bool is_stage_name(std::string_view name) {
  auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  return !name.empty() && is_lower(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
    return is_lower(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

}  // namespace

bool is_from(const Node& node) { return to_lower(node.keyword) == "from"; }

Result<From> read_from(const Node& node, std::string& culprit) {
  const std::vector<std::string>& words = node.arguments;
  const bool named = words.size() == 3 && to_lower(words[1]) == "as";
  if (words.size() != 1 && !named) return invalid("FROM requires either one or three arguments: FROM image [AS name]");
  From from;
  from.base = words[0];
  if (named) {
    from.written_name = words[2];
    from.name = to_lower(words[2]);
    culprit = words[2];
    if (!is_stage_name(from.name)) {
      return invalid("invalid name for build stage: " + go_quote(words[2]) + ", name can't start with a number or contain symbols");
    }
    culprit.clear();
  }
  const Flags flags = TRY(Flags::read(node.flags, {{"platform", FlagKind::Text}}, culprit));
  from.platform = flags.text("platform");
  return from;
}

Result<Instruction> read_instruction(const Node& node, std::string& culprit) {
  Instruction instruction;
  instruction.what = TRY(read_what(node, culprit));
  instruction.where = node.where;
  instruction.original = trim_space(node.original);
  return instruction;
}

}  // namespace archway::dockerfile
