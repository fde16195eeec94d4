#include "kube/node_affinity.h"

#include <algorithm>

namespace archway::kube {

namespace {

constexpr std::string_view kNodeNameField = "metadata.name";

Result<Requirement> read_expression(const Json& object) {
  Requirement requirement;
  requirement.key = object["key"].string();
  const std::string& op = object["operator"].string();
  bool known = false;
  for (int i = 0; i <= static_cast<int>(SelectorOperator::Lt); ++i) {
    if (operator_name(static_cast<SelectorOperator>(i)) != op) continue;
    requirement.op = static_cast<SelectorOperator>(i);
    known = true;
  }
  if (!known) return Error{Code::Invalid, "operator: \"" + op + "\" is not one of In, NotIn, Exists, DoesNotExist, Gt, Lt"};
  if (!valid_label_key(requirement.key)) return Error{Code::Invalid, "key: \"" + requirement.key + "\" is no label key"};
  requirement.values = object["values"].strings();
  bool needs_values = requirement.op == SelectorOperator::In || requirement.op == SelectorOperator::NotIn;
  bool takes_values = needs_values || requirement.op == SelectorOperator::Gt || requirement.op == SelectorOperator::Lt;
  if (needs_values && requirement.values.empty()) return Error{Code::Invalid, "values: must be given for operator " + op};
  if (!takes_values && !requirement.values.empty()) return Error{Code::Invalid, "values: must be empty for operator " + op};
  if (takes_values && !needs_values && requirement.values.size() != 1) return Error{Code::Invalid, "values: must be one for operator " + op};
  std::sort(requirement.values.begin(), requirement.values.end());
  return requirement;
}

Result<Requirement> read_field(const Json& object) {
  Requirement requirement{object["key"].string(), SelectorOperator::In, object["values"].strings()};
  const std::string& op = object["operator"].string();
  if (requirement.key != kNodeNameField) return Error{Code::Invalid, "key: \"" + requirement.key + "\" is not metadata.name"};
  if (op == "NotIn") {
    requirement.op = SelectorOperator::NotIn;
  } else if (op != "In") {
    return Error{Code::Invalid, "operator: \"" + op + "\" is not In or NotIn"};
  }
  if (requirement.values.size() != 1) return Error{Code::Invalid, "values: must be one node name"};
  return requirement;
}

Result<NodeSelectorTerm> read_term(const Json& object) {
  NodeSelectorTerm term;
  size_t index = 0;
  for (const Json& item : object["matchExpressions"].items()) {
    term.expressions.push_back(TRY(read_expression(item).context("matchExpressions[" + std::to_string(index++) + "]")));
    // The API server takes what the selector library then refuses, such as Gt with a word: such a term matches nothing.
    if (requirement_error(term.expressions.back())) term.parses = false;
  }
  index = 0;
  for (const Json& item : object["matchFields"].items()) {
    term.fields.push_back(TRY(read_field(item).context("matchFields[" + std::to_string(index++) + "]")));
  }
  return term;
}

}  // namespace

bool NodeSelectorTerm::matches(const std::string& node_name, const Labels& node_labels) const {
  if (!parses || (expressions.empty() && fields.empty())) return false;
  for (const Requirement& each : expressions) {
    if (!each.matches(node_labels)) return false;
  }
  for (const Requirement& each : fields) {
    bool same = each.values[0] == node_name;
    if (same != (each.op == SelectorOperator::In)) return false;
  }
  return true;
}

bool any_term_matches(const std::vector<NodeSelectorTerm>& terms, const std::string& node_name, const Labels& node_labels) {
  return std::any_of(terms.begin(), terms.end(), [&](const NodeSelectorTerm& term) { return term.matches(node_name, node_labels); });
}

bool node_affinity_matches(const Labels& node_selector, const NodeAffinity& affinity, const std::string& node_name, const Labels& node_labels) {
  for (const auto& [key, value] : node_selector) {
    const std::string* have = node_labels.find(key);
    if (!have || *have != value) return false;
  }
  return !affinity.required || any_term_matches(*affinity.required, node_name, node_labels);
}

int64_t preference_score(const std::vector<PreferredNodeTerm>& terms, const std::string& node_name, const Labels& node_labels) {
  int64_t score = 0;
  for (const PreferredNodeTerm& each : terms) {
    if (each.weight != 0 && each.term.matches(node_name, node_labels)) score += each.weight;
  }
  return score;
}

std::optional<std::set<std::string>> named_nodes(const NodeAffinity& affinity) {
  if (!affinity.required || affinity.required->empty()) return std::nullopt;
  std::set<std::string> names;
  for (const NodeSelectorTerm& term : *affinity.required) {
    std::optional<std::set<std::string>> of_term;
    for (const Requirement& field : term.fields) {
      if (field.op != SelectorOperator::In) continue;
      std::set<std::string> named(field.values.begin(), field.values.end());
      if (of_term && *of_term != named) named.clear();  // one name each: equal or contradicting
      of_term = std::move(named);
    }
    if (!of_term) return std::nullopt;
    names.merge(*of_term);
  }
  return names;
}

Result<std::vector<NodeSelectorTerm>> read_node_selector_terms(const Json& object) {
  std::vector<NodeSelectorTerm> terms;
  size_t index = 0;
  for (const Json& item : object["nodeSelectorTerms"].items()) {
    terms.push_back(TRY(read_term(item).context("nodeSelectorTerms[" + std::to_string(index++) + "]")));
  }
  return terms;
}

Result<NodeAffinity> read_node_affinity(const Json& object) {
  NodeAffinity affinity;
  const Json& required = object["requiredDuringSchedulingIgnoredDuringExecution"];
  if (!required.is_null()) {
    affinity.required = TRY(read_node_selector_terms(required).context("requiredDuringSchedulingIgnoredDuringExecution"));
  }
  size_t index = 0;
  for (const Json& item : object["preferredDuringSchedulingIgnoredDuringExecution"].items()) {
    std::string where = "preferredDuringSchedulingIgnoredDuringExecution[" + std::to_string(index++) + "]";
    PreferredNodeTerm preferred;
    preferred.weight = item["weight"].integer();
    if (preferred.weight < 1 || preferred.weight > 100) return Error{Code::Invalid, where + ".weight: must be between 1 and 100"};
    preferred.term = TRY(read_term(item["preference"]).context(where + ".preference"));
    affinity.preferred.push_back(std::move(preferred));
  }
  return affinity;
}

}  // namespace archway::kube
