#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "format/json.h"
#include "scheduler/autoscaler.h"
#include "scheduler/run_verdict.h"

// The way from a cluster on amd64 to one on arm64, as far as its images allow: which workloads can move, the nodes that they need, what
// each step costs per month, and the patches. Every number is counted on a simulated cluster; nothing is assumed to be cheaper.
namespace archway::scheduler {

struct PlanOptions {
  std::string architecture = "arm64";
  kube::Taint taint{"arch", "arm64", "NoSchedule"};
  std::string cloud, region;            // "" of the nodes
  std::vector<std::string> types;       // candidates; empty: every type of the architecture that the list has for the region,
                                        // burstable ones only where today's nodes are such
  std::string name_space = "kube-system";
};

// One command, or one object, of a step.
struct PlanPatch {
  std::string target;    // "Deployment shop/web"
  std::string command;   // a line for a shell
  Json patch;            // what it changes
};

struct PlanWorkload {
  std::string name;      // "Deployment shop/web"
  size_t pods = 0;
  enum class State { Moves, There, Blocked, Stays } state = State::Stays;
  std::vector<std::string> reasons;            // why not, each naming what it is about
  std::vector<std::string> blocking_images;
  std::vector<std::string> cautions;
  std::string pool;                            // of the node group that it needs
  std::optional<PlanPatch> tolerate, move;
};

// Machines of one type that a bill has.
struct BillLine {
  std::string cloud, region, type, architecture;
  bool spot = false;
  size_t count = 0;
  std::optional<int64_t> price;                // billionths of a dollar per hour and machine
};
struct Bill {
  std::vector<BillLine> lines;                 // by cloud, region, type
  __int128_t nano_per_month = 0;               // of what has a price
  std::vector<std::string> unpriced;           // "aws eu-north-1 m5.large (3 nodes)"
  bool complete() const { return unpriced.empty(); }
};

// Nodes that some workloads need. No type and a count of 0 where those that are there have room, or (then `others` tells) where no
// candidate takes the pods.
struct PlanGroup {
  std::string name, type;
  std::vector<std::string> zones;
  Labels labels;
  int64_t count = 0;
  std::optional<int64_t> price;
  size_t pods = 0;
  std::vector<std::pair<std::string, std::string>> others;  // type, "6 nodes, $714.82": what else was tried
};

// One type of today's, and the cheapest of the other architecture that is at least as large.
struct PlanPair {
  std::string type, other;
  int64_t price = 0, other_price = 0;
  double saving() const { return price > 0 ? 1.0 - static_cast<double>(other_price) / static_cast<double>(price) : 0.0; }
};

struct PlanStep {
  std::string name, what;
  __int128_t before = 0, after = 0;            // billionths of a dollar per month
  std::vector<PlanPatch> patches;
  std::vector<std::string> commands;           // besides the patches
};

struct MigrationPlan {
  std::vector<PlanWorkload> workloads;         // by name
  std::vector<PlanWorkload> daemons;           // DaemonSets: whether they can follow
  Bill today, tomorrow;
  // Without moving anything, once every node that could be emptied is: what of the saving needs no other processor.
  __int128_t tidied = 0;
  std::vector<PlanGroup> groups;
  std::vector<std::string> removed_nodes;
  std::vector<PlanPair> pairs;
  std::vector<PlanStep> steps;
  // What the same would save if the images in the way had the architecture; nullopt where none is.
  std::optional<__int128_t> blocked_saving;
  std::vector<std::string> unplaced;           // pods that no candidate took
  std::vector<std::string> notes;
  std::vector<Problem> problems;
  bool complete() const { return today.complete() && tomorrow.complete(); }
  __int128_t saving() const { return today.nano_per_month - tomorrow.nano_per_month; }
};

struct PlanFacts {
  std::map<std::string, std::string> provider_ids;
  std::map<std::string, PodFacts> pods;
};

// Invalid where the cluster has no nodes, or no candidate type is known.
Result<MigrationPlan> make_plan(const Inventory& inventory, const Profile& profile, const ImageKnowledge& images, const PriceTable& prices, const PlanFacts& facts,
                                const PlanOptions& options);

// What these nodes cost, by their labels.
Bill bill_of(const std::vector<Node>& nodes, const PriceTable& prices, const PlanFacts& facts, const PlanOptions& options);

// What each workload would have to change, and whether its images let it. `pods` of the inventory; by name.
std::vector<PlanWorkload> classify_workloads(const Inventory& inventory, const ImageKnowledge& images, const PlanOptions& options);
std::vector<PlanWorkload> classify_daemons(const Inventory& inventory, const ImageKnowledge& images, const PlanOptions& options);
// "Deployment ns/name" of a pod, through its ReplicaSet; "Pod ns/name" of a bare one.
std::string workload_name(const Inventory& inventory, const Pod& pod);
// The pod's spec with the toleration, and required to run on the architecture.
std::shared_ptr<const kube::PodSpec> moved_spec(const kube::PodSpec& spec, const PlanOptions& options);

Json plan_json(const MigrationPlan& plan);
std::string plan_text(const MigrationPlan& plan);

}  // namespace archway::scheduler
