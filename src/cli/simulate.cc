#include "base/fd.h"
#include "base/text.h"
#include "cli/cluster_files.h"
#include "cli/place_commands.h"
#include "cli/placement_input.h"
#include "scheduler/replay.h"
#include "scheduler/report.h"
#include "scheduler/scenario.h"

namespace archway::cli {

namespace {

using namespace scheduler;

Result<int> replay_case(const std::string& path, const Arguments& arguments, const Context& context) {
  if (!arguments.has("json")) return usage_error("archway simulate --replay prints JSON only; add --json");
  auto objects = TRY(load_objects(path));
  if (objects.size() != 1) return Error{Code::Invalid, path + ": expected one recorded case"};
  Profile profile = TRY(placement_profile(arguments));
  Json answer = TRY(replay(profile, objects[0]).context(path));
  context.out(to_json(answer) + "\n");
  return kOk;
}

// The flags as one step, in the order in which an operator would do it: workloads, new nodes, labels, taints, then
// what goes away.
Result<ScenarioStep> step_of_flags(const Arguments& arguments) {
  ScenarioStep step{"flags", {}};
  for (const std::string& file : arguments.many("filename")) step.changes.push_back(ApplyManifests{TRY(load_objects(file))});
  for (const std::string& text : arguments.many("add-nodes")) step.changes.push_back(TRY(parse_add_nodes(text)));
  for (const std::string& text : arguments.many("label")) step.changes.push_back(TRY(parse_label_nodes(text).context("--label")));
  for (const std::string& text : arguments.many("taint")) step.changes.push_back(TRY(parse_taint_nodes(text).context("--taint")));
  for (const std::string& text : arguments.many("remove-nodes")) step.changes.push_back(RemoveNodes{TRY(parse_selector_or_all(text).context("--remove-nodes"))});
  for (const std::string& text : arguments.many("recreate")) step.changes.push_back(Recreate{TRY(parse_selector_or_all(text).context("--recreate"))});
  return step;
}

Result<std::vector<ScenarioStep>> steps(const Arguments& arguments) {
  std::vector<ScenarioStep> all;
  if (auto file = arguments.one("scenario")) {
    auto documents = TRY(load_objects(*file));
    if (documents.size() != 1) return Error{Code::Invalid, *file + ": expected one scenario"};
    all = TRY(read_scenario(documents[0], load_objects).context(*file));
  }
  ScenarioStep flags = TRY(step_of_flags(arguments));
  if (all.empty() || !flags.changes.empty()) all.push_back(std::move(flags));
  return all;
}

std::vector<Json> applied_by(const std::vector<ScenarioStep>& steps) {
  std::vector<Json> objects;
  for (const ScenarioStep& step : steps) {
    for (const Change& change : step.changes) {
      if (auto* apply = std::get_if<ApplyManifests>(&change)) objects.insert(objects.end(), apply->objects.begin(), apply->objects.end());
    }
  }
  return objects;
}

Result<int> run(const Arguments& arguments, const Context& context) {
  if (auto recorded = arguments.one("replay")) return replay_case(*recorded, arguments, context);
  std::optional<uint64_t> seed;
  if (auto text = arguments.one("seed")) {
    seed = parse_uint(*text);
    if (!seed) return usage_error("archway simulate: --seed " + *text + " is no whole number");
  }
  auto plan = TRY(steps(arguments));
  PlacementInput input = TRY(load_placement_input("simulate", arguments.positional(), arguments, context));
  TRY(look_up_images(arguments, context, images_of(input.inventory, applied_by(plan)), input));
  tell_unknown_images(input, context);
  Simulation simulation(std::move(input.inventory), std::move(input.profile), std::move(input.images), seed);
  for (const ScenarioStep& step : plan) TRY(simulation.run(step).context(step.name));
  SimulationResult result = simulation.result();
  for (std::string& note : input.notes) result.notes.push_back(std::move(note));
  if (auto file = arguments.one("html")) TRY(write_file_atomic(*file, result_html(result)));
  if (arguments.has("json")) {
    Json json = result_json(result);
    if (!input.unknown.empty()) json.set("unknownImages", unknown_images_json(input));
    context.out(to_json(json, {.indent = 2}) + "\n");
  } else {
    context.out(result_table(result));
  }
  return result.unplaced() + result.crashing() > 0 ? kFoundProblems : kOk;
}

}  // namespace

Command simulate_command() {
  Command command;
  command.name = "simulate";
  command.summary = "Show where pods would go if the cluster changed";
  command.usage = "archway simulate [flags] [CLUSTER...]";
  command.description =
      "Reads a cluster from files or folders (kubectl get -A -o json|yaml, lists of mixed kinds too), or, without any, the live one that\n"
      "kubectl would talk to. Changes it, in memory only, and places pods as kube-scheduler does: every node filtered and scored, preemption\n"
      "and disruption budgets included. Running pods stay where they are. For a live cluster the images' platforms are looked up in their\n"
      "registries, for files with --look-up; verdicts of archway verify count.\n"
      "Exit status 1 where pods stay without a place or would crash.\n\n"
      "  archway simulate dump/ --add-nodes arm64=6,type=m7g.xlarge,taint=arch=arm64:NoSchedule\n"
      "  archway simulate dump/ --remove-nodes kubernetes.io/arch=amd64 --images images.json\n"
      "  archway simulate --context staging --add-nodes arm64=6,type=m7g.xlarge --recreate all\n"
      "  archway simulate --replay case.json --json";
  command.flags = {
      {"add-nodes", 0, Flag::Kind::Many, "ARCH=N,...", "with type=, zone=, taint=, label=, cpu=, memory=, pods="},
      {"remove-nodes", 0, Flag::Kind::Many, "SELECTOR", "nodes that go, by label"},
      {"taint", 0, Flag::Kind::Many, "'SELECTOR TAINT'", "taint nodes; with - at the end take the taint away"},
      {"label", 0, Flag::Kind::Many, "'SELECTOR KEY=VALUE'", "label nodes; KEY- takes it away"},
      {"filename", 'f', Flag::Kind::Many, "FILE", "new or changed manifests; a changed workload is rolled out"},
      {"recreate", 0, Flag::Kind::Many, "SELECTOR", "pods to place anew, by label, or all"},
      {"scenario", 0, Flag::Kind::One, "FILE", "several such steps, one after the other"},
      {"seed", 0, Flag::Kind::One, "N", "break ties at random, the same every time"},
      {"html", 0, Flag::Kind::One, "FILE", "write a page with the nodes and what is on them"},
      {"replay", 0, Flag::Kind::One, "CASE", "decide a recorded case again"},
  };
  for (Flag& flag : placement_input_flags()) command.flags.push_back(std::move(flag));
  command.max_positional = 1000;
  command.run = run;
  return command;
}

}  // namespace archway::cli
