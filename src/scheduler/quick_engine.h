#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "scheduler/cycle.h"

namespace archway::scheduler {

// The quick way to the same choice as decide(): pods of one kind (equal in all that placement reads) share what was
// found out about nodes, and only nodes that changed since are looked at again. Where a pod needs what is not done
// quickly here, or fits nowhere, it says so and the plain way answers. Borrows cluster and pods, which must outlive it
// and not move. Used by one thread at a time.
class QuickEngine {
 public:
  QuickEngine(const Profile& profile, const Cluster& cluster);
  ~QuickEngine();

  // The first by name of the best nodes, exactly as decide(): or nullopt for "ask the plain way".
  std::optional<uint32_t> choose(const Pod& pod);
  // Two pods of one kind get one answer as long as the version stays.
  uint32_t kind_of(const Pod& pod);
  size_t version() const { return log_.size(); }
  // To be told after every change of the cluster.
  void bound(const Pod& pod, uint32_t node);
  void unbound(const Pod& pod, uint32_t node);

 private:
  struct Kind;
  struct Spread;
  struct Relation;
  struct Event {
    uint32_t node, kind;
    int32_t delta;
    bool leaving;  // a pod on its way out, which spreading does not count
  };
  // Which nodes share a value of a label.
  struct Domains {
    std::vector<int32_t> of_node;  // -1 where the label is missing
    size_t count = 0;
  };

  void record(const Pod& pod, uint32_t node, int32_t delta);
  void prepare(Kind& kind);
  void prepare_spread(Kind& kind);
  void catch_up(Kind& kind);
  void look_at(Kind& kind, uint32_t node);
  const Domains& domains(const std::string& key);
  const Relation& relation(Kind& kind, uint32_t other);
  void count_relation(Kind& kind, const Event& event);
  bool affinity_allows(const Kind& kind, uint32_t node) const;
  void find_feasible(const Kind& kind);
  std::vector<int64_t> affinity_points(const Kind& kind) const;
  std::vector<int64_t> spread_points(const Kind& kind);

  const Profile* profile_;
  const Cluster* cluster_;
  bool usable_ = false;  // the profile asks for nothing unusual
  bool any_images_ = false;
  std::vector<std::unique_ptr<Kind>> kinds_;
  std::unordered_map<size_t, std::vector<uint32_t>> by_hash_;
  std::unordered_map<const Pod*, uint32_t> kind_by_pod_;
  std::vector<Event> log_;
  std::vector<uint32_t> rank_;   // of each node by name
  std::vector<uint32_t> class_;  // nodes that differ in their host name only
  std::unordered_map<std::string, Domains> domains_;
  std::vector<uint32_t> feasible_;       // of the pod at hand
};

}  // namespace archway::scheduler
