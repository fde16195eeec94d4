#include "admission/node_match_merge.h"

#include <algorithm>
#include <optional>
#include <set>

#include "admission/names.h"
#include "kube/selector.h"

namespace archway::admission {

namespace {

constexpr std::string_view kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
// Stands for every value that nobody has named; no label can have it.
constexpr std::string_view kOther = "?";
// Beyond so many values in a pod's words on one label they are not weighed: the requirement is added without asking whether it says more.
constexpr size_t kMaxNamedValues = 64;

// What a pod's words allow of one label: values, and perhaps no value at all.
struct Allowed {
  std::vector<std::string> values;  // of the common ones, those named, and kOther
  bool absent = false;              // a node without the label would do
  bool open() const { return absent || std::find(values.begin(), values.end(), kOther) != values.end(); }
  bool has(const std::string& value) const { return std::find(values.begin(), values.end(), value) != values.end(); }
};

// Words on one label, in either spelling: requirements that all must hold.
struct Words {
  std::vector<kube::Requirement> list;
};

std::optional<kube::SelectorOperator> operator_of(std::string_view name) {
  using enum kube::SelectorOperator;
  for (kube::SelectorOperator op : {In, NotIn, Exists, DoesNotExist, Gt, Lt}) {
    if (kube::operator_name(op) == name) return op;
  }
  return std::nullopt;
}

// Reads the pod's words on one label out of a nodeSelector and a term. An old spelling (beta.) is believed where it names values: nodes
// that have it have both. That they lack one says nothing. Gt and Lt are passed over: which numbers are architectures is nobody's business.
class WordReader {
 public:
  WordReader(std::string_view label, std::string_view old_label) : label_(label), old_label_(old_label) {}

  void selector(const Json& node_selector) {
    for (const JsonMember& member : node_selector.members()) {
      if (member.value.is_string()) add(member.key, kube::SelectorOperator::In, {member.value.string()});
    }
  }
  void term(const Json& term) {
    for (const Json& expression : term["matchExpressions"].items()) {
      const std::string& key = expression["key"].string();
      if (key != label_ && key != old_label_) continue;
      if (auto op = operator_of(expression["operator"].string())) add(key, *op, expression["values"].strings());
    }
  }
  Words take() { return std::move(words_); }

 private:
  void add(const std::string& key, kube::SelectorOperator op, std::vector<std::string> values) {
    if (key != label_ && (key != old_label_ || op != kube::SelectorOperator::In)) return;
    if (op == kube::SelectorOperator::Gt || op == kube::SelectorOperator::Lt) return;
    std::sort(values.begin(), values.end());
    words_.list.push_back({std::string(label_), op, std::move(values)});
  }

  std::string_view label_, old_label_;
  Words words_;
};

Allowed allowed_by(const Words& words, const std::set<std::string>& common_values) {
  Allowed allowed;
  std::set<std::string> universe = common_values;
  size_t named = 0;
  for (const kube::Requirement& word : words.list) {
    named += word.values.size();
    if (named <= kMaxNamedValues) universe.insert(word.values.begin(), word.values.end());
  }
  universe.emplace(kOther);
  if (words.list.empty() || named > kMaxNamedValues) {
    allowed.values.assign(universe.begin(), universe.end());
    allowed.absent = true;
    return allowed;
  }
  auto all_hold = [&](const kube::Labels& labels) {
    return std::all_of(words.list.begin(), words.list.end(), [&](const kube::Requirement& word) { return word.matches(labels); });
  };
  for (const std::string& value : universe) {
    if (all_hold(kube::Labels({{words.list[0].key, value}}))) allowed.values.push_back(value);
  }
  allowed.absent = all_hold(kube::Labels());
  return allowed;
}

// One more condition on nodes: os and architecture each among some, or anything where empty.
struct Condition {
  std::set<std::string> oses, architectures;
  bool admits(const Place& place) const {
    return (oses.empty() || oses.contains(place.os)) && (architectures.empty() || architectures.contains(place.architecture));
  }
};

// One alternative of a pod (a term together with the nodeSelector): the places it allows, and those of them in common.
struct Alternative {
  std::vector<Place> allowed;  // kOther and "" (no label) among them
  Places wanted;
  bool asked = false;
};

class Merger {
 public:
  Merger(const Places& common, const Places& node_places) : common_(common), node_places_(node_places) {
    for (const Place& place : common) {
      oses_.insert(place.os);
      architectures_.insert(place.architecture);
    }
  }

  Alternative weigh(const Json& node_selector, const Json& term) const {
    Words os = words(kOsLabel, kBetaOsLabel, node_selector, term), architecture = words(kArchLabel, kBetaArchLabel, node_selector, term);
    Alternative alternative;
    alternative.asked = !os.list.empty() || !architecture.list.empty();
    if (node_places_.empty()) {
      alternative.allowed = product(allowed_by(os, oses_), allowed_by(architecture, architectures_));
    } else {
      for (const Place& place : node_places_) {
        if (holds(os, place.os) && holds(architecture, place.architecture)) alternative.allowed.push_back(place);
      }
    }
    for (const Place& place : alternative.allowed) {
      if (contains(common_, place)) alternative.wanted.push_back(place);
    }
    std::sort(alternative.wanted.begin(), alternative.wanted.end());
    return alternative;
  }

  // The fewest conditions that leave exactly what is wanted of an alternative: none, one, or several that are alternatives themselves.
  std::vector<Condition> conditions(const Alternative& alternative) const {
    if (alternative.allowed.size() == alternative.wanted.size()) return {};
    std::set<std::string> wanted_oses, wanted_architectures;
    for (const Place& place : alternative.wanted) {
      wanted_oses.insert(place.os);
      wanted_architectures.insert(place.architecture);
    }
    if (alternative.wanted.empty()) wanted_oses = oses_, wanted_architectures = architectures_;
    for (const Condition& condition : {Condition{{}, architectures_}, Condition{oses_, {}}, Condition{oses_, architectures_},
                                       Condition{{}, wanted_architectures}, Condition{wanted_oses, {}}, Condition{wanted_oses, wanted_architectures}}) {
      if (leaves_what_is_wanted(alternative, condition)) return {condition};
    }
    // Where nothing is wanted, any part of what is in common lets nothing in; else each system has its own architectures.
    if (alternative.wanted.empty()) return {one_per_os(common_).front()};
    return one_per_os(alternative.wanted);
  }

 private:
  static Words words(std::string_view label, std::string_view old_label, const Json& node_selector, const Json& term) {
    WordReader reader(label, old_label);
    reader.selector(node_selector);
    reader.term(term);
    return reader.take();
  }
  static bool holds(const Words& words, const std::string& value) {
    kube::Labels labels;
    if (!words.list.empty()) labels.set(words.list[0].key, value);
    return std::all_of(words.list.begin(), words.list.end(), [&](const kube::Requirement& word) { return word.matches(labels); });
  }
  static std::vector<Place> product(const Allowed& oses, const Allowed& architectures) {
    std::vector<Place> places;
    auto row = [&](const std::string& os) {
      for (const std::string& architecture : architectures.values) places.push_back({os, architecture});
      if (architectures.absent) places.push_back({os, ""});
    };
    for (const std::string& os : oses.values) row(os);
    if (oses.absent) row("");
    return places;
  }
  static bool leaves_what_is_wanted(const Alternative& alternative, const Condition& condition) {
    return std::all_of(alternative.allowed.begin(), alternative.allowed.end(), [&](const Place& place) {
      return condition.admits(place) == contains(alternative.wanted, place);
    });
  }
  // Operating systems with the same architectures share a condition.
  static std::vector<Condition> one_per_os(const Places& places) {
    std::vector<Condition> list;
    std::set<std::string> oses;
    for (const Place& place : places) oses.insert(place.os);
    for (const std::string& os : oses) {
      Condition condition{{os}, {}};
      for (const Place& place : places) {
        if (place.os == os) condition.architectures.insert(place.architecture);
      }
      auto same = std::find_if(list.begin(), list.end(), [&](const Condition& each) { return each.architectures == condition.architectures; });
      if (same == list.end()) {
        list.push_back(std::move(condition));
      } else {
        same->oses.insert(os);
      }
    }
    return list;
  }

  const Places& common_;
  const Places& node_places_;
  std::set<std::string> oses_, architectures_;
};

Json expression(std::string_view key, const std::set<std::string>& values) {
  Json list = Json::array();
  for (const std::string& value : values) list.push(value);
  Json expression = Json::object({{"key", key}, {"operator", "In"}});
  expression.set("values", std::move(list));
  return expression;
}

std::vector<Json> expressions(const Condition& condition) {
  std::vector<Json> list;
  if (!condition.architectures.empty()) list.push_back(expression(kArchLabel, condition.architectures));
  if (!condition.oses.empty()) list.push_back(expression(kOsLabel, condition.oses));
  return list;
}

bool is_empty_term(const Json& term) { return term["matchExpressions"].items().empty() && term["matchFields"].items().empty(); }

void merge_places(Places& into, const Places& more) {
  into.insert(into.end(), more.begin(), more.end());
  std::sort(into.begin(), into.end());
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

void note(Narrowed& narrowed, const Alternative& alternative) {
  narrowed.asked |= alternative.asked;
  merge_places(narrowed.places, alternative.wanted);
}

// A pod that requires no term: all conditions become terms of one new list.
void add_terms(Json& spec, const std::string& pointer, const std::vector<Condition>& conditions, PatchWriter& patch) {
  Json terms = Json::array();
  for (const Condition& condition : conditions) {
    Json term = Json::object();
    term.set("matchExpressions", Json(expressions(condition)));
    terms.push(std::move(term));
  }
  Json required = Json::object();
  required.set("nodeSelectorTerms", std::move(terms));
  patch.put(spec, pointer, {"affinity", "nodeAffinity", kRequired}, std::move(required));
}

// Which of the terms that are the same word for word this one is, and how many there are.
struct Twin {
  size_t rank = 0, count = 0;
};
Twin find_twins(const Json::Array& terms, size_t index) {
  Twin twin;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (!(terms[i] == terms[index])) continue;
    if (i < index) ++twin.rank;
    ++twin.count;
  }
  return twin;
}

// No term may be added, so twins share the conditions: one each, those first that leave most, or Linux. What is left over is left out.
std::vector<Condition> share(std::vector<Condition> conditions, const Alternative& alternative, Twin twin, Narrowed& narrowed) {
  auto leaves = [&](const Condition& condition) {
    return std::count_if(alternative.wanted.begin(), alternative.wanted.end(), [&](const Place& place) { return condition.admits(place); });
  };
  std::stable_sort(conditions.begin(), conditions.end(), [&](const Condition& a, const Condition& b) {
    return std::pair(leaves(a), a.oses.contains("linux")) > std::pair(leaves(b), b.oses.contains("linux"));
  });
  for (const Place& place : alternative.wanted) {
    auto end = conditions.begin() + static_cast<std::ptrdiff_t>(std::min(conditions.size(), twin.count));
    if (std::none_of(conditions.begin(), end, [&](const Condition& each) { return each.admits(place); })) merge_places(narrowed.left_out, {place});
  }
  return {conditions[std::min(twin.rank, conditions.size() - 1)]};
}

class TermNarrower {
 public:
  TermNarrower(Json& spec, const std::string& pointer, PatchWriter& patch)
      : required_(*(*spec.find("affinity")->find("nodeAffinity")).find(kRequired)),
        pointer_(pointer + "/affinity/nodeAffinity/" + std::string(kRequired)),
        patch_(patch) {}

  void narrow(size_t index, const std::vector<Condition>& conditions) {
    Json before = conditions.size() > 1 ? terms()[index] : Json();
    extend(index, conditions[0]);
    // Alternatives within a term: the others become terms of their own behind the last.
    for (size_t i = 1; i < conditions.size(); ++i) {
      Json copy = before;
      for (Json& each : expressions(conditions[i])) list_of(copy).push(std::move(each));
      patch_.append(required_, pointer_, {"nodeSelectorTerms"}, std::move(copy));
    }
  }

 private:
  Json::Array& terms() { return required_.find("nodeSelectorTerms")->mutable_items(); }
  static Json& list_of(Json& term) {
    Json* list = term.find("matchExpressions");
    return list ? *list : term.set("matchExpressions", Json::array());
  }
  void extend(size_t index, const Condition& condition) {
    Json& term = terms()[index];
    std::string at = pointer_ + "/nodeSelectorTerms/" + std::to_string(index);
    std::vector<Json> more = expressions(condition);
    if (!term["matchExpressions"].is_array()) return patch_.put(term, at, {"matchExpressions"}, Json(std::move(more)));
    for (Json& each : more) patch_.append(term, at, {"matchExpressions"}, std::move(each));
  }

  Json& required_;
  std::string pointer_;
  PatchWriter& patch_;
};

}  // namespace

Narrowed narrow(Json& spec, const std::string& pointer, const Places& common, const Places& node_places, MayChange may, PatchWriter& patch) {
  Narrowed narrowed;
  Merger merger(common, node_places);
  const Json selector = spec["nodeSelector"];
  bool could_match = false;  // by its own words, without images
  if (spec["affinity"]["nodeAffinity"][kRequired].is_null()) {
    Alternative only = merger.weigh(selector, Json());
    note(narrowed, only);
    could_match = !only.allowed.empty();
    auto conditions = merger.conditions(only);
    if (!conditions.empty()) add_terms(spec, pointer, conditions, patch);
  } else {
    // Terms that are added on the way are not looked at again.
    const Json::Array own_terms = spec["affinity"]["nodeAffinity"][kRequired]["nodeSelectorTerms"].items();
    for (size_t index = 0; index < own_terms.size(); ++index) {
      const Json& term = own_terms[index];
      if (is_empty_term(term)) continue;
      Alternative alternative = merger.weigh(selector, term);
      note(narrowed, alternative);
      could_match |= !alternative.allowed.empty();
      if (alternative.wanted.empty() && !alternative.allowed.empty()) narrowed.dead_terms.push_back(index);
      auto conditions = merger.conditions(alternative);
      if (conditions.empty()) continue;
      if (conditions.size() > 1 && may == MayChange::AppendOnly) conditions = share(std::move(conditions), alternative, find_twins(own_terms, index), narrowed);
      TermNarrower(spec, pointer, patch).narrow(index, conditions);
    }
  }
  narrowed.contradiction = could_match && narrowed.places.empty();
  return narrowed;
}

std::vector<Json> terms_in_reserve(const Json& spec, const Places& node_places) {
  std::vector<Json> reserve;
  if (node_places.empty()) return reserve;
  const Places none;
  Merger merger(none, node_places);
  const Json::Array& terms = spec["affinity"]["nodeAffinity"][kRequired]["nodeSelectorTerms"].items();
  for (size_t i = 0; i < terms.size(); ++i) {
    if (is_empty_term(terms[i]) || find_twins(terms, i).count > 1) continue;
    std::set<std::string> oses, architectures;
    for (const Place& place : merger.weigh(spec["nodeSelector"], terms[i]).allowed) {
      oses.insert(place.os);
      architectures.insert(place.architecture);
    }
    for (size_t more = 1; architectures.size() > 1 && more < oses.size() && reserve.size() < kMaxReserve; ++more) reserve.push_back(terms[i]);
  }
  return reserve;
}

Narrowed look_at(const Json& spec, const Places& common, const Places& node_places) {
  PatchWriter nothing;
  Json copy = Json::object();
  copy.set("nodeSelector", spec["nodeSelector"]);
  copy.set("affinity", spec["affinity"]);
  return narrow(copy, "", common, node_places, MayChange::Anything, nothing);
}

}  // namespace archway::admission
