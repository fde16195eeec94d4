#include "scheduler/autoscaler_run.h"

#include <algorithm>

#include "base/text.h"

namespace archway::scheduler {

namespace {

std::vector<std::pair<std::string, std::string>> names_of(const std::vector<WorldPod*>& placed) {
  std::vector<std::pair<std::string, std::string>> names;
  for (const WorldPod* pod : placed) {
    if (!pod->daemon) names.push_back({pod->pod.meta.key(), pod->node});
  }
  std::sort(names.begin(), names.end());
  return names;
}

void judge(const World& world, const std::vector<std::pair<std::string, std::string>>& placed, const ImageKnowledge& images, AutoscalerRun& run) {
  std::map<std::string, const WorldPod*> pods;
  for (const WorldPod& pod : world.pods()) {
    if (!pod.gone && !pod.node.empty()) pods[pod.pod.meta.key()] = &pod;
  }
  for (const auto& [name, node] : placed) {
    auto pod = pods.find(name);
    if (pod == pods.end()) continue;
    PodVerdict verdict = run_verdict(images, pod->second->pod, world.nodes().at(pod->second->node));
    if (crashes(verdict.verdict)) run.crashes.push_back({name, pod->second->node, verdict});
  }
}

void note_pending(World& world, const ScaleUp* last, AutoscalerRun& run) {
  for (const Pod* pod : world.pending()) {
    std::string why = world.find(*pod)->reason;
    if (last && last->options.empty()) why += " And no group would help.";
    run.pending.push_back({pod->meta.key(), why});
  }
  size_t gated = 0;
  for (const WorldPod& pod : world.pods()) gated += !pod.gone && pod.node.empty() && !pod.pod.spec->scheduling_gates.empty();
  if (gated > 0) run.notes.push_back(std::to_string(gated) + " pods wait for their scheduling gates; the autoscaler does not see them");
}

}  // namespace

AutoscalerRun run_autoscaler(World& world, Autoscaler& autoscaler, const ImageKnowledge& images, const std::map<std::string, PodFacts>& facts) {
  AutoscalerRun run;
  for (const GroupState& state : autoscaler.groups()) {
    run.groups.push_back({state.group.name, architecture_of(state.group, autoscaler.prices()), state.group.first_type(), state.group.min, state.group.max, state.current, state.current,
                          price_of(state.group, autoscaler.prices())});
  }
  run.pending_before = world.pending().size();
  run.placed_at_once = names_of(world.schedule());
  std::vector<std::pair<std::string, std::string>> all_placed = run.placed_at_once;
  // Sizes that count nodes which the input lacks: they are on their way, or nobody exported them.
  for (const GroupState& state : autoscaler.groups()) {
    int64_t missing = state.current - static_cast<int64_t>(state.nodes.size());
    if (missing > 0) run.notes.push_back("group " + state.group.name + " has " + std::to_string(state.current) + " nodes, and " + std::to_string(missing) + " of them are not among the input; nothing is placed there");
  }
  for (int round = 0; round < kMaxScaleUpRounds && !world.pending().empty(); ++round) {
    ScaleUpRound each;
    each.decision = autoscaler.scale_up(world);
    std::vector<const Pod*> wanted = each.decision.pods;
    for (const Pod* pod : wanted) each.pods.push_back(pod->meta.key());
    for (const Growth& growth : each.decision.growth) {
      for (int64_t i = growth.from; i < growth.to; ++i) {
        auto node = autoscaler.make_node(growth.group);
        if (!node.ok()) {
          each.decision.notes.push_back("no node of " + growth.group + " can be imagined: " + node.error().message);
          break;
        }
        each.new_nodes.push_back(node->name());
        world.add_node(std::move(*node));
      }
    }
    bool grew = !each.new_nodes.empty();
    if (grew) {
      each.placed = names_of(world.schedule());
      all_placed.insert(all_placed.end(), each.placed.begin(), each.placed.end());
      for (const Pod* pod : wanted) each.missed += world.find(*pod)->node.empty();
      if (each.missed > 0) {
        each.decision.notes.push_back(std::to_string(each.missed) + " of the " + std::to_string(wanted.size()) +
                                      " pods for which it grew still wait: the node that the autoscaler imagined is not the node that came");
      }
    }
    run.rounds.push_back(std::move(each));
    if (!grew) break;
  }
  for (size_t i = 0; i < run.groups.size(); ++i) run.groups[i].after = autoscaler.groups()[i].current;
  note_pending(world, run.rounds.empty() ? nullptr : &run.rounds.back().decision, run);
  judge(world, all_placed, images, run);
  run.scale_down = autoscaler.scale_down(world, facts);
  return run;
}

AutoscalerRun run_karpenter(World& world, const std::vector<NodePool>& pools, const std::vector<InstanceOffer>& offers, const ImageKnowledge& images) {
  AutoscalerRun run;
  run.karpenter = true;
  run.pending_before = world.pending().size();
  run.placed_at_once = names_of(world.schedule());
  std::vector<std::pair<std::string, std::string>> all_placed = run.placed_at_once;
  // The scheduler does not put pods where Karpenter meant them; those that are left make it start more.
  for (int round = 0; round < kMaxScaleUpRounds && !world.pending().empty(); ++round) {
    KarpenterResult more = provision(world, pools, offers, run.provisioned.claims.size());
    bool started = !more.claims.empty();
    for (const NodeClaim& claim : more.claims) {
      for (const Pod* pod : claim.pods) run.claims_pods.push_back({claim.name, pod->meta.key()});
      world.add_node(node_of(claim));
      run.provisioned.claims.push_back(claim);
    }
    run.provisioned.unplaced = std::move(more.unplaced);
    if (round == 0) run.provisioned.notes = std::move(more.notes);
    for (auto& each : more.relaxed) {
      if (std::find(run.provisioned.relaxed.begin(), run.provisioned.relaxed.end(), each) == run.provisioned.relaxed.end()) run.provisioned.relaxed.push_back(std::move(each));
    }
    if (!started) break;
    std::vector<std::pair<std::string, std::string>> placed = names_of(world.schedule());
    all_placed.insert(all_placed.end(), placed.begin(), placed.end());
  }
  for (const KarpenterResult::Unplaced& each : run.provisioned.unplaced) {
    if (world.find(*each.pod)->node.empty()) run.pending.push_back({each.pod->meta.key(), each.why});
  }
  for (const Pod* pod : world.pending()) {
    auto same = [&](const auto& each) { return each.first == pod->meta.key(); };
    if (std::none_of(run.pending.begin(), run.pending.end(), same)) run.pending.push_back({pod->meta.key(), world.find(*pod)->reason});
  }
  run.notes = run.provisioned.notes;
  judge(world, all_placed, images, run);
  return run;
}

}  // namespace archway::scheduler
