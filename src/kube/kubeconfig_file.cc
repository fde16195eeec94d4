#include "kube/kubeconfig_file.h"

#include "base/text.h"
#include "format/yaml.h"

namespace archway::kube {
namespace {

using Entries = std::map<std::string, KubeconfigEntry, std::less<>>;

Result<Entries> read_entries(const Json& config, std::string_view list, std::string_view member, const std::string& file) {
  Entries entries;
  const Json& items = config[list];
  if (!items.is_null() && !items.is_array()) return Error{Code::Invalid, std::string(list) + ": must be a list"};
  for (const Json& item : items.items()) {
    const std::string& name = item["name"].string();
    const Json& value = item[member];
    if (!item["name"].is_null() && !item["name"].is_string()) return Error{Code::Invalid, std::string(list) + ": a name must be a string"};
    if (!value.is_null() && !value.is_object()) return Error{Code::Invalid, std::string(list) + ": " + std::string(member) + " of \"" + name + "\" must be an object"};
    bool is_new = entries.emplace(name, KubeconfigEntry{file, value.is_null() ? Json::object() : value}).second;
    if (!is_new) return Error{Code::Invalid, std::string(list) + ": the name \"" + name + "\" is given twice"};
  }
  return entries;
}

Result<Kubeconfig> read_config(const Json& config, const std::string& file) {
  if (!config.is_object()) return Error{Code::Invalid, "not an object"};
  std::string kind = config["kind"].string_or("Config"), version = config["apiVersion"].string_or("v1");
  if (kind != "Config" || version != "v1") return Error{Code::Invalid, "this is a " + kind + " of " + version + ", not a Config of v1"};
  Kubeconfig result;
  result.current_context = config["current-context"].string();
  result.clusters = TRY(read_entries(config, "clusters", "cluster", file));
  result.users = TRY(read_entries(config, "users", "user", file));
  result.contexts = TRY(read_entries(config, "contexts", "context", file));
  return result;
}

}  // namespace

std::string KubeconfigEntry::resolve(const std::string& path) const {
  if (path.empty() || path.front() == '/') return path;
  size_t slash = file.rfind('/');
  return slash == std::string::npos ? path : file.substr(0, slash + 1) + path;
}

void Kubeconfig::merge(Kubeconfig later) {
  if (current_context.empty()) current_context = std::move(later.current_context);
  clusters.merge(later.clusters);
  users.merge(later.users);
  contexts.merge(later.contexts);
}

Result<Kubeconfig> parse_kubeconfig(std::string_view text, const std::string& file) {
  auto documents = TRY(parse_yaml_documents(text).context("reading " + file));
  if (documents.empty()) return Kubeconfig();
  return read_config(documents.front().value, file).context("reading " + file);
}

}  // namespace archway::kube
