#include "audit/remedy_edit.h"

#include <algorithm>
#include <optional>

#include "audit/fix.h"
#include "audit/placement_edit.h"
#include "base/text.h"

namespace archway::audit {

namespace {

using Kind = Remedy::Kind;
using Path = std::vector<std::string>;

Error invalid(std::string what) { return {Code::Invalid, std::move(what)}; }

bool is_pod_spec(const Json* value) {
  return value && value->is_object() && ((*value)["containers"].is_array() || (*value)["initContainers"].is_array());
}

Path joined(Steps front, const Path& back) {
  Path path(front.begin(), front.end());
  path.insert(path.end(), back.begin(), back.end());
  return path;
}

// The pod's spec that the place is in, or that is in what the place names (a Deployment, a template).
std::optional<Path> pod_spec_of(Json& document, const Path& steps) {
  for (size_t length = steps.size() + 1; length-- > 0;) {
    if (is_pod_spec(value_at(document, Steps(steps).first(length)))) return Path(steps.begin(), steps.begin() + static_cast<ptrdiff_t>(length));
  }
  for (size_t length = steps.size() + 1; length-- > 0;) {
    for (const Path& below : {Path{"spec"}, Path{"spec", "template", "spec"}, Path{"spec", "jobTemplate", "spec", "template", "spec"}, Path{"template", "spec"}}) {
      Path path = joined(Steps(steps).first(length), below);
      if (is_pod_spec(value_at(document, path))) return path;
    }
  }
  return std::nullopt;
}

std::vector<std::string> architectures_of(const Remedy& remedy) {
  std::vector<std::string> names;
  for (const Platform& platform : remedy.platforms) {
    if (std::find(names.begin(), names.end(), platform.architecture) == names.end()) names.push_back(platform.architecture);
  }
  return names;
}

// Text that holds the image among other things ("--image=X") keeps the rest.
Result<bool> replace_image(Json& document, const Request& request, const Target& target) {
  Json* value = value_at(document, target.steps);
  const Finding& finding = *request.finding;
  const std::string& replacement = finding.remedy.replacement;
  if (!value || value->is_array() || value->is_object() || !target.node) return invalid("there is no text to replace");
  std::string old = value->is_string() ? value->string() : target.node->text;
  if (old == replacement) return false;
  if (replacement.empty()) return invalid("what to write is not known");
  size_t at = old.find(finding.image);
  bool among_others = at != old.npos && old != finding.image && !replacement.starts_with(old.substr(0, at + 1));
  if (among_others) {
    if (old.find(finding.image, at + 1) != old.npos && finding.image.size() < 4) return invalid("the text holds " + finding.image + " more than once");
    *value = Json(replace_all(old, finding.image, replacement));
    return true;
  }
  if (at == old.npos && finding.image.find(old) == std::string::npos) return invalid("the text is not what it was when it was looked at");
  *value = Json(replacement);
  return true;
}

// compose: deploy.placement.constraints and what is empty without it.
Result<bool> drop_constraint(Json& document, const Path& steps) {
  Json* list = value_at(document, Steps(steps).first(steps.size() - 1));
  auto index = parse_uint(steps.back());
  if (!list || !list->is_array() || !index || *index >= list->size()) return false;
  list->mutable_items().erase(list->mutable_items().begin() + static_cast<ptrdiff_t>(*index));
  for (size_t length = steps.size() - 1; length > 0; --length) {
    Json* value = value_at(document, Steps(steps).first(length));
    if (value->size() > 0 || (steps[length - 1] != "constraints" && steps[length - 1] != "placement" && steps[length - 1] != "deploy")) break;
    value_at(document, Steps(steps).first(length - 1))->erase(steps[length - 1]);
  }
  return true;
}

// Where the condition's spec is, and where in it.
Result<bool> edit_condition(Json& document, const Request& request, const Target& target) {
  const Remedy& remedy = request.finding->remedy;
  Path path = target.steps;
  if (!target.member.empty()) path.push_back(target.member);
  auto holder = std::find_if(path.begin(), path.end(), [](const std::string& step) { return step == "nodeSelector" || step == "affinity"; });
  if (holder == path.end()) {
    if (remedy.kind != Kind::DropArchSelector) return invalid("there is no condition on the architecture");
    if (std::find(path.begin(), path.end(), "constraints") != path.end()) return drop_constraint(document, path);
    auto spec = pod_spec_of(document, path);
    if (!spec) return invalid("there is no pod here");
    Json changed = *value_at(document, *spec);
    bool any = TRY(drop_arch_conditions(changed));
    if (any) *value_at(document, *spec) = std::move(changed);
    return any;
  }
  Path front(path.begin(), holder), rest(holder, path.end());
  Json* spec = value_at(document, front);
  if (!spec) return false;  // an edit before took it away
  if (remedy.kind == Kind::RenameArchLabel) return rename_label(*spec, rest, remedy.replacement);
  if (remedy.kind == Kind::WidenArchSelector) return widen_arch_condition(*spec, rest, architectures_of(remedy));
  return drop_arch_condition(*spec, rest);
}

Result<bool> add_affinity(Json& spec, const Remedy& remedy) {
  std::vector<std::string> names = architectures_of(remedy);
  if (names.empty()) return invalid("no architecture is named");
  std::string_view how = remedy.replacement;
  if (how == "selector") {
    if (names.size() > 1) return invalid("a nodeSelector holds one architecture; use --require");
    return select_architecture(spec, names[0]);
  }
  if (!how.starts_with("preferred")) return require_architectures(spec, names);
  int weight = kDefaultPreferenceWeight;
  if (how.starts_with("preferred:")) weight = static_cast<int>(parse_uint(how.substr(10)).value_or(0));
  if (weight < 1 || weight > 100) return invalid("the weight of a preference is 1 to 100");
  return prefer_architectures(spec, names, weight);
}

Result<bool> edit_pod(Json& document, const Request& request, const Target& target) {
  auto path = pod_spec_of(document, target.steps);
  if (!path) return invalid("there is no pod here");
  Json& spec = *value_at(document, *path);
  const Remedy& remedy = request.finding->remedy;
  if (remedy.kind == Kind::AddArchAffinity) return add_affinity(spec, remedy);
  kube::Taint taint = TRY(kube::parse_taint(remedy.replacement));
  return add_toleration(spec, taint);
}

Result<bool> move_into_spec(Json& document, const Target& target) {
  Path parent = target.steps;
  std::string member = target.member;
  if (member.empty() && !parent.empty()) {
    member = parent.back();
    parent.pop_back();
  }
  Json* holder = value_at(document, parent);
  const Json* value = holder ? holder->find(member) : nullptr;
  if (!value) return false;
  auto path = pod_spec_of(document, parent);
  if (!path) return invalid("there is no pod's spec to move it to");
  Json moved = *value;
  Json& spec = *value_at(document, *path);
  const Json* there = spec.find(member);
  if (there && !there->is_null() && !(*there == moved)) return invalid("the pod's spec has " + member + " already, another one; merge them by hand");
  spec.set(member, std::move(moved));
  value_at(document, parent)->erase(member);
  return true;
}

// compose: `platform` of a service.
Result<bool> drop_platform(Json& document, const Target& target) {
  Path path = target.steps;
  if (!target.member.empty()) path.push_back(target.member);
  if (path.empty() || path.back() != "platform") return invalid("there is no platform here");
  Json* service = value_at(document, Steps(path).first(path.size() - 1));
  if (!service || !service->has("platform")) return false;
  service->erase("platform");
  return true;
}

bool holds(const YamlNode& node, const Place& place) { return node.begin <= place.begin && place.end <= node.end; }

}  // namespace

Target target_of(const YamlNode& root, const Place& place) {
  Target target;
  target.node = &root;
  for (;;) {
    const YamlNode& node = *target.node;
    // Children stand in order: the last that begins at the place or before it.
    auto behind = std::partition_point(node.children.begin(), node.children.end(), [&](const YamlNode& child) { return child.begin <= place.begin; });
    if (behind == node.children.begin()) return target;
    size_t at = static_cast<size_t>(behind - node.children.begin()) - 1;
    bool mapping = node.kind == YamlNode::Kind::Mapping;
    if (mapping && at % 2 == 1 && node.children[at - 1].begin == place.begin && node.children[at].begin == place.begin) --at;  // a key without bytes
    const YamlNode& child = node.children[at];
    if (mapping && at % 2 == 0) {
      bool here = child.begin == place.begin && place.end <= std::max(child.end, node.children[at + 1].end);
      if (here) target.member = child.text;
      return target;
    }
    if (!holds(child, place)) return target;
    target.steps.push_back(mapping ? node.children[at - 1].text : std::to_string(at));
    target.node = &child;
  }
}

Result<bool> apply_remedy(Json& document, const Request& request, const Target& target) {
  switch (request.finding->remedy.kind) {
    case Kind::ReplaceImage: return replace_image(document, request, target);
    case Kind::DropArchSelector:
    case Kind::WidenArchSelector:
    case Kind::RenameArchLabel: return edit_condition(document, request, target);
    case Kind::AddArchAffinity:
    case Kind::AddToleration: return edit_pod(document, request, target);
    case Kind::MoveIntoPodSpec: return move_into_spec(document, target);
    case Kind::DropPlatform: return drop_platform(document, target);
    default: return invalid("there is no such edit of a YAML file");
  }
}

bool is_by_index(const Request& request) {
  Kind kind = request.finding->remedy.kind;
  return kind == Kind::DropArchSelector || kind == Kind::WidenArchSelector || kind == Kind::RenameArchLabel;
}

}  // namespace archway::audit
