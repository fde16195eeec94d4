#include "admission/gate_controller.h"

#include <algorithm>
#include <thread>

#include "admission/decision.h"
#include "admission/names.h"
#include "base/log.h"

namespace archway::admission {
namespace {

using std::chrono::milliseconds;

std::optional<size_t> gate_index(const Json& pod) {
  const Json::Array& gates = pod["spec"]["schedulingGates"].items();
  for (size_t i = 0; i < gates.size(); i++) {
    if (gates[i]["name"].string() == kGate) return i;
  }
  return std::nullopt;
}

std::string name_of(const Json& pod) { return "pod " + pod["metadata"]["namespace"].string() + "/" + pod["metadata"]["name"].string(); }

bool may_answer_later(const ImageAnswers& answers) {
  return std::any_of(answers.begin(), answers.end(), [](const auto& one) {
    return !one.second.truth && (one.second.code == Code::Unavailable || one.second.code == Code::Cancelled);
  });
}

}  // namespace

bool has_our_gate(const Json& pod) { return gate_index(pod).has_value(); }

GateController::GateController(std::shared_ptr<kube::Client> client, GateControllerOptions options) : client_(std::move(client)), options_(std::move(options)) {
  if (!options_.monotonic) {
    options_.monotonic = [] { return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()); };
  }
  if (!options_.clock) options_.clock = &system_clock();
  // Nobody can refuse a pod that is there already.
  options_.policy.on_conflict = Policy::OnConflict::Warn;
}

GateCounters GateController::counters() const {
  std::lock_guard lock(mutex_);
  GateCounters counters = state_.counters;
  counters.waiting = state_.pods.size();
  return counters;
}

Result<void> GateController::run(std::stop_token stop) {
  std::vector<std::jthread> workers;
  // Whatever ends the watch ends the workers too.
  std::stop_source ending;
  auto forward = [&] {
    ending.request_stop();
    { std::lock_guard lock(mutex_); }  // whoever has just looked is asleep by now, and is woken
    changed_.notify_all();
  };
  std::stop_callback<decltype(forward)> stopped(stop, forward);
  for (size_t i = 0; i < options_.workers; i++) workers.emplace_back([this, token = ending.get_token()] { work(token); });
  // A pod with a gate has no node: this leaves out nearly all others.
  auto watched = client_->watch(kube::resources::pods(), {}, {.field_selector = "spec.nodeName="}, [&](const kube::WatchEvent& event) { return note(event); }, stop);
  forward();
  workers.clear();
  std::lock_guard lock(mutex_);
  state_.pods.clear();
  return watched;
}

// Another replica may have waited with it before. Not beyond what counts, whatever the clocks say.
milliseconds GateController::age_of(const Json& pod) const {
  auto created = parse_rfc3339(pod["metadata"]["creationTimestamp"].string());
  if (!created) return milliseconds(0);
  int64_t age_ms = (options_.clock->now().nanoseconds - created->nanoseconds) / 1'000'000;
  return std::clamp(milliseconds(age_ms), milliseconds(0), options_.patience);
}

Result<void> GateController::note(const kube::WatchEvent& event) {
  using Type = kube::WatchEvent::Type;
  if (event.type == Type::Bookmark) return {};
  const std::string& uid = event.object["metadata"]["uid"].string();
  bool ours = event.type != Type::Deleted && has_our_gate(event.object) && event.object["metadata"]["deletionTimestamp"].is_null();
  std::lock_guard lock(mutex_);
  auto known = state_.pods.find(uid);
  if (!ours) {
    if (known == state_.pods.end()) return {};
    known->second.gone = true;
    if (!known->second.busy) state_.pods.erase(known);
    return {};
  }
  if (known != state_.pods.end()) {
    known->second.pod = event.object;
    return {};
  }
  Waiting waiting;
  waiting.pod = event.object;
  waiting.due = now();
  waiting.since = waiting.due - age_of(event.object);
  waiting.delay = options_.first_retry;
  // Too many to remember: this one is not made to wait.
  if (state_.pods.size() >= options_.max_pods) waiting.since = waiting.due - options_.patience;
  state_.pods.emplace(uid, std::move(waiting));
  changed_.notify_all();
  return {};
}

void GateController::work(std::stop_token stop) {
  while (!stop.stop_requested()) {
    if (work_once(stop)) continue;
    std::unique_lock lock(mutex_);
    milliseconds next = milliseconds::max();
    for (const auto& [uid, waiting] : state_.pods) {
      if (!waiting.busy) next = std::min(next, waiting.due);
    }
    auto due = [&] { return stop.stop_requested() || std::any_of(state_.pods.begin(), state_.pods.end(), [&](const auto& one) { return !one.second.busy && one.second.due <= now(); }); };
    milliseconds patience = next == milliseconds::max() ? milliseconds(std::chrono::hours(1)) : std::max(milliseconds(1), next - now());
    changed_.wait_for(lock, patience, due);
  }
}

bool GateController::work_once(std::stop_token stop) {
  std::string uid;
  Json pod;
  bool last_chance = false;
  {
    std::lock_guard lock(mutex_);
    auto ready = std::find_if(state_.pods.begin(), state_.pods.end(), [&](const auto& one) { return !one.second.busy && one.second.due <= now(); });
    if (ready == state_.pods.end()) return false;
    ready->second.busy = true;
    uid = ready->first;
    pod = ready->second.pod;
    last_chance = now() - ready->second.since >= options_.patience;
  }
  Step step = attend(pod, last_chance, stop);
  std::lock_guard lock(mutex_);
  auto found = state_.pods.find(uid);
  if (found == state_.pods.end()) return true;
  Waiting& waiting = found->second;
  waiting.busy = false;
  if (step == Step::Done || waiting.gone) {
    state_.pods.erase(found);
    return true;
  }
  // Never later than when patience ends.
  waiting.due = std::max(now() + milliseconds(1), std::min(now() + waiting.delay, std::max(waiting.since + options_.patience, now() + options_.first_retry)));
  waiting.delay = std::min(waiting.delay * 2, options_.max_retry);
  return true;
}

GateController::Step GateController::attend(const Json& pod, bool last_chance, std::stop_token stop) {
  const std::string& name_space = pod["metadata"]["namespace"].string();
  auto images = images_to_ask(pod["spec"]);
  ImageAnswers answers;
  if (images.ok()) answers = options_.ask(name_space, pod["spec"], *images, stop);
  if (stop.stop_requested()) return Step::Again;
  if (!last_chance && may_answer_later(answers)) return Step::Again;
  Subject subject;
  subject.object = &pod;
  subject.name = name_of(pod);
  subject.change = Subject::Change::Narrow;
  Decision decision = decide(subject, answers, options_.policy);
  Step step = lift_somehow(pod, decision.patch, stop);
  if (step != Step::Done) return step;
  {
    std::lock_guard lock(mutex_);
    state_.counters.lifted++;
    if (decision.outcome == Outcome::Changed) state_.counters.changed++;
    if (decision.outcome == Outcome::Unknown) state_.counters.gave_up++;
  }
  bool known = decision.outcome != Outcome::Unknown && decision.outcome != Outcome::Conflict;
  tell(pod, known ? EventType::Normal : EventType::Warning, known ? "ImagePlatformsKnown" : decision.outcome == Outcome::Conflict ? "ImagePlatformsConflict" : "ImagePlatformsUnknown",
       "scheduling gate lifted: " + decision.summary);
  return Step::Done;
}

// What is tested is what was decided on: a pod that changed meanwhile comes again by the watch.
Result<void> GateController::lift(const Json& pod, const Json& patch, std::stop_token stop) {
  auto index = gate_index(pod);
  if (!index) return {};
  std::string gate = "/spec/schedulingGates/" + std::to_string(*index);
  Json operations = Json::array();
  operations.push(Json::object({{"op", "test"}, {"path", "/metadata/uid"}, {"value", pod["metadata"]["uid"]}}));
  operations.push(Json::object({{"op", "test"}, {"path", gate + "/name"}, {"value", kGate}}));
  for (const Json& operation : patch.items()) operations.push(operation);
  operations.push(Json::object({{"op", "remove"}, {"path", gate}}));
  const Json& metadata = pod["metadata"];
  TRY(client_->patch(kube::resources::pods(), metadata["namespace"].string(), metadata["name"].string(), "application/json-patch+json", to_json(operations), false, stop));
  return {};
}

GateController::Step GateController::lift_somehow(const Json& pod, const Json& patch, std::stop_token stop) {
  auto lifted = lift(pod, patch, stop);
  if (lifted.ok() || lifted.error().code == Code::NotFound) return Step::Done;
  std::string why = lifted.error().message;
  if (lifted.error().code == Code::Invalid || lifted.error().code == Code::Mismatch) {
    // Either the pod is another by now, or the API server will not have the change.
    auto fresh = client_->get(kube::resources::pods(), pod["metadata"]["namespace"].string(), pod["metadata"]["name"].string(), stop);
    if (!fresh.ok()) return fresh.error().code == Code::NotFound ? Step::Done : Step::Again;
    if (!((*fresh)["metadata"]["uid"] == pod["metadata"]["uid"]) || !has_our_gate(*fresh)) return Step::Done;
    bool same = (*fresh)["metadata"]["resourceVersion"] == pod["metadata"]["resourceVersion"];
    if (!same) {
      std::lock_guard lock(mutex_);
      auto waiting = state_.pods.find(pod["metadata"]["uid"].string());
      if (waiting != state_.pods.end()) waiting->second.pod = *std::move(fresh);
      return Step::Again;
    }
    tell(pod, EventType::Warning, "ImagePlatformsRefused", "scheduling gate lifted without the change that its images ask for: " + why);
    if (lift(pod, Json::array(), stop).ok()) return Step::Done;
  }
  log_warn("lifting the scheduling gate of " + name_of(pod) + ": " + why);
  std::lock_guard lock(mutex_);
  state_.counters.errors++;
  return Step::Again;
}

void GateController::tell(const Json& pod, EventType type, const std::string& reason, const std::string& message) {
  if (!options_.events) return;
  ObjectReference about = ObjectReference::of(pod);
  about.api_version = "v1";
  about.kind = "Pod";
  options_.events->record(about, type, reason, message);
}

}  // namespace archway::admission
