#include "audit/placement_edit.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace archway::audit {

namespace {

constexpr std::string_view kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
constexpr std::string_view kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";

using Names = std::vector<std::string>;

bool is_arch_label(std::string_view key) { return key == kArchLabel || key == kOldArchLabel; }
bool holds(const Names& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); }

Names sorted(Names names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Json in_expression(const Names& values) {
  return Json::object({{"key", Json(kArchLabel)}, {"operator", "In"}, {"values", Json(values)}});
}

Error bound_elsewhere(const std::string& what) { return {Code::Invalid, what}; }

// Members that lead to the terms; each is made where it is not there.
Json& descend(Json& from, std::string_view key) {
  Json* at = from.find(key);
  if (!at) at = &from.set(key, Json::object());
  if (!at->is_object()) *at = Json::object();
  return *at;
}

// affinity and what is in it go when they are empty.
void prune_affinity(Json& spec) {
  Json* affinity = spec.find("affinity");
  Json* node = affinity ? affinity->find("nodeAffinity") : nullptr;
  if (node && node->is_object() && node->size() == 0) affinity->erase("nodeAffinity");
  if (affinity && affinity->is_object() && affinity->size() == 0) spec.erase("affinity");
}

bool is_empty_term(const Json& term) { return term["matchExpressions"].items().empty() && term["matchFields"].items().empty(); }

// Narrows one term to the architectures. False: it said so already. An error: no architecture would be left.
Result<bool> narrow(Json& term, const Names& architectures) {
  Names allowed = architectures;
  Json* own = nullptr;
  Json* expressions = term.find("matchExpressions");
  size_t count = expressions ? expressions->size() : 0;
  for (size_t i = 0; i < count; ++i) {
    Json& expression = expressions->mutable_items()[i];
    if (!is_arch_label(expression["key"].string())) continue;
    const std::string& op = expression["operator"].string();
    Names values = expression["values"].strings();
    bool implied = op == "In" && std::all_of(values.begin(), values.end(), [&](const std::string& value) { return holds(architectures, value); });
    if (implied && !values.empty()) return false;
    if (op == "In") std::erase_if(allowed, [&](const std::string& name) { return !holds(values, name); });
    if (op == "NotIn") std::erase_if(allowed, [&](const std::string& name) { return holds(values, name); });
    if (op == "DoesNotExist") allowed.clear();
    if (op == "In" && expression["key"].string() == kArchLabel && !own) own = &expression;
  }
  if (allowed.empty()) return bound_elsewhere("its node affinity excludes " + join(architectures, " and "));
  if (own) {
    own->set("values", Json(allowed));
  } else {
    if (!expressions || !expressions->is_array()) expressions = &term.set("matchExpressions", Json::array());
    expressions->push(in_expression(allowed));
  }
  return true;
}

// Where a condition on the architecture is held in the spec.
struct Condition {
  Json* list = nullptr;      // matchExpressions
  size_t index = 0;
  std::string_view block;    // required or preferred
  size_t term = 0;
  std::string label;         // of a nodeSelector
};

std::optional<Condition> condition_at(Json& spec, Steps path) {
  Condition at;
  if (path.size() >= 2 && path[0] == "nodeSelector" && spec["nodeSelector"].has(path[1])) {
    at.label = path[1];
    return at;
  }
  // affinity nodeAffinity required... nodeSelectorTerms 0 matchExpressions 1, or affinity nodeAffinity preferred... 0 preference matchExpressions 1
  if (path.size() < 7 || path[0] != "affinity" || path[1] != "nodeAffinity") return std::nullopt;
  bool required = path[2] == kRequired;
  if ((!required && path[2] != kPreferred) || path[5] != "matchExpressions") return std::nullopt;
  at.block = required ? kRequired : kPreferred;
  auto term = parse_uint(path[required ? 4 : 3]), index = parse_uint(path[6]);
  at.list = value_at(spec, path.subspan(0, 6));
  if (!term || !index || !at.list || *index >= at.list->size()) return std::nullopt;
  at.term = *term;
  at.index = *index;
  if (!is_arch_label(at.list->items()[at.index]["key"].string()) && !at.list->items()[at.index]["key"].string().ends_with("kubernetes.io/os")) return std::nullopt;
  return at;
}

void erase_item(Json& list, size_t index) { list.mutable_items().erase(list.mutable_items().begin() + static_cast<ptrdiff_t>(index)); }

void drop_selector(Json& spec, const std::string& label) {
  Json* selector = spec.find("nodeSelector");
  selector->erase(label);
  if (selector->size() == 0) spec.erase("nodeSelector");
}

// A required term that says nothing more would match no node; what was meant is any node. That makes the alternatives beside it
// pointless, which is more than anybody asked for.
Result<bool> drop_expression(Json& spec, const Condition& at) {
  Json& affinity = *spec.find("affinity")->find("nodeAffinity");
  Json& block = *affinity.find(at.block);
  Json& terms = at.block == kRequired ? *block.find("nodeSelectorTerms") : block;
  Json& item = terms.mutable_items()[at.term];
  Json& term = at.block == kRequired ? item : *item.find("preference");
  bool last = at.list->size() == 1 && term["matchFields"].items().empty();
  if (last && at.block == kRequired && terms.size() > 1) {
    return bound_elsewhere("without this condition its term would match every node, and the other terms would mean nothing");
  }
  if (!last) {
    if (at.list->size() == 1) {
      term.erase("matchExpressions");
    } else {
      erase_item(*at.list, at.index);
    }
    return true;
  }
  erase_item(terms, at.term);
  if (terms.size() == 0) affinity.erase(at.block);
  prune_affinity(spec);
  return true;
}

}  // namespace

Json* value_at(Json& root, Steps path) {
  Json* at = &root;
  for (const std::string& step : path) {
    if (at->is_object()) {
      at = at->find(step);
    } else {
      auto index = parse_uint(step);
      at = at->is_array() && index && *index < at->size() ? &at->mutable_items()[*index] : nullptr;
    }
    if (!at) return nullptr;
  }
  return at;
}

Result<bool> require_architectures(Json& spec, const Names& architectures) {
  Names wanted = sorted(architectures);
  for (std::string_view label : {kArchLabel, kOldArchLabel}) {
    const Json* value = spec["nodeSelector"].find(label);
    if (!value) continue;
    if (holds(wanted, value->string())) return false;
    return bound_elsewhere("its nodeSelector wants " + value->string() + ", not " + join(wanted, " or "));
  }
  if (!spec["nodeName"].string().empty()) return bound_elsewhere("it is bound to the node " + spec["nodeName"].string());
  if (spec["os"]["name"].string() == "windows") return bound_elsewhere("it is a Windows pod");
  Json changed = spec;
  Json& block = descend(descend(descend(changed, "affinity"), "nodeAffinity"), kRequired);
  Json* terms = block.find("nodeSelectorTerms");
  if (!terms || !terms->is_array() || terms->size() == 0) {
    // A selector without terms matches nothing: the API refuses it, so that it means that none was wanted.
    Json term = Json::object({{"matchExpressions", Json(Json::Array{in_expression(wanted)})}});
    block.set("nodeSelectorTerms", Json(Json::Array{std::move(term)}));
    spec = std::move(changed);
    return true;
  }
  bool any = false, all_empty = true;
  for (Json& term : terms->mutable_items()) {
    if (is_empty_term(term)) continue;
    all_empty = false;
    bool narrowed = TRY(narrow(term, wanted));
    any = any || narrowed;
  }
  if (all_empty) return bound_elsewhere("its node affinity matches no node: its terms are empty");
  if (any) spec = std::move(changed);
  return any;
}

Result<bool> prefer_architectures(Json& spec, const Names& architectures, int weight) {
  Json expression = in_expression(sorted(architectures));
  for (const Json& item : spec["affinity"]["nodeAffinity"][kPreferred].items()) {
    for (const Json& have : item["preference"]["matchExpressions"].items()) {
      bool same = is_arch_label(have["key"].string()) && have["operator"].string() == "In" && sorted(have["values"].strings()) == sorted(architectures);
      if (same) return false;
    }
  }
  Json& affinity = descend(descend(spec, "affinity"), "nodeAffinity");
  Json* list = affinity.find(kPreferred);
  if (!list || !list->is_array()) list = &affinity.set(kPreferred, Json::array());
  Json preference = Json::object({{"matchExpressions", Json(Json::Array{std::move(expression)})}});
  list->push(Json::object({{"weight", Json(weight)}, {"preference", std::move(preference)}}));
  return true;
}

Result<bool> select_architecture(Json& spec, const std::string& architecture) {
  const Json* old = spec["nodeSelector"].find(kOldArchLabel);
  if (old && old->string() != architecture) return bound_elsewhere("its nodeSelector wants " + old->string() + " by " + std::string(kOldArchLabel));
  if (spec["nodeSelector"][kArchLabel].string() == architecture) return false;
  descend(spec, "nodeSelector").set(kArchLabel, Json(architecture));
  return true;
}

Result<bool> add_toleration(Json& spec, const kube::Taint& taint) {
  std::vector<kube::Toleration> have;
  for (const Json& item : spec["tolerations"].items()) have.push_back(TRY(kube::read_toleration(item)));
  if (kube::tolerated(taint, have)) return false;
  Json toleration = Json::object({{"key", Json(taint.key)}, {"operator", taint.value.empty() ? "Exists" : "Equal"}});
  if (!taint.value.empty()) toleration.set("value", Json(taint.value));
  toleration.set("effect", Json(taint.effect));
  Json* list = spec.find("tolerations");
  if (!list || !list->is_array()) list = &spec.set("tolerations", Json::array());
  list->push(std::move(toleration));
  return true;
}

Result<bool> drop_arch_condition(Json& spec, Steps path) {
  auto at = condition_at(spec, path);
  if (!at) return false;
  if (at->list) return drop_expression(spec, *at);
  drop_selector(spec, at->label);
  return true;
}

Result<bool> widen_arch_condition(Json& spec, Steps path, const Names& architectures) {
  auto at = condition_at(spec, path);
  if (!at) return false;
  if (!at->list) {
    // A selector holds one value: as an affinity it can hold several.
    Names wanted = architectures;
    std::string value = spec["nodeSelector"][at->label].string();
    if (holds(wanted, value) && wanted.size() == 1) return false;
    wanted.push_back(value);
    Json changed = spec;
    drop_selector(changed, at->label);
    TRY(require_architectures(changed, wanted));
    spec = std::move(changed);
    return true;
  }
  Json& expression = at->list->mutable_items()[at->index];
  std::string op = expression["operator"].string();
  Names values = expression["values"].strings();
  size_t before = values.size();
  if (op == "In") {
    for (const std::string& name : architectures) {
      if (!holds(values, name)) values.push_back(name);
    }
  } else if (op == "NotIn") {
    std::erase_if(values, [&](const std::string& name) { return holds(architectures, name); });
  } else {
    return bound_elsewhere("a condition with operator " + op + " cannot be widened");
  }
  if (values.size() == before) return false;
  if (values.empty()) return drop_expression(spec, *at);
  expression.set("values", Json(values));
  return true;
}

Result<bool> rename_label(Json& spec, Steps path, const std::string& label) {
  // The place of a name is often that of the name itself: .../matchExpressions/0/key
  if (!path.empty() && path.back() == "key") path = path.subspan(0, path.size() - 1);
  auto at = condition_at(spec, path);
  if (!at && path.size() >= 2 && path[0] == "nodeSelector" && spec["nodeSelector"].has(path[1])) at = Condition{nullptr, 0, {}, 0, path[1]};
  if (!at) return false;
  if (at->list) {
    Json& expression = at->list->mutable_items()[at->index];
    if (expression["key"].string() == label) return false;
    expression.set("key", Json(label));
    return true;
  }
  if (at->label == label) return false;
  Json& selector = *spec.find("nodeSelector");
  std::string value = selector[at->label].string();
  if (const Json* other = selector.find(label); other && other->string() != value) {
    return bound_elsewhere("its nodeSelector says both " + at->label + ": " + value + " and " + label + ": " + other->string());
  }
  selector.erase(at->label);
  selector.set(label, Json(value));
  return true;
}

Result<bool> drop_arch_conditions(Json& spec) {
  bool any = false;
  for (std::string_view label : {kArchLabel, kOldArchLabel}) {
    if (!spec["nodeSelector"].has(label)) continue;
    drop_selector(spec, std::string(label));
    any = true;
  }
  for (std::string_view block : {kRequired, kPreferred}) {
    const Json* list = spec["affinity"]["nodeAffinity"].find(block);
    if (list && block == kRequired) list = list->find("nodeSelectorTerms");
    for (size_t term = list ? list->size() : 0; term-- > 0;) {
      std::string number = std::to_string(term);
      std::vector<std::string> path = block == kRequired ? std::vector<std::string>{"affinity", "nodeAffinity", std::string(block), "nodeSelectorTerms", number, "matchExpressions", ""}
                                                         : std::vector<std::string>{"affinity", "nodeAffinity", std::string(block), number, "preference", "matchExpressions", ""};
      Json* expressions = value_at(spec, Steps(path).first(6));
      for (size_t i = expressions ? expressions->size() : 0; i-- > 0;) {
        path[6] = std::to_string(i);
        expressions = value_at(spec, Steps(path).first(6));
        if (!expressions || i >= expressions->size() || !is_arch_label(expressions->items()[i]["key"].string())) continue;
        bool dropped = TRY(drop_arch_condition(spec, path));
        any = any || dropped;
      }
    }
  }
  return any;
}

}  // namespace archway::audit
