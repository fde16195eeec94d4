#include "image/config.h"

#include <algorithm>

namespace archway {

namespace {

// Go's omitempty: what is empty is not written.
void set_text(Json& json, std::string_view key, const std::string& value) {
  if (!value.empty()) json.set(key, value);
}
void set_texts(Json& json, std::string_view key, const std::vector<std::string>& value) {
  if (!value.empty()) json.set(key, Json(value));
}
void set_number(Json& json, std::string_view key, int64_t value) {
  if (value != 0) json.set(key, value);
}
void set_keys(Json& json, std::string_view key, const std::vector<std::string>& keys) {
  if (keys.empty()) return;
  Json set = Json::object();
  for (const std::string& name : keys) set.mutable_members().push_back({name, Json::object()});
  json.set(key, std::move(set));
}

Json healthcheck_json(const Healthcheck& check) {
  Json json = Json::object();
  set_texts(json, "Test", check.test);
  set_number(json, "Interval", check.interval);
  set_number(json, "Timeout", check.timeout);
  set_number(json, "StartPeriod", check.start_period);
  set_number(json, "StartInterval", check.start_interval);
  set_number(json, "Retries", check.retries);
  return json;
}

// "config": BuildKit keeps the order of the Go structs (image-spec's ImageConfig, then Docker's additions).
Json run_config_json(const ImageConfig& config) {
  Json json = Json::object();
  set_text(json, "User", config.user);
  set_keys(json, "ExposedPorts", config.exposed_ports);
  set_texts(json, "Env", config.env);
  if (config.entrypoint) set_texts(json, "Entrypoint", *config.entrypoint);
  if (config.cmd) set_texts(json, "Cmd", *config.cmd);
  set_keys(json, "Volumes", config.volumes);
  set_text(json, "WorkingDir", config.working_dir);
  if (!config.labels.empty()) {
    Json labels = Json::object();
    for (const auto& [key, value] : config.labels) labels.mutable_members().push_back({key, value});
    json.set("Labels", std::move(labels));
  }
  set_text(json, "StopSignal", config.stop_signal);
  if (config.args_escaped) json.set("ArgsEscaped", true);
  if (config.healthcheck) json.set("Healthcheck", healthcheck_json(*config.healthcheck));
  set_texts(json, "OnBuild", config.onbuild);
  set_texts(json, "Shell", config.shell);
  for (const JsonMember& member : config.other_config.members()) {
    if (!json.has(member.key)) json.set(member.key, member.value);
  }
  return json;
}

Json history_json(const std::vector<HistoryEntry>& history) {
  Json list = Json::array();
  for (const HistoryEntry& entry : history) {
    Json json = Json::object();
    if (entry.created) json.set("created", format_rfc3339(*entry.created));
    set_text(json, "created_by", entry.created_by);
    set_text(json, "author", entry.author);
    set_text(json, "comment", entry.comment);
    if (entry.empty_layer) json.set("empty_layer", true);
    list.push(std::move(json));
  }
  return list;
}

Json rootfs_json(const std::vector<Digest>& diff_ids) {
  Json list = Json::array();
  for (const Digest& diff_id : diff_ids) list.push(diff_id.str());
  return Json::object({{"type", "layers"}, {"diff_ids", std::move(list)}});
}

// The members at the top are a Go map in BuildKit, so they are written sorted; what is below keeps its order.
std::string write_sorted_top(Json json) {
  Json::Object& members = json.mutable_members();
  std::stable_sort(members.begin(), members.end(), [](const JsonMember& a, const JsonMember& b) { return a.key < b.key; });
  return to_json(json, {.go_escapes = true});
}

}  // namespace

std::string write_image_config(const ImageConfig& config) {
  Json json = config.other;
  if (!json.is_object()) json = Json::object();
  json.set("architecture", config.platform.architecture);
  json.set("os", config.platform.os);
  if (!config.platform.variant.empty()) json.set("variant", config.platform.variant);
  if (!config.platform.os_version.empty()) json.set("os.version", config.platform.os_version);
  if (!config.platform.os_features.empty()) json.set("os.features", Json(config.platform.os_features));
  if (config.created) json.set("created", format_rfc3339(*config.created));
  set_text(json, "author", config.author);
  json.set("config", run_config_json(config));
  json.set("rootfs", rootfs_json(config.diff_ids));
  if (!config.history.empty()) json.set("history", history_json(config.history));
  return write_sorted_top(std::move(json));
}

}  // namespace archway
