#include "kube/watcher.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace archway::kube {
namespace {

using Type = WatchEvent::Type;

std::string key_of(const Json& object) { return object["metadata"]["namespace"].string() + "/" + object["metadata"]["name"].string(); }

}  // namespace

Result<WatchLine> parse_watch_line(std::string_view text) {
  Json json = TRY(parse_json(text).context("an event of the watch"));
  const std::string& type = json["type"].string();
  Json* object = json.find("object");
  if (!object || !object->is_object()) return Error{Code::Invalid, "an event of the watch has no object"};
  WatchLine line;
  if (type == "ERROR") {
    int64_t code = (*object)["code"].integer();
    line.expired = code == 410 || (*object)["reason"].string() == "Expired" || (*object)["reason"].string() == "Gone";
    line.problem = (*object)["message"].string_or("the server ended the watch with an error");
    return line;
  }
  static constexpr std::array<std::pair<std::string_view, Type>, 4> kTypes = {
      {{"ADDED", Type::Added}, {"MODIFIED", Type::Modified}, {"DELETED", Type::Deleted}, {"BOOKMARK", Type::Bookmark}}};
  auto known = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& one) { return one.first == type; });
  if (known == kTypes.end()) return Error{Code::Invalid, "an event of the watch is of unknown type"};
  line.event = WatchEvent{known->second, std::move(*object)};
  return line;
}

Watcher::Watcher(ApiSession& session, Client& client, Resource resource, std::string name_space, ListOptions options, const Each& each, std::stop_token stop)
    : session_(session), client_(client), resource_(std::move(resource)), name_space_(std::move(name_space)), options_(std::move(options)), each_(each), stop_(std::move(stop)) {}

Result<void> Watcher::run() {
  while (!stop_.stop_requested()) {
    auto step = version_.empty() ? list_again() : follow();
    if (step.ok()) continue;
    if (listener_failed_) return step;
    if (stop_.stop_requested()) break;
    if (is_final(step.error())) return step;
    back_off();
  }
  return {};
}

// A server that restarts refuses for a while, and a role may be granted later; but what never worked is worth an error.
bool Watcher::is_final(const Error& error) const { return !ever_followed_ && error.code != Code::Unavailable && error.code != Code::Cancelled; }

void Watcher::back_off() {
  session_.sleep(backoff_, stop_);
  backoff_ = std::min(backoff_ * 2, kMaxWatchBackoff);
}

Result<void> Watcher::tell(Type type, Json object) {
  auto told = each_(WatchEvent{type, std::move(object)});
  listener_failed_ = !told.ok();
  return told;
}

Result<void> Watcher::list_again() {
  round_++;
  auto note = [this](Json object) { return note_listed(std::move(object)); };
  std::string version = TRY(client_.list(resource_, name_space_, options_, note, stop_));
  TRY(drop_vanished());
  if (version.empty()) return Error{Code::Unavailable, "watching " + resource_.plural + ": the list has no resourceVersion"};
  version_ = std::move(version);
  return {};
}

Result<void> Watcher::note_listed(Json object) {
  std::string key = key_of(object), uid = object["metadata"]["uid"].string(), version = object["metadata"]["resourceVersion"].string();
  auto [at, is_new] = known_.try_emplace(key);
  Known before = std::exchange(at->second, Known{uid, version, round_});
  if (is_new) return tell(Type::Added, std::move(object));
  if (before.uid != uid) {
    TRY(tell(Type::Deleted, remains_of(key, before)));
    return tell(Type::Added, std::move(object));
  }
  if (before.version == version && !version.empty()) return {};
  return tell(Type::Modified, std::move(object));
}

Result<void> Watcher::drop_vanished() {
  for (auto at = known_.begin(); at != known_.end();) {
    if (at->second.round == round_) {
      ++at;
      continue;
    }
    Json remains = remains_of(at->first, at->second);
    at = known_.erase(at);
    TRY(tell(Type::Deleted, std::move(remains)));
  }
  return {};
}

Json Watcher::remains_of(const std::string& key, const Known& known) const {
  auto [name_space, name] = cut(key, '/');
  Json metadata = Json::object({{"name", Json(name.value_or(""))}, {"uid", known.uid}});
  if (!name_space.empty()) metadata.set("namespace", name_space);
  std::string api_version = resource_.group.empty() ? resource_.version : resource_.group + "/" + resource_.version;
  return Json::object({{"apiVersion", api_version}, {"kind", resource_.kind}, {"metadata", metadata}});
}

Result<void> Watcher::follow() {
  ApiRequest request;
  request.path = resource_.path(name_space_);
  request.query = {{"watch", "true"}, {"allowWatchBookmarks", "true"}, {"resourceVersion", version_}, {"timeoutSeconds", std::to_string(kWatchSeconds)}};
  if (!options_.label_selector.empty()) request.query.emplace_back("labelSelector", options_.label_selector);
  if (!options_.field_selector.empty()) request.query.emplace_back("fieldSelector", options_.field_selector);
  request.stall_timeout = kWatchStall;
  auto response = TRY(session_.send(request, stop_));
  if (response->status == 410) {
    version_.clear();
    return {};
  }
  if (response->status != 200) {
    auto body = response->text(kMaxStatusBytes);
    return api_error(response->status, body.ok() ? *body : "", "watching " + resource_.plural);
  }
  ever_followed_ = true;
  heard_ = false;
  auto began = std::chrono::steady_clock::now();
  TRY(read_lines(*response));
  // A server that takes a watch and drops it at once is not to be asked in a tight loop.
  if (!heard_ && std::chrono::steady_clock::now() - began < std::chrono::seconds(1)) back_off();
  return {};
}

Result<void> Watcher::read_lines(HttpResponse& response) {
  std::string pending;
  std::array<std::byte, 64 * 1024> buffer;
  for (;;) {
    size_t count = TRY(response.body().read(buffer));
    if (count == 0) return {};
    size_t searched = pending.size();
    pending += as_text({buffer.data(), count});
    size_t begin = 0;
    for (size_t end; (end = pending.find('\n', std::max(begin, searched))) != std::string::npos; begin = end + 1) {
      std::string_view line = trim(std::string_view(pending).substr(begin, end - begin));
      if (!line.empty()) TRY(take_line(line));
      if (version_.empty() || stop_.stop_requested()) return {};
    }
    pending.erase(0, begin);
    if (pending.size() > kMaxWatchEventBytes) return Error{Code::Unavailable, "watching " + resource_.plural + ": an event is longer than " + human_bytes(kMaxWatchEventBytes)};
  }
}

Result<void> Watcher::take_line(std::string_view text) {
  auto parsed = parse_watch_line(text);
  // A line that makes no sense ends the connection, not the watch: the rest of the line may be lost in a proxy.
  if (!parsed.ok()) return Error{Code::Unavailable, std::move(parsed).error().message};
  WatchLine line = *std::move(parsed);
  if (!line.event) {
    if (!line.expired) return Error{Code::Unavailable, "watching " + resource_.plural + ": " + line.problem};
    version_.clear();
    return {};
  }
  heard_ = true;
  backoff_ = kFirstWatchBackoff;
  const Json& metadata = line.event->object["metadata"];
  std::string version = metadata["resourceVersion"].string(), key = key_of(line.event->object);
  if (line.event->type == Type::Deleted) known_.erase(key);
  if (line.event->type == Type::Added || line.event->type == Type::Modified) known_[key] = Known{metadata["uid"].string(), version, round_};
  TRY(tell(line.event->type, std::move(line.event->object)));
  if (!version.empty()) version_ = std::move(version);
  return {};
}

}  // namespace archway::kube
