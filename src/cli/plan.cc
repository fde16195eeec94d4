#include "cli/autoscaler_files.h"
#include "cli/cluster_files.h"
#include "cli/cluster_live.h"
#include "cli/place_commands.h"
#include "cli/placement_input.h"
#include "scheduler/plan.h"

namespace archway::cli {

namespace {

using namespace scheduler;

// Files, or without any the live cluster.
Result<AutoscalerInput> load_input(const Arguments& arguments, const Context& context, const PriceTable& prices, PlacementInput& world) {
  if (!arguments.positional().empty()) return load_autoscaler_input(arguments.positional(), prices);
  TRY(connect_live("plan", arguments, context, world));
  AutoscalerInput input;
  std::vector<Problem> absent;
  auto add = [&](Json object) { input.add(object, nullptr, world.cluster->access().server); };
  TRY(read_live_cluster(*world.cluster, add, absent, context.stop));
  input.settle(prices);
  for (const std::string& note : world.notes) context.err("archway: " + note + "\n");
  for (const Problem& problem : absent) context.err("archway: " + problem.object + " " + problem.message + "\n");
  return input;
}

Result<int> run(const Arguments& arguments, const Context& context) {
  PriceTable prices = TRY(load_prices(arguments));
  PlacementInput world;
  world.profile = TRY(placement_profile(arguments));
  world.images = TRY(placement_images(arguments));
  AutoscalerInput input = TRY(load_input(arguments, context, prices, world));
  TRY(look_up_images(arguments, context, images_of_workloads(input.inventory), world));
  tell_unknown_images(world, context);
  PlanOptions options;
  options.cloud = arguments.one_or("cloud", "");
  options.region = arguments.one_or("region", "");
  options.types = arguments.many("type");
  options.name_space = arguments.one_or("namespace", options.name_space);
  if (auto text = arguments.one("taint")) options.taint = TRY(kube::parse_taint(*text).context("--taint"));
  PlanFacts facts{input.provider_ids, input.pod_facts};
  MigrationPlan plan = TRY(make_plan(input.inventory, world.profile, world.images, prices, facts, options));
  context.out(arguments.has("json") ? to_json(plan_json(plan), {.indent = 2}) + "\n" : plan_text(plan));
  bool good = !plan.groups.empty() && plan.unplaced.empty() && plan.complete() && plan.saving() > 0;
  return good ? kOk : kFoundProblems;
}

}  // namespace

Command plan_command() {
  Command command;
  command.name = "plan";
  command.summary = "Plan the move to arm64: which workloads, which nodes, which steps, what bill";
  command.usage = "archway plan [--images FILE | --look-up] [--prices FILE] [flags] [CLUSTER...]";
  command.description =
      "From what images hold, a cluster's dump and a price list: which workloads can move to arm64 now and which cannot and why, the nodes that\n"
      "they need (packed by simulating scheduler and autoscaler with every candidate type), the monthly bill before and after each step, and the\n"
      "steps with their patches. Exit status 0 where the plan is complete and saves money, 1 where not: nothing moves, Arm is dearer, pods find no\n"
      "place, or prices are missing.\n"
      "Without files it asks the live cluster that kubectl would talk to, and looks up what its images hold; for files, --look-up does.\n\n"
      "  archway plan --images images.json dump/\n"
      "  archway plan --images images.json --prices ours.csv --type m7g.xlarge dump/ --json";
  command.flags = {
      prices_flag(),
      {"type", 0, Flag::Kind::Many, "TYPE", "candidate machine types (every arm64 type that has a price in the region)"},
      {"cloud", 0, Flag::Kind::One, "CLOUD", "of nodes that do not tell: aws, azure, gcp or as in your price file"},
      {"region", 0, Flag::Kind::One, "REGION", "of new nodes, and of nodes that do not tell"},
      {"taint", 0, Flag::Kind::One, "TAINT", "of the new groups (arch=arm64:NoSchedule)"},
      {"namespace", 'n', Flag::Kind::One, "NAMESPACE", "of the autoscaler (kube-system)"},
  };
  for (Flag& flag : placement_input_flags()) command.flags.push_back(std::move(flag));
  command.max_positional = 1000;
  command.run = run;
  return command;
}

}  // namespace archway::cli
