#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kube/selector.h"
#include "scheduler/autoscaler_world.h"
#include "scheduler/node_group_marked.h"
#include "scheduler/node_group_machine.h"

// Karpenter's NodePools, and the machines that it would start for pending pods (pkg/controllers/provisioning/scheduling).
namespace archway::scheduler {

struct PoolRequirement {
  kube::Requirement requirement;
  std::string op;        // as written
  bool valid = true;     // the operator is one, and its values are as it wants them
  SourcePlace place;
};

struct NodePool {
  std::string name, api_version;
  SourcePlace place;
  int64_t weight = 0;
  std::vector<PoolRequirement> requirements;
  std::vector<kube::Taint> taints, startup_taints;
  Labels labels;
  std::string class_kind, class_name;
  std::optional<int64_t> limit_milli_cpu, limit_memory;

  const PoolRequirement* find(std::string_view key) const;
};

struct NodeClass {
  std::string kind, name;
  SourcePlace place;
  std::vector<std::string> ami_ids;  // of amiSelectorTerms
  bool by_alias = false;
};

// nullopt, and a problem, where it has no name.
std::optional<NodePool> read_node_pool(const Marked& object, std::vector<std::pair<SourcePlace, std::string>>& problems);
NodeClass read_node_class(const Marked& object, const std::string& kind);

// A type that may be started, with the labels that requirements are held against.
struct InstanceOffer {
  Machine machine;
  Labels labels;
  int64_t price = 0;               // of the cheaper of its capacity types
  std::string capacity_type;       // "on-demand" or "spot"
  std::string zone;
  kube::Resources allocatable;
};

// Everything that the price list has for a region, by price, then name. `zones`: where; at least one.
std::vector<InstanceOffer> karpenter_offers(const PriceTable& prices, const std::string& cloud, const std::string& region, const std::vector<std::string>& zones);

// Whether one offer satisfies all of them; labels that are well known and absent count as undefined, which only In refuses.
bool offer_satisfies(const InstanceOffer& offer, const std::vector<kube::Requirement>& requirements);

struct NodeClaim {
  std::string name, pool;
  std::vector<const Pod*> pods;
  InstanceOffer offer;                // what is started: the cheapest that still fits all
  size_t offers = 0;                  // that would do
  Labels labels;                      // of the node, besides the offer's
  std::vector<kube::Taint> taints;
};

struct KarpenterResult {
  std::vector<NodeClaim> claims;
  struct Unplaced {
    const Pod* pod = nullptr;
    std::string why;
  };
  std::vector<Unplaced> unplaced;
  std::vector<std::pair<std::string, std::string>> relaxed;  // pod, the preference that was given up
  std::vector<std::string> notes;
};

// What Karpenter would start for the world's pending pods. `named`: how many claims there were before, for the names of new ones.
KarpenterResult provision(World& world, const std::vector<NodePool>& pools, const std::vector<InstanceOffer>& offers, size_t named = 0);
Node node_of(const NodeClaim& claim);

}  // namespace archway::scheduler
