#include "registry/docker_config.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/fd.h"
#include "base/process.h"
#include "base/text.h"
#include "format/json.h"

namespace archway {
namespace {

inline constexpr uint64_t kMaxConfigBytes = 4 << 20;
inline constexpr std::string_view kHubKey = "https://index.docker.io/v1/";
// What a helper gives as the user name where the secret is an identity token.
inline constexpr std::string_view kTokenUser = "<token>";

bool is_hub(std::string_view host) {
  return host == "docker.io" || host == "index.docker.io" || host == "registry-1.docker.io" || host == kHubKey;
}

// The name under which docker keeps a host's credentials.
std::string key_of(const std::string& host) { return is_hub(host) ? std::string(kHubKey) : host; }

// "https://host/v1/" is the same as "host": old clients wrote URLs.
std::string host_of_key(std::string_view key) {
  if (key.starts_with("https://")) key.remove_prefix(8);
  if (key.starts_with("http://")) key.remove_prefix(7);
  return std::string(key.substr(0, key.find('/')));
}

bool names_host(std::string_view key, const std::string& host) {
  if (is_hub(host)) return is_hub(key) || is_hub(host_of_key(key));
  return key == host || host_of_key(key) == host;
}

// "" where the file itself is meant.
std::string helper_for(const Json& config, const std::string& host) {
  for (const JsonMember& member : config["credHelpers"].members()) {
    if (names_host(member.key, host) && !member.value.string().empty()) return member.value.string();
  }
  return config["credsStore"].string();
}

Result<Json> parse_config(const std::string& raw, const std::string& file) {
  std::string path = file.empty() ? "docker's configuration" : file;
  if (trim(raw).empty()) return Json::object();
  Json config = TRY(parse_json(raw).context("reading " + path));
  if (!config.is_object()) return Error{Code::Invalid, "reading " + path + ": not a JSON object"};
  return config;
}

Result<std::string> read_config(const std::string& path) {
  auto raw = read_file(path, kMaxConfigBytes);
  if (!raw.ok() && raw.error().code == Code::NotFound) return std::string();
  return raw;
}

// docker-credential-NAME VERB, by the protocol of docker-credential-helpers.
Result<ProcessResult> run_helper(const std::string& helper, const std::string& verb, std::string input, std::stop_token stop) {
  bool safe = !helper.empty() && helper[0] != '.' &&
              std::all_of(helper.begin(), helper.end(), [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; });
  if (!safe) return Error{Code::Invalid, "credential helper \"" + helper + "\": not a name"};
  ProcessOptions options;
  options.input = std::move(input);
  options.output_limit_bytes = 1 << 20;
  auto result = run_process({"docker-credential-" + helper, verb}, options, std::move(stop));
  if (!result.ok() && result.error().code == Code::NotFound) {
    return Error{Code::NotFound, "docker-credential-" + helper + ": no such program in PATH", "install it, or remove credsStore and credHelpers from docker's config.json"};
  }
  return result;
}

Error helper_error(const std::string& helper, const std::string& verb, const ProcessResult& result) {
  // Only what it prints as its error; standard output may hold a secret, except in the one-line messages of a failure.
  std::string why(trim(result.err.empty() ? result.out : result.err));
  return Error{Code::Unauthorized, "docker-credential-" + helper + " " + verb + " failed: " + why.substr(0, 200)};
}

Result<std::optional<Credentials>> ask_helper(const std::string& helper, const std::string& host, std::stop_token stop) {
  ProcessResult result = TRY(run_helper(helper, "get", key_of(host), std::move(stop)));
  if (result.exit_code != 0) {
    if (result.out.find("credentials not found") != std::string::npos) return std::optional<Credentials>();
    return helper_error(helper, "get", result);
  }
  auto answer = parse_json(result.out);
  if (!answer.ok()) return Error{Code::Invalid, "docker-credential-" + helper + " get: its answer is not JSON"};
  Credentials credentials;
  if ((*answer)["Username"].string() == kTokenUser) {
    credentials.identity_token = (*answer)["Secret"].string();
  } else {
    credentials.username = (*answer)["Username"].string();
    credentials.password = (*answer)["Secret"].string();
  }
  if (credentials.identity_token.empty() && credentials.username.empty()) return std::optional<Credentials>();
  return std::optional<Credentials>(std::move(credentials));
}

// As docker writes it: Go's MarshalIndent with a tab. A JSON text has no line break inside a string, so the blanks
// that begin a line are indentation.
std::string write_config(const Json& config) {
  std::string spaced = to_json(config, {.indent = 1, .sort_keys = false, .go_escapes = true});
  std::string out;
  bool line_start = true;
  for (char c : spaced) {
    if (line_start && c == ' ') {
      out += '\t';
      continue;
    }
    line_start = c == '\n';
    out += c;
  }
  return out;
}

Result<void> save(const std::string& path, const std::string& raw) {
  size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) TRY(make_directories(path.substr(0, slash), 0700));
  // A config.json that is a link (dotfiles under version control) stays one.
  char resolved[PATH_MAX];
  std::string target = ::realpath(path.c_str(), resolved) ? resolved : path;
  return write_file_atomic(target, raw, 0600);
}

const Json* entry_for(const Json& config, const std::string& host) {
  const Json& auths = config["auths"];
  if (const Json* exact = auths.find(key_of(host))) return exact;
  for (const JsonMember& member : auths.members()) {
    if (names_host(member.key, host)) return &member.value;
  }
  return nullptr;
}

Error no_file() { return Error{Code::Unsupported, "this docker configuration is in memory only"}; }

}  // namespace

Result<std::optional<Credentials>> read_docker_credentials(const Json& entry, const std::string& key) {
  Credentials credentials;
  credentials.identity_token = entry["identitytoken"].string();
  credentials.username = entry["username"].string();
  credentials.password = entry["password"].string();
  const std::string& auth = entry["auth"].string();
  if (!auth.empty()) {
    auto decoded = base64_decode(auth);
    auto colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos) return Error{Code::Invalid, "docker's config.json: the \"auth\" of " + key + " is not base64 of USER:PASSWORD"};
    credentials.username = decoded->substr(0, colon);
    credentials.password = decoded->substr(colon + 1);
    // docker pads old passwords with zero bytes.
    credentials.password.erase(credentials.password.find_last_not_of('\0') + 1);
  }
  if (credentials.identity_token.empty() && credentials.username.empty()) return std::optional<Credentials>();
  return std::optional<Credentials>(std::move(credentials));
}

Result<DockerConfig> DockerConfig::load(const std::string& path) {
  DockerConfig config;
  config.path_ = path;
  config.raw_ = TRY(read_config(path));
  TRY(parse_config(config.raw_, path));
  return config;
}

Result<DockerConfig> DockerConfig::parse(std::string text) {
  if (text.size() > kMaxConfigBytes) return Error{Code::Invalid, "a docker config of more than " + std::to_string(kMaxConfigBytes) + " bytes"};
  DockerConfig config;
  config.raw_ = std::move(text);
  TRY(parse_config(config.raw_, config.path_));
  return config;
}

DockerConfig DockerConfig::of(const std::string& host, const Credentials& credentials) {
  Json entry = Json::object();
  if (!credentials.username.empty()) entry.set("username", credentials.username);
  if (!credentials.password.empty()) entry.set("password", credentials.password);
  if (!credentials.identity_token.empty()) entry.set("identitytoken", credentials.identity_token);
  Json auths = Json::object();
  auths.set(key_of(host), std::move(entry));
  Json root = Json::object();
  root.set("auths", std::move(auths));
  DockerConfig config;
  config.raw_ = to_json(root);
  return config;
}

Result<std::optional<Credentials>> DockerConfig::credentials_for(const std::string& host, std::stop_token stop) const {
  Json config = TRY(parse_config(raw_, path_));
  if (std::string helper = helper_for(config, host); !helper.empty()) return ask_helper(helper, host, std::move(stop));
  const Json* entry = entry_for(config, host);
  return entry ? read_docker_credentials(*entry, host) : std::optional<Credentials>();
}

std::string DockerConfig::fingerprint(const std::string& host) const {
  auto config = parse_config(raw_, path_);
  if (!config.ok()) return raw_;
  if (std::string helper = helper_for(*config, host); !helper.empty()) return "helper " + helper;
  const Json* entry = entry_for(*config, host);
  return entry ? to_json(*entry) : std::string();
}

Result<void> DockerConfig::store(const std::string& host, const Credentials& credentials) {
  if (path_.empty()) return no_file();
  // Read anew: another program may have written since.
  std::string raw = TRY(read_config(path_));
  Json config = TRY(parse_config(raw, path_));
  bool token = !credentials.identity_token.empty();
  if (std::string helper = helper_for(config, host); !helper.empty()) {
    Json input = Json::object({{"ServerURL", key_of(host)},
                               {"Username", token ? std::string(kTokenUser) : credentials.username},
                               {"Secret", token ? credentials.identity_token : credentials.password}});
    ProcessResult result = TRY(run_helper(helper, "store", to_json(input), {}));
    if (result.exit_code != 0) return helper_error(helper, "store", result);
    return {};
  }
  Json entry = Json::object();
  if (!credentials.username.empty()) entry.set("auth", base64_encode(credentials.username + ":" + credentials.password));
  if (token) entry.set("identitytoken", credentials.identity_token);
  Json* auths = config.find("auths");
  if (!auths || !auths->is_object()) auths = &config.set("auths", Json::object());
  auths->set(key_of(host), std::move(entry));
  std::string written = write_config(config);
  TRY(save(path_, written).context("storing credentials of " + host));
  raw_ = std::move(written);
  return {};
}

Result<bool> DockerConfig::erase(const std::string& host) {
  if (path_.empty()) return no_file();
  std::string raw = TRY(read_config(path_));
  Json config = TRY(parse_config(raw, path_));
  bool erased = false;
  if (std::string helper = helper_for(config, host); !helper.empty()) {
    auto before = TRY(ask_helper(helper, host, {}));
    ProcessResult result = TRY(run_helper(helper, "erase", key_of(host), {}));
    if (before && result.exit_code != 0) return helper_error(helper, "erase", result);
    erased = before.has_value();
  }
  std::vector<std::string> keys;
  for (const JsonMember& member : config["auths"].members()) {
    if (names_host(member.key, host)) keys.push_back(member.key);
  }
  if (keys.empty()) return erased;
  for (const std::string& key : keys) config.find("auths")->erase(key);
  std::string written = write_config(config);
  TRY(save(path_, written).context("removing credentials of " + host));
  raw_ = std::move(written);
  return true;
}

bool DockerConfig::stores_in_plain_text(const std::string& host) const {
  auto config = parse_config(raw_, path_);
  return config.ok() && helper_for(*config, host).empty();
}

}  // namespace archway
