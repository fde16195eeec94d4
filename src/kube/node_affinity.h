#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kube/selector.h"

namespace archway::kube {

// One of several alternatives: all its expressions and fields must hold. Empty, or one that the selector library
// cannot parse, matches no node (component-helpers, scheduling/corev1/nodeaffinity).
struct NodeSelectorTerm {
  std::vector<Requirement> expressions;
  std::vector<Requirement> fields;  // metadata.name In or NotIn one name
  bool parses = true;

  bool matches(const std::string& node_name, const Labels& node_labels) const;
  bool operator==(const NodeSelectorTerm&) const = default;
};

struct PreferredNodeTerm {
  int64_t weight = 0;
  NodeSelectorTerm term;
  bool operator==(const PreferredNodeTerm&) const = default;
};

struct NodeAffinity {
  std::optional<std::vector<NodeSelectorTerm>> required;  // ORed; set and empty matches nothing
  std::vector<PreferredNodeTerm> preferred;
  bool operator==(const NodeAffinity&) const = default;
};

bool any_term_matches(const std::vector<NodeSelectorTerm>& terms, const std::string& node_name, const Labels& node_labels);
// The nodes a pod may go to by nodeSelector and required affinity.
bool node_affinity_matches(const Labels& node_selector, const NodeAffinity& affinity, const std::string& node_name, const Labels& node_labels);
// Sum of the weights of the matching preferences.
int64_t preference_score(const std::vector<PreferredNodeTerm>& terms, const std::string& node_name, const Labels& node_labels);

// Where every term names its nodes by metadata.name: these names (perhaps none: the terms contradict). Else nullopt.
std::optional<std::set<std::string>> named_nodes(const NodeAffinity& affinity);

Result<NodeAffinity> read_node_affinity(const Json& object);
// A NodeSelector: {nodeSelectorTerms: [...]}.
Result<std::vector<NodeSelectorTerm>> read_node_selector_terms(const Json& object);

}  // namespace archway::kube
