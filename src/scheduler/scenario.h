#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "scheduler/inventory.h"

// What should change in a cluster, as flags or a scenario file say it.
namespace archway::scheduler {

// "arm64=6,type=m7g.xlarge,taint=arch=arm64:NoSchedule,zone=us-east-1a,zone=us-east-1b,label=a=b,cpu=4,memory=16Gi,pods=58"
struct AddNodes {
  std::string architecture, type;
  int count = 1;
  std::vector<std::string> zones;  // in turn
  std::vector<kube::Taint> taints;
  std::vector<std::pair<std::string, std::string>> labels;
  std::optional<kube::Quantity> cpu, memory, pods;  // override what the type has
};
struct RemoveNodes {
  kube::Selector selector;
};
struct TaintNodes {
  kube::Selector selector;
  kube::Taint taint;
  bool remove = false;
};
struct LabelNodes {
  kube::Selector selector;
  std::string key;
  std::optional<std::string> value;  // none: take the label away
};
struct ApplyManifests {
  std::vector<Json> objects;
};
struct Recreate {
  kube::Selector selector;  // of pods
};
using Change = std::variant<AddNodes, RemoveNodes, TaintNodes, LabelNodes, ApplyManifests, Recreate>;

struct ScenarioStep {
  std::string name;
  std::vector<Change> changes;
};

inline constexpr int kMaxAddedNodes = 100'000;
inline constexpr size_t kMaxScenarioSteps = 1000;

Result<AddNodes> parse_add_nodes(std::string_view text);
// "SELECTOR KEY=VALUE:EFFECT", with "-" at the end to take the taint away; the selector "all" is every node.
Result<TaintNodes> parse_taint_nodes(std::string_view text);
// "SELECTOR KEY=VALUE", or "SELECTOR KEY-".
Result<LabelNodes> parse_label_nodes(std::string_view text);
// A selector, or "all".
Result<kube::Selector> parse_selector_or_all(std::string_view text);

// {steps: [{name, addNodes: [...], removeNodes: [...], taint: [...], label: [...], apply: [FILE...], recreate: [...]}]};
// each list holds what the flag of that name takes. `load` reads the objects of a manifest.
Result<std::vector<ScenarioStep>> read_scenario(const Json& document, const std::function<Result<std::vector<Json>>(const std::string&)>& load);

}  // namespace archway::scheduler
