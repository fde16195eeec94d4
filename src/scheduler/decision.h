#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/profile.h"

namespace archway::scheduler {

// Why a node, or the whole cluster, was refused to a pod. Only an Unschedulable node can be won by preemption.
enum class Verdict : uint8_t { Unschedulable, UnschedulableAndUnresolvable, Gated };
std::string_view verdict_name(Verdict verdict);

struct Refusal {
  Plugin plugin = Plugin::NodeName;
  Verdict verdict = Verdict::Unschedulable;
  std::vector<std::string> reasons;
  bool operator==(const Refusal&) const = default;
};

// What one node is to one pod: refused by the first plugin that objects, or scored.
struct NodeAnswer {
  std::optional<Refusal> refusal;
  std::array<int64_t, kScorers.size()> scores{};  // weighted; meaningful for the decision's `scorers`
  int64_t total = 0;
};

// Everything the scheduler would say about one pod.
struct Decision {
  std::optional<Refusal> pre_filter;            // refused before any node was looked at
  std::vector<NodeAnswer> nodes;                // by node index; empty where pre_filter is set
  std::array<bool, kScorers.size()> scorers{};  // which plugins had something to say
  std::vector<uint32_t> best;                   // nodes with the highest total, by name
  std::optional<uint32_t> chosen;               // the first of them
};

}  // namespace archway::scheduler
