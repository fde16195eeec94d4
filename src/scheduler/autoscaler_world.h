#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "scheduler/inventory.h"
#include "scheduler/quick_engine.h"
#include "scheduler/run_verdict.h"

namespace archway::scheduler {

// A pod in a world that changes.
struct WorldPod {
  Pod pod;
  std::string node;     // "" while it waits
  std::string reason;   // why it waits
  bool daemon = false;  // comes and goes with its node
  bool gone = false;
  int64_t since = 0;    // for who keeps time: when it began to wait, or was placed
};

// A cluster to which nodes and pods come and from which they go, with kube-scheduler at work in it: the autoscaler's other half.
// Pods keep their addresses. Used by one thread at a time.
class World {
 public:
  // Takes the inventory's nodes and pods; finished ones and those of nodes that do not exist are left out.
  World(Inventory inventory, Profile profile);
  ~World();

  void add_node(Node node);
  // Its pods wait for another place; its daemons' go with it. Bare ones are gone.
  void remove_node(const std::string& name);
  WorldPod& add_pod(Pod pod);
  void remove_pod(WorldPod& pod);

  // Gives every waiting pod the place that kube-scheduler would, preemption included. Says which were placed, by name.
  std::vector<WorldPod*> schedule();

  // Pods that wait for the default scheduler and may make a cluster grow: not gated, not expendable, no daemon. By name.
  std::vector<const Pod*> pending() const;
  const WorldPod* find(const Pod& pod) const;
  std::deque<WorldPod>& pods() { return pods_; }
  const std::deque<WorldPod>& pods() const { return pods_; }
  const std::map<std::string, Node>& nodes() const { return nodes_; }
  const Profile& profile() const { return profile_; }
  const Inventory& inventory() const { return inventory_; }
  // As it is now. Borrowed until nodes change; whoever changes it in between puts it back.
  Cluster& cluster();
  // The pods of DaemonSets that a node of this kind would get.
  std::vector<Pod> daemons_for(const Node& node) const;
  // What is on a node, the daemons' among them.
  std::vector<const WorldPod*> pods_on(const std::string& node) const;

 private:
  void drop_cluster();
  void add_daemons(const Node& node);
  bool try_place(WorldPod& pod);
  bool preempt_for(WorldPod& pod, const Cycle& cycle, const Decision& decision);
  void put(WorldPod& pod, uint32_t node);
  bool waits(const WorldPod& pod) const;

  Inventory inventory_;
  Profile profile_;
  std::map<std::string, Node> nodes_;
  std::deque<WorldPod> pods_;
  std::map<const Pod*, WorldPod*> by_pod_;
  std::vector<Node> snapshot_;  // what cluster_ borrows
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<QuickEngine> engine_;
  std::map<uint32_t, std::pair<size_t, std::string>> failures_;  // by kind: at which version, and why
  std::vector<WorldPod*> placed_;
};

// Pods below this priority neither grow a cluster nor keep a node (--expendable-pods-priority-cutoff).
inline constexpr int64_t kExpendablePriority = -10;

}  // namespace archway::scheduler
