#include "admission/lease.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace archway::admission {
namespace {

using std::chrono::milliseconds;

milliseconds steady_now() { return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()); }

// MicroTime: always six decimals (apimachinery's micro_time.go refuses what it does not print).
std::string micro_time(Time time) {
  std::string whole = format_rfc3339(Time::from_seconds(time.seconds()));
  char decimals[16];
  snprintf(decimals, sizeof decimals, ".%06dZ", static_cast<int>((time.nanoseconds - time.seconds() * 1'000'000'000) / 1000));
  return whole.substr(0, whole.size() - 1) + decimals;
}

}  // namespace

Lease::Lease(std::shared_ptr<kube::Client> client, LeaseOptions options) : client_(std::move(client)), options_(std::move(options)) {
  if (!options_.monotonic) options_.monotonic = steady_now;
  if (!options_.clock) options_.clock = &system_clock();
}

milliseconds Lease::now() const { return options_.monotonic(); }

void Lease::sleep(milliseconds duration, std::stop_token stop) const {
  if (options_.sleep) return options_.sleep(duration, stop);
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, duration, [] { return false; });
}

bool Lease::holds() const { return renewed_at_ && now() - *renewed_at_ < options_.renew_deadline; }

Json Lease::renewed(const Json& spec, bool take_over) const {
  std::string time = micro_time(options_.clock->now());
  int64_t transitions = spec["leaseTransitions"].integer();
  Json next = Json::object({{"holderIdentity", options_.identity}, {"leaseDurationSeconds", static_cast<int64_t>(options_.duration.count())}});
  next.set("acquireTime", take_over ? Json(time) : spec["acquireTime"]);
  next.set("renewTime", time);
  next.set("leaseTransitions", take_over && !spec["holderIdentity"].string().empty() ? transitions + 1 : transitions);
  return next;
}

Result<bool> Lease::try_hold(std::stop_token stop) {
  auto resource = kube::resources::leases();
  auto found = client_->get(resource, options_.name_space, options_.name, stop);
  if (!found.ok() && found.error().code != Code::NotFound) return std::move(found).error();
  milliseconds asked = now();
  Json lease = found.ok() ? *std::move(found) : Json::object({{"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}, {"metadata", Json::object({{"name", options_.name}})}});
  bool exists = lease["metadata"].has("resourceVersion");
  const Json& spec = lease["spec"];
  const std::string& holder = spec["holderIdentity"].string();
  if (std::string record = to_json(spec); record != observed_) {
    observed_ = std::move(record);
    observed_at_ = asked;
  }
  bool ours = holder == options_.identity;
  milliseconds patience = std::chrono::seconds(spec["leaseDurationSeconds"].integer(options_.duration.count()));
  if (!ours && !holder.empty() && asked < observed_at_ + patience) {
    renewed_at_.reset();
    return false;
  }
  lease.set("spec", renewed(spec, !ours));
  // The resourceVersion in it makes this fail where another was quicker.
  auto written = exists ? client_->replace(resource, options_.name_space, options_.name, lease, stop) : client_->create(resource, options_.name_space, lease, false, stop);
  if (!written.ok() && (written.error().code == Code::Mismatch || written.error().code == Code::Exists)) {
    if (!ours) renewed_at_.reset();
    return false;
  }
  if (!written.ok()) return std::move(written).error();
  observed_ = to_json((*written)["spec"]);
  observed_at_ = asked;
  renewed_at_ = asked;
  return true;
}

Result<void> Lease::release(std::stop_token stop) {
  if (!renewed_at_) return {};
  renewed_at_.reset();
  Json lease = TRY(client_->get(kube::resources::leases(), options_.name_space, options_.name, stop));
  if (lease["spec"]["holderIdentity"].string() != options_.identity) return {};
  Json spec = lease["spec"];
  spec.set("holderIdentity", "");
  spec.set("leaseDurationSeconds", 1);
  lease.set("spec", spec);
  TRY(client_->replace(kube::resources::leases(), options_.name_space, options_.name, lease, stop));
  return {};
}

// A renewal that hangs must not outlive the lease: it is given up when holding ends.
Result<bool> Lease::renew(std::stop_token stop) {
  std::stop_source give_up;
  auto forward = [&] { give_up.request_stop(); };
  std::stop_callback<decltype(forward)> stopped(stop, forward);
  milliseconds left = *renewed_at_ + options_.renew_deadline - now();
  std::jthread timer([&, left](std::stop_token done) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    never.wait_for(lock, done, left, [] { return false; });
    if (!done.stop_requested()) give_up.request_stop();
  });
  return try_hold(give_up.get_token());
}

void Lease::run(const std::function<void(std::stop_token)>& lead, std::stop_token stop) {
  std::string last_problem;
  while (!stop.stop_requested()) {
    auto held = try_hold(stop);
    if (held.ok() && *held) {
      log_info("lease " + options_.name_space + "/" + options_.name + ": " + options_.identity + " leads");
      hold_while(lead, stop);
      last_problem.clear();
      continue;
    }
    if (!held.ok() && held.error().message != last_problem && !stop.stop_requested()) {
      last_problem = held.error().message;
      log_warn("lease " + options_.name_space + "/" + options_.name + ": " + last_problem);
    }
    sleep(options_.retry, stop);
  }
}

void Lease::hold_while(const std::function<void(std::stop_token)>& lead, std::stop_token stop) {
  {
    std::jthread leader([&](std::stop_token leading) { lead(leading); });
    while (!stop.stop_requested() && holds()) {
      sleep(options_.retry, stop);
      if (stop.stop_requested()) break;
      auto renewed = renew(stop);
      // Another holds it: it has waited until ours ran out, so we must have stopped already. An error may pass before the deadline.
      if (renewed.ok() && !*renewed && !renewed_at_) break;
    }
  }  // the leader has ended before anybody else may begin
  auto released = release();
  if (!released.ok()) log_debug("releasing lease " + options_.name + ": " + released.error().message);
}

}  // namespace archway::admission
