#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/node_group.h"
#include "scheduler/priority_config.h"

// Which of several groups grows (cluster-autoscaler expander/): a chain of filters, each of which keeps the options that it likes best;
// among what the last one leaves, chance decides.
namespace archway::scheduler {

// What growing one group would do.
struct Option {
  const NodeGroup* group = nullptr;
  const NodeTemplate* node = nullptr;
  int64_t nodes = 0;
  std::vector<const Pod*> pods;           // that would have a place then
  std::optional<int64_t> node_price;      // billionths of a dollar per hour
};

enum class ExpanderKind { Random, MostPods, LeastWaste, LeastNodes, Price, Priority };
std::string_view expander_name(ExpanderKind kind);

// "priority,least-waste". Invalid as in expander_factory.go: unknown, twice, or one behind random. `grpc` is Unsupported.
Result<std::vector<ExpanderKind>> parse_expanders(std::string_view text);
// price needs a provider with prices: Invalid for AWS and Azure, where Cluster Autoscaler exits.
Result<void> check_provider(const std::vector<ExpanderKind>& chain, const std::vector<NodeGroup>& groups);

// What one link of the chain did.
struct ExpanderStep {
  std::string expander;                    // "priority", or "random (fallback)"
  std::vector<std::string> kept;           // names of groups
  std::vector<std::pair<std::string, std::string>> scores;  // group, and what it was weighed by
  std::string note;                        // why everything passed, or who was shut out
};

// How options are weighed. Options come in the order of their groups' names; the draw is seeded, the same every time.
class Expander {
 public:
  // `priorities` null: there is no (valid) ConfigMap, and `why_none` says why.
  Expander(std::vector<ExpanderKind> chain, const PriorityConfig* priorities, std::string why_none, size_t cluster_size, uint64_t seed)
      : chain_(std::move(chain)), priorities_(priorities), why_none_(std::move(why_none)), cluster_size_(cluster_size), random_(seed) {}

  // Index of the chosen option, nullopt of none. `steps` gets one entry per link used.
  std::optional<size_t> choose(const std::vector<Option>& options, std::vector<ExpanderStep>& steps);
  void set_cluster_size(size_t nodes) { cluster_size_ = nodes; }

 private:
  using Kept = std::vector<size_t>;
  Kept keep(ExpanderKind kind, const std::vector<Option>& options, const Kept& from, ExpanderStep& step);
  Kept most_pods(const std::vector<Option>& options, const Kept& from, ExpanderStep& step) const;
  Kept least_waste(const std::vector<Option>& options, const Kept& from, ExpanderStep& step) const;
  Kept least_nodes(const std::vector<Option>& options, const Kept& from, ExpanderStep& step) const;
  Kept price(const std::vector<Option>& options, const Kept& from, ExpanderStep& step) const;
  Kept priority(const std::vector<Option>& options, const Kept& from, ExpanderStep& step) const;
  size_t draw(size_t count);

  std::vector<ExpanderKind> chain_;
  const PriorityConfig* priorities_;
  std::string why_none_;
  size_t cluster_size_;
  uint64_t random_;
};

}  // namespace archway::scheduler
