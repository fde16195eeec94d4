#include "scheduler/autoscaler_input.h"

#include <algorithm>

#include "base/text.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kSafeToEvict = "cluster-autoscaler.kubernetes.io/safe-to-evict";

// One that was meant for the expander, by name or by key.
bool is_priority_candidate(const Json& object) {
  std::string name = to_lower(object["metadata"]["name"].string());
  if (name == kPriorityConfigMap) return true;
  bool near_name = name.find("priority-expander") != std::string::npos || (name.find("autoscaler") != std::string::npos && name.find("priorit") != std::string::npos);
  return near_name || object["data"].has(kPriorityKey);
}

// "--flag=value", or "--flag" followed by "value".
std::optional<std::string> flag_value(const std::vector<std::string>& words, std::string_view flag) {
  std::optional<std::string> found;
  for (size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    while (word.starts_with('-')) word.remove_prefix(1);
    if (word == words[i]) continue;
    if (word.starts_with(std::string(flag) + "=")) {
      found = std::string(word.substr(flag.size() + 1));
    } else if (word == flag) {
      found = i + 1 < words.size() && !words[i + 1].starts_with('-') ? words[i + 1] : "true";
    }
  }
  return found;
}

}  // namespace

void AutoscalerInput::take(GroupReading reading) {
  ++understood;
  for (NodeGroup& group : reading.groups) groups.push_back(std::move(group));
  for (auto& problem : reading.problems) problems.push_back(std::move(problem));
}

void AutoscalerInput::add(const Json& document, const YamlMarks* marks, const std::string& file, std::string_view text) {
  text_ = text;
  Marked root(document, marks, file);
  if (is_asg_document(document)) return take(read_asg_document(root));
  if (is_eksctl_document(document)) return take(read_eksctl_document(root));
  if (is_own_document(document)) return take(read_own_document(root));
  if (document["LaunchTemplateVersions"].is_array()) {
    ++understood;
    for (LaunchTemplate& each : read_launch_templates(document)) launch_templates.push_back(std::move(each));
    return;
  }
  if (is_terraform_document(document)) return take(read_terraform_document(root));
  const std::string& kind = document["kind"].string();
  if (!kind.ends_with("List") || !document["items"].is_array()) return add_object(root, kind);
  std::string of_items = kind.substr(0, kind.size() - std::string_view("List").size());
  Marked items = root["items"];
  for (size_t i = 0; i < items.size(); ++i) add_object(items.item(i), items.item(i)["kind"]->string_or(of_items));
}

void AutoscalerInput::add_object(const Marked& object, const std::string& kind) {
  // A patch, or a part of something: nothing to say about it.
  if (kind.empty() && !object->has("metadata")) return read_patch(object);
  if (!kind.empty()) ++understood;
  const Json& metadata = object["metadata"].json();
  if (kind == "ConfigMap") {
    if (is_priority_candidate(object.json())) read_config_map(object);
    return;
  }
  if (kind == "NodePool" || kind == "EC2NodeClass" || kind == "AKSNodeClass" || kind == "GCENodeClass" || kind == "Provisioner") {
    if (kind == "NodePool") {
      auto pool = read_node_pool(object, problems);
      if (pool) node_pools.push_back(std::move(*pool));
    } else if (kind == "Provisioner") {
      problems.push_back({object.place(), "Provisioner " + metadata["name"].string() + ": Karpenter 1.0 knows no Provisioner; write a NodePool"});
    } else {
      node_classes.push_back(read_node_class(object, kind));
    }
    return;
  }
  if (kind == "NodeConfig") return read_node_config(object);
  if (kind == "Deployment") read_autoscaler(object);
  if (kind == "Node") {
    const std::string& name = metadata["name"].string();
    provider_ids[name] = object["spec"]["providerID"]->string();
    auto capacity = kube::read_resources(object["status"]["capacity"].json());
    if (capacity.ok() && !capacity->empty()) capacities[name] = kube::to_resources(*capacity);
  } else if (kind == "Pod") {
    PodFacts facts;
    for (const Json& volume : object["spec"]["volumes"]->items()) facts.local_storage = facts.local_storage || volume.has("emptyDir") || volume.has("hostPath");
    const Json& safe = metadata["annotations"][kSafeToEvict];
    if (safe.is_string()) facts.safe_to_evict = safe.string() == "true";
    if (facts.local_storage || facts.safe_to_evict) pod_facts[metadata["namespace"].string_or("default") + "/" + metadata["name"].string()] = facts;
  }
  // Items of a typed list leave their kind out.
  if (object["kind"]->string().empty() && !kind.empty()) {
    Json typed = object.json();
    typed.set("kind", kind);
    return inventory.add(typed);
  }
  inventory.add(object.json());
}

bool AutoscalerInput::is_block(const Marked& value) const {
  std::string_view rest = text_;
  for (uint32_t line = 1; line < value.place().line; ++line) rest = cut(rest, '\n').second.value_or("");
  std::string_view here = cut(rest, '\n').first;
  std::string_view start = value.column() <= here.size() && value.column() > 0 ? here.substr(value.column() - 1) : std::string_view();
  // Without the text, more than one line is most likely a block.
  return text_.empty() ? value->string().find('\n') != std::string::npos : start.starts_with('|') || start.starts_with('>');
}

void AutoscalerInput::read_config_map(const Marked& object) {
  SeenConfigMap seen;
  seen.name = object["metadata"]["name"]->string();
  seen.name_space = object["metadata"]["namespace"]->string_or("default");
  seen.place = object["metadata"]["name"].place();
  Marked data = object["data"];
  for (size_t i = 0; i < data.size() && data->is_object(); ++i) seen.keys.push_back(data.member(i).first);
  Marked value = data[kPriorityKey];
  if (value->is_string()) seen.priorities = value->string();
  if (!value->is_null() && !value->is_string()) seen.is_text = false;
  seen.data_place = value.place();
  // A block's text begins on the line below its "|".
  if (seen.priorities && seen.data_place.line > 0 && is_block(value)) ++seen.data_place.line;
  config_maps.push_back(std::move(seen));
}

// A patch of a workload: what it makes it tolerate must be tolerations.
void AutoscalerInput::read_patch(const Marked& object) {
  Marked spec = object["spec"]["template"]["spec"];
  if (!spec->is_object()) return;
  ++understood;
  Marked tolerations = spec["tolerations"];
  for (size_t i = 0; i < tolerations.size() && tolerations->is_array(); ++i) {
    auto toleration = kube::read_toleration(tolerations.item(i).json());
    if (!toleration.ok()) problems.push_back({tolerations.item(i).place(), "tolerations[" + std::to_string(i) + "]: " + toleration.error().message});
  }
}

// User data of Amazon Linux 2023: the taints that nodes register with are among the kubelet's flags.
void AutoscalerInput::read_node_config(const Marked& object) {
  Marked flags = object["spec"]["kubelet"]["flags"];
  for (size_t i = 0; i < flags.size(); ++i) {
    constexpr std::string_view kFlag = "--register-with-taints=";
    const std::string& flag = flags.item(i)->string();
    if (!flag.starts_with(kFlag)) continue;
    for (const std::string& text : split(std::string_view(flag).substr(kFlag.size()), ',')) {
      auto taint = kube::parse_taint(text);
      if (!taint.ok()) problems.push_back({flags.item(i).place(), "NodeConfig: --register-with-taints: " + taint.error().message + "; the kubelet does not start"});
    }
  }
}

void AutoscalerInput::read_autoscaler(const Marked& object) {
  for (const Json& container : object["spec"]["template"]["spec"]["containers"]->items()) {
    std::vector<std::string> words = container["command"].strings();
    for (const std::string& word : container["args"].strings()) words.push_back(word);
    bool is_one = container["image"].string().find("cluster-autoscaler") != std::string::npos ||
                  std::any_of(words.begin(), words.end(), [](const std::string& word) { return word == "./cluster-autoscaler" || word.ends_with("/cluster-autoscaler"); });
    if (!is_one) continue;
    SeenAutoscaler seen;
    seen.place = object["metadata"]["name"].place();
    seen.name_space = object["metadata"]["namespace"]->string_or("default");
    seen.image = container["image"].string();
    seen.expanders = flag_value(words, "expander");
    seen.config_namespace = flag_value(words, "namespace");
    seen.provider = flag_value(words, "cloud-provider");
    seen.balances = flag_value(words, "balance-similar-node-groups").value_or("false") == "true";
    if (auto discovery = flag_value(words, "node-group-auto-discovery")) {
      auto [head, tags] = cut(*discovery, '=');
      if (head == "asg:tag" && tags) {
        for (const std::string& tag : split(*tags, ',')) seen.discovery_tags.push_back(tag);
      }
    }
    autoscalers.push_back(std::move(seen));
  }
}

// A list of tags is about groups that another file describes, if one does.
void AutoscalerInput::merge_tags() {
  for (NodeGroup& tagged : groups) {
    if (!tagged.tags_only) continue;
    auto whole = std::find_if(groups.begin(), groups.end(), [&](const NodeGroup& each) { return !each.tags_only && each.id == tagged.id; });
    if (whole == groups.end()) continue;
    for (GroupTag& tag : tagged.tags) {
      std::erase_if(whole->tags, [&](const GroupTag& old) { return old.key == tag.key; });
      whole->tags.push_back(std::move(tag));
    }
    tagged.name.clear();
  }
  std::erase_if(groups, [](const NodeGroup& each) { return each.name.empty(); });
}

void AutoscalerInput::settle(const PriceTable& prices) {
  (void)prices;
  fill_in_types(groups, launch_templates);
  merge_tags();
  // Of two groups with one name the later counts.
  std::map<std::string, size_t> last;
  for (size_t i = 0; i < groups.size(); ++i) last[groups[i].name] = i;
  std::vector<NodeGroup> kept;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (last[groups[i].name] == i) {
      kept.push_back(std::move(groups[i]));
    } else {
      problems.push_back({groups[i].place, "node group " + groups[i].name + " is there twice; the later counts"});
    }
  }
  groups = std::move(kept);
  inventory.settle();
}

const SeenConfigMap* AutoscalerInput::priority_map(const std::string& name_space, std::string& why) const {
  const SeenConfigMap* found = nullptr;
  for (const SeenConfigMap& each : config_maps) {
    if (each.name == kPriorityConfigMap && each.name_space == name_space) found = &each;
  }
  if (!found) {
    why = "there is no ConfigMap " + name_space + "/" + std::string(kPriorityConfigMap);
  } else if (!found->priorities) {
    why = "ConfigMap " + name_space + "/" + std::string(kPriorityConfigMap) + " has no key \"" + std::string(kPriorityKey) + "\" with text";
    found = nullptr;
  }
  return found;
}

}  // namespace archway::scheduler
