#include "scheduler/expander.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/text.h"

namespace archway::scheduler {

namespace {

constexpr std::pair<ExpanderKind, std::string_view> kNames[] = {
    {ExpanderKind::Random, "random"},          {ExpanderKind::MostPods, "most-pods"}, {ExpanderKind::LeastWaste, "least-waste"},
    {ExpanderKind::LeastNodes, "least-nodes"}, {ExpanderKind::Price, "price"},        {ExpanderKind::Priority, "priority"},
};

// gce_price_info.go: what a pod's share of a perfectly matching machine costs, in dollars per hour.
constexpr double kCpuPrice = 0.033174, kMemoryPricePerGib = 0.004446, kGib = 1024.0 * 1024 * 1024;
// price.go: half a core and 500 MiB, added above and below so that tiny pods do not decide.
constexpr double kStabilization = 0.5 * kCpuPrice + 500.0 / 1024 * kMemoryPricePerGib;
constexpr double kGpuUnfitness = 1000;

std::string decimal(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.4f", value);
  return text;
}

// Keeps the least by `score`; equal ones stay together.
std::vector<size_t> keep_least(const std::vector<size_t>& from, const auto& score) {
  std::vector<size_t> best;
  decltype(score(size_t())) least{};
  for (size_t index : from) {
    auto value = score(index);
    if (!best.empty() && value > least) continue;
    if (best.empty() || value < least) best.clear();
    least = value;
    best.push_back(index);
  }
  return best;
}

void add_requests(const Option& option, int64_t& milli_cpu, int64_t& memory) {
  for (const Pod* pod : option.pods) {
    milli_cpu += pod->requests.real.milli_cpu;
    memory += pod->requests.real.memory;
  }
}

// preferred.go: the size that suits a cluster of so many nodes; it doubles as the cluster triples.
int64_t preferred_milli_cpu(size_t nodes) {
  constexpr std::pair<size_t, int64_t> steps[] = {{2, 1000}, {6, 2000}, {20, 4000}, {60, 8000}, {200, 16000}};
  for (const auto& [most, milli_cpu] : steps) {
    if (nodes <= most) return milli_cpu;
  }
  return 32000;
}

}  // namespace

std::string_view expander_name(ExpanderKind kind) {
  for (const auto& [each, name] : kNames) {
    if (each == kind) return name;
  }
  return "";
}

Result<std::vector<ExpanderKind>> parse_expanders(std::string_view text) {
  std::vector<ExpanderKind> chain;
  for (const std::string& word : split(text, ',')) {
    if (!chain.empty() && chain.back() == ExpanderKind::Random) {
      return Error{Code::Invalid, "expander " + word + " comes after random, which always leaves one option; the autoscaler refuses to start"};
    }
    if (word == "grpc") return Error{Code::Unsupported, "expander grpc: what an outside program answers is not known here"};
    const auto* found = std::find_if(std::begin(kNames), std::end(kNames), [&](const auto& each) { return each.second == word; });
    if (found == std::end(kNames)) {
      std::vector<std::string> known;
      for (const auto& [kind, name] : kNames) known.emplace_back(name);
      auto near = nearest(word, known);
      return Error{Code::Invalid, "expander \"" + word + "\" is not known" + (near ? " (did you mean " + *near + "?)" : ""), "there are " + join(known, ", ")};
    }
    if (std::find(chain.begin(), chain.end(), found->first) != chain.end()) {
      return Error{Code::Invalid, "expander " + word + " is there twice; the autoscaler refuses to start"};
    }
    chain.push_back(found->first);
  }
  return chain;
}

Result<void> check_provider(const std::vector<ExpanderKind>& chain, const std::vector<NodeGroup>& groups) {
  if (std::find(chain.begin(), chain.end(), ExpanderKind::Price) == chain.end()) return {};
  for (const NodeGroup& group : groups) {
    if (group.provider != "aws" && group.provider != "azure") continue;
    std::string cloud = group.provider == "aws" ? "AWS" : "Azure";
    return Error{Code::Invalid, "expander price: Cluster Autoscaler has no prices for " + cloud + " and ends at once", "use priority, or least-waste"};
  }
  return {};
}

size_t Expander::draw(size_t count) {  // SplitMix64
  uint64_t mixed = random_ += 0x9e3779b97f4a7c15;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return static_cast<size_t>((mixed ^ (mixed >> 31)) % count);
}

std::optional<size_t> Expander::choose(const std::vector<Option>& options, std::vector<ExpanderStep>& steps) {
  Kept kept(options.size());
  std::iota(kept.begin(), kept.end(), size_t(0));
  auto record = [&](ExpanderStep step) {
    for (size_t index : kept) step.kept.push_back(options[index].group->name);
    steps.push_back(std::move(step));
  };
  for (ExpanderKind kind : chain_) {
    ExpanderStep step;
    step.expander = expander_name(kind);
    kept = keep(kind, options, kept, step);
    record(std::move(step));
    if (kept.size() == 1) return kept[0];
  }
  if (kept.empty()) return std::nullopt;
  kept = {kept[draw(kept.size())]};
  record({"random (fallback)", {}, {}, ""});
  return kept[0];
}

Expander::Kept Expander::keep(ExpanderKind kind, const std::vector<Option>& options, const Kept& from, ExpanderStep& step) {
  switch (kind) {
    case ExpanderKind::Random: return from.empty() ? Kept{} : Kept{from[draw(from.size())]};
    case ExpanderKind::MostPods: return most_pods(options, from, step);
    case ExpanderKind::LeastWaste: return least_waste(options, from, step);
    case ExpanderKind::LeastNodes: return least_nodes(options, from, step);
    case ExpanderKind::Price: return price(options, from, step);
    case ExpanderKind::Priority: return priority(options, from, step);
  }
  return from;
}

Expander::Kept Expander::most_pods(const std::vector<Option>& options, const Kept& from, ExpanderStep& step) const {
  for (size_t index : from) step.scores.push_back({options[index].group->name, std::to_string(options[index].pods.size()) + " pods"});
  return keep_least(from, [&](size_t index) { return -static_cast<int64_t>(options[index].pods.size()); });
}

Expander::Kept Expander::least_nodes(const std::vector<Option>& options, const Kept& from, ExpanderStep& step) const {
  for (size_t index : from) step.scores.push_back({options[index].group->name, std::to_string(options[index].nodes) + " nodes"});
  Kept some;
  std::copy_if(from.begin(), from.end(), std::back_inserter(some), [&](size_t index) { return options[index].nodes != 0; });
  return keep_least(some, [&](size_t index) { return options[index].nodes; });
}

Expander::Kept Expander::least_waste(const std::vector<Option>& options, const Kept& from, ExpanderStep& step) const {
  auto waste = [&](size_t index) {
    const Option& option = options[index];
    int64_t cpu = 0, memory = 0;
    add_requests(option, cpu, memory);
    int64_t have_cpu = option.node->capacity.milli_cpu * option.nodes, have_memory = option.node->capacity.memory * option.nodes;
    return static_cast<double>(have_cpu - cpu) / static_cast<double>(have_cpu) + static_cast<double>(have_memory - memory) / static_cast<double>(have_memory);
  };
  for (size_t index : from) step.scores.push_back({options[index].group->name, "waste " + decimal(waste(index))});
  return keep_least(from, waste);
}

Expander::Kept Expander::price(const std::vector<Option>& options, const Kept& from, ExpanderStep& step) const {
  double preferred = static_cast<double>(preferred_milli_cpu(cluster_size_));
  auto score = [&](size_t index) {
    const Option& option = options[index];
    int64_t cpu = 0, memory = 0;
    add_requests(option, cpu, memory);
    double nodes_price = static_cast<double>(*option.node_price) / static_cast<double>(kNanoPerUsd) * static_cast<double>(option.nodes);
    double pods_price = static_cast<double>(cpu) / 1000 * kCpuPrice + static_cast<double>(memory) / kGib * kMemoryPricePerGib;
    double own = static_cast<double>(option.node->capacity.milli_cpu);
    double unfitness = std::max(preferred / own, own / preferred);
    double suppressed = (unfitness - 1) * (1 - std::tanh(static_cast<double>(option.nodes - 1) / 15)) + 1;
    if (option.node->capacity.scalar("nvidia.com/gpu") > 0) suppressed = kGpuUnfitness;
    return suppressed * ((nodes_price + kStabilization) / (pods_price + kStabilization));
  };
  Kept priced;
  for (size_t index : from) {
    if (options[index].node_price) {
      priced.push_back(index);
      step.scores.push_back({options[index].group->name, "score " + decimal(score(index))});
    } else {
      step.scores.push_back({options[index].group->name, "no price is known for " + options[index].group->first_type() + "; left out"});
    }
  }
  return keep_least(priced, score);
}

Expander::Kept Expander::priority(const std::vector<Option>& options, const Kept& from, ExpanderStep& step) const {
  if (!priorities_) {
    step.note = why_none_ + "; every option passes";
    return from;
  }
  int64_t most = kLeastPriority;
  Kept best;
  std::vector<std::string> unmatched;
  for (size_t index : from) {
    auto found = priorities_->priority_of(options[index].group->id);
    if (!found) unmatched.push_back(options[index].group->name);
    step.scores.push_back({options[index].group->name, found ? "priority " + std::to_string(*found) : "no pattern matches"});
    if (!found || *found < most) continue;
    if (*found > most) best.clear();
    most = *found;
    best.push_back(index);
  }
  if (best.empty()) {
    step.note = "no pattern gives any of them a priority of -1 or more; every option passes";
    return from;
  }
  if (!unmatched.empty()) step.note = "shut out, since no pattern matches: " + join(unmatched, ", ");
  return best;
}

}  // namespace archway::scheduler
