#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include "admission/events.h"
#include "base/sync.h"
#include "image/platform.h"
#include "kube/client.h"
#include "registry/lookup.h"

// Sees what slipped through: containers whose programs are for another processor, images that have nothing for their node.
namespace archway::admission {

enum class CrashKind { ExecFormat, NoMatch };
std::string_view crash_kind_name(CrashKind kind);  // "exec-format-error", "no-match-for-platform"

// What a text says, and how sure that is. In a container's log only the words of the runtime, of shells and of init programs count as
// Certain: any other program may print the same of a child of its own.
enum class Certainty { Likely, Certain };
struct CrashSign {
  CrashKind kind;
  Certainty certainty;
  bool operator==(const CrashSign&) const = default;
};
// The kubelet's and the runtimes' words, in a status or an event.
std::optional<CrashSign> sign_in_message(std::string_view message);
// The last lines of a container that ended.
std::optional<CrashSign> sign_in_log(std::string_view log);

struct Crash {
  CrashKind kind = CrashKind::ExecFormat;
  Certainty certainty = Certainty::Certain;
  std::string name_space, pod, container, image, image_id, node, platform;  // platform of the node: "linux/arm64"; "" where unknown
  std::string owner;  // "Deployment shop/web"
  std::string seen;   // "status", "event" or "log"
  std::string words;  // at most kMaxCrashWords of what was read
};
inline constexpr size_t kMaxCrashWords = 300;

struct CrashWatchOptions {
  std::shared_ptr<ImageLookup> lookup = {};  // to remember the verdict; none: only tell
  EventRecorder* events = nullptr;           // borrowed
  bool read_logs = true;                     // needs the right to (pods/log)
  size_t max_logs_per_container = 3;
  size_t max_remembered = 10'000;            // containers that need no second look
  std::function<void(const Crash&)> on_crash = {};
  // With whose credentials the image is looked up; the node could pull it, so somebody's will do.
  std::function<Keychain(const std::string& name_space, const Json& pod_spec)> keychain = {};
};

struct CrashCounters {
  uint64_t exec_format = 0, no_match = 0, remembered = 0, logs_read = 0;
};

// One of all replicas runs it, by the Lease.
class CrashWatch {
 public:
  CrashWatch(std::shared_ptr<kube::Client> client, CrashWatchOptions options);
  // Until stopped. Returns an error where pods may not be watched; where events or logs may not be read it does without.
  Result<void> run(std::stop_token stop);
  void look_at_pod(const Json& pod, std::stop_token stop);
  void look_at_event(const Json& event, std::stop_token stop);
  CrashCounters counters() const;

 private:
  struct State {
    std::set<std::string> told;              // uid, container, image and kind: once each
    std::deque<std::string> told_order;
    std::map<std::string, int64_t> logs;     // uid/container: how often its log was read
    std::map<std::string, std::string> platforms;  // of nodes
    CrashCounters counters;
  };
  void look_at_container(const Json& pod, const Json& status, std::stop_token stop);
  std::optional<std::string> log_of(const Json& pod, const Json& status, std::stop_token stop);
  void report(const Json& pod, const Json& status, CrashSign sign, const std::string& seen, std::string_view words, std::stop_token stop);
  bool first_time(const std::string& key);
  std::string platform_of(const std::string& node, std::stop_token stop);
  void remember(const Crash& crash, const Json& pod, std::stop_token stop);

  std::shared_ptr<kube::Client> client_;
  CrashWatchOptions options_;
  mutable Sync<State> state_;
};

// "Deployment shop/web" of a pod: its controller, and for a ReplicaSet or a Job what made that, where their names tell.
std::string owner_of(const Json& pod);

}  // namespace archway::admission
