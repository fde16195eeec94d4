#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "scheduler/cycle.h"
#include "scheduler/label_index.h"
#include "scheduler/node_layout.h"
#include "scheduler/node_sample.h"
#include "scheduler/pod_shape.h"

namespace archway::scheduler {

// The quick way to the same choice as decide(). Nodes that differ in nothing but their names are judged together
// (NodeLayout); pods that ask for the same resources share what each node is worth to them, of which only nodes that
// changed are looked at again (ShapeBoard); who selects whom is found by label, and counted per domain as pods come and
// go (LabelIndex, TopologyCounter). What is left per pod is a walk over groups, and over the few nodes that hold
// something that matters to this pod. Where a pod needs what is not done quickly here, the plain way is to be asked.
// Borrows cluster and pods, which must outlive it and not move. Used by one thread at a time.
class QuickEngine {
 public:
  QuickEngine(const Profile& profile, const Cluster& cluster);
  ~QuickEngine();

  enum class Answer {
    Found,     // best() has the nodes
    Nowhere,   // no node will take it
    AskPlain,  // decide() is to be asked
  };
  // With a sample, among the nodes that it comes to.
  Answer find(const Pod& pod, NodeSample* sample = nullptr);
  // After Found: the first by name of the best nodes, as decide() chooses it.
  uint32_t first() const { return layout_.node_at[first_]; }
  // The same at once; none for Nowhere and AskPlain.
  std::optional<uint32_t> choose(const Pod& pod) {
    if (find(pod) != Answer::Found) return std::nullopt;
    return first();
  }
  // All of the best, by name.
  std::vector<uint32_t> best() const;

  // After Nowhere, what decide() says: every node's refusal. None where that is not done quickly here.
  std::optional<Decision> refusals(const Pod& pod);

  // Two pods of one kind get one answer as long as the version stays.
  uint32_t kind_of(const Pod& pod);
  size_t version() const { return version_; }
  // To be told after every change of the cluster.
  void bound(const Pod& pod, uint32_t node);
  void unbound(const Pod& pod, uint32_t node);
  // Whether any pod on a node is less important than this priority.
  bool holds_less_important(int64_t priority) const { return !priorities_.empty() && priorities_.begin()->first < priority; }

 private:
  struct Rules;
  struct Spread;
  struct Kind;
  struct Cell;

  void record(const Pod& pod, uint32_t node, int32_t delta);
  void prepare(Kind& kind);
  void prepare_spread(Kind& kind);
  void prepare_affinity(Kind& kind);
  void find_emitted(Kind& kind);
  const Rules& rules_of(const Pod& pod);
  std::unique_ptr<Rules> make_rules(const Pod& pod) const;
  const NodeMask* mask(NodeMask wanted);
  TopologyCounter& counter(PodMatcher& matcher, const NodeLayout::Topology& topology, const NodeMask* mask, bool missing_is_empty);
  TopologyCounter* term_counter(const std::vector<kube::PodAffinityTerm>& all, const std::string& topology_key);

  void gather(const Kind& kind);
  void list_special_nodes(const Kind& kind);
  bool spread_allows(const Kind& kind, uint32_t position, uint32_t group, bool special) const;
  bool affinity_allows(const Kind& kind, uint32_t position, uint32_t group, bool special) const;
  void find_cells(Kind& kind, const Pod& pod);
  void sample_cells(const Kind& kind, NodeSample& sample);
  std::optional<Refusal> static_refusal(const Kind& kind, const Node& node) const;
  std::optional<Refusal> room_refusal(const Kind& kind, const NodeState& node) const;
  std::optional<Refusal> company_refusal(const Kind& kind, uint32_t position) const;
  bool fits_pinned(const Kind& kind, uint32_t node) const;
  Answer find_pinned(Kind& kind);
  void score_spread(const Kind& kind);
  void score_affinity(const Kind& kind);
  void add_points(const Kind& kind);
  void pick(Kind& kind);
  uint32_t first_ordinary(PodShape& shape, const Cell& cell, int32_t& points) const;
  bool is_special(uint32_t position) const { return special_mark_[position] == mark_; }

  const Profile* profile_;
  const Cluster* cluster_;
  NodeLayout layout_;
  ShapeBoard board_;
  LabelIndex labels_;
  std::vector<std::unique_ptr<Kind>> kinds_;
  std::unordered_map<size_t, std::vector<uint32_t>> by_hash_;
  const Pod* last_pod_ = nullptr;
  uint32_t last_kind_ = 0;
  std::unordered_map<std::string, std::unique_ptr<NodeMask>> masks_;
  std::unordered_map<size_t, std::vector<std::unique_ptr<Rules>>> rules_;
  std::map<int64_t, size_t> priorities_;  // of bound pods: how many
  size_t version_ = 0;

  // Of the pod at hand.
  std::vector<const TopologyCounter*> refusing_, scoring_;  // counters of terms that pods there have about it
  std::vector<uint32_t> special_;                           // positions that hold something of its own concern, rising
  std::vector<uint32_t> special_mark_;                      // by position: mark_ where special
  std::vector<uint32_t> special_room_, special_room_mark_;  // by group: special nodes with room
  std::vector<uint32_t> cell_mark_, group_cell_mark_;       // by position and group: mark_ where there is a cell
  uint32_t mark_ = 0;
  std::vector<int64_t> least_;                              // per required spread constraint
  std::vector<Cell> cells_;
  int64_t best_total_ = 0;
  uint32_t first_ = 0;
  const PodShape* shape_ = nullptr;
};

}  // namespace archway::scheduler
