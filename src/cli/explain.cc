#include <algorithm>

#include "cli/cluster_files.h"
#include "cli/place_commands.h"
#include "cli/placement_input.h"
#include "scheduler/explain.h"
#include "scheduler/replay.h"

namespace archway::cli {

namespace {

using namespace scheduler;

Json change_json(const SmallestChangeAnswer& answer, const std::string& architecture) {
  Json json = Json::object({{"architecture", architecture}, {"possible", answer.change.has_value()}});
  if (!answer.change) {
    json.set("why", answer.why);
    return json;
  }
  Json fixes = Json::array();
  for (const Fix& fix : answer.change->fixes) {
    Json each = Json::object({{"change", fix.text}});
    if (!fix.patch.empty()) each.set("patch", fix.patch);
    fixes.push(std::move(each));
  }
  json.set("node", answer.change->node);
  json.set("changes", std::move(fixes));
  return json;
}

std::string node_line(const NodeAnswer& answer, const Decision& decision) {
  if (answer.refusal) {
    std::string text = "no   " + std::string(plugin_name(answer.refusal->plugin)) + ":";
    for (const std::string& reason : answer.refusal->reasons) text += (text.ends_with(':') ? " " : "; ") + reason;
    return text;
  }
  std::string text = "yes  " + std::to_string(answer.total) + " =";
  for (size_t slot = 0; slot < kScorers.size(); ++slot) {
    if (!decision.scorers[slot]) continue;
    text += (text.ends_with('=') ? " " : " + ") + std::to_string(answer.scores[slot]) + " " + std::string(plugin_name(kScorers[slot]));
  }
  return text;
}

// What the images of the pod would do on that architecture; "" where they run, or nothing is known of them.
std::string image_trouble(const ImageKnowledge& images, const Pod& pod, const std::string& architecture) {
  Node node;
  node.meta.labels.set("kubernetes.io/os", "linux");
  node.meta.labels.set("kubernetes.io/arch", architecture);
  PodVerdict verdict = run_verdict(images, pod, node);
  return crashes(verdict.verdict) ? verdict.image + ": " + std::string(run_verdict_name(verdict.verdict)) + " (" + verdict.why + ")" : std::string();
}

std::string run_line(const ImageKnowledge& images, const Pod& pod, const Node& node) {
  PodVerdict verdict = run_verdict(images, pod, node);
  if (verdict.verdict == RunVerdict::Runs || verdict.verdict == RunVerdict::Unknown) return {};
  return "  (" + std::string(run_verdict_name(verdict.verdict)) + ": " + verdict.image + ", " + verdict.why + ")";
}

std::string outweighed_text(const OutweighedPreference& preference) {
  std::string text = "it prefers " + preference.wished + ", but " + preference.chosen + (preference.by > 0 ? " has " + std::to_string(preference.by) + " points more:" : " has as many points:");
  for (const auto& [plugin, points] : preference.plugins) text += (text.ends_with(':') ? " " : ", ") + std::string(points > 0 ? "+" : "") + std::to_string(points) + " " + std::string(plugin_name(plugin));
  return text + "\n";
}

Json outweighed_json(const OutweighedPreference& preference) {
  Json plugins = Json::object();
  for (const auto& [plugin, points] : preference.plugins) plugins.set(plugin_name(plugin), points);
  return Json::object({{"wished", preference.wished}, {"chosen", preference.chosen}, {"by", preference.by}, {"plugins", std::move(plugins)}});
}

std::string in_words(const PlacementInput& input, const Pod& pod, const Decision& decision, const Cluster& cluster, const SmallestChangeAnswer& change, const std::string& architecture) {
  std::string text = pod.meta.key() + "\n";
  if (decision.pre_filter) text += "refused before any node: " + std::string(plugin_name(decision.pre_filter->plugin)) + "\n";
  std::vector<const NodeState*> nodes;
  for (const NodeState& node : cluster.nodes()) nodes.push_back(&node);
  std::sort(nodes.begin(), nodes.end(), [](const NodeState* a, const NodeState* b) { return a->node->name() < b->node->name(); });
  for (const NodeState* node : nodes) {
    if (decision.nodes.empty()) break;
    text += "  " + node->node->name() + " (" + node->node->architecture() + ")  " + node_line(decision.nodes[node->index], decision) + run_line(input.images, pod, *node->node) + "\n";
  }
  if (decision.chosen) text += "goes to " + cluster.nodes()[*decision.chosen].node->name() + "\n";
  if (auto preference = outweighed_preference(cluster, pod, decision)) text += outweighed_text(*preference);
  if (std::string trouble = image_trouble(input.images, pod, architecture); !trouble.empty()) text += "\non " + architecture + " its images do not run: " + trouble + "\n";
  text += "\nto run on " + architecture + ": ";
  if (!change.change) return text + "no change of the pod or of nodes is enough (" + change.why + ")\n";
  if (change.change->fixes.empty()) return text + "nothing has to change; it fits " + change.change->node + "\n";
  text += "\n";
  for (const Fix& fix : change.change->fixes) text += "  - " + fix.text + "\n" + fix.patch;
  return text + "it then fits " + change.change->node + "\n";
}

// Per node, where the images of the pod would not simply run.
Json verdicts_json(const ImageKnowledge& images, const Pod& pod, const Cluster& cluster) {
  Json list = Json::array();
  for (const NodeState& node : cluster.nodes()) {
    PodVerdict verdict = run_verdict(images, pod, *node.node);
    if (verdict.verdict == RunVerdict::Runs) continue;
    list.push(Json::object({{"node", node.node->name()}, {"runs", run_verdict_name(verdict.verdict)}, {"image", verdict.image}, {"why", verdict.why}}));
  }
  return list;
}

Result<int> run(const Arguments& arguments, const Context& context) {
  std::string key = arguments.positional()[0];
  if (key.find('/') == std::string::npos) key = "default/" + key;
  std::vector<std::string> files(arguments.positional().begin() + 1, arguments.positional().end());
  PlacementInput input = TRY(load_placement_input("explain pod", files, arguments, context));
  const Inventory& inventory = input.inventory;
  const Profile& profile = input.profile;
  auto found = std::find_if(inventory.pods.begin(), inventory.pods.end(), [&](const Pod& pod) { return pod.meta.key() == key; });
  if (found == inventory.pods.end()) return Error{Code::NotFound, "no pod " + key + " in " + (files.empty() ? input.cluster->access().server : files[0]), "name it as NAMESPACE/NAME"};
  ImageUsers images;
  add_images(*found, images);
  TRY(look_up_images(arguments, context, images, input));
  tell_unknown_images(input, context);
  Cluster cluster(inventory.nodes, inventory.objects);
  for (const Pod& pod : inventory.pods) {
    const NodeState* node = pod.node_name.empty() || pod.finished() || &pod == &*found ? nullptr : cluster.find_node(pod.node_name);
    if (node) cluster.bind(pod, node->index);
  }
  // A pod that runs is explained as if it were to be placed now.
  Pod pod = *found;
  pod.node_name.clear();
  Decision decision = decide(profile, cluster, pod);
  std::string architecture = arguments.one_or("arch", "arm64");
  SmallestChangeAnswer change = smallest_change(profile, cluster, pod, architecture);
  if (arguments.has("json")) {
    Json json = decision_json(pod, decision, cluster);
    json.set("smallestChange", change_json(change, architecture));
    if (auto preference = outweighed_preference(cluster, pod, decision)) json.set("outweighedPreference", outweighed_json(*preference));
    json.set("images", verdicts_json(input.images, pod, cluster));
    if (!input.unknown.empty()) json.set("unknownImages", unknown_images_json(input));
    context.out(to_json(json, {.indent = 2}) + "\n");
  } else {
    context.out(in_words(input, pod, decision, cluster, change, architecture));
  }
  return decision.chosen ? kOk : kFoundProblems;
}

}  // namespace

Command explain_pod_command() {
  Command command;
  command.name = "explain pod";
  command.summary = "Show why a pod goes where it goes, node by node";
  command.usage = "archway explain pod [flags] NAMESPACE/NAME [CLUSTER...]";
  command.description =
      "For every node: which plugin refuses it first and why, or what each plugin's score is. Then the smallest change that would let\n"
      "the pod run on another architecture. A running pod is explained as if it were placed now. Exit status 1 where no node takes it.\n"
      "Without files it asks the live cluster that kubectl would talk to, and looks up the images' platforms.\n\n"
      "  archway explain pod shop/cart-0 dump/";
  command.flags = placement_input_flags();
  command.flags.push_back({"arch", 0, Flag::Kind::One, "ARCH", "for which to find the smallest change (arm64)"});
  command.min_positional = 1;
  command.max_positional = 1000;
  command.run = run;
  return command;
}

}  // namespace archway::cli
