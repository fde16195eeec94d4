#include "scheduler/profile_reader.h"

#include <optional>

#include "base/text.h"
#include "kube/selector.h"

namespace archway::scheduler {

namespace {

constexpr int kOldestKnown = 34, kNewestKnown = 36;

std::optional<Plugin> plugin_by_name(std::string_view name) {
  for (size_t i = 0; i < kPluginCount; ++i) {
    if (plugin_name(static_cast<Plugin>(i)) == name) return static_cast<Plugin>(i);
  }
  return std::nullopt;
}

// Part of every profile, with nothing to decide about a place.
bool is_silent(std::string_view name) { return name == "PrioritySort" || name == "DefaultBinder" || name == "DynamicResources"; }

void switch_plugin(Profile& profile, std::string_view point, Plugin plugin, bool on, const Json& entry) {
  size_t at = static_cast<size_t>(plugin);
  bool all = point == "multiPoint";
  if (all || point == "filter") profile.filters[at] = on;
  if (all || point == "score") {
    int64_t usual = Profile().weights[at];
    profile.weights[at] = on ? entry["weight"].integer(all ? usual : std::max<int64_t>(usual, 1)) : 0;
  }
  if ((all || point == "postFilter") && plugin == Plugin::DefaultPreemption) profile.preempts = on;
}

Result<void> read_plugins(Profile& profile, const Json& plugins) {
  for (const JsonMember& point : plugins.members()) {
    for (bool on : {false, true}) {
      for (const Json& entry : point.value[on ? "enabled" : "disabled"].items()) {
        const std::string& name = entry["name"].string();
        if (is_silent(name)) continue;
        if (name == "*" && !on) {
          for (size_t i = 0; i < kPluginCount; ++i) switch_plugin(profile, point.key, static_cast<Plugin>(i), false, entry);
          continue;
        }
        auto plugin = plugin_by_name(name);
        if (!plugin) return Error{Code::Unsupported, "plugins." + point.key + ": \"" + name + "\" is not one of the default plugins"};
        switch_plugin(profile, point.key, *plugin, on, entry);
      }
    }
  }
  return {};
}

std::vector<ResourceWeight> read_weights(const Json& list, std::vector<ResourceWeight> fallback) {
  if (list.size() == 0) return fallback;
  std::vector<ResourceWeight> weights;
  for (const Json& item : list.items()) weights.push_back({item["name"].string(), item["weight"].integer(1)});
  return weights;
}

Result<void> read_spread_args(Profile& profile, const Json& args) {
  if (args["defaultingType"].string() != "List") return {};
  profile.system_default_spread = false;
  profile.default_spread.clear();
  for (const Json& item : args["defaultConstraints"].items()) {
    kube::SpreadConstraint constraint;
    constraint.max_skew = item["maxSkew"].integer();
    constraint.topology_key = item["topologyKey"].string();
    constraint.required = item["whenUnsatisfiable"].string() == "DoNotSchedule";
    if (constraint.max_skew < 1) return Error{Code::Invalid, "defaultConstraints: maxSkew must be greater than zero"};
    profile.default_spread.push_back(std::move(constraint));
  }
  return {};
}

Result<void> read_args(Profile& profile, const Json& config) {
  for (const Json& item : config.items()) {
    const std::string& name = item["name"].string();
    const Json& args = item["args"];
    if (name == "NodeResourcesFit") {
      const std::string& type = args["scoringStrategy"]["type"].string();
      if (type == "RequestedToCapacityRatio") return Error{Code::Unsupported, "pluginConfig NodeResourcesFit: RequestedToCapacityRatio is not modelled"};
      if (type == "MostAllocated") profile.strategy = Profile::Strategy::MostAllocated;
      profile.fit_resources = read_weights(args["scoringStrategy"]["resources"], profile.fit_resources);
    } else if (name == "NodeResourcesBalancedAllocation") {
      profile.balanced_resources = read_weights(args["resources"], profile.balanced_resources);
    } else if (name == "InterPodAffinity") {
      profile.hard_pod_affinity_weight = args["hardPodAffinityWeight"].integer(1);
      profile.ignore_preferred_terms_of_existing_pods = args["ignorePreferredTermsOfExistingPods"].boolean();
    } else if (name == "PodTopologySpread") {
      TRY(read_spread_args(profile, args).context("pluginConfig PodTopologySpread"));
    } else if (name == "NodeAffinity" && !args["addedAffinity"].is_null()) {
      return Error{Code::Unsupported, "pluginConfig NodeAffinity: addedAffinity is not modelled"};
    }
  }
  return {};
}

}  // namespace

Result<std::vector<Profile>> read_profiles(const Json& configuration) {
  if (configuration["kind"].string() != "KubeSchedulerConfiguration") return Error{Code::Invalid, "kind: must be KubeSchedulerConfiguration"};
  std::vector<Profile> profiles;
  int64_t percentage = configuration["percentageOfNodesToScore"].integer(100);
  if (percentage < 0 || percentage > 100) return Error{Code::Invalid, "percentageOfNodesToScore: must be between 0 and 100"};
  for (const Json& item : configuration["profiles"].items()) {
    Profile profile;
    std::string where = "profiles[" + std::to_string(profiles.size()) + "]";
    profile.scheduler_name = item["schedulerName"].string_or("default-scheduler");
    profile.percentage_of_nodes_to_score = static_cast<int>(percentage == 0 ? 100 : item["percentageOfNodesToScore"].integer(percentage));
    TRY(read_plugins(profile, item["plugins"]).context(where));
    TRY(read_args(profile, item["pluginConfig"]).context(where));
    profiles.push_back(std::move(profile));
  }
  if (profiles.empty()) {
    profiles.emplace_back();
    if (percentage > 0) profiles.back().percentage_of_nodes_to_score = static_cast<int>(percentage);
  }
  return profiles;
}

Result<int> parse_scheduler_version(std::string_view text) {
  std::string_view minor = text;
  if (minor.starts_with('v')) minor.remove_prefix(1);
  if (minor.starts_with("1.")) minor.remove_prefix(2);
  auto number = parse_uint(cut(minor, '.').first);
  if (!number || *number < kOldestKnown || *number > kNewestKnown) {
    return Error{Code::Unsupported, "scheduler version \"" + std::string(text) + "\" is not known", "known are 1.34 to 1.36"};
  }
  return static_cast<int>(*number);
}

}  // namespace archway::scheduler
