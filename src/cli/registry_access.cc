#include "cli/registry_access.h"

#include <pwd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

namespace archway::cli {
namespace {

constexpr uint64_t kMaxStallSeconds = 3600;

std::string home(const Context& context) {
  if (auto home = context.environment("HOME"); home && !home->empty()) return *home;
  passwd entry = {};
  passwd* found = nullptr;
  char buffer[4096];
  if (::getpwuid_r(::getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found) return found->pw_dir;
  return "/";
}

// Both spellings are in use.
std::string proxy_variable(const Context& context, const std::string& name) {
  for (const std::string& spelling : {name, to_lower(name)}) {
    if (auto value = context.environment(spelling); value && !value->empty()) return *value;
  }
  return {};
}

ProxyOptions proxies(const Context& context) {
  ProxyOptions proxy;
  std::string all = proxy_variable(context, "ALL_PROXY");
  proxy.http = proxy_variable(context, "HTTP_PROXY");
  proxy.https = proxy_variable(context, "HTTPS_PROXY");
  if (proxy.http.empty()) proxy.http = all;
  if (proxy.https.empty()) proxy.https = all;
  proxy.no_proxy = proxy_variable(context, "NO_PROXY");
  return proxy;
}

Result<std::map<std::string, std::string>> mirrors(const Arguments& arguments) {
  std::map<std::string, std::string> mirrors;
  for (const std::string& flag : arguments.many("mirror")) {
    auto [host, url] = cut(flag, '=');
    if (host.empty() || !url) return usage_error("--mirror " + flag + ": expected HOST=URL, as in --mirror docker.io=https://mirror.example.org");
    auto parsed = parse_url(*url);
    if (!parsed.ok()) return usage_error("--mirror " + flag + ": " + parsed.error().message);
    mirrors[std::string(host)] = parsed->str();
  }
  return mirrors;
}

// ARCHWAY_STALL_TIMEOUT: seconds without a byte after which a registry counts as stalled. For lines that are slower than
// most, and for tests, which would rather not wait for half a minute.
Result<std::chrono::milliseconds> stall_timeout(const Context& context, std::chrono::milliseconds otherwise) {
  auto text = context.environment("ARCHWAY_STALL_TIMEOUT");
  if (!text || text->empty()) return otherwise;
  auto seconds = parse_uint(*text);
  if (!seconds || *seconds < 1 || *seconds > kMaxStallSeconds) {
    return usage_error("archway: ARCHWAY_STALL_TIMEOUT=" + *text + " is not a number of seconds from 1 to " + std::to_string(kMaxStallSeconds));
  }
  return std::chrono::milliseconds(*seconds * 1000);
}

// Root of the machine, not an ordinary user who is root of a user namespace (where every verb that runs or unpacks is).
bool is_machine_root() {
  if (::getuid() != 0) return false;
  auto map = read_file("/proc/self/uid_map", 4096);
  if (!map.ok()) return true;
  std::vector<std::string> fields;
  for (std::string& field : split(replace_all(*map, "\n", " "), ' ')) {
    if (!field.empty()) fields.push_back(std::move(field));
  }
  return fields.size() >= 2 && fields[0] == "0" && fields[1] == "0";
}

}  // namespace

std::vector<Flag> registry_flags() {
  using enum Flag::Kind;
  return {
      {"plain-http", 0, Many, "HOST", "speak plain HTTP with this registry (loopback ones need no flag)"},
      {"mirror", 0, Many, "HOST=URL", "ask this URL in place of the registry HOST"},
      {"tls-ca", 0, One, "FILE", "certificates to trust besides the system's"},
      {"insecure-skip-tls-verify", 0, Many, "HOST", "do not check this registry's certificate"},
  };
}

std::string docker_config_path(const Context& context) {
  if (auto folder = context.environment("DOCKER_CONFIG"); folder && !folder->empty()) return *folder + "/config.json";
  return home(context) + "/.docker/config.json";
}

Result<std::string> registry_host(const std::string& spelling) {
  std::string_view host = spelling;
  for (std::string_view scheme : {"https://", "http://"}) {
    if (host.starts_with(scheme)) host.remove_prefix(scheme.size());
  }
  host = host.substr(0, host.find('/'));
  if (host == "index.docker.io" || host == "registry-1.docker.io" || host == "hub.docker.com") return std::string("docker.io");
  if (auto url = parse_url("https://" + std::string(host)); host.empty() || !url.ok()) return usage_error("\"" + spelling + "\" is not the name of a registry (HOST or HOST:PORT)");
  return std::string(host);
}

std::string state_root(const Context& context) {
  if (auto root = context.environment("ARCHWAY_ROOT"); root && !root->empty()) return *root;
  if (is_machine_root()) return "/var/lib/archway";
  // The XDG specification: a relative path is to be ignored.
  if (auto data = context.environment("XDG_DATA_HOME"); data && data->starts_with('/')) return *data + "/archway";
  return home(context) + "/.local/share/archway";
}

Result<RegistryOptions> registry_options(const Arguments& arguments, const Context& context) {
  RegistryOptions options;
  options.docker_config = TRY(DockerConfig::load(docker_config_path(context)));
  for (const std::string& host : arguments.many("plain-http")) options.plain_http.insert(host);
  for (const std::string& host : arguments.many("insecure-skip-tls-verify")) options.insecure_tls.insert(host);
  options.mirrors = TRY(mirrors(arguments));
  options.http.tls.ca_file = arguments.one_or("tls-ca", "");
  options.http.proxy = proxies(context);
  options.http.stall_timeout = TRY(stall_timeout(context, options.http.stall_timeout));
  options.warn = [context](const std::string& text) { context.err("archway: warning from " + text + "\n"); };
  options.stop = context.stop;
  return options;
}

Result<std::shared_ptr<RegistryClient>> make_registry_client(const Arguments& arguments, const Context& context) {
  auto options = TRY(registry_options(arguments, context));
  return RegistryClient::create(std::move(options));
}

}  // namespace archway::cli
