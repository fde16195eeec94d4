#include "build/lower.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/text.h"
#include "build/config_steps.h"
#include "build/lower_mounts.h"
#include "build/remote_files.h"
#include "dockerfile/expand.h"
#include "dockerfile/ignore.h"

namespace archway::build {

using namespace dockerfile;  // the instructions

namespace {

constexpr std::string_view kHistoryComment = "buildkit.dockerfile.v0";
constexpr size_t kMaxOnbuildTriggers = 1000;

using Values = std::map<std::string, std::string, std::less<>>;

bool is_proxy_name(std::string_view name) {
  std::string lower = to_lower(name);
  return lower == "http_proxy" || lower == "https_proxy" || lower == "ftp_proxy" || lower == "no_proxy" || lower == "all_proxy";
}

// Go's path normalisation that keeps the trailing slash, which says "into this folder".
std::string normalize_keep_slash(std::string_view directory, std::string_view path) {
  bool folder = path.empty() || path == "." || path.ends_with('/') || path.ends_with("/.");
  std::string joined = path.starts_with('/') ? std::string(path) : std::string(directory) + "/" + std::string(path);
  std::string clean = clean_path(joined);
  if (!clean.starts_with('/')) clean = clean == "." ? "/" : "/" + clean;
  if (folder && clean != "/") clean += '/';
  return clean;
}

// A stage, carried out as far as one can without running anything.
struct StageState {
  NodeId root = 0;
  ImageConfig config;
  size_t base_history = 0;
  Platform platform;
  std::vector<std::pair<std::string, std::string>> env;  // ENV and ARG together: the last writer wins
  std::vector<std::pair<std::string, std::optional<std::string>>> build_args;  // in the order of ARG, for the history
  bool cmd_set = false;
  std::vector<std::string> own_onbuild;  // this stage's ONBUILDs fire in stages that are built on it

  void set_env(const std::string& name, const std::string& value) {
    for (auto& [known, old] : env) {
      if (known == name) {
        old = value;
        return;
      }
    }
    env.emplace_back(name, value);
  }
  std::optional<std::string> env_value(std::string_view name) const {
    for (const auto& [known, value] : env) {
      if (known == name) return value;
    }
    return std::nullopt;
  }
};

class Lowering {
 public:
  Lowering(const Dockerfile& file, const Platform& target, const LowerOptions& options, const ResolveBase& resolve_base, Graph& graph)
      : file_(file), target_(target), options_(options), resolve_base_(resolve_base), graph_(graph) {}

  Result<TargetImage> run() {
    TRY(collect_globals());
    size_t index = file_.stages.size() - 1;
    if (!options_.target.empty()) index = TRY(find_target());
    StageState stage = TRY(lower_stage(index, std::nullopt));
    for (const auto& [key, value] : options_.labels) stage.config.labels[key] = value;
    TargetImage image{target_, stage.root, std::move(stage.config), stage.base_history};
    image.config.platform = target_;
    return image;
  }

 private:
  Error complain(const Location& where, std::string_view message) const { return error_at(file_, options_.dockerfile_name, where, message); }
  Error complain(const Location& where, Error error) const {
    Error placed = error_at(file_, options_.dockerfile_name, where, error.message);
    placed.code = error.code;
    placed.hint = error.hint;
    return placed;
  }
  template <class T>
  Result<T> at(const Location& where, Result<T> result) const {
    if (result.ok()) return result;
    return complain(where, std::move(result).error());
  }

  // --- Global ARGs and stage names.

  Result<void> collect_globals() {
    const Platform& build = options_.build_platform;
    std::string target_name = options_.target.empty() ? file_.stages.back().name : options_.target;
    const std::array<std::pair<const char*, std::string>, 11> predefined = {{
        {"BUILDPLATFORM", build.str()},
        {"BUILDOS", build.os},
        {"BUILDOSVERSION", build.os_version},
        {"BUILDARCH", build.architecture},
        {"BUILDVARIANT", build.variant},
        {"TARGETPLATFORM", target_.str()},
        {"TARGETOS", target_.os},
        {"TARGETOSVERSION", target_.os_version},
        {"TARGETARCH", target_.architecture},
        {"TARGETVARIANT", target_.variant},
        {"TARGETSTAGE", target_name.empty() ? "default" : target_name},
    }};
    for (const auto& [name, value] : predefined) {
      auto given = options_.build_args.find(name);
      globals_[name] = given == options_.build_args.end() ? value : given->second;
    }
    for (const Instruction& instruction : file_.global_args) {
      for (const auto& [name, fallback] : std::get<Arg>(instruction.what).args) {
        auto given = options_.build_args.find(name);
        if (given != options_.build_args.end()) {
          globals_[name] = given->second;
        } else if (fallback) {
          globals_[name] = TRY(at(instruction.where, expand_global(*fallback)));
        }
      }
    }
    return {};
  }

  Result<std::string> expand_global(std::string_view text) const {
    auto lookup = [&](std::string_view name) -> std::optional<std::string> {
      auto found = globals_.find(name);
      if (found == globals_.end()) return std::nullopt;
      return found->second;
    };
    return TRY(expand_word(text, lookup, file_.escape)).text;
  }

  // The last stage of that name before `before`.
  std::optional<size_t> find_stage(std::string_view name, size_t before) const {
    std::string lower = to_lower(name);
    for (size_t i = before; i-- > 0;) {
      if (!file_.stages[i].name.empty() && file_.stages[i].name == lower) return i;
    }
    return std::nullopt;
  }

  Result<size_t> find_target() const {
    if (auto found = find_stage(options_.target, file_.stages.size())) return *found;
    if (auto number = parse_uint(options_.target); number && *number < file_.stages.size()) return static_cast<size_t>(*number);
    std::vector<std::string> names;
    for (const Stage& stage : file_.stages) {
      if (!stage.name.empty()) names.push_back(stage.name);
    }
    auto near = nearest(options_.target, names);
    return Error{Code::Invalid, options_.dockerfile_name + ": target stage \"" + options_.target + "\" could not be found" +
                                    (near ? " (did you mean " + *near + "?)" : names.empty() ? "; no stage has a name" : "; there is " + join(names, ", "))};
  }

  // --- Stages.

  // `platform`: what a later `FROM --platform=P thisstage` asks for; the stage is then built for P.
  Result<StageState> lower_stage(size_t index, const std::optional<Platform>& platform) {
    std::string key = std::to_string(index) + " " + (platform ? platform->str() : "");
    if (auto found = done_.find(key); found != done_.end()) return found->second;
    StageState stage = TRY(begin_stage(index, platform));
    const Stage& text = file_.stages[index];
    StageProgress progress = progress_of(index, stage);
    std::vector<std::string> triggers = std::exchange(stage.config.onbuild, {});
    if (triggers.size() > kMaxOnbuildTriggers) return complain(text.where, "the base image has too many ONBUILD triggers");
    for (const std::string& trigger : triggers) {
      Instruction instruction = TRY(at(text.where, parse_instruction(trigger, "ONBUILD of " + text.base)));
      instruction.where = text.where;
      progress.onbuild = true;
      TRY(dispatch(stage, instruction, index, progress));
    }
    progress.onbuild = false;
    for (const Instruction& instruction : text.instructions) TRY(dispatch(stage, instruction, index, progress));
    done_[key] = stage;
    return stage;
  }

  struct StageProgress {
    size_t total = 0, next = 0;
    std::string stage_name;
    bool onbuild = false;
  };

  StageProgress progress_of(size_t index, const StageState& stage) const {
    StageProgress progress;
    const Stage& text = file_.stages[index];
    auto steps = [](const Instruction& i) { return std::holds_alternative<Copy>(i.what) || std::holds_alternative<Run>(i.what) || std::holds_alternative<Workdir>(i.what); };
    progress.total = static_cast<size_t>(std::count_if(text.instructions.begin(), text.instructions.end(), steps)) + stage.config.onbuild.size();
    if (std::holds_alternative<BaseOp>(graph_[stage.root].op)) {
      ++progress.total;
      ++progress.next;
    }
    if (file_.stages.size() > 1) progress.stage_name = text.name.empty() ? "stage-" + std::to_string(index) : text.name;
    return progress;
  }

  // "[linux/arm64 build 2/4] RUN make", with "linux/amd64->arm64" where a stage of one platform works for another.
  std::string step_name(const StageState& stage, StageProgress& progress, const std::string& text) const {
    std::string out = "[";
    if (options_.multi_platform) {
      out += stage.platform.str();
      auto for_target = stage.env_value("TARGETARCH");
      if (stage.env_value("TARGETPLATFORM")) for_target = target_.architecture;
      if (for_target && *for_target != stage.platform.architecture && !for_target->empty()) out += "->" + *for_target;
      out += " ";
    }
    if (!progress.stage_name.empty()) out += progress.stage_name + " ";
    ++progress.next;
    out += std::to_string(progress.next) + "/" + std::to_string(std::max(progress.total, progress.next)) + "] ";
    if (progress.onbuild) out += "ONBUILD ";
    return out + text;
  }

  Result<StageState> begin_stage(size_t index, const std::optional<Platform>& inherited) {
    const Stage& text = file_.stages[index];
    std::string base = TRY(at(text.where, expand_global(text.base)));
    if (base.empty()) return complain(text.where, "base name (" + text.base + ") should not be blank; give the build argument a value");
    std::optional<Platform> platform = inherited;
    if (!text.platform.empty()) {
      std::string written = TRY(at(text.where, expand_global(text.platform)));
      if (written.empty()) return complain(text.where, "empty platform value from expression " + text.platform);
      platform = TRY(at(text.where, parse_platform(written)));
    }
    if (auto parent = find_stage(base, index)) {
      StageState stage = TRY(lower_stage(*parent, platform));
      if (platform && !(stage.platform == *platform)) {
        return complain(text.where, "stage " + base + " is for " + stage.platform.str() + ", not for " + platform->str() +
                                        "; its own FROM says --platform");
      }
      stage.config.onbuild = std::exchange(stage.own_onbuild, {});
      stage.cmd_set = false;
      return stage;
    }
    StageState stage;
    stage.platform = platform.value_or(target_);
    if (base == "scratch") {
      stage.root = graph_.add(Node{.op = ScratchOp{}, .name = "scratch", .where = text.where});
      stage.config.working_dir = "/";
    } else {
      if (options_.local_contexts.contains(base)) {
        return complain(text.where, Error{Code::Unsupported, "FROM " + base + ": a named context that is a folder can be copied from, not built on"});
      }
      auto image = TRY(at(text.where, resolve_base_(base, stage.platform)));
      std::string name = options_.multi_platform ? "[" + stage.platform.str() + "] FROM " : "FROM ";
      stage.config = image->config;
      stage.config.created = std::nullopt;
      stage.base_history = image->config.history.size();
      complete_base_history(stage, image->layers.size());
      if (image->layers.empty()) {
        stage.root = graph_.add(Node{.op = ScratchOp{}, .name = "scratch", .where = text.where});
      } else {
        stage.root = graph_.add(Node{.op = BaseOp{image}, .name = name + image->name, .where = text.where});
      }
    }
    ensure_path(stage.config);
    for (const std::string& variable : stage.config.env) {
      auto [name, value] = cut(variable, '=');
      stage.set_env(std::string(name), std::string(value.value_or("")));
    }
    if (!stage.config.working_dir.empty()) stage.config.working_dir = normalize_workdir("/", stage.config.working_dir);
    return stage;
  }

  // A base whose history names fewer layers than it has gets entries for the rest, so that ours line up with our layers.
  static void complete_base_history(StageState& stage, size_t layers) {
    auto& history = stage.config.history;
    size_t named = static_cast<size_t>(std::count_if(history.begin(), history.end(), [](const HistoryEntry& h) { return !h.empty_layer; }));
    for (; named < layers; ++named) history.push_back({.comment = "buildkit.exporter.image.v0"});
    for (auto it = history.rbegin(); named > layers && it != history.rend(); ++it) {
      if (it->empty_layer) continue;
      it->empty_layer = true;
      --named;
    }
    stage.base_history = history.size();
  }

  static void ensure_path(ImageConfig& config) {
    std::string storage;
    if (!config.env_value("PATH", storage)) config.env.push_back("PATH=" + std::string(kDefaultPath));
  }

  // --- Instructions.

  Result<std::string> expand(const StageState& stage, std::string_view word) const {
    auto lookup = [&](std::string_view name) { return stage.env_value(name); };
    return TRY(expand_word(word, lookup, file_.escape)).text;
  }
  Result<std::string> expand_keeping_quotes(const StageState& stage, std::string_view word) const {
    auto lookup = [&](std::string_view name) { return stage.env_value(name); };
    return TRY(expand_word(word, lookup, '\\', Quotes::Keep)).text;
  }

  void commit(StageState& stage, std::string created_by, bool layer) const {
    stage.config.history.push_back({.created_by = std::move(created_by), .comment = std::string(kHistoryComment), .empty_layer = !layer});
  }

  Result<void> dispatch(StageState& stage, const Instruction& instruction, size_t index, StageProgress& progress) {
    auto result = std::visit([&](const auto& what) { return apply(stage, what, instruction, index, progress); }, instruction.what);
    if (result.ok() || result.error().message.starts_with(options_.dockerfile_name + ":")) return result;
    return complain(instruction.where, std::move(result).error());
  }

  Result<void> apply(StageState& stage, const Arg& arg, const Instruction&, size_t, StageProgress&) {
    std::vector<std::string> shown;
    for (const auto& [name, fallback] : arg.args) {
      std::optional<std::string> value;
      auto given = options_.build_args.find(name);
      if (given != options_.build_args.end()) {
        value = given->second;
      } else if (fallback) {
        value = TRY(expand(stage, *fallback));
      } else if (auto global = globals_.find(name); global != globals_.end()) {
        value = global->second;
      }
      if (value) stage.set_env(name, *value);
      stage.build_args.emplace_back(name, value);
      shown.push_back(value ? name + "=" + *value : name);
    }
    commit(stage, "ARG " + join(shown, " "), false);
    return {};
  }

  Result<void> apply(StageState& stage, const Env& env, const Instruction&, size_t, StageProgress&) {
    // One snapshot of the environment per instruction: ENV a=1 b=$a uses the old a.
    Pairs expanded;
    for (const auto& [name, value] : env.values) {
      std::string key = TRY(expand(stage, name));
      std::string text = TRY(expand(stage, value));
      expanded.emplace_back(std::move(key), std::move(text));
    }
    std::string shown = "ENV";
    for (const auto& [name, value] : expanded) {
      stage.set_env(name, value);
      set_variable(stage.config.env, name, value);
      shown += " " + name + "=" + value;
    }
    commit(stage, shown, false);
    return {};
  }

  Result<void> apply(StageState& stage, const Label& label, const Instruction&, size_t, StageProgress&) {
    std::string shown = "LABEL";
    for (const auto& [name, value] : label.values) {
      std::string key = TRY(expand(stage, name));
      std::string text = TRY(expand(stage, value));
      stage.config.labels[key] = text;
      shown += " " + key + "=" + text;
    }
    commit(stage, shown, false);
    return {};
  }

  Result<void> apply(StageState& stage, const Maintainer& maintainer, const Instruction&, size_t, StageProgress&) {
    stage.config.author = maintainer.name;
    commit(stage, "MAINTAINER " + maintainer.name, false);
    return {};
  }

  Result<void> apply(StageState& stage, const Workdir& workdir, const Instruction& instruction, size_t, StageProgress& progress) {
    std::string path = TRY(expand(stage, workdir.path));
    stage.config.working_dir = normalize_workdir(stage.config.working_dir, path);
    bool layer = stage.config.working_dir != "/";
    std::string name = step_name(stage, progress, instruction.original);
    if (layer) {
      stage.root = graph_.add(Node{.op = WorkdirOp{stage.config.working_dir, stage.config.user},
                                   .parent = stage.root,
                                   .name = std::move(name),
                                   .where = instruction.where,
                                   .ignore_cache = options_.no_cache});
    }
    commit(stage, "WORKDIR " + stage.config.working_dir, layer);
    return {};
  }

  Result<void> apply(StageState& stage, const User& user, const Instruction&, size_t, StageProgress&) {
    stage.config.user = TRY(expand(stage, user.user));
    commit(stage, "USER " + stage.config.user, false);
    return {};
  }

  Result<void> apply(StageState& stage, const Cmd& cmd, const Instruction&, size_t, StageProgress&) {
    stage.config.cmd = command_words(stage.config, cmd.command);
    stage.config.args_escaped = true;
    stage.cmd_set = true;
    commit(stage, "CMD " + quoted_list(*stage.config.cmd), false);
    return {};
  }

  Result<void> apply(StageState& stage, const Entrypoint& entrypoint, const Instruction&, size_t, StageProgress&) {
    stage.config.entrypoint = command_words(stage.config, entrypoint.command);
    if (!stage.cmd_set) stage.config.cmd = std::nullopt;
    commit(stage, "ENTRYPOINT " + quoted_list(*stage.config.entrypoint), false);
    return {};
  }

  Result<void> apply(StageState& stage, const Expose& expose, const Instruction&, size_t, StageProgress&) {
    std::vector<std::string> ports;
    auto lookup = [&](std::string_view name) { return stage.env_value(name); };
    for (const std::string& text : expose.ports) {
      for (const std::string& word : TRY(expand_words(text, lookup, file_.escape))) {
        for (std::string& port : TRY(parse_exposed_port(word))) ports.push_back(std::move(port));
      }
    }
    for (const std::string& port : ports) insert_sorted(stage.config.exposed_ports, port);
    commit(stage, "EXPOSE [" + join(ports, " ") + "]", false);
    return {};
  }

  Result<void> apply(StageState& stage, const Volume& volume, const Instruction&, size_t, StageProgress&) {
    std::vector<std::string> paths;
    for (const std::string& text : volume.paths) {
      paths.push_back(TRY(expand(stage, text)));
      if (paths.back().empty()) return Error{Code::Invalid, "VOLUME specified can not be an empty string"};
      insert_sorted(stage.config.volumes, paths.back());
    }
    commit(stage, "VOLUME [" + join(paths, " ") + "]", false);
    return {};
  }

  Result<void> apply(StageState& stage, const StopSignal& signal, const Instruction&, size_t, StageProgress&) {
    std::string text = TRY(expand(stage, signal.signal));
    if (!is_signal(text)) return Error{Code::Invalid, "invalid signal: " + text};
    stage.config.stop_signal = text;
    commit(stage, "STOPSIGNAL " + text, false);
    return {};
  }

  Result<void> apply(StageState& stage, const Shell& shell, const Instruction&, size_t, StageProgress&) {
    stage.config.shell = shell.words;
    commit(stage, "SHELL [" + join(shell.words, " ") + "]", false);
    return {};
  }

  Result<void> apply(StageState& stage, const HealthcheckInstruction& check, const Instruction&, size_t, StageProgress&) {
    stage.config.healthcheck = Healthcheck{check.test, check.interval, check.timeout, check.start_period, check.start_interval, check.retries};
    commit(stage, "HEALTHCHECK " + healthcheck_text(*stage.config.healthcheck), false);
    return {};
  }

  Result<void> apply(StageState& stage, const Onbuild& onbuild, const Instruction&, size_t, StageProgress&) {
    // In this image's configuration, and for later stages that are built on this one.
    stage.config.onbuild.push_back(onbuild.text);
    stage.own_onbuild.push_back(onbuild.text);
    return {};
  }

  Result<void> apply(StageState& stage, const Run& run, const Instruction& instruction, size_t index, StageProgress& progress) {
    if (!run.devices.empty()) return not_yet("RUN --device");
    if (!run.security.empty() && run.security != "sandbox") return not_yet("RUN --security=" + run.security);
    if (!run.network.empty() && run.network != "default" && run.network != "none" && run.network != "host") {
      return Error{Code::Invalid, "invalid network mode \"" + run.network + "\"; there is default, none and host"};
    }
    ExecOp op;
    std::vector<std::string> words = run.command.words;
    if (!run.heredocs.empty()) TRY(place_heredocs(run, words, op));
    if (run.command.shell && !op.script) words = with_shell(stage.config, join(words, " "));
    if (run.command.shell && op.script) words = with_shell(stage.config, words[0]);
    op.arguments = words;
    for (const auto& [name, value] : stage.env) op.environment.push_back(name + "=" + value);
    for (const auto& [name, value] : options_.build_args) {
      if (is_proxy_name(name) && !stage.env_value(name)) op.proxy_environment.push_back(name + "=" + value);
    }
    op.working_directory = stage.config.working_dir.empty() ? "/" : stage.config.working_dir;
    op.user = stage.config.user;
    op.network = run.network;
    op.platform = stage.platform;
    std::vector<NodeId> inputs = TRY(place_mounts(stage, run, index, op));
    commit(stage, "RUN " + run_text(stage, words) + " # buildkit", true);
    stage.root = graph_.add(Node{.op = std::move(op),
                                 .parent = stage.root,
                                 .mounts = std::move(inputs),
                                 .name = step_name(stage, progress, instruction.original),
                                 .where = instruction.where,
                                 .ignore_cache = options_.no_cache});
    return {};
  }

  Result<std::vector<NodeId>> place_mounts(const StageState& stage, const Run& run, size_t index, ExecOp& op) {
    if (run.mounts.empty()) return std::vector<NodeId>();
    auto name_space = options_.build_args.find("BUILDKIT_CACHE_MOUNT_NS");
    LowerMountsInput input{.texts = run.mounts,
                           .working_directory = op.working_directory,
                           .cache_namespace = name_space == options_.build_args.end() ? "" : name_space->second,
                           .expand = [&](const std::string& value) { return expand(stage, value); },
                           .source = [&](const std::string& from, const std::string& target) { return mount_source(from, target, index); }};
    LoweredMounts lowered = TRY(lower_mounts(input));
    op.mounts = std::move(lowered.mounts);
    if (!lowered.ssh_socket.empty() && !stage.env_value("SSH_AUTH_SOCK")) op.environment.push_back("SSH_AUTH_SOCK=" + lowered.ssh_socket);
    return std::move(lowered.inputs);
  }

  Result<NodeId> mount_source(const std::string& from, const std::string& target, size_t index) {
    return source_node(from, index, [&](const std::string& stage) {
      return "cannot mount from stage \"" + stage + "\" to \"" + target + "\", stage needs to be defined before current command";
    });
  }

  // One heredoc and nothing else: with #! it is a program of its own, else the shell's text. Otherwise the shell gets the whole.
  Result<void> place_heredocs(const Run& run, std::vector<std::string>& words, ExecOp& op) const {
    if (!run.command.shell || words.size() != 1) return Error{Code::Invalid, "a here-document needs the shell form of RUN"};
    const Heredoc& first = run.heredocs[0];
    std::string_view line = trim(words[0]);
    bool alone = line.starts_with("<<") && line.find_first_of(" \t\n;|&><", 2) == std::string_view::npos;
    if (alone) {
      std::string data = first.chomp ? strip_leading_tabs(first.content) : first.content;
      if (data.starts_with("#!")) {
        op.script = {first.name, data};
        words = {"/dev/pipes/" + first.name};
      } else {
        words = {data};
      }
      return {};
    }
    std::string text = words[0];
    for (const Heredoc& heredoc : run.heredocs) text += "\n" + heredoc.content + heredoc.name;
    words = {text};
    return {};
  }

  // `RUN |2 A=1 B=2 /bin/sh -c make`: the stage's ARGs in the order they were declared, proxies apart.
  static std::string run_text(const StageState& stage, const std::vector<std::string>& words) {
    std::vector<std::string> names, parts;
    for (const auto& [name, value] : stage.build_args) {
      std::string text = name + "=" + stage.env_value(name).value_or(value.value_or(""));
      auto known = std::find(names.begin(), names.end(), name);
      if (known == names.end()) {
        names.push_back(name);
        parts.push_back(text);
      } else {
        parts[static_cast<size_t>(known - names.begin())] = text;
      }
    }
    std::string shown = parts.empty() ? "" : "|" + std::to_string(parts.size()) + " " + join(parts, " ") + " ";
    return shown + join(words, " ");
  }

  static Error not_yet(const std::string& what) {
    return Error{Code::Unsupported, what + " is not supported by this version of archway", "docker buildx build can build this Dockerfile"};
  }

  Result<void> apply(StageState& stage, const Copy& copy, const Instruction& instruction, size_t index, StageProgress& progress) {
    if (copy.keep_git_dir) return not_yet("ADD --keep-git-dir");
    CopyOp op;
    std::string shown = copy.add ? "ADD" : "COPY";
    op.parents = copy.parents.value_or(false);
    op.link = copy.link.value_or(false);
    op.unpack = copy.unpack.value_or(copy.add);
    op.excludes = copy.excludes;
    op.chown = TRY(expand(stage, copy.chown));
    op.chmod = TRY(expand(stage, copy.chmod));
    if (op.parents) shown += " --parents";
    if (!op.chown.empty()) shown += " --chown=" + op.chown;
    if (!op.chmod.empty()) shown += " --chmod=" + op.chmod;
    TRY(check_chmod(op.chmod));
    for (const std::string& text : copy.sources) {
      std::string source = TRY(expand(stage, text));
      shown += " " + source;
      if (!is_remote(source)) {
        op.sources.push_back(source);
        continue;
      }
      if (!copy.add) return Error{Code::Invalid, "source can't be a URL for COPY: " + source};
      if (is_git(source)) return not_yet("ADD of a git repository");
      if (copy.unpack.value_or(false)) return not_yet("ADD --unpack of a URL");
      op.remotes.push_back({source, remote_file_name(source), ""});
    }
    TRY(set_checksum(stage, copy, op));
    for (const auto& [name, heredoc] : copy.inline_files) {
      std::string data = heredoc.chomp ? strip_leading_tabs(heredoc.content) : heredoc.content;
      if (heredoc.expand) data = TRY(expand_keeping_quotes(stage, data));
      shown += " <<" + name;
      op.inline_files.push_back({name, std::move(data)});
    }
    std::string destination = TRY(expand(stage, copy.destination));
    shown += " " + destination;
    op.destination = normalize_keep_slash(stage.config.working_dir.empty() ? "/" : stage.config.working_dir, destination);
    Node node;
    node.source = TRY(copy_source(copy, index));
    node.op = std::move(op);
    node.parent = stage.root;
    node.name = step_name(stage, progress, instruction.original);
    node.where = instruction.where;
    node.ignore_cache = options_.no_cache;
    stage.root = graph_.add(std::move(node));
    commit(stage, shown + " # buildkit", true);
    return {};
  }

  static bool is_remote(std::string_view source) {
    return source.starts_with("http://") || source.starts_with("https://") || source.starts_with("git://") || source.starts_with("git@") ||
           source.starts_with("ssh://");
  }

  static bool is_git(std::string_view source) {
    const std::string_view path = source.substr(0, source.find_first_of("#?"));
    return !(source.starts_with("http://") || source.starts_with("https://")) || path.ends_with(".git");
  }

  Result<void> set_checksum(const StageState& stage, const Copy& copy, CopyOp& op) const {
    const std::string checksum = TRY(expand(stage, copy.checksum));
    if (checksum.empty()) return {};
    if (!copy.add) return Error{Code::Invalid, "checksum can't be specified for COPY"};
    if (copy.sources.size() != 1) return Error{Code::Invalid, "checksum can't be specified for multiple sources"};
    if (op.remotes.empty()) return Error{Code::Invalid, "checksum requires HTTP(S) or Git sources"};
    Digest digest = TRY(Digest::parse(checksum).context("--checksum"));
    if (digest.algorithm() != HashAlgorithm::Sha256) return not_yet("ADD --checksum=" + std::string(digest.algorithm_name()) + ":...");
    op.remotes[0].checksum = digest.str();
    return {};
  }

  Result<NodeId> copy_source(const Copy& copy, size_t index) {
    if (copy.from.find('$') != std::string::npos) {
      return Error{Code::Invalid, "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"};
    }
    return source_node(copy.from, index, [](const std::string& stage) { return "cannot copy from stage \"" + stage + "\", it needs to be defined before current stage"; });
  }

  // What `from` names: a stage before this one, by number or name, a named context or an image; "" is the build context.
  Result<NodeId> source_node(const std::string& from, size_t index, const std::function<std::string(const std::string&)>& too_late) {
    if (from.empty()) return graph_.add(Node{.op = LocalOp{"context"}, .name = "context"});
    std::optional<size_t> found;
    if (auto number = parse_uint(from)) {
      if (*number >= file_.stages.size()) return Error{Code::Invalid, "invalid stage index " + from};
      found = static_cast<size_t>(*number);
    } else if (options_.local_contexts.contains(from)) {
      return graph_.add(Node{.op = LocalOp{from}, .name = from});
    } else {
      found = find_stage(from, file_.stages.size());
    }
    if (found) {
      if (*found >= index) return Error{Code::Invalid, too_late(from)};
      StageState stage = TRY(lower_stage(*found, std::nullopt));
      return stage.root;
    }
    if (from == "scratch") return graph_.add(Node{.op = ScratchOp{}, .name = "scratch"});
    auto image = TRY(resolve_base_(from, target_));
    return graph_.add(Node{.op = BaseOp{image}, .name = "FROM " + image->name});
  }

  const Dockerfile& file_;
  const Platform target_;
  const LowerOptions& options_;
  const ResolveBase& resolve_base_;
  Graph& graph_;
  Values globals_;
  std::map<std::string, StageState> done_;
};

}  // namespace

Result<TargetImage> lower(const Dockerfile& file, const Platform& target, const LowerOptions& options, const ResolveBase& resolve_base, Graph& graph) {
  if (file.stages.empty()) return Error{Code::Invalid, options.dockerfile_name + ": no FROM: a Dockerfile needs at least one stage"};
  return Lowering(file, target, options, resolve_base, graph).run();
}

}  // namespace archway::build
