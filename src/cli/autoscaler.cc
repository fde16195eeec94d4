#include <algorithm>
#include <set>

#include "base/fd.h"
#include "base/text.h"
#include "cli/autoscaler_files.h"
#include "cli/cluster_files.h"
#include "cli/place_commands.h"
#include "format/yaml.h"
#include "scheduler/autoscaler_config.h"
#include "scheduler/autoscaler_lint.h"
#include "scheduler/autoscaler_run.h"
#include "scheduler/trace_csv.h"
#include "scheduler/trace_run.h"

namespace archway::cli {

namespace {

using namespace scheduler;

Result<int> run_lint(const Arguments& arguments, const Context& context) {
  PriceTable prices = TRY(load_prices(arguments));
  AutoscalerInput input = TRY(load_autoscaler_input(arguments.positional(), prices));
  if (input.understood == 0) return Error{Code::Invalid, "nothing in " + join(arguments.positional(), ", ") + " is about node groups or an autoscaler"};
  LintOptions options;
  options.name_space = arguments.one_or("namespace", "kube-system");
  options.expanders = arguments.one_or("expander", "");
  std::vector<LintFinding> findings = lint(input, prices, options);
  context.out(arguments.has("json") ? to_json(lint_json(findings, input, prices), {.indent = 2}) + "\n" : lint_text(findings));
  return findings.empty() ? kOk : kFoundProblems;
}

Result<int64_t> number(const Arguments& arguments, std::string_view flag, int64_t fallback, uint64_t most) {
  auto text = arguments.one(flag);
  if (!text) return fallback;
  auto value = parse_uint(*text);
  if (!value || *value > most) return usage_error("archway " + std::string("autoscaler: --") + std::string(flag) + " " + *text + " is no whole number up to " + std::to_string(most));
  return static_cast<int64_t>(*value);
}

Result<AutoscalerOptions> autoscaler_options(const Arguments& arguments, const AutoscalerInput& input) {
  AutoscalerOptions options;
  std::string expanders = "least-waste";
  for (const SeenAutoscaler& each : input.autoscalers) {
    expanders = each.expanders.value_or(expanders);
    options.balance_similar = each.balances;
  }
  options.expanders = TRY(parse_expanders(arguments.one_or("expander", expanders)));
  options.seed = static_cast<uint64_t>(TRY(number(arguments, "seed", 0, INT64_MAX)));
  options.balance_similar = options.balance_similar || arguments.has("balance-similar-node-groups");
  options.ignored_labels = arguments.many("balancing-ignore-label");
  options.max_nodes_total = TRY(number(arguments, "max-nodes-total", 0, 1'000'000));
  options.max_cores = TRY(number(arguments, "max-cores", 0, 100'000'000));
  options.max_memory_gib = TRY(number(arguments, "max-memory", 0, 1'000'000'000));
  options.max_nodes_per_scale_up = TRY(number(arguments, "max-nodes-per-scaleup", kMaxNodesPerScaleUp, 1'000'000));
  if (auto text = arguments.one("scale-down-utilization-threshold")) {
    auto part = parse_usd(*text);  // a plain decimal number
    if (!part || *part > kNanoPerUsd) return usage_error("archway autoscaler simulate: --scale-down-utilization-threshold is a share from 0 to 1");
    options.scale_down_threshold = static_cast<double>(*part) / static_cast<double>(kNanoPerUsd);
  }
  return options;
}

// The priorities that the expander would find; none, and why, where it would find none.
struct Priorities {
  std::optional<PriorityConfig> config;
  std::string why_none;
};
Priorities priorities(const Arguments& arguments, const AutoscalerInput& input) {
  std::string name_space = arguments.one_or("namespace", input.autoscalers.empty() ? "kube-system" : input.autoscalers.back().config_namespace.value_or("kube-system"));
  Priorities result;
  const SeenConfigMap* map = input.priority_map(name_space, result.why_none);
  if (!map) return result;
  auto parsed = PriorityConfig::parse(*map->priorities);
  if (parsed.ok()) {
    result.config = std::move(*parsed);
  } else {
    result.why_none = "ConfigMap " + map->name_space + "/" + map->name + ": " + parsed.error().message;
  }
  return result;
}

std::string region_of(const Arguments& arguments, const AutoscalerInput& input) {
  if (auto given = arguments.one("region")) return *given;
  for (const Node& node : input.inventory.nodes) {
    std::string region = node.label("topology.kubernetes.io/region");
    if (!region.empty()) return region;
  }
  return "us-east-1";
}

std::vector<std::string> zones_of(const Arguments& arguments, const AutoscalerInput& input, const std::string& region) {
  std::vector<std::string> zones;
  for (const std::string& text : arguments.many("zone")) {
    for (const std::string& zone : split(text, ',')) zones.push_back(zone);
  }
  std::set<std::string> seen;
  for (const Node& node : input.inventory.nodes) {
    std::string zone = node.label(kZoneLabel);
    if (zones.empty() && !zone.empty()) seen.insert(zone);
  }
  if (zones.empty()) zones.assign(seen.begin(), seen.end());
  if (zones.empty()) zones.push_back(region + "a");
  return zones;
}

// Pods of manifests that nobody has created yet: as many as each workload wants.
void add_manifests(const Arguments& arguments, AutoscalerInput& input, const std::vector<Json>& objects) {
  (void)arguments;
  Inventory delta;
  for (const Json& object : objects) delta.add(object);
  for (Pod& pod : delta.pods) input.inventory.pods.push_back(std::move(pod));
  for (const kube::Workload& workload : delta.workloads) {
    input.inventory.workloads.push_back(workload);
    input.inventory.objects.add_owner(workload);
    if (!workload.pod || workload.kind == "DaemonSet" || workload.kind == "CronJob") continue;
    for (int64_t i = 0; i < workload.replicas; ++i) {
      Pod pod;
      pod.meta.name = workload.meta.name + "-" + std::to_string(i);
      pod.meta.name_space = workload.meta.name_space;
      pod.meta.labels = workload.pod->labels;
      pod.meta.owners.push_back({workload.api_version, workload.kind, workload.meta.name, workload.meta.uid, true});
      pod.spec = workload.pod->spec;
      pod.requests = kube::count_requests(*pod.spec, {}, false);
      input.inventory.pods.push_back(std::move(pod));
    }
  }
  for (Problem& problem : delta.problems) input.inventory.problems.push_back(std::move(problem));
}

Result<Trace> load_trace(const Arguments& arguments, const std::string& file) {
  std::string text = TRY(read_file(file, kMaxCsvBytes));
  if (!is_openb_trace(text)) {
    Json document = TRY(parse_yaml(text).context(file));
    return read_own_trace(document).context(file);
  }
  auto pattern = arguments.one("pod-template");
  if (!pattern) return read_openb_trace(text, nullptr).context(file);
  std::vector<Json> objects = TRY(load_objects(*pattern));
  if (objects.size() != 1 || objects[0]["kind"].string() != "Pod") return Error{Code::Invalid, *pattern + ": expected one Pod"};
  return read_openb_trace(text, &objects[0]).context(file);
}

Result<int64_t> seconds(const Arguments& arguments, std::string_view flag, int64_t fallback) {
  auto text = arguments.one(flag);
  if (!text) return fallback;
  auto value = parse_trace_time(Json(*text));
  if (!value || *value < 1) return usage_error("archway autoscaler simulate: --" + std::string(flag) + " " + *text + " is no time such as 90s or 1h");
  return *value;
}

Result<int> simulate_trace(const Arguments& arguments, const Context& context, AutoscalerInput input, Profile profile, const PriceTable& prices, const std::string& file) {
  Trace trace = TRY(load_trace(arguments, file));
  AutoscalerOptions options = TRY(autoscaler_options(arguments, input));
  TRY(check_provider(options.expanders, input.groups));
  TraceOptions times;
  times.scan_s = TRY(seconds(arguments, "scan-interval", times.scan_s));
  times.startup_s = TRY(seconds(arguments, "node-startup", times.startup_s));
  times.unneeded_s = TRY(seconds(arguments, "scale-down-unneeded-time", times.unneeded_s));
  times.delay_after_add_s = TRY(seconds(arguments, "scale-down-delay-after-add", times.delay_after_add_s));
  times.step_s = TRY(seconds(arguments, "step", times.step_s));
  Priorities found = priorities(arguments, input);
  std::map<std::string, PodFacts> facts = std::move(input.pod_facts);
  World world(std::move(input.inventory), std::move(profile));
  Autoscaler autoscaler(options, std::move(input.groups), prices, std::move(found.config), found.why_none);
  autoscaler.claim_nodes(world, input.provider_ids, input.capacities);
  TraceResult result = run_trace(world, autoscaler, std::move(trace), times, facts);
  context.out(arguments.has("json") ? to_json(trace_json(result), {.indent = 2}) + "\n" : trace_text(result));
  return result.never_count == 0 ? kOk : kFoundProblems;
}

Result<int> run_simulate(const Arguments& arguments, const Context& context) {
  PriceTable prices = TRY(load_prices(arguments));
  AutoscalerInput input = TRY(load_autoscaler_input(arguments.positional(), prices));
  for (const std::string& file : arguments.many("filename")) add_manifests(arguments, input, TRY(load_objects(file)));
  input.inventory.settle();
  Profile profile = TRY(placement_profile(arguments));
  ImageKnowledge images = TRY(placement_images(arguments));
  std::erase_if(input.groups, [](const NodeGroup& group) { return group.tags_only; });
  for (const auto& [place, message] : input.problems) context.err("archway: " + place.file + (place.line > 0 ? ":" + std::to_string(place.line) : "") + ": " + message + "\n");
  for (const Problem& problem : input.inventory.problems) context.err("archway: " + problem.object + ": " + problem.message + "\n");
  if (input.groups.empty() && input.node_pools.empty()) {
    return Error{Code::Invalid, "no node group and no NodePool among the input", "add aws autoscaling describe-auto-scaling-groups, an eksctl file, NodePools, or a file of kind NodeGroups"};
  }
  bool karpenter = input.groups.empty() || arguments.has("karpenter");
  AutoscalerRun result;
  if (karpenter) {
    if (input.node_pools.empty()) return Error{Code::Invalid, "--karpenter: no NodePool among the input"};
    std::string region = region_of(arguments, input);
    std::vector<InstanceOffer> offers = karpenter_offers(prices, arguments.one_or("cloud", "aws"), region, zones_of(arguments, input, region));
    if (offers.empty()) return Error{Code::NotFound, "no price for any type in " + region, "give --region, or a price file with --prices"};
    World world(std::move(input.inventory), std::move(profile));
    result = run_karpenter(world, input.node_pools, offers, images);
    context.out(arguments.has("json") ? to_json(autoscaler_json(result), {.indent = 2}) + "\n" : autoscaler_text(result));
    return result.pending.empty() && result.crashes.empty() ? kOk : kFoundProblems;
  }
  if (auto trace = arguments.one("trace")) return simulate_trace(arguments, context, std::move(input), std::move(profile), prices, *trace);
  AutoscalerOptions options = TRY(autoscaler_options(arguments, input));
  TRY(check_provider(options.expanders, input.groups));
  Priorities found = priorities(arguments, input);
  World world(std::move(input.inventory), std::move(profile));
  Autoscaler autoscaler(options, std::move(input.groups), prices, std::move(found.config), found.why_none);
  autoscaler.claim_nodes(world, input.provider_ids, input.capacities);
  result = run_autoscaler(world, autoscaler, images, input.pod_facts);
  context.out(arguments.has("json") ? to_json(autoscaler_json(result), {.indent = 2}) + "\n" : autoscaler_text(result));
  return result.pending.empty() && result.crashes.empty() ? kOk : kFoundProblems;
}

Result<ConfigRequest> config_request(const Arguments& arguments) {
  ConfigRequest request;
  auto target = parse_config_target(arguments.one_or("for", ""));
  if (!target.ok()) return usage_error("archway autoscaler config: --for " + target.error().message);
  request.target = *target;
  request.cluster = arguments.one_or("cluster", request.cluster);
  request.region = arguments.one_or("region", request.region);
  request.name_space = arguments.one_or("namespace", request.name_space);
  request.node_class = arguments.one_or("node-class", request.node_class);
  for (const std::string& text : arguments.many("arm64")) request.arm64.push_back(TRY(parse_config_group(text).context("--arm64")));
  for (const std::string& text : arguments.many("amd64")) request.amd64.push_back(TRY(parse_config_group(text).context("--amd64")));
  for (const std::string& text : arguments.many("zone")) {
    for (const std::string& zone : split(text, ',')) request.zones.push_back(zone);
  }
  if (auto text = arguments.one("taint")) request.taint = TRY(kube::parse_taint(*text).context("--taint"));
  request.min = TRY(number(arguments, "min", request.min, kMaxGroupSize));
  request.max = TRY(number(arguments, "max", request.max, kMaxGroupSize));
  return request;
}

// What was written is read back: lint must find nothing.
Result<size_t> prove(const std::vector<ConfigFile>& files, const PriceTable& prices, const LintOptions& options) {
  AutoscalerInput input;
  for (const ConfigFile& file : files) {
    for (const YamlDocument& document : TRY(parse_yaml_documents(file.content).context(file.name))) input.add(document.value, &document.marks, file.name, file.content);
  }
  input.settle(prices);
  std::vector<LintFinding> findings = lint(input, prices, options);
  if (!findings.empty()) return Error{Code::Invalid, "this would not work: " + findings[0].place.file + ": " + findings[0].message, findings[0].advice};
  return files.size();
}

Result<int> run_config(const Arguments& arguments, const Context& context) {
  ConfigRequest request = TRY(config_request(arguments));
  std::vector<ConfigFile> files = TRY(write_config(request));
  TRY(prove(files, PriceTable::shipped(), {request.name_space, "priority,least-waste"}));
  auto folder = arguments.one("output");
  if (arguments.has("json")) {
    Json list = Json::array();
    for (const ConfigFile& file : files) list.push(Json::object({{"name", file.name}, {"content", file.content}}));
    context.out(to_json(Json::object({{"files", std::move(list)}}), {.indent = 2}) + "\n");
    if (!folder) return kOk;
  }
  if (folder) TRY(make_directories(*folder));
  for (const ConfigFile& file : files) {
    if (folder) {
      TRY(write_file_atomic(*folder + "/" + file.name, file.content));
      if (!arguments.has("json")) context.out(*folder + "/" + file.name + "\n");
    } else {
      context.out(std::string("---\n# ") + file.name + "\n" + file.content);
    }
  }
  return kOk;
}

Flag json_flag() { return {"json", 0, Flag::Kind::Bool, "", "print JSON"}; }

}  // namespace

Command autoscaler_lint_command() {
  Command command;
  command.name = "autoscaler lint";
  command.summary = "Find what in an autoscaler's configuration has no effect";
  command.usage = "archway autoscaler lint [flags] FILE...";
  command.description =
      "Reads node groups (aws autoscaling describe-auto-scaling-groups, eksctl, Terraform's JSON or YAML), the priority expander's ConfigMap,\n"
      "Karpenter's NodePools, cluster-autoscaler's Deployment and, where given, the cluster's own objects, and names what is dropped without\n"
      "a word, never matches, or is out of every pod's reach. Exit status 1 where anything was found.\n\n"
      "  aws autoscaling describe-auto-scaling-groups > groups.json\n"
      "  kubectl get configmap,pods,deployments,nodes -A -o json > cluster.json\n"
      "  archway autoscaler lint groups.json cluster.json";
  command.flags = {{"namespace", 'n', Flag::Kind::One, "NAMESPACE", "of the autoscaler (kube-system)"},
                   {"expander", 0, Flag::Kind::One, "A,B", "what it runs with, if its Deployment is not among the files"},
                   prices_flag(), json_flag()};
  command.min_positional = 1;
  command.max_positional = 1000;
  command.run = run_lint;
  return command;
}

Command autoscaler_simulate_command() {
  Command command;
  command.name = "autoscaler simulate";
  command.summary = "Show which node groups would grow, by how much, and why";
  command.usage = "archway autoscaler simulate [flags] FILE...";
  command.description =
      "Lets kube-scheduler and Cluster Autoscaler 1.34 (or Karpenter, where the input has only NodePools) work in turn on the pending pods of a\n"
      "cluster: templates from zero, the estimator's packing, expanders, limits, balancing; then which nodes could go. Node groups come as\n"
      "`lint` reads them, or in a file of kind NodeGroups (docs/autoscaler.md). Exit status 1 where pods stay pending or would crash.\n\n"
      "  archway autoscaler simulate groups.yaml pods.yaml --expander priority,least-waste\n"
      "  archway autoscaler simulate nodepools.yaml pods.yaml --region us-east-1";
  command.flags = {
      {"expander", 0, Flag::Kind::One, "A,B", "random, most-pods, least-waste (default), least-nodes, price, priority"},
      {"seed", 0, Flag::Kind::One, "N", "of what is left to chance (0)"},
      {"namespace", 'n', Flag::Kind::One, "NAMESPACE", "where the priority ConfigMap is read (kube-system)"},
      {"filename", 'f', Flag::Kind::Many, "FILE", "manifests whose pods are pending"},
      {"balance-similar-node-groups", 0, Flag::Kind::Bool, "", "spread growth over groups that are alike"},
      {"balancing-ignore-label", 0, Flag::Kind::Many, "LABEL", "a label by which groups that are alike may differ"},
      {"max-nodes-total", 0, Flag::Kind::One, "N", "the cluster's largest size"},
      {"max-nodes-per-scaleup", 0, Flag::Kind::One, "N", "of one round (1000)"},
      {"max-cores", 0, Flag::Kind::One, "N", "of the cluster"},
      {"max-memory", 0, Flag::Kind::One, "GIB", "of the cluster"},
      {"scale-down-utilization-threshold", 0, Flag::Kind::One, "SHARE", "below which a node could go (0.5)"},
      {"trace", 0, Flag::Kind::One, "FILE", "pods that come and go: openb's CSV, or a file of kind Trace"},
      {"pod-template", 0, Flag::Kind::One, "FILE", "a Pod: tolerations, selectors and labels for every pod of an openb trace"},
      {"step", 0, Flag::Kind::One, "TIME", "of the timeline (1h)"},
      {"node-startup", 0, Flag::Kind::One, "TIME", "until a new node takes pods (90s)"},
      {"scan-interval", 0, Flag::Kind::One, "TIME", "how often the autoscaler looks (10s)"},
      {"scale-down-unneeded-time", 0, Flag::Kind::One, "TIME", "after which an unneeded node goes (10m)"},
      {"scale-down-delay-after-add", 0, Flag::Kind::One, "TIME", "without removal after growth (10m)"},
      {"karpenter", 0, Flag::Kind::Bool, "", "Karpenter, though there are node groups too"},
      {"cloud", 0, Flag::Kind::One, "CLOUD", "whose machines Karpenter starts (aws)"},
      {"region", 0, Flag::Kind::One, "REGION", "whose prices count for Karpenter (of the nodes, else us-east-1)"},
      {"zone", 0, Flag::Kind::Many, "ZONE", "where Karpenter may start nodes"},
      prices_flag(),
  };
  for (Flag& flag : placement_flags()) command.flags.push_back(std::move(flag));
  command.min_positional = 1;
  command.max_positional = 1000;
  command.run = run_simulate;
  return command;
}

Command autoscaler_config_command() {
  Command command;
  command.name = "autoscaler config";
  command.summary = "Write the configuration for arm64 first, amd64 as fallback";
  command.usage = "archway autoscaler config --for eks|asg|karpenter --arm64 NAME=TYPE,... --amd64 NAME=TYPE,... [-o FOLDER]";
  command.description =
      "Writes the priority expander's ConfigMap, the groups' tags, labels and taints, what the kubelet registers with, and the toleration that\n"
      "workloads need; for Karpenter two NodePools. What it writes, `archway autoscaler lint` has read without a finding.\n\n"
      "  archway autoscaler config --for eks --cluster shop --arm64 arm=m7g.xlarge --amd64 x86=m7i.xlarge -o autoscaling/";
  command.flags = {
      {"for", 0, Flag::Kind::One, "WHAT", "eks (eksctl), asg (plain Auto Scaling Groups) or karpenter"},
      {"arm64", 0, Flag::Kind::Many, "NAME=TYPE,...", "a group of arm64 machines"},
      {"amd64", 0, Flag::Kind::Many, "NAME=TYPE,...", "a group of amd64 machines"},
      {"taint", 0, Flag::Kind::One, "TAINT", "of the arm64 groups (arch=arm64:NoSchedule)"},
      {"cluster", 0, Flag::Kind::One, "NAME", "the cluster's name"},
      {"region", 0, Flag::Kind::One, "REGION", "the cluster's region (us-east-1)"},
      {"zone", 0, Flag::Kind::Many, "ZONE", "zones of the groups"},
      {"min", 0, Flag::Kind::One, "N", "least size of a group (0)"},
      {"max", 0, Flag::Kind::One, "N", "largest size of a group (10)"},
      {"namespace", 'n', Flag::Kind::One, "NAMESPACE", "of the autoscaler (kube-system)"},
      {"node-class", 0, Flag::Kind::One, "NAME", "Karpenter's EC2NodeClass (default)"},
      {"output", 'o', Flag::Kind::One, "FOLDER", "write files there instead of printing them"},
      json_flag(),
  };
  command.run = run_config;
  return command;
}

}  // namespace archway::cli
