#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/autoscaler.h"
#include "scheduler/karpenter.h"
#include "scheduler/node_group_reader.h"

// All that `archway autoscaler` and `archway plan` read: node groups in whatever form, the priority expander's ConfigMap, Karpenter's
// objects, and the cluster itself. Documents tell by themselves what they are.
namespace archway::scheduler {

// A ConfigMap that is, or was perhaps meant to be, the priority expander's.
struct SeenConfigMap {
  std::string name, name_space;
  SourcePlace place;
  std::vector<std::string> keys;
  std::optional<std::string> priorities;  // data.priorities
  SourcePlace data_place;                 // of its first line
  bool is_text = true;                    // a ConfigMap holds nothing but strings
};

// cluster-autoscaler's own Deployment, as far as its flags matter.
struct SeenAutoscaler {
  SourcePlace place;
  std::string name_space, image;
  std::optional<std::string> expanders, config_namespace, provider;
  std::vector<std::string> discovery_tags;  // of asg:tag=a,b
  bool balances = false;
};

struct AutoscalerInput {
  Inventory inventory;
  std::vector<NodeGroup> groups;
  std::vector<NodePool> node_pools;
  std::vector<NodeClass> node_classes;
  std::vector<SeenConfigMap> config_maps;
  std::vector<SeenAutoscaler> autoscalers;
  std::vector<LaunchTemplate> launch_templates;
  std::map<std::string, std::string> provider_ids;       // by node
  std::map<std::string, kube::Resources> capacities;     // by node
  std::map<std::string, PodFacts> pod_facts;             // by ns/name
  std::vector<std::pair<SourcePlace, std::string>> problems;
  size_t understood = 0;                                 // documents that were of any use

  // `marks` may be null; then nothing has a line. `text`: the file's, to tell where a block of text begins.
  void add(const Json& document, const YamlMarks* marks, const std::string& file, std::string_view text = {});
  void settle(const PriceTable& prices);
  // Nothing in the input is about pods or nodes.
  bool has_cluster() const { return !inventory.nodes.empty() || !inventory.pods.empty() || !inventory.workloads.empty(); }
  // The ConfigMap that the expander would read in this namespace, or null; `why` says what is wrong then.
  const SeenConfigMap* priority_map(const std::string& name_space, std::string& why) const;

 private:
  void add_object(const Marked& object, const std::string& kind);
  void take(GroupReading reading);
  void read_config_map(const Marked& object);
  bool is_block(const Marked& value) const;

  std::string_view text_;  // while a document is being added
  void read_autoscaler(const Marked& object);
  void read_node_config(const Marked& object);
  void read_patch(const Marked& object);
  void merge_tags();
};

}  // namespace archway::scheduler
