#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "admission/events.h"
#include "admission/pod_facts.h"
#include "admission/policy.h"
#include "base/clock.h"
#include "kube/client.h"

// Pods that passed with our scheduling gate, because a registry did not answer: their images are asked about again, the pod gets what
// it would have got, and the gate goes. It goes in any case: after `patience`, where images are gone, where the API server will not
// have the change. A pod that stays gated is worse than one that lands badly.
namespace archway::admission {

struct GateControllerOptions {
  Policy policy = {};
  // Blocks; gives up by itself after a while.
  std::function<ImageAnswers(const std::string& name_space, const Json& pod_spec, const std::vector<std::string>& images, std::stop_token stop)> ask = {};
  EventRecorder* events = nullptr;  // borrowed; may be none
  std::chrono::milliseconds patience = std::chrono::minutes(5);  // from the pod's creation on, whoever has waited with it until now
  std::chrono::milliseconds first_retry = std::chrono::seconds(2), max_retry = std::chrono::seconds(60);
  size_t workers = 4;
  size_t max_pods = 100'000;  // of those waiting; who comes beyond goes at once, as it is
  std::function<std::chrono::milliseconds()> monotonic = {};
  Clock* clock = nullptr;  // for pods' ages
};

struct GateCounters {
  uint64_t lifted = 0, changed = 0, gave_up = 0, errors = 0;
  size_t waiting = 0;
};

// One of all replicas runs it, by the Lease. Thread safe.
class GateController {
 public:
  GateController(std::shared_ptr<kube::Client> client, GateControllerOptions options);
  // Until stopped. Returns an error where pods may not be watched.
  Result<void> run(std::stop_token stop);
  GateCounters counters() const;

  // What happens to one gated pod now: done with it, or to be tried again.
  enum class Step { Done, Again };
  Step attend(const Json& pod, bool last_chance, std::stop_token stop);

 private:
  struct Waiting {
    Json pod;
    std::chrono::milliseconds since{0}, due{0};
    std::chrono::milliseconds delay{0};
    bool busy = false, gone = false;
  };
  struct State {
    std::map<std::string, Waiting> pods;  // by uid
    GateCounters counters;
  };
  Result<void> note(const kube::WatchEvent& event);
  std::chrono::milliseconds age_of(const Json& pod) const;
  void work(std::stop_token stop);
  bool work_once(std::stop_token stop);
  Result<void> lift(const Json& pod, const Json& patch, std::stop_token stop);
  Step lift_somehow(const Json& pod, const Json& patch, std::stop_token stop);
  void tell(const Json& pod, EventType type, const std::string& reason, const std::string& message);
  std::chrono::milliseconds now() const { return options_.monotonic(); }

  std::shared_ptr<kube::Client> client_;
  GateControllerOptions options_;
  mutable std::mutex mutex_;
  State state_;
  std::condition_variable changed_;
};

bool has_our_gate(const Json& pod);

}  // namespace archway::admission
