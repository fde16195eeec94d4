#include "cli/build_flags.h"

#include <sys/stat.h>

#include <array>
#include <charconv>
#include <utility>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "build/build.h"
#include "dockerfile/run_mount.h"

namespace archway::cli {

std::vector<Flag> runtime_flags() {
  using enum Flag::Kind;
  return {
      {"emulation", 0, One, "HOW", "for foreign processors: auto, private (binfmt_misc of the build alone), host, none"},
      {"runtime", 0, One, "PROGRAM", "OCI runtime (default: runc or crun, whichever works here)"},
  };
}

Result<RuntimeOptions> runtime_options(const Arguments& arguments) {
  RuntimeOptions options;
  std::string how = arguments.one_or("emulation", "auto");
  if (how == "auto") options.emulation = Emulation::Auto;
  else if (how == "private") options.emulation = Emulation::Private;
  else if (how == "host") options.emulation = Emulation::Host;
  else if (how == "none") options.emulation = Emulation::None;
  else return usage_error("archway: --emulation " + how + ": there is auto, private, host and none");
  options.runtime = arguments.one_or("runtime", "");
  return options;
}

Result<uint64_t> parse_size(std::string_view text) {
  struct Unit { std::string_view name; double factor; };
  static constexpr std::array<Unit, 17> kUnits = {{{"", 1}, {"b", 1}, {"k", 1e3}, {"kb", 1e3}, {"kib", 1024}, {"m", 1e6}, {"mb", 1e6}, {"mib", 1048576},
                                                   {"g", 1e9}, {"gb", 1e9}, {"gib", 1073741824}, {"t", 1e12}, {"tb", 1e12}, {"tib", 1099511627776},
                                                   {"ki", 1024}, {"mi", 1048576}, {"gi", 1073741824}}};
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit = to_lower(trim(text.substr(static_cast<size_t>(end - text.data()))));
  if (error == std::errc() && number >= 0) {
    for (const Unit& known : kUnits) {
      if (known.name == unit && number * known.factor < 9e18) return static_cast<uint64_t>(number * known.factor);
    }
  }
  return usage_error("archway: \"" + std::string(text) + "\" is not a size such as 20GB or 512MiB");
}

Result<uint64_t> cache_limit(const Arguments& arguments, const Context& context) {
  auto given = arguments.one("cache-size");
  if (!given) given = context.environment("ARCHWAY_CACHE_SIZE");
  if (!given || given->empty()) return build::kDefaultCacheBytes;
  return parse_size(*given);
}

namespace {

constexpr std::string_view kDefaultAgent = "default";

Error refuse(const std::string& flag, const std::string& text, const std::string& why) {
  return usage_error("archway build: --" + flag + " " + text + ": " + why);
}

struct SecretFlag {
  std::string id, file, variable, type;
};
Result<SecretFlag> parse_secret(const std::string& text) {
  auto fields = dockerfile::csv_fields(text);
  if (!fields.ok()) return refuse("secret", text, fields.error().message);
  SecretFlag flag;
  for (const std::string& field : *fields) {
    auto [name, value] = cut(field, '=');
    if (!value) return refuse("secret", text, "\"" + field + "\" is no key=value");
    const std::string key = to_lower(name);
    if (key == "id") flag.id = *value;
    else if (key == "src" || key == "source") flag.file = *value;
    else if (key == "env") flag.variable = *value;
    else if (key == "type") flag.type = *value;
    else return refuse("secret", text, "there is id, src, env and type, not " + key);
  }
  if (flag.id.empty()) return refuse("secret", text, "it needs an id, by which RUN --mount=type=secret,id=... asks for it");
  if (!flag.type.empty() && flag.type != "file" && flag.type != "env") return refuse("secret", text, "type is file or env");
  // type=env,src=VARIABLE is another spelling.
  if (flag.type == "env" && flag.variable.empty()) flag.variable = std::exchange(flag.file, {});
  return flag;
}

Result<build::Secret> find_secret(SecretFlag flag, const std::string& text, const Context& context) {
  if (flag.variable.empty() && flag.file.empty()) {
    // The variable of that name, else the file.
    (context.environment(flag.id) || flag.type == "env" ? flag.variable : flag.file) = flag.id;
  }
  if (!flag.variable.empty()) {
    auto value = context.environment(flag.variable);
    if (!value) log_warn("--secret " + text + ": the variable " + flag.variable + " is not set, so the secret is empty");
    if (value && value->size() > build::kMaxSecretBytes) return refuse("secret", text, "it is larger than 500 KiB");
    return build::Secret{"", value.value_or("")};
  }
  struct stat st = {};
  if (::stat(flag.file.c_str(), &st) != 0) return errno_error("--secret " + text + ": looking for the file " + flag.file);
  if (S_ISDIR(st.st_mode)) return refuse("secret", text, flag.file + " is a folder");
  if (static_cast<uint64_t>(st.st_size) > build::kMaxSecretBytes) return refuse("secret", text, flag.file + " is larger than 500 KiB");
  return build::Secret{flag.file, ""};
}

// NAME, NAME=SOCKET.
Result<std::pair<std::string, std::string>> find_agent(const std::string& text, const Context& context) {
  auto [name, value] = cut(text, '=');
  std::string id(name.empty() ? kDefaultAgent : name), socket(value.value_or(""));
  if (socket.find(',') != std::string::npos) return refuse("ssh", text, "one agent's socket is all that can be given; ssh-add puts several keys into one agent");
  if (socket.empty()) {
    auto from_environment = context.environment("SSH_AUTH_SOCK");
    if (!from_environment || from_environment->empty()) return refuse("ssh", text, "no agent: SSH_AUTH_SOCK is not set; start one with eval $(ssh-agent) and ssh-add, or name its socket: --ssh " + id + "=SOCKET");
    socket = *from_environment;
  }
  struct stat st = {};
  if (::stat(socket.c_str(), &st) != 0) return errno_error("--ssh " + text + ": looking for the agent's socket " + socket);
  if (S_ISREG(st.st_mode)) return refuse("ssh", text, socket + " is a file, not an agent's socket: put the key into an agent (ssh-add " + socket + ") and give --ssh " + id);
  if (!S_ISSOCK(st.st_mode)) return refuse("ssh", text, socket + " is no socket");
  return std::pair(std::move(id), std::move(socket));
}

}  // namespace

Result<build::Confidences> confidences(const Arguments& arguments, const Context& context) {
  build::Confidences all;
  for (const std::string& text : arguments.many("secret")) {
    SecretFlag flag = TRY(parse_secret(text));
    std::string id = flag.id;
    all.secrets[id] = TRY(find_secret(std::move(flag), text, context));
  }
  for (const std::string& text : arguments.many("ssh")) {
    auto [id, socket] = TRY(find_agent(text, context));
    if (!all.agents.try_emplace(id, socket).second) return refuse("ssh", text, "there are two agents " + id);
  }
  return all;
}

}  // namespace archway::cli
