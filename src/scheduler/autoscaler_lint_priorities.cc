#include <algorithm>
#include <set>

#include "base/text.h"
#include "scheduler/autoscaler_lint.h"

namespace archway::scheduler {

namespace {

using Severity = LintFinding::Severity;

class PriorityLint {
 public:
  PriorityLint(const AutoscalerInput& input, const PriceTable& prices, const LintOptions& options, std::vector<LintFinding>& findings)
      : input_(input), prices_(prices), findings_(findings), name_space_(options.name_space), expanders_(options.expanders) {
    for (const SeenAutoscaler& each : input.autoscalers) {
      name_space_ = each.config_namespace.value_or("kube-system");
      if (each.expanders) expanders_ = *each.expanders;
    }
  }

  void run() {
    bool right_one = false;
    for (const SeenConfigMap& each : input_.config_maps) right_one = right_one || (each.name == kPriorityConfigMap && each.name_space == name_space_);
    for (const SeenConfigMap& each : input_.config_maps) config_map(each, right_one);
    expanders();
  }

 private:
  void find(const SeenConfigMap& map, Severity severity, std::string rule, std::string message, std::string advice = "", uint32_t line = 0) {
    SourcePlace place = map.place;
    if (line > 0 && map.data_place.line > 0) place.line = map.data_place.line + line - 1;
    findings_.push_back({severity, std::move(rule), place, "ConfigMap " + map.name_space + "/" + map.name, std::move(message), std::move(advice)});
  }

  void config_map(const SeenConfigMap& map, bool right_one_elsewhere) {
    bool right_name = map.name == kPriorityConfigMap;
    if (!right_name) {
      if (!right_one_elsewhere) find(map, Severity::Error, "configmap-name", "the priority expander reads only the ConfigMap " + std::string(kPriorityConfigMap), "rename it");
    } else if (map.name_space != name_space_) {
      if (right_one_elsewhere) return;
      find(map, Severity::Error, "configmap-namespace", "the priority expander reads it in the autoscaler's own namespace, " + name_space_, "move it there");
    }
    if (!map.priorities) return missing_key(map);
    auto config = PriorityConfig::parse(*map.priorities);
    if (!config.ok()) return unreadable(map, config.error().message);
    for (const PriorityRemark& each : config->remarks()) find(map, Severity::Warning, each.rule, each.message, each.advice, each.line);
    levels(map, *config);
    patterns(map, *config);
    excluded(map, *config);
  }

  void missing_key(const SeenConfigMap& map) {
    if (!map.is_text) return find(map, Severity::Error, "configmap-not-text", "data.priorities is no string, and a ConfigMap holds nothing else", "write \"priorities: |-\" and indent what follows", 1);
    std::string have = map.keys.empty() ? "it has no data" : "it has " + join(map.keys, ", ");
    find(map, Severity::Error, "configmap-key", "the key \"priorities\" is missing (" + have + "), so the expander lets every option pass", "put the map under data.priorities");
  }

  void unreadable(const SeenConfigMap& map, const std::string& message) {
    uint32_t line = 0;
    if (message.starts_with("line ")) line = static_cast<uint32_t>(parse_uint(message.substr(5, message.find_first_not_of("0123456789", 5) - 5)).value_or(0));
    std::string rest = line > 0 && message.find(": ") != std::string::npos ? message.substr(message.find(": ") + 2) : message;
    std::string rule = rest.find("regular expression") != std::string::npos ? "pattern-invalid"
                       : rest.find("whole number") != std::string::npos     ? "priority-not-a-number"
                       : rest.find("it is empty") != std::string::npos      ? "priorities-empty"
                                                                            : "priorities-yaml";
    std::string advice = rule == "pattern-invalid" ? "patterns are regular expressions, not shell patterns: write .*arm64.* for *arm64*"
                         : rule == "priorities-yaml" ? "write PRIORITY: and a list of patterns below it; quote patterns that begin with * or another mark of YAML" : "";
    find(map, Severity::Error, rule, rest + "; the expander then lets every option pass", advice, line);
  }

  void levels(const SeenConfigMap& map, const PriorityConfig& config) {
    std::set<int64_t> said;
    for (const PriorityEntry& entry : config.entries()) {
      if (entry.priority < kLeastPriority && said.insert(entry.priority).second) {
        find(map, Severity::Error, "priority-negative", "groups of priority " + std::to_string(entry.priority) + " are never chosen: the search for the highest begins at -1", "use 0 or more", entry.line);
      }
      if (entry.pattern.text().empty()) find(map, Severity::Error, "pattern-empty", "an empty pattern matches every group", "write the pattern, or .* if every group is meant", entry.line);
    }
    // Groups that share the highest priority are left to chance, or to the next expander.
    std::map<int64_t, std::set<std::string>> architectures;
    std::map<int64_t, uint32_t> lines;
    for (const NodeGroup& group : input_.groups) {
      auto priority = config.priority_of(group.id);
      std::string architecture = architecture_of(group, prices_);
      if (priority && !architecture.empty()) architectures[*priority].insert(architecture);
    }
    for (const PriorityEntry& entry : config.entries()) lines.try_emplace(entry.priority, entry.line);
    for (const auto& [priority, set] : architectures) {
      if (set.size() < 2) continue;
      find(map, Severity::Warning, "priority-tie", "priority " + std::to_string(priority) + " has groups of " + join({set.begin(), set.end()}, " and ") + ": which of them grows is left to the next expander, or to chance",
           "give each architecture a priority of its own", lines[priority]);
    }
  }

  void patterns(const SeenConfigMap& map, const PriorityConfig& config) {
    if (input_.groups.empty()) return;
    for (const PriorityEntry& entry : config.entries()) {
      size_t matched = 0, deciding = 0;
      for (const NodeGroup& group : input_.groups) {
        if (!entry.pattern.matches(group.id)) continue;
        ++matched;
        deciding += *config.priority_of(group.id) == entry.priority;
      }
      std::string quoted = "the pattern \"" + entry.pattern.text() + "\"";
      if (matched == 0) {
        find(map, Severity::Warning, "pattern-matches-nothing", quoted + " matches no group", near(entry), entry.line);
      } else if (deciding == 0) {
        find(map, Severity::Warning, "pattern-shadowed", quoted + " decides nothing: every group that it matches has a higher priority by another", "remove it, or narrow the other", entry.line);
      }
    }
  }

  // Patterns are case-sensitive and meet the group's id, not its labels.
  std::string near(const PriorityEntry& entry) const {
    auto lower = Pattern::compile("(?i)" + entry.pattern.text());
    for (const NodeGroup& group : input_.groups) {
      if (lower.ok() && lower->matches(group.id)) return "case counts: the group is called " + group.id;
    }
    std::vector<std::string> ids;
    for (const NodeGroup& group : input_.groups) {
      if (ids.size() < 5) ids.push_back(group.id);
    }
    return "the groups are called " + join(ids, ", ") + (input_.groups.size() > ids.size() ? ", ..." : "");
  }

  void excluded(const SeenConfigMap& map, const PriorityConfig& config) {
    std::vector<std::string> unmatched;
    bool any = false;
    for (const NodeGroup& group : input_.groups) {
      auto priority = config.priority_of(group.id);
      any = any || (priority && *priority >= kLeastPriority);
      if (!priority) unmatched.push_back(group.name);
    }
    if (!any || unmatched.empty()) return;
    find(map, Severity::Warning, "group-excluded", "no pattern matches " + join(unmatched, ", ") + ": never used as long as any other group would do", "add a last priority for them, such as 1 with .*", 1);
  }

  void expanders() {
    if (expanders_.empty()) return;
    SourcePlace place;
    if (!input_.autoscalers.empty()) place = input_.autoscalers.back().place;
    auto add = [&](Severity severity, const std::string& rule, const std::string& message, const std::string& advice) {
      findings_.push_back({severity, rule, place, "Cluster Autoscaler", message, advice});
    };
    auto chain = parse_expanders(expanders_);
    if (!chain.ok()) {
      if (chain.error().code != Code::Unsupported) add(Severity::Error, "expander-chain", chain.error().message, chain.error().hint);
      return;
    }
    bool priority = std::find(chain->begin(), chain->end(), ExpanderKind::Priority) != chain->end();
    auto allowed = check_provider(*chain, input_.groups);
    if (!allowed.ok()) add(Severity::Error, "expander-price", allowed.error().message, allowed.error().hint);
    if (!input_.config_maps.empty() && !priority) {
      add(Severity::Error, "expander-not-priority", "priorities are written down, and the autoscaler runs with --expander=" + expanders_, "run it with --expander=priority, perhaps followed by another");
    }
    std::string why;
    if (priority && !input_.config_maps.empty() && !input_.priority_map(name_space_, why)) add(Severity::Warning, "configmap-missing", why + ", so priority lets every option pass", "");
  }

  const AutoscalerInput& input_;
  const PriceTable& prices_;
  std::vector<LintFinding>& findings_;
  std::string name_space_, expanders_;
};

}  // namespace

void lint_priorities(const AutoscalerInput& input, const PriceTable& prices, const LintOptions& options, std::vector<LintFinding>& findings) {
  PriorityLint(input, prices, options, findings).run();
}

}  // namespace archway::scheduler
