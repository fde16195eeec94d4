#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/sync.h"
#include "kube/client.h"

// Events on objects, as kubectl describe shows them. Core v1, counted up rather than repeated; limited, so that a storm of pods is not
// made worse by a storm of events.
namespace archway::admission {

struct ObjectReference {
  std::string api_version, kind, name_space, name, uid, resource_version = {};
  static ObjectReference of(const Json& object);
};

enum class EventType { Normal, Warning };

struct EventRecorderOptions {
  std::string component = "archway-admission", host;  // who says it: the pod's name
  size_t max_queue = 1000;
  size_t burst = 25;                                  // per object kept apart by client-go; here for all
  std::chrono::milliseconds refill = std::chrono::milliseconds(200);
  size_t max_remembered = 4096;                       // for counting up
  Clock* clock = nullptr;
};

inline constexpr size_t kMaxEventMessageBytes = 1024;  // the API server's limit
inline constexpr size_t kMaxEventReasonBytes = 128;

// Thread safe. Never blocks its caller: what does not fit is counted as dropped.
class EventRecorder {
 public:
  EventRecorder(std::shared_ptr<kube::Client> client, EventRecorderOptions options);
  ~EventRecorder();  // what is queued is given a moment to go out
  void record(const ObjectReference& about, EventType type, std::string reason, std::string message);
  uint64_t dropped() const;
  // Waits until all that was recorded has been sent or given up.
  void drain();

 private:
  struct Item {
    ObjectReference about;
    EventType type;
    std::string reason, message;
    Time when;
  };
  struct Sent {
    std::string name;
    Time first;
    int64_t count = 0;
  };
  struct State {
    std::deque<Item> queue;
    size_t tokens = 0;
    Time refilled;
    bool busy = false;
    uint64_t dropped = 0;
  };
  void work(std::stop_token stop);
  bool send(const Item& item, std::stop_token stop);
  Json event_of(const Item& item, const Sent& sent) const;

  std::shared_ptr<kube::Client> client_;
  EventRecorderOptions options_;
  mutable Sync<State> state_;
  std::condition_variable changed_;
  std::map<std::string, Sent> sent_;  // the worker's own
  uint64_t number_ = 0;
  std::jthread worker_;  // last
};

}  // namespace archway::admission
