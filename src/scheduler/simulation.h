#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "scheduler/preemption.h"
#include "scheduler/quick_engine.h"
#include "scheduler/run_verdict.h"
#include "scheduler/scenario.h"

// What-if: a cluster as it is, changes to it, and where every pod then is. Deterministic: the same input gives the
// same bytes. A running pod stays where it is, as in life.
namespace archway::scheduler {

enum class Fate {
  Stays,    // where it was
  Moved,    // on another node than today
  Placed,   // had no node, has one now
  Pending,  // no node will take it
  Gated,    // waits for somebody to remove its scheduling gates
  Lost,     // its node went, and nothing will create it again
  Gone,     // removed or replaced on purpose
  Foreign,  // belongs to another scheduler
};
std::string_view fate_name(Fate fate);

struct PodOutcome {
  std::string name;  // "ns/name"
  std::string workload;  // "Deployment ns/name", "" for a bare pod
  std::string before, after;  // node names; "" for none
  Fate fate = Fate::Stays;
  std::string reason;    // why it is pending, lost or gone
  PodVerdict run;        // where it has a node
  bool is_new = false;
  std::vector<std::string> preempted;  // pods that had to go for it
};

struct NodeOutcome {
  std::string name, architecture, type, zone;
  bool existed = false, exists = false;
  std::string source;  // of a new node's size: "as node X", "by the table of types", "as given"
  kube::Resources allocatable, used;
  std::vector<kube::Taint> taints;
};

struct SimulationResult {
  std::vector<PodOutcome> pods;    // by name
  std::vector<NodeOutcome> nodes;  // by name
  std::vector<Problem> problems;
  std::vector<std::string> notes;  // what is not modelled, and concerns this input
  size_t unplaced() const;
  size_t crashing() const;         // of the pods that were placed here; those that run already are not blamed
};

// Both give the same bytes; Plain is what Quick is held against.
enum class EngineKind { Quick, Plain };

class Simulation {
 public:
  // Without a seed the first of equally good nodes by name is taken; with one, any of them, the same every time.
  Simulation(Inventory inventory, Profile profile, ImageKnowledge images, std::optional<uint64_t> seed = std::nullopt,
             EngineKind engine = EngineKind::Quick);
  ~Simulation();

  // Makes the changes, then lets controllers and scheduler do their work.
  Result<void> run(const ScenarioStep& step);
  SimulationResult result() const;

 private:
  struct SimulatedPod;

  Result<void> apply(const AddNodes& change);
  Result<void> apply(const RemoveNodes& change);
  Result<void> apply(const TaintNodes& change);
  Result<void> apply(const LabelNodes& change);
  Result<void> apply(const ApplyManifests& change);
  Result<void> apply(const Recreate& change);

  SimulatedPod& add_pod(Pod pod, const std::string& before, bool is_new);
  void evict(SimulatedPod& pod, const std::string& why);
  void roll_out(const kube::Workload& workload);
  void run_daemon_sets();
  void schedule();
  bool try_place(Cluster& cluster, SimulatedPod& pod, bool last_try);
  bool place_plainly(Cluster& cluster, SimulatedPod& pod);
  void explain_failures(Cluster& cluster);
  SimulatedPod& owner_of(const Pod& pod);
  void put(Cluster& cluster, SimulatedPod& pod, uint32_t node);
  bool preempt_for(Cluster& cluster, SimulatedPod& pod, const Cycle& cycle, const Decision& decision);
  std::string workload_of(const Pod& pod) const;
  using WorkloadIndex = std::unordered_map<std::string, const kube::Workload*>;
  uint32_t pick(const std::vector<uint32_t>& best);
  Node* find_node(const std::string& name);

  Inventory inventory_;
  Profile profile_;
  ImageKnowledge images_;
  std::vector<std::unique_ptr<SimulatedPod>> pods_;
  std::map<std::string, NodeOutcome> seen_nodes_;
  std::unordered_map<const Pod*, SimulatedPod*> by_pod_;  // filled when somebody is preempted
  std::map<std::string, int> counters_;
  std::optional<uint64_t> seed_;
  EngineKind engine_kind_;
  std::unique_ptr<QuickEngine> engine_;  // while pods are being placed
  std::unique_ptr<NodeSample> sample_;   // the same, where not all nodes are scored
  struct Failure {
    size_t version;
    std::string reason;
  };
  std::map<uint32_t, Failure> failures_;  // by kind: why nothing takes it, as long as nothing changes
  std::vector<SimulatedPod*> unexplained_;  // found no place in this pass; why is asked once it is sure that nothing else will change
};

// "0/8 nodes are available: 4 Insufficient cpu, ...", as kube-scheduler says it.
std::string unavailable_message(const Decision& decision, size_t node_count);

}  // namespace archway::scheduler
