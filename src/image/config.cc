#include "image/config.h"

#include <algorithm>

#include "image/manifest.h"

namespace archway {

namespace {

// A member taken out of a document. What nobody takes stays, and ends up in `other`.
class Members {
 public:
  explicit Members(const Json& json) : rest_(json.is_object() ? json : Json::object()) {}
  Json take(std::string_view key) {
    Json* found = rest_.find(key);
    if (!found) return {};
    Json value = std::move(*found);
    rest_.erase(key);
    return value;
  }
  // Back to the rest: what is there, but not as we could keep it.
  void leave(std::string_view key, Json value) { rest_.set(key, std::move(value)); }
  Json rest() && { return std::move(rest_); }

 private:
  Json rest_;
};

Error wrong_kind(std::string_view name, std::string_view expected) {
  return Error{Code::Invalid, std::string(name) + " is not " + std::string(expected)};
}

Result<std::string> text(const Json& json, std::string_view name) {
  if (!json.is_null() && !json.is_string()) return wrong_kind(name, "a string");
  return json.string();
}

Result<bool> flag(const Json& json, std::string_view name) {
  if (!json.is_null() && !json.is_bool()) return wrong_kind(name, "true or false");
  return json.boolean();
}

Result<int64_t> whole(const Json& json, std::string_view name) {
  if (!json.is_null() && !json.is_int()) return wrong_kind(name, "a whole number");
  return json.integer();
}

Result<std::vector<std::string>> texts(const Json& json, std::string_view name) {
  std::vector<std::string> list = json.strings();
  if ((!json.is_null() && !json.is_array()) || list.size() != json.size()) return wrong_kind(name, "a list of strings");
  return list;
}

Result<std::optional<std::vector<std::string>>> optional_texts(const Json& json, std::string_view name) {
  if (json.is_null()) return std::optional<std::vector<std::string>>();
  return std::optional(TRY(texts(json, name)));
}

// {"80/tcp": {}}: a set, as Go's map[string]struct{} is written
Result<std::vector<std::string>> keys(const Json& json, std::string_view name) {
  if (!json.is_null() && !json.is_object()) return wrong_kind(name, "an object");
  std::vector<std::string> list;
  for (const JsonMember& member : json.members()) list.push_back(member.key);
  std::sort(list.begin(), list.end());
  return list;
}

Result<std::map<std::string, std::string>> text_map(const Json& json, std::string_view name) {
  if (!json.is_null() && !json.is_object()) return wrong_kind(name, "an object of strings");
  std::map<std::string, std::string> map;
  for (const JsonMember& member : json.members()) {
    if (!member.value.is_string()) return wrong_kind(name, "an object of strings");
    map.emplace(member.key, member.value.string());
  }
  return map;
}

// Times outside of what 64 bits of nanoseconds hold (1678 to 2261) count as none: "0001-01-01T00:00:00Z",
// Go's zero time, is what several builders write for "not known".
std::optional<Time> time_of(const Json& json) {
  const std::string& when = json.string();
  std::string_view year = std::string_view(when).substr(0, 4);
  if (year < "1678" || year > "2261") return std::nullopt;
  return parse_rfc3339(when);
}

Result<HistoryEntry> parse_history_entry(const Json& json) {
  if (!json.is_object()) return wrong_kind("it", "an object");
  HistoryEntry entry;
  entry.created = time_of(json["created"]);
  entry.created_by = TRY(text(json["created_by"], "created_by"));
  entry.comment = TRY(text(json["comment"], "comment"));
  entry.author = TRY(text(json["author"], "author"));
  entry.empty_layer = TRY(flag(json["empty_layer"], "empty_layer"));
  return entry;
}

Result<std::vector<HistoryEntry>> parse_history(const Json& json) {
  if (!json.is_null() && !json.is_array()) return wrong_kind("history", "a list");
  std::vector<HistoryEntry> history;
  for (size_t i = 0; i < json.size(); ++i) {
    history.push_back(TRY(parse_history_entry(json.items()[i]).context("history[" + std::to_string(i) + "]")));
  }
  return history;
}

Result<std::vector<Digest>> parse_diff_ids(const Json& rootfs) {
  if (!rootfs.is_null() && !rootfs.is_object()) return wrong_kind("rootfs", "an object");
  const Json& list = rootfs["diff_ids"];
  if (list.size() > kMaxLayers) return Error{Code::Invalid, "rootfs.diff_ids has " + std::to_string(list.size()) + " entries, more than " + std::to_string(kMaxLayers)};
  std::vector<Digest> diff_ids;
  for (const std::string& diff_id : TRY(texts(list, "rootfs.diff_ids"))) diff_ids.push_back(TRY(Digest::parse(diff_id).context("rootfs.diff_ids")));
  return diff_ids;
}

Result<std::optional<Healthcheck>> parse_healthcheck(const Json& json) {
  if (json.is_null()) return std::optional<Healthcheck>();
  if (!json.is_object()) return wrong_kind("config.Healthcheck", "an object");
  Healthcheck check;
  check.test = TRY(texts(json["Test"], "config.Healthcheck.Test"));
  check.interval = TRY(whole(json["Interval"], "config.Healthcheck.Interval"));
  check.timeout = TRY(whole(json["Timeout"], "config.Healthcheck.Timeout"));
  check.start_period = TRY(whole(json["StartPeriod"], "config.Healthcheck.StartPeriod"));
  check.start_interval = TRY(whole(json["StartInterval"], "config.Healthcheck.StartInterval"));
  int64_t retries = TRY(whole(json["Retries"], "config.Healthcheck.Retries"));
  if (retries < INT32_MIN || retries > INT32_MAX) return wrong_kind("config.Healthcheck.Retries", "a number of retries");
  check.retries = static_cast<int>(retries);
  return std::optional(std::move(check));
}

Result<void> parse_run_config(const Json& json, ImageConfig& config) {
  if (!json.is_null() && !json.is_object()) return wrong_kind("config", "an object");
  Members members(json);
  config.user = TRY(text(members.take("User"), "config.User"));
  config.exposed_ports = TRY(keys(members.take("ExposedPorts"), "config.ExposedPorts"));
  config.env = TRY(texts(members.take("Env"), "config.Env"));
  config.entrypoint = TRY(optional_texts(members.take("Entrypoint"), "config.Entrypoint"));
  config.cmd = TRY(optional_texts(members.take("Cmd"), "config.Cmd"));
  config.volumes = TRY(keys(members.take("Volumes"), "config.Volumes"));
  config.working_dir = TRY(text(members.take("WorkingDir"), "config.WorkingDir"));
  config.labels = TRY(text_map(members.take("Labels"), "config.Labels"));
  config.stop_signal = TRY(text(members.take("StopSignal"), "config.StopSignal"));
  config.args_escaped = TRY(flag(members.take("ArgsEscaped"), "config.ArgsEscaped"));
  config.healthcheck = TRY(parse_healthcheck(members.take("Healthcheck")));
  config.onbuild = TRY(texts(members.take("OnBuild"), "config.OnBuild"));
  config.shell = TRY(texts(members.take("Shell"), "config.Shell"));
  config.other_config = std::move(members).rest();
  return {};
}

Result<ImageConfig> config_of(std::string_view raw) {
  if (raw.size() > kMaxManifestBytes) return Error{Code::Invalid, "it has " + std::to_string(raw.size()) + " bytes, more than the " + std::to_string(kMaxManifestBytes) + " that a configuration may have"};
  Json json = TRY(parse_json(raw));
  if (!json.is_object()) return wrong_kind("it", "a JSON object");
  Members members(json);
  ImageConfig config;
  Platform platform;
  platform.os = TRY(text(members.take("os"), "os"));
  platform.architecture = TRY(text(members.take("architecture"), "architecture"));
  platform.variant = TRY(text(members.take("variant"), "variant"));
  platform.os_version = TRY(text(members.take("os.version"), "os.version"));
  platform.os_features = TRY(texts(members.take("os.features"), "os.features"));
  config.platform = normalize_platform(std::move(platform));
  Json created = members.take("created");
  config.created = time_of(created);
  if (!config.created && !created.is_null()) members.leave("created", std::move(created));
  config.author = TRY(text(members.take("author"), "author"));
  config.diff_ids = TRY(parse_diff_ids(members.take("rootfs")));
  config.history = TRY(parse_history(members.take("history")));
  TRY(parse_run_config(members.take("config"), config));
  config.other = std::move(members).rest();
  return config;
}

}  // namespace

Result<ImageConfig> parse_image_config(std::string_view raw) { return config_of(raw).context("reading an image configuration"); }

const std::string* ImageConfig::env_value(std::string_view name, std::string& storage) const {
  // The first counts, as for getenv.
  for (const std::string& entry : env) {
    if (entry.size() > name.size() && entry[name.size()] == '=' && std::string_view(entry).substr(0, name.size()) == name) {
      storage = entry.substr(name.size() + 1);
      return &storage;
    }
  }
  return nullptr;
}

}  // namespace archway
