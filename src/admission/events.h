#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "base/clock.h"
#include "kube/client.h"

// Events on objects, as kubectl describe shows them. Core v1, counted up rather than repeated, alike ones combined, limited for each object
// and for all (client-go's EventCorrelator), so that a storm of pods is not made worse by a storm of events.
namespace archway::admission {

struct ObjectReference {
  std::string api_version, kind, name_space, name, uid, resource_version = {};
  // Of a pod that is being created: its uid is asked for a moment later. kubectl describe finds events by it.
  bool find_uid = false;
  static ObjectReference of(const Json& object);
};

enum class EventType { Normal, Warning };

struct EventRecorderOptions {
  std::string component = "archway-admission", host;  // who says it: the pod's name
  // Of one object: so many at once, then one per `refill`. What comes beyond is counted only.
  size_t burst = 25;
  std::chrono::milliseconds refill = std::chrono::minutes(5);
  // Of one object and reason: so many messages in `alike_for`, then all others are one event.
  size_t max_alike = 10;
  std::chrono::milliseconds alike_for = std::chrono::minutes(10);
  // Writes of all: so many at once, then one per `write_pause`; who waits is counted up meanwhile. The same event at most once per `repeat_pause`.
  size_t write_burst = 25;
  std::chrono::milliseconds write_pause = std::chrono::milliseconds(200), repeat_pause = std::chrono::seconds(5);
  std::chrono::milliseconds uid_pause = std::chrono::seconds(1);
  size_t max_queue = 1000;
  size_t max_remembered = 4096;  // events, and objects, each
  Clock* clock = nullptr;
};

inline constexpr size_t kMaxEventMessageBytes = 1024;  // the API server's limit
inline constexpr size_t kMaxEventReasonBytes = 128;
inline constexpr size_t kMaxLastWrites = 50;           // when the recorder ends

// Thread safe. Never blocks its caller: what does not fit is counted as dropped.
class EventRecorder {
 public:
  EventRecorder(std::shared_ptr<kube::Client> client, EventRecorderOptions options);
  ~EventRecorder();  // what is queued is given a moment to go out
  void record(const ObjectReference& about, EventType type, std::string reason, std::string message);
  uint64_t dropped() const;
  // Sends at once all that was recorded, and waits until it has been sent or given up.
  void drain();

 private:
  // One event of the cluster, and how often it happened.
  struct Series {
    ObjectReference about;
    EventType type = EventType::Normal;
    std::string reason, message;
    Time first, last;
    std::optional<Time> written = {};
    int64_t count = 0;
    std::string name = {};  // once it has been made
    bool queued = false;
  };
  struct Alike {
    std::set<std::string> messages;
    Time last;
  };
  struct Bucket {
    size_t tokens = 0;
    Time refilled;
    bool take(Time now, size_t burst, std::chrono::milliseconds refill);
  };
  std::string key_of(const ObjectReference& about, EventType type, const std::string& reason, std::string& message, Time now);
  Series& series_of(const std::string& key, Time now);
  bool may_write(const std::string& object, Time now);
  void work(std::stop_token stop);
  // Until one is due, or there is none left at the end: then "".
  std::string next(std::unique_lock<std::mutex>& lock, std::stop_token stop);
  bool send(Series& series, std::stop_token stop);
  Json event_of(const Series& series, const std::string& name_space) const;

  std::shared_ptr<kube::Client> client_;
  EventRecorderOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Series> series_;
  std::map<std::string, Alike> alike_;
  std::map<std::string, Bucket> objects_;
  std::set<std::pair<int64_t, std::string>> queue_;  // when due, which
  Bucket writes_;
  size_t hurried_ = 0;
  bool busy_ = false;
  uint64_t dropped_ = 0, number_ = 0;
  std::jthread worker_;  // last
};

}  // namespace archway::admission
