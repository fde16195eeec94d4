#include "admission/cluster_side.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/fd.h"
#include "base/log.h"

namespace archway::admission {
namespace {

using namespace std::chrono_literals;

inline constexpr auto kGateLookup = 20s;      // for the images of one gated pod
inline constexpr auto kRestartPause = 10s;    // of what failed

// Sleeps, unless stopped.
void pause(std::chrono::milliseconds duration, std::stop_token stop) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, duration, [] { return false; });
}

// Runs `step` until stopped, again and again where it ends before.
template <class Step>
void run_forever(const std::string& what, Step step, std::stop_token stop) {
  while (!stop.stop_requested()) {
    Result<void> ended = step();
    if (stop.stop_requested()) return;
    if (!ended.ok()) log_warn(what + ": " + ended.error().message);
    pause(kRestartPause, stop);
  }
}

class Running final : public ClusterSide {
 public:
  explicit Running(ClusterSideOptions options) : options_(std::move(options)), nodes_(options_.client) {
    if (options_.record_events) {
      EventRecorderOptions recorder;
      recorder.host = options_.identity;
      events_ = std::make_unique<EventRecorder>(options_.client, recorder);
    }
    make_parts();
    if (options_.watch_nodes) {
      watcher_ = std::jthread([this](std::stop_token stop) { run_forever("nodes", [&] { return nodes_.run(stop); }, stop); });
    }
    if (keeper_) follower_ = std::jthread([this](std::stop_token stop) { follow_certificate(stop); });
    LeaseOptions lease;
    lease.name_space = options_.name_space;
    lease.name = options_.lease;
    lease.identity = options_.identity;
    elector_ = std::jthread([this, lease](std::stop_token stop) { Lease(options_.client, lease).run([this](std::stop_token leading) { lead(leading); }, stop); });
  }

  Result<void> wait_for_certificate(std::stop_token stop) override {
    std::unique_lock lock(mutex_);
    if (!written_.wait(lock, stop, [&] { return have_certificate_; })) return Error{Code::Cancelled, "waiting for the webhook's certificate: cancelled"};
    return {};
  }
  bool leads() const override { return leads_; }
  EventRecorder* events() override { return events_.get(); }
  std::optional<Place> place_of_node(const std::string& node) const override { return nodes_.find(node); }
  std::string metrics_text() const override;

 private:
  void make_parts();
  void lead(std::stop_token stop);
  void follow_certificate(std::stop_token stop);
  Result<void> write_certificate(const ServingCertificate& certificate);

  ClusterSideOptions options_;
  NodePlaces nodes_;
  std::unique_ptr<EventRecorder> events_;
  std::unique_ptr<CertificateKeeper> keeper_;
  std::unique_ptr<GateController> gates_;
  std::unique_ptr<CrashWatch> crashes_;
  std::atomic<bool> leads_ = false;
  std::mutex mutex_;
  std::condition_variable_any written_;
  bool have_certificate_ = false;
  std::atomic<int64_t> certificate_ends_ = 0;
  std::jthread watcher_, follower_, elector_;  // last: they use the others
};

void Running::make_parts() {
  if (options_.certificate) {
    CertificateKeeperOptions keeper;
    keeper.name_space = options_.name_space;
    keeper.secret = options_.certificate->secret;
    keeper.webhook = options_.certificate->webhook;
    keeper.names = options_.certificate->names;
    keeper_ = std::make_unique<CertificateKeeper>(options_.client, std::move(keeper));
  }
  auto keychain = [this](const std::string& name_space, const Json& spec) {
    return options_.keychain ? options_.keychain(name_space, spec, std::chrono::steady_clock::now() + kGateLookup) : Keychain();
  };
  if (options_.lift_gates && options_.lookup) {
    GateControllerOptions gates;
    gates.policy = options_.policy;
    gates.patience = options_.gate_patience;
    gates.events = events_.get();
    gates.ask = [this, keychain](const std::string& name_space, const Json& spec, const std::vector<std::string>& images, std::stop_token stop) {
      return ask_lookup(*options_.lookup, images, keychain(name_space, spec), std::chrono::steady_clock::now() + kGateLookup, stop);
    };
    gates_ = std::make_unique<GateController>(options_.client, std::move(gates));
  }
  if (options_.watch_crashes) {
    CrashWatchOptions crashes;
    crashes.lookup = options_.lookup;
    crashes.events = events_.get();
    crashes.read_logs = options_.read_logs;
    crashes.keychain = keychain;
    crashes_ = std::make_unique<CrashWatch>(options_.client, std::move(crashes));
  }
}

void Running::lead(std::stop_token stop) {
  leads_ = true;
  {
    std::vector<std::jthread> threads;
    if (keeper_) threads.emplace_back([&] { keeper_->keep(stop); });
    if (gates_) threads.emplace_back([&] { run_forever("gated pods", [&] { return gates_->run(stop); }, stop); });
    if (crashes_) threads.emplace_back([&] { run_forever("crashes", [&] { return crashes_->run(stop); }, stop); });
    run_forever("leading", [&]() -> Result<void> { return pause(1h, stop), Result<void>(); }, stop);
  }
  leads_ = false;
}

void Running::follow_certificate(std::stop_token stop) {
  auto changed = [this](const ServingCertificate& certificate) {
    auto written = write_certificate(certificate);
    if (!written.ok()) return log_warn("writing the webhook's certificate: " + written.error().message);
    auto facts = read_certificate(certificate.cert_pem);
    if (facts.ok()) certificate_ends_ = facts->not_after.seconds();
    {
      std::lock_guard lock(mutex_);
      have_certificate_ = true;
    }
    written_.notify_all();
    if (options_.certificate->changed) options_.certificate->changed();
  };
  run_forever("the webhook's certificate", [&] { return keeper_->follow(changed, stop); }, stop);
}

Result<void> Running::write_certificate(const ServingCertificate& certificate) {
  const ClusterCertificate& where = *options_.certificate;
  for (const std::string* file : {&where.key_file, &where.cert_file}) TRY(make_directories(file->substr(0, file->rfind('/') + 1), 0700));
  // The key first: a server that reads between the two finds a pair that does not fit, and keeps the old one.
  TRY(write_file_atomic(where.key_file, certificate.key_pem, 0600));
  return write_file_atomic(where.cert_file, certificate.cert_pem, 0644);
}

void add_metric(std::string& text, const std::string& name, const char* type, const std::string& help, const std::vector<std::pair<std::string, double>>& values) {
  text += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  for (const auto& [labels, value] : values) {
    char number[40];
    snprintf(number, sizeof number, "%.17g", value);
    text += name + labels + " " + number + "\n";
  }
}

std::string Running::metrics_text() const {
  std::string text;
  auto number = [](uint64_t value) { return static_cast<double>(value); };
  add_metric(text, "archway_admission_leader", "gauge", "Whether this replica does what only one should.", {{"", leads_ ? 1 : 0}});
  if (keeper_) {
    add_metric(text, "archway_admission_certificate_not_after_seconds", "gauge", "When the webhook's certificate ends, in seconds since 1970.",
               {{"", static_cast<double>(certificate_ends_.load())}});
  }
  if (gates_) {
    GateCounters gates = gates_->counters();
    add_metric(text, "archway_admission_gated_pods", "gauge", "Pods that wait for their images' registries.", {{"", number(gates.waiting)}});
    add_metric(text, "archway_admission_gates_lifted_total", "counter", "Scheduling gates lifted, by what came of the pod.",
               {{"{result=\"changed\"}", number(gates.changed)}, {"{result=\"unknown\"}", number(gates.gave_up)}, {"{result=\"unchanged\"}", number(gates.lifted - gates.changed - gates.gave_up)}});
    add_metric(text, "archway_admission_gate_errors_total", "counter", "Gates that could not be lifted at the first try.", {{"", number(gates.errors)}});
  }
  if (crashes_) {
    CrashCounters crashes = crashes_->counters();
    add_metric(text, "archway_admission_crashes_total", "counter", "Containers that met a node of another architecture.",
               {{"{kind=\"exec-format-error\"}", number(crashes.exec_format)}, {"{kind=\"no-match-for-platform\"}", number(crashes.no_match)}});
    add_metric(text, "archway_admission_crash_verdicts_total", "counter", "Images remembered as wrong by their crashes.", {{"", number(crashes.remembered)}});
  }
  if (events_) add_metric(text, "archway_admission_events_dropped_total", "counter", "Events that were too many.", {{"", number(events_->dropped())}});
  return text;
}

}  // namespace

ImageAnswer answer_of(const Result<ImageLookup::Facts>& facts) {
  ImageAnswer answer;
  if (facts.ok()) {
    answer.truth = &(*facts)->truth;
    answer.keep = *facts;
  } else {
    answer.code = facts.error().code;
    answer.why = facts.error().message;
  }
  return answer;
}

ImageAnswers ask_lookup(ImageLookup& lookup, const std::vector<std::string>& images, const Keychain& keychain, std::chrono::steady_clock::time_point deadline, std::stop_token stop) {
  ImageAnswers answers;
  for (const std::string& image : images) answers.emplace(image, answer_of(lookup.look_up(image, keychain, deadline, stop)));
  return answers;
}

std::unique_ptr<ClusterSide> ClusterSide::start(ClusterSideOptions options) { return std::make_unique<Running>(std::move(options)); }

}  // namespace archway::admission
