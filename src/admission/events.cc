#include "admission/events.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"

namespace archway::admission {
namespace {

using std::chrono::nanoseconds;

constexpr std::string_view kCombined = "(combined from similar events): ";
// A clock that is set back must not keep what is due for ever.
constexpr auto kMaxWait = std::chrono::seconds(1);

// At most `limit` bytes, and no half of a character.
std::string cut_to(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  size_t end = limit - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) end--;
  return text.substr(0, end) + "...";
}

// client-go names events so; the number is not random, so that what is sent again is not made twice.
std::string event_name(const std::string& object, Time when, uint64_t number) {
  char suffix[48];
  snprintf(suffix, sizeof suffix, ".%llx%04llx", static_cast<unsigned long long>(when.nanoseconds), static_cast<unsigned long long>(number & 0xffff));
  return object.substr(0, 253 - sizeof suffix) + suffix;
}

std::string seconds_of(Time time) { return format_rfc3339(Time::from_seconds(time.seconds())); }

}  // namespace

ObjectReference ObjectReference::of(const Json& object) {
  const Json& metadata = object["metadata"];
  return {object["apiVersion"].string(), object["kind"].string(), metadata["namespace"].string(), metadata["name"].string(), metadata["uid"].string(), metadata["resourceVersion"].string()};
}

bool EventRecorder::Bucket::take(Time now, size_t burst, std::chrono::milliseconds refill) {
  int64_t step = std::max<int64_t>(1, nanoseconds(refill).count());
  int64_t gained = refilled.nanoseconds == 0 ? static_cast<int64_t>(burst) : (now.nanoseconds - refilled.nanoseconds) / step;
  if (gained > 0) {
    tokens = std::min(burst, tokens + static_cast<size_t>(std::min<int64_t>(gained, static_cast<int64_t>(burst))));
    refilled = now;
  }
  if (tokens == 0) return false;
  tokens--;
  return true;
}

EventRecorder::EventRecorder(std::shared_ptr<kube::Client> client, EventRecorderOptions options) : client_(std::move(client)), options_(std::move(options)) {
  if (!options_.clock) options_.clock = &system_clock();
  worker_ = std::jthread([this](std::stop_token stop) { work(stop); });
}

EventRecorder::~EventRecorder() {
  worker_.request_stop();
  { std::lock_guard lock(mutex_); }  // a worker that has just looked is asleep by now, and is woken
  changed_.notify_all();
}

uint64_t EventRecorder::dropped() const {
  std::lock_guard lock(mutex_);
  return dropped_;
}

// Of one object and reason, messages beyond a few count as the same one; `message` then says so.
std::string EventRecorder::key_of(const ObjectReference& about, EventType type, const std::string& reason, std::string& message, Time now) {
  std::string key = about.kind + "\n" + about.name_space + "/" + about.name + "\n" + about.uid + "\n" + (type == EventType::Warning ? "w" : "n") + reason;
  if (alike_.size() >= options_.max_remembered && !alike_.contains(key)) alike_.clear();
  Alike& alike = alike_[key];
  if (now.nanoseconds - alike.last.nanoseconds > nanoseconds(options_.alike_for).count()) alike.messages.clear();
  alike.last = now;
  if (alike.messages.size() < options_.max_alike) alike.messages.insert(message);
  if (alike.messages.contains(message)) return key + "\n" + message;
  message = cut_to(std::string(kCombined) + message, kMaxEventMessageBytes);
  return key;
}

EventRecorder::Series& EventRecorder::series_of(const std::string& key, Time now) {
  auto known = series_.find(key);
  if (known != series_.end()) return known->second;
  // What waits is kept; the others are made anew when they happen again.
  if (series_.size() >= options_.max_remembered) std::erase_if(series_, [](const auto& one) { return !one.second.queued; });
  Series& made = series_[key];
  made.first = now;
  return made;
}

bool EventRecorder::may_write(const std::string& object, Time now) {
  if (objects_.size() >= options_.max_remembered && !objects_.contains(object)) objects_.clear();
  return objects_[object].take(now, options_.burst, options_.refill);
}

void EventRecorder::record(const ObjectReference& about, EventType type, std::string reason, std::string message) {
  Time now = options_.clock->now();
  reason = cut_to(std::move(reason), kMaxEventReasonBytes);
  message = cut_to(std::move(message), kMaxEventMessageBytes);
  std::lock_guard lock(mutex_);
  if (about.name.empty()) {
    dropped_++;
    return;
  }
  std::string key = key_of(about, type, reason, message, now);
  Series& series = series_of(key, now);
  series.about = about;
  series.type = type;
  series.reason = std::move(reason);
  series.message = std::move(message);
  series.last = now;
  series.count++;
  if (series.queued) return;
  if (queue_.size() >= options_.max_queue || !may_write(about.kind + "/" + about.name_space + "/" + about.name + "/" + about.uid, now)) {
    dropped_++;
    return;
  }
  int64_t due = now.nanoseconds;
  if (series.written) due = std::max(due, series.written->nanoseconds + nanoseconds(options_.repeat_pause).count());
  if (about.find_uid && series.name.empty()) due += nanoseconds(options_.uid_pause).count();
  series.queued = true;
  queue_.emplace(due, std::move(key));
  changed_.notify_all();
}

void EventRecorder::drain() {
  std::unique_lock lock(mutex_);
  hurried_++;
  changed_.notify_all();
  changed_.wait(lock, [&] { return queue_.empty() && !busy_; });
  hurried_--;
}

std::string EventRecorder::next(std::unique_lock<std::mutex>& lock, std::stop_token stop) {
  for (;;) {
    if (queue_.empty() && stop.stop_requested()) return {};
    if (queue_.empty()) {
      changed_.wait(lock, [&] { return !queue_.empty() || stop.stop_requested(); });
      continue;
    }
    bool hurried = hurried_ > 0 || stop.stop_requested();
    Time now = options_.clock->now();
    auto wait = nanoseconds(queue_.begin()->first - now.nanoseconds);
    if (hurried || wait.count() <= 0) {
      if (hurried || writes_.take(now, options_.write_burst, options_.write_pause)) break;
      wait = options_.write_pause;
    }
    changed_.wait_for(lock, std::min<nanoseconds>(wait, kMaxWait));
  }
  std::string key = queue_.begin()->second;
  queue_.erase(queue_.begin());
  return key;
}

void EventRecorder::work(std::stop_token stop) {
  size_t last_writes = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    busy_ = false;
    changed_.notify_all();
    std::string key = next(lock, stop);
    if (key.empty()) return;
    busy_ = true;
    Series& series = series_[key];
    series.queued = false;
    series.written = options_.clock->now();  // what happens meanwhile is for the next write
    Series copy = series;
    lock.unlock();
    bool sent = send(copy, stop);
    lock.lock();
    auto known = series_.find(key);
    if (known != series_.end()) known->second.name = copy.name;
    // At the end what is left goes out as long as somebody takes it.
    if (stop.stop_requested() && (!sent || ++last_writes >= kMaxLastWrites)) queue_.clear();
  }
}

Json EventRecorder::event_of(const Series& series, const std::string& name_space) const {
  const ObjectReference& about = series.about;
  Json involved = Json::object({{"apiVersion", about.api_version}, {"kind", about.kind}, {"name", about.name}});
  if (!about.uid.empty()) involved.set("uid", about.uid);
  if (!about.name_space.empty()) involved.set("namespace", about.name_space);
  if (!about.resource_version.empty()) involved.set("resourceVersion", about.resource_version);
  Json source = Json::object({{"component", options_.component}});
  if (!options_.host.empty()) source.set("host", options_.host);
  Json event = Json::object({{"apiVersion", "v1"}, {"kind", "Event"}, {"metadata", Json::object({{"name", series.name}, {"namespace", name_space}})}});
  event.set("involvedObject", involved);
  event.set("reason", series.reason);
  event.set("message", series.message);
  event.set("type", series.type == EventType::Normal ? "Normal" : "Warning");
  event.set("source", source);
  event.set("firstTimestamp", seconds_of(series.first));
  event.set("lastTimestamp", seconds_of(series.last));
  event.set("count", series.count);
  return event;
}

bool EventRecorder::send(Series& series, std::stop_token stop) {
  // Objects of the whole cluster have their events in "default".
  std::string name_space = series.about.name_space.empty() ? "default" : series.about.name_space;
  std::stop_token token = stop.stop_requested() ? std::stop_token() : stop;
  if (!series.name.empty()) {
    Json change = Json::object({{"count", series.count}, {"lastTimestamp", seconds_of(series.last)}, {"message", series.message}});
    auto patched = client_->patch(kube::resources::events(), name_space, series.name, "application/merge-patch+json", to_json(change), false, token);
    if (patched.ok() || patched.error().code != Code::NotFound) return patched.ok();
    // The cluster forgets events after an hour.
  }
  if (series.about.find_uid && series.about.uid.empty()) {
    auto object = client_->get(kube::resources::pods(), series.about.name_space, series.about.name, token);
    if (object.ok()) series.about.uid = (*object)["metadata"]["uid"].string();
  }
  {
    std::lock_guard lock(mutex_);
    series.name = event_name(series.about.name, series.last, number_++);
  }
  auto created = client_->create(kube::resources::events(), name_space, event_of(series, name_space), false, token);
  if (created.ok()) return true;
  log_debug("recording an event on " + series.about.name + ": " + created.error().message);
  series.name.clear();
  return false;
}

}  // namespace archway::admission
