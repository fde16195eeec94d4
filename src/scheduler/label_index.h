#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "scheduler/cluster.h"
#include "scheduler/topology_counter.h"

namespace archway::scheduler {

struct PodMatcher;

// The pods of one namespace with equal labels, as far as others may select them.
struct LabelSet {
  const Pod* example = nullptr;
  const Labels* namespace_labels = nullptr;
  SparseCounts pods, leaving;           // on which positions; `leaving` is the part that is on its way out
  std::vector<PodMatcher*> matchers;    // that select them
};

// Terms that a pod may meet, all at once. Pods per domain are counted for whoever asked.
struct PodMatcher {
  std::vector<kube::PodAffinityTerm> terms;
  bool by_namespace_labels = false;  // terms of pods that are there see the newcomer's namespace; a newcomer's own terms are resolved
  bool without_leaving = false;      // counters leave out pods on their way out
  std::vector<LabelSet*> sets;
  std::vector<std::unique_ptr<TopologyCounter>> counters;  // of the pods of those sets
  // Counters of pods that have this as their own term, and care about those that meet it.
  std::unique_ptr<TopologyCounter> refuses, scores;

  bool matches(const LabelSet& set) const;
};

// Who selects whom: found through the label pairs that selectors name, so that the two need not all be held against each other.
class LabelIndex {
 public:
  LabelSet& set_of(const Pod& pod, const Cluster& cluster);
  // The one matcher of these terms; not empty.
  PodMatcher& matcher(std::vector<kube::PodAffinityTerm> terms, bool by_namespace_labels, bool without_leaving);

 private:
  template <class T>
  using ByPair = std::unordered_map<std::string, std::vector<T*>>;

  std::vector<std::unique_ptr<LabelSet>> sets_;
  std::unordered_map<std::string, LabelSet*> set_by_text_;
  ByPair<LabelSet> sets_by_pair_;
  std::vector<std::unique_ptr<PodMatcher>> matchers_;
  std::unordered_map<std::string, PodMatcher*> matcher_by_text_;
  ByPair<PodMatcher> matchers_by_pair_;
  std::vector<PodMatcher*> matchers_of_any_;  // that name no pair
};

}  // namespace archway::scheduler
