#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "scheduler/autoscaler_run.h"
#include "scheduler/text_table.h"

namespace archway::scheduler {

namespace {

using Row = std::vector<std::string>;

Json pairs_json(const std::vector<std::pair<std::string, std::string>>& pairs, std::string_view first, std::string_view second) {
  Json list = Json::array();
  for (const auto& [a, b] : pairs) list.push(Json::object({{first, a}, {second, b}}));
  return list;
}

Json steps_json(const std::vector<ExpanderStep>& steps) {
  Json list = Json::array();
  for (const ExpanderStep& step : steps) {
    Json json = Json::object({{"expander", step.expander}, {"kept", Json(step.kept)}});
    if (!step.scores.empty()) json.set("scores", pairs_json(step.scores, "group", "score"));
    if (!step.note.empty()) json.set("note", step.note);
    list.push(std::move(json));
  }
  return list;
}

Json round_json(const ScaleUpRound& round) {
  const ScaleUp& decision = round.decision;
  Json options = Json::array(), rejections = Json::array(), growth = Json::array();
  for (const OptionReport& each : decision.options) {
    Json json = Json::object({{"group", each.group}, {"nodes", each.nodes}, {"pods", each.pods}, {"template", each.node_source}});
    if (each.limited) json.set("limited", true);
    options.push(std::move(json));
  }
  for (const ScaleUp::Rejection& each : decision.rejections) {
    rejections.push(Json::object({{"pod", each.pod}, {"alike", each.alike}, {"group", each.group}, {"why", each.why}}));
  }
  for (const Growth& each : decision.growth) growth.push(Json::object({{"group", each.group}, {"from", each.from}, {"to", each.to}}));
  Json json = Json::object({{"pending", decision.pending}, {"options", std::move(options)}, {"skipped", pairs_json(decision.skipped, "group", "why")},
                            {"rejections", std::move(rejections)}, {"expanders", steps_json(decision.steps)}});
  if (!decision.chosen.empty()) json.set("chosen", decision.chosen);
  json.set("growth", std::move(growth));
  json.set("newNodes", Json(round.new_nodes));
  json.set("forPods", Json(round.pods));
  json.set("placed", pairs_json(round.placed, "pod", "node"));
  if (round.missed > 0) json.set("stillPending", round.missed);
  json.set("notes", Json(decision.notes));
  return json;
}

std::string round_text(const ScaleUpRound& round, size_t number) {
  const ScaleUp& decision = round.decision;
  std::string text = "round " + std::to_string(number) + ": " + std::to_string(decision.pending) + " pods pending\n";
  for (const auto& [group, why] : decision.skipped) text += "  " + group + ": not looked at: " + why + "\n";
  for (const ScaleUp::Rejection& each : decision.rejections) {
    text += "  " + each.group + ": would not take " + each.pod + (each.alike > 1 ? " and " + std::to_string(each.alike - 1) + " like it" : "") + ": " + each.why + "\n";
  }
  for (const OptionReport& each : decision.options) {
    text += "  " + each.group + ": " + std::to_string(each.nodes) + (each.nodes == 1 ? " node" : " nodes") + " for " + std::to_string(each.pods) + " pods (" + each.node_source + ")" + (each.limited ? ", limited" : "") + "\n";
  }
  for (const ExpanderStep& step : decision.steps) {
    std::string scores;
    for (const auto& [group, score] : step.scores) scores += (scores.empty() ? "" : "; ") + group + " " + score;
    text += "  " + step.expander + ": keeps " + join(step.kept, ", ") + (scores.empty() ? "" : "  (" + scores + ")") + (step.note.empty() ? "" : "; " + step.note) + "\n";
  }
  for (const Growth& each : decision.growth) text += "  " + each.group + " grows from " + std::to_string(each.from) + " to " + std::to_string(each.to) + "\n";
  if (decision.options.empty()) text += "  nothing would help\n";
  for (const std::string& note : decision.notes) text += "  note: " + note + "\n";
  return text;
}

std::string price_text(std::optional<int64_t> price, int64_t count) {
  return price ? "$" + usd(static_cast<__int128_t>(*price) * count * kHoursPerMonth) : "no price";
}

std::string claims_text(const KarpenterResult& result) {
  std::vector<Row> rows = {{"NODE", "POOL", "TYPE", "ARCH", "CAPACITY", "PODS", "$/MONTH", ""}};
  for (const NodeClaim& claim : result.claims) {
    const std::string* arch = claim.offer.labels.find("kubernetes.io/arch");
    rows.push_back({claim.name, claim.pool, claim.offer.machine.type, arch ? *arch : "", claim.offer.capacity_type, std::to_string(claim.pods.size()),
                    usd(static_cast<__int128_t>(claim.offer.price) * kHoursPerMonth), "the cheapest of " + std::to_string(claim.offers) + " offers"});
  }
  std::string text = result.claims.empty() ? "no node is started\n" : text_table(rows);
  for (const auto& [pod, what] : result.relaxed) text += "relaxed: " + pod + " gave up " + what + "\n";
  return text;
}

Json claims_json(const AutoscalerRun& run) {
  Json list = Json::array();
  for (const NodeClaim& claim : run.provisioned.claims) {
    std::vector<std::string> pods;
    for (const auto& [name, pod] : run.claims_pods) {
      if (name == claim.name) pods.push_back(pod);
    }
    const std::string* arch = claim.offer.labels.find("kubernetes.io/arch");
    list.push(Json::object({{"node", claim.name}, {"nodePool", claim.pool}, {"type", claim.offer.machine.type}, {"architecture", arch ? *arch : ""},
                            {"zone", claim.offer.zone}, {"capacityType", claim.offer.capacity_type}, {"offers", claim.offers},
                            {"usdPerMonth", usd_number(static_cast<__int128_t>(claim.offer.price) * kHoursPerMonth)}, {"pods", Json(pods)}}));
  }
  return list;
}

}  // namespace

Json autoscaler_json(const AutoscalerRun& run) {
  Json json = Json::object({{"pendingBefore", run.pending_before}, {"placedAtOnce", pairs_json(run.placed_at_once, "pod", "node")}});
  if (run.karpenter) {
    json.set("nodeClaims", claims_json(run));
    json.set("relaxed", pairs_json(run.provisioned.relaxed, "pod", "gaveUp"));
  } else {
    Json rounds = Json::array(), groups = Json::array(), down = Json::array();
    for (const ScaleUpRound& round : run.rounds) rounds.push(round_json(round));
    for (const GroupSize& each : run.groups) {
      Json group = Json::object({{"group", each.name}, {"architecture", each.architecture}, {"type", each.type}, {"min", each.min}, {"max", each.max}, {"before", each.before}, {"after", each.after}});
      group.set("usdPerMonth", each.price ? Json(usd_number(static_cast<__int128_t>(*each.price) * each.after * kHoursPerMonth)) : Json());
      groups.push(std::move(group));
    }
    for (const ScaleDown& each : run.scale_down) {
      down.push(Json::object({{"node", each.node}, {"group", each.group}, {"utilization", each.utilization}, {"removable", each.removable}, {"why", each.why}}));
    }
    json.set("rounds", std::move(rounds));
    json.set("groups", std::move(groups));
    json.set("scaleDown", std::move(down));
  }
  Json crashes = Json::array();
  for (const AutoscalerRun::Crash& each : run.crashes) {
    crashes.push(Json::object({{"pod", each.pod}, {"node", each.node}, {"runs", run_verdict_name(each.verdict.verdict)}, {"image", each.verdict.image}, {"why", each.verdict.why}}));
  }
  json.set("pending", pairs_json(run.pending, "pod", "why"));
  json.set("wouldCrash", std::move(crashes));
  json.set("notes", Json(run.notes));
  return json;
}

std::string autoscaler_text(const AutoscalerRun& run) {
  std::string text;
  if (!run.placed_at_once.empty()) text += std::to_string(run.placed_at_once.size()) + " of " + std::to_string(run.pending_before) + " pending pods fit on nodes that are there\n";
  for (size_t i = 0; i < run.rounds.size(); ++i) text += round_text(run.rounds[i], i + 1);
  if (!text.empty()) text += "\n";
  if (run.karpenter) {
    text += claims_text(run.provisioned);
  } else {
    std::vector<Row> rows = {{"GROUP", "ARCH", "TYPE", "MIN", "MAX", "BEFORE", "AFTER", "$/MONTH BEFORE", "$/MONTH AFTER"}};
    for (const GroupSize& each : run.groups) {
      rows.push_back({each.name, each.architecture, each.type, std::to_string(each.min), std::to_string(each.max), std::to_string(each.before), std::to_string(each.after),
                      price_text(each.price, each.before), price_text(each.price, each.after)});
    }
    text += text_table(rows);
    std::vector<Row> down = {{"NODE", "GROUP", "COULD GO", ""}};
    for (const ScaleDown& each : run.scale_down) down.push_back({each.node, each.group, each.removable ? "yes" : "no", each.why});
    if (down.size() > 1) text += "\n" + text_table(down);
  }
  for (const AutoscalerRun::Crash& each : run.crashes) {
    text += "would crash: " + each.pod + " on " + each.node + ": " + std::string(run_verdict_name(each.verdict.verdict)) + ": " + each.verdict.image + ", " + each.verdict.why + "\n";
  }
  for (const auto& [pod, why] : run.pending) text += "pending: " + pod + ": " + why + "\n";
  for (const std::string& note : run.notes) text += "note: " + note + "\n";
  return text + std::to_string(run.pending.size()) + " pods stay pending" + (run.crashes.empty() ? "" : ", " + std::to_string(run.crashes.size()) + " would crash") + "\n";
}

}  // namespace archway::scheduler
