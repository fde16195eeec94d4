#include "admission/events.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"

namespace archway::admission {
namespace {

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

}  // namespace

ObjectReference ObjectReference::of(const Json& object) {
  const Json& metadata = object["metadata"];
  return {object["apiVersion"].string(), object["kind"].string(), metadata["namespace"].string(), metadata["name"].string(), metadata["uid"].string(), metadata["resourceVersion"].string()};
}

EventRecorder::EventRecorder(std::shared_ptr<kube::Client> client, EventRecorderOptions options) : client_(std::move(client)), options_(std::move(options)) {
  if (!options_.clock) options_.clock = &system_clock();
  {
    auto state = state_.lock();
    state->tokens = options_.burst;
    state->refilled = options_.clock->now();
  }
  worker_ = std::jthread([this](std::stop_token stop) { work(stop); });
}

EventRecorder::~EventRecorder() {
  worker_.request_stop();
  { auto state = state_.lock(); }  // a worker that has just looked is asleep by now, and is woken
  changed_.notify_all();
}

uint64_t EventRecorder::dropped() const { return state_.lock()->dropped; }

void EventRecorder::record(const ObjectReference& about, EventType type, std::string reason, std::string message) {
  Time now = options_.clock->now();
  auto state = state_.lock();
  int64_t gained = (now.nanoseconds - state->refilled.nanoseconds) / std::max<int64_t>(1, std::chrono::nanoseconds(options_.refill).count());
  if (gained > 0) {
    state->tokens = std::min(options_.burst, state->tokens + static_cast<size_t>(std::min<int64_t>(gained, static_cast<int64_t>(options_.burst))));
    state->refilled = now;
  }
  if (state->tokens == 0 || state->queue.size() >= options_.max_queue || about.name.empty()) {
    state->dropped++;
    return;
  }
  state->tokens--;
  state->queue.push_back({about, type, cut_to(std::move(reason), kMaxEventReasonBytes), cut_to(std::move(message), kMaxEventMessageBytes), now});
  changed_.notify_all();
}

void EventRecorder::drain() {
  auto state = state_.lock();
  state.wait(changed_, [&] { return state->queue.empty() && !state->busy; });
}

void EventRecorder::work(std::stop_token stop) {
  for (;;) {
    Item item;
    {
      auto state = state_.lock();
      state->busy = false;
      changed_.notify_all();
      state.wait(changed_, [&] { return !state->queue.empty() || stop.stop_requested(); });
      if (state->queue.empty()) return;
      item = std::move(state->queue.front());
      state->queue.pop_front();
      state->busy = true;
    }
    // At the end what is left goes out as long as somebody takes it.
    if (!send(item, stop) && stop.stop_requested()) return;
  }
}

Json EventRecorder::event_of(const Item& item, const Sent& sent) const {
  const ObjectReference& about = item.about;
  // Objects of the whole cluster have their events in "default".
  std::string name_space = about.name_space.empty() ? "default" : about.name_space;
  Json involved = Json::object({{"apiVersion", about.api_version}, {"kind", about.kind}, {"name", about.name}, {"uid", about.uid}});
  if (!about.name_space.empty()) involved.set("namespace", about.name_space);
  if (!about.resource_version.empty()) involved.set("resourceVersion", about.resource_version);
  Json source = Json::object({{"component", options_.component}});
  if (!options_.host.empty()) source.set("host", options_.host);
  Json event = Json::object({{"apiVersion", "v1"}, {"kind", "Event"}, {"metadata", Json::object({{"name", sent.name}, {"namespace", name_space}})}});
  event.set("involvedObject", involved);
  event.set("reason", item.reason);
  event.set("message", item.message);
  event.set("type", item.type == EventType::Normal ? "Normal" : "Warning");
  event.set("source", source);
  event.set("firstTimestamp", format_rfc3339(Time::from_seconds(sent.first.seconds())));
  event.set("lastTimestamp", format_rfc3339(Time::from_seconds(item.when.seconds())));
  event.set("count", sent.count);
  return event;
}

bool EventRecorder::send(const Item& item, std::stop_token stop) {
  std::string key = item.about.uid + "\n" + item.about.name_space + "/" + item.about.name + "\n" + item.reason + "\n" + item.message;
  std::string name_space = item.about.name_space.empty() ? "default" : item.about.name_space;
  std::stop_token token = stop.stop_requested() ? std::stop_token() : stop;
  auto known = sent_.find(key);
  if (known != sent_.end()) {
    known->second.count++;
    Json change = Json::object({{"count", known->second.count}, {"lastTimestamp", format_rfc3339(Time::from_seconds(item.when.seconds()))}});
    auto patched = client_->patch(kube::resources::events(), name_space, known->second.name, "application/merge-patch+json", to_json(change), false, token);
    if (patched.ok() || patched.error().code != Code::NotFound) return patched.ok();
    sent_.erase(known);  // the cluster forgets events after an hour
  }
  Sent fresh{event_name(item.about.name, item.when, number_++), item.when, 1};
  auto created = client_->create(kube::resources::events(), name_space, event_of(item, fresh), false, token);
  if (!created.ok()) {
    log_debug("recording an event on " + item.about.name + ": " + created.error().message);
    return false;
  }
  if (sent_.size() >= options_.max_remembered) sent_.clear();
  sent_.emplace(std::move(key), std::move(fresh));
  return true;
}

}  // namespace archway::admission
