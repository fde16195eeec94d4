#include "scheduler/scenario.h"

#include "base/text.h"

namespace archway::scheduler {

namespace {

Result<std::pair<std::string, std::string>> parse_label(std::string_view text) {
  auto [key, value] = cut(text, '=');
  if (!value || !kube::valid_label_key(key) || !kube::valid_label_value(*value)) {
    return Error{Code::Invalid, "\"" + std::string(text) + "\" is no label; write KEY=VALUE"};
  }
  return std::pair(std::string(key), std::string(*value));
}

// What stands before the last blank, and what after it: a selector may hold blanks, a taint or label not.
Result<std::pair<std::string_view, std::string_view>> split_last_word(std::string_view text, std::string_view form) {
  text = trim(text);
  size_t blank = text.rfind(' ');
  if (blank == std::string_view::npos) return Error{Code::Invalid, "\"" + std::string(text) + "\": write \"" + std::string(form) + "\""};
  return std::pair(trim(text.substr(0, blank)), text.substr(blank + 1));
}

Result<void> read_part(AddNodes& add, std::string_view key, std::string_view value) {
  if (key == "type") {
    add.type = value;
  } else if (key == "zone") {
    add.zones.emplace_back(value);
  } else if (key == "taint") {
    add.taints.push_back(TRY(kube::parse_taint(value)));
  } else if (key == "label") {
    add.labels.push_back(TRY(parse_label(value)));
  } else if (key == "cpu") {
    add.cpu = TRY(kube::Quantity::parse(value).context("cpu"));
  } else if (key == "memory") {
    add.memory = TRY(kube::Quantity::parse(value).context("memory"));
  } else if (key == "pods") {
    add.pods = TRY(kube::Quantity::parse(value).context("pods"));
  } else {
    return Error{Code::Invalid, "\"" + std::string(key) + "\" is not one of type, zone, taint, label, cpu, memory, pods"};
  }
  return {};
}

// A text or a list of them.
std::vector<std::string> texts(const Json& value) {
  if (value.is_string()) return {value.string()};
  return value.strings();
}

}  // namespace

Result<AddNodes> parse_add_nodes(std::string_view text) {
  AddNodes add;
  bool first = true;
  for (const std::string& part : split(text, ',')) {
    auto [key, value] = cut(part, '=');
    std::string where = "--add-nodes " + std::string(text);
    if (first) {
      auto count = value ? parse_uint(*value) : std::optional<uint64_t>(1);
      if (key.empty() || !count || *count < 1 || *count > kMaxAddedNodes) {
        return Error{Code::Invalid, where + ": begin with ARCHITECTURE=COUNT, as in arm64=6"};
      }
      add.architecture = key;
      add.count = static_cast<int>(*count);
      first = false;
      continue;
    }
    if (!value) return Error{Code::Invalid, where + ": \"" + part + "\" is not KEY=VALUE"};
    TRY(read_part(add, key, *value).context(where));
  }
  return add;
}

Result<kube::Selector> parse_selector_or_all(std::string_view text) {
  if (trim(text) == "all") return kube::Selector();
  return kube::parse_selector(text);
}

Result<TaintNodes> parse_taint_nodes(std::string_view text) {
  auto [selector, word] = TRY(split_last_word(text, "SELECTOR KEY=VALUE:EFFECT"));
  TaintNodes change;
  change.selector = TRY(parse_selector_or_all(selector));
  change.remove = word.ends_with('-');
  if (change.remove) word.remove_suffix(1);
  change.taint = TRY(kube::parse_taint(word));
  return change;
}

Result<LabelNodes> parse_label_nodes(std::string_view text) {
  auto [selector, word] = TRY(split_last_word(text, "SELECTOR KEY=VALUE"));
  LabelNodes change;
  change.selector = TRY(parse_selector_or_all(selector));
  if (word.ends_with('-') && word.find('=') == std::string_view::npos) {
    change.key = word.substr(0, word.size() - 1);
    return change;
  }
  auto [key, value] = TRY(parse_label(word));
  change.key = key;
  change.value = value;
  return change;
}

Result<std::vector<ScenarioStep>> read_scenario(const Json& document, const std::function<Result<std::vector<Json>>(const std::string&)>& load) {
  std::vector<ScenarioStep> steps;
  if (document["steps"].size() == 0) return Error{Code::Invalid, "steps: must be a list that is not empty"};
  if (document["steps"].size() > kMaxScenarioSteps) return Error{Code::Invalid, "steps: more than " + std::to_string(kMaxScenarioSteps)};
  for (const Json& item : document["steps"].items()) {
    ScenarioStep step;
    std::string where = "steps[" + std::to_string(steps.size()) + "]";
    step.name = item["name"].string_or("step " + std::to_string(steps.size() + 1));
    for (const JsonMember& member : item.members()) {
      const std::string& key = member.key;
      std::string here = where + "." + key;
      if (key == "name") continue;
      for (const std::string& text : texts(member.value)) {
        if (key == "addNodes") {
          step.changes.push_back(TRY(parse_add_nodes(text).context(here)));
        } else if (key == "removeNodes") {
          step.changes.push_back(RemoveNodes{TRY(parse_selector_or_all(text).context(here))});
        } else if (key == "taint") {
          step.changes.push_back(TRY(parse_taint_nodes(text).context(here)));
        } else if (key == "label") {
          step.changes.push_back(TRY(parse_label_nodes(text).context(here)));
        } else if (key == "apply") {
          step.changes.push_back(ApplyManifests{TRY(load(text).context(here))});
        } else if (key == "recreate") {
          step.changes.push_back(Recreate{TRY(parse_selector_or_all(text).context(here))});
        } else {
          return Error{Code::Invalid, here + ": unknown; use addNodes, removeNodes, taint, label, apply or recreate"};
        }
      }
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace archway::scheduler
