#include "audit/pod_reader.h"

#include <algorithm>
#include <array>

#include "audit/finding_id.h"
#include "kube/pod_images.h"

namespace archway::audit {

namespace {

constexpr std::string_view kArch = "kubernetes.io/arch", kLegacyArch = "beta.kubernetes.io/arch";
constexpr std::string_view kOs = "kubernetes.io/os", kLegacyOs = "beta.kubernetes.io/os";

constexpr size_t kMaxPlacementValues = 10'000;

class Reader {
 public:
  Reader(const Value& spec, const Place& base, const std::string& path) : spec_(spec), base_(base), path_(path) {}

  PodPlacement read() {
    placement_.node_name = std::string(spec_["nodeName"].scalar());
    placement_.windows = spec_["os"]["name"].scalar() == "windows";
    selector();
    affinity();
    tolerations();
    return std::move(placement_);
  }

 private:
  void fail(const Error& error) {
    if (placement_.problem.empty()) placement_.problem = error.message;
  }

  void selector() {
    const Value* selector = spec_.find("nodeSelector");
    if (!selector) return;
    std::vector<kube::Labels::Entry> entries;
    selector->each_member([&](const Value& key, const Value& value) {
      entries.emplace_back(key.scalar(), value.scalar());
      if (key.scalar() == kOs || key.scalar() == kLegacyOs) placement_.windows = placement_.windows || value.scalar() == "windows";
      if (key.scalar() != kArch && key.scalar() != kLegacyArch) return;
      ArchClause clause;
      clause.legacy_label = key.scalar() == kLegacyArch;
      clause.requirement = {std::string(key.scalar()), kube::SelectorOperator::In, {std::string(value.scalar())}};
      std::string at = path_ + "/nodeSelector/" + (clause.legacy_label ? "beta.kubernetes.io~1arch" : "kubernetes.io~1arch");
      clause.place = place_of(base_, key, at);
      if (value.line != 0) clause.place.end = value.end;
      clause.key = place_of(base_, key, std::move(at));
      placement_.clauses.push_back(std::move(clause));
    });
    placement_.node_selector = kube::Labels(std::move(entries));
  }

  void affinity() {
    const Value* affinity = spec_["affinity"].find("nodeAffinity");
    if (!affinity) return;
    auto read = kube::read_node_affinity(json_of_value(*affinity, kMaxPlacementValues));
    if (read.ok()) {
      placement_.affinity = std::move(*read);
    } else {
      fail(read.error());
    }
    std::string at = path_ + "/affinity/nodeAffinity/";
    const Value& required = (*affinity)["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    size_t index = 0;
    required.each_item([&](const Value& term) {
      terms(term, ArchClause::Where::Required, index, at + "requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/" + std::to_string(index));
      ++index;
    });
    index = 0;
    (*affinity)["preferredDuringSchedulingIgnoredDuringExecution"].each_item([&](const Value& item) {
      terms(item["preference"], ArchClause::Where::Preferred, index, at + "preferredDuringSchedulingIgnoredDuringExecution/" + std::to_string(index) + "/preference");
      ++index;
    });
  }

  void terms(const Value& term, ArchClause::Where where, size_t index, const std::string& at) {
    size_t number = 0;
    term["matchExpressions"].each_item([&](const Value& expression) {
      size_t here = number++;
      std::string_view key = expression["key"].scalar();
      if (key != kArch && key != kLegacyArch) return;
      auto op = operator_of(expression["operator"].scalar());
      if (!op) return;
      ArchClause clause{where, index, key == kLegacyArch, {std::string(key), *op, {}}, {}, {}};
      expression["values"].each_item([&](const Value& value) { clause.requirement.values.emplace_back(value.scalar()); });
      std::string path = at + "/matchExpressions/" + std::to_string(here);
      clause.place = place_of(base_, expression, path);
      clause.key = place_of(base_, expression["key"], path + "/key");
      placement_.clauses.push_back(std::move(clause));
    });
  }

  static std::optional<kube::SelectorOperator> operator_of(std::string_view name) {
    using enum kube::SelectorOperator;
    for (kube::SelectorOperator op : {In, NotIn, Exists, DoesNotExist}) {
      if (kube::operator_name(op) == name) return op;
    }
    return std::nullopt;
  }

  void tolerations() {
    spec_["tolerations"].each_item([&](const Value& item) {
      auto read = kube::read_toleration(json_of_value(item, kMaxPlacementValues));
      if (read.ok()) {
        placement_.tolerations.push_back(std::move(*read));
      } else {
        fail(read.error());
      }
    });
  }

  const Value& spec_;
  const Place& base_;
  const std::string& path_;
  PodPlacement placement_;
};

constexpr std::array<std::string_view, 3> kPlacementMembers = {"nodeSelector", "tolerations", "affinity"};

// May one of them be among its members? Most often not, and then nothing needs to be said about it.
bool may_have_placement(const Value& at) {
  bool may = false;
  at.each_member([&](const Value& key, const Value&) {
    std::string_view name = key.scalar();
    may = may || name == "<<" || std::find(kPlacementMembers.begin(), kPlacementMembers.end(), name) != kPlacementMembers.end();
  });
  return may;
}

void report_misplaced(const Value& at, const std::string& path, const std::string& where, const std::string& right, const Place& base, std::vector<Finding>& out) {
  for (std::string_view member : kPlacementMembers) {
    const Value* value = at.find(member);
    const Value* key = at.key_of(member);
    if (!value || value->is_null()) continue;
    Finding finding;
    finding.rule = "placement-outside-pod-spec";
    finding.severity = Finding::Severity::Error;
    finding.place = place_of(base, *key, path + "/" + std::string(member));
    if (key->line != 0) finding.place.end = value->end;
    finding.message = base.object + " has " + std::string(member) + " " + where + ", where it has no effect: pods go wherever there is room";
    finding.advice = "move it to " + right;
    finding.remedy.kind = Remedy::Kind::MoveIntoPodSpec;
    finding.remedy.replacement = right;
    finding.remedy.why = std::string(member) + " only counts in the pod's spec";
    finding.id = finding_id(finding);
    out.push_back(std::move(finding));
  }
}

std::string dotted(std::string_view pointer) {
  std::string text;
  for (char c : pointer) text += c == '/' ? '.' : c;
  return text.starts_with('.') ? text.substr(1) : text;
}

}  // namespace

Place place_of(const Place& base, const Value& value, SharedText path) {
  Place place = base;
  place.line = value.line;
  place.column = value.column;
  place.begin = value.line == 0 ? 0 : value.begin;
  place.end = value.line == 0 ? 0 : value.end;
  place.path = std::move(path);
  return place;
}

PodPlacement read_placement(const Value& spec, const Place& base, const std::string& path) { return Reader(spec, base, path).read(); }

void find_misplaced(const Value& object, const Place& base, std::vector<Finding>& out) {
  std::optional<std::string> pod = kube::pod_template_path(object["kind"].scalar());
  if (!pod) return;
  auto report = [&](const Value& at, const std::string& path, const std::string& where) { report_misplaced(at, path, where, dotted(*pod + "/spec"), base, out); };
  if (may_have_placement(object)) report(object, "", "beside spec");
  const Value& metadata = object["metadata"];
  if (may_have_placement(metadata)) report(metadata, "/metadata", "in metadata");
  // Every level above the pod's own: a Deployment's spec, and its template.
  const Value* level = &object;
  std::string path;
  for (size_t at = 1; at < pod->size();) {
    size_t end = std::min(pod->find('/', at), pod->size());
    level = &(*level)[pod->substr(at, end - at)];
    path = pod->substr(0, end);
    if (may_have_placement(*level)) report(*level, path, "in " + dotted(path));
    at = end + 1;
  }
  const Value& spec = (*level)["spec"];
  for (std::string_view list : {"initContainers", "containers"}) {
    size_t index = 0;
    spec[list].each_item([&](const Value& container) {
      size_t at = index++;
      if (may_have_placement(container)) report(container, *pod + "/spec/" + std::string(list) + "/" + std::to_string(at), "in a container");
    });
  }
}

}  // namespace archway::audit
