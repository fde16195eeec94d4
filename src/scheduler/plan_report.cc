#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "scheduler/plan.h"
#include "scheduler/text_table.h"

namespace archway::scheduler {

namespace {

using Row = std::vector<std::string>;

std::string_view state_name(PlanWorkload::State state) {
  switch (state) {
    case PlanWorkload::State::Moves: return "moves";
    case PlanWorkload::State::There: return "there";
    case PlanWorkload::State::Blocked: return "blocked";
    case PlanWorkload::State::Stays: return "stays";
  }
  return "";
}

std::string percent(double part) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", part * 100);
  return text;
}

Json patch_json(const PlanPatch& patch) {
  Json json = Json::object({{"target", patch.target}});
  if (!patch.command.empty()) json.set("command", patch.command);
  json.set("patch", patch.patch);
  return json;
}

Json workloads_json(const std::vector<PlanWorkload>& workloads) {
  Json list = Json::array();
  for (const PlanWorkload& each : workloads) {
    Json json = Json::object({{"workload", each.name}, {"state", state_name(each.state)}});
    if (each.pods > 0) json.set("pods", each.pods);
    if (!each.pool.empty()) json.set("nodeGroup", each.pool);
    if (!each.reasons.empty()) json.set("why", Json(each.reasons));
    if (!each.blocking_images.empty()) json.set("blockingImages", Json(each.blocking_images));
    if (!each.cautions.empty()) json.set("cautions", Json(each.cautions));
    list.push(std::move(json));
  }
  return list;
}

Json bill_json(const Bill& bill) {
  Json lines = Json::array();
  for (const BillLine& line : bill.lines) {
    Json json = Json::object({{"cloud", line.cloud}, {"region", line.region}, {"type", line.type}, {"architecture", line.architecture}, {"spot", line.spot}, {"nodes", line.count}});
    json.set("usdPerMonth", line.price ? Json(usd_number(static_cast<__int128_t>(*line.price) * static_cast<int64_t>(line.count) * kHoursPerMonth)) : Json());
    lines.push(std::move(json));
  }
  return Json::object({{"usdPerMonth", usd_number(bill.nano_per_month)}, {"complete", bill.complete()}, {"nodes", std::move(lines)}, {"withoutPrice", Json(bill.unpriced)}});
}

std::string verdict(const MigrationPlan& plan) {
  bool anything = !plan.groups.empty();
  if (!anything) return "nothing can move now";
  std::string amount = "$" + usd(plan.saving() < 0 ? -plan.saving() : plan.saving()) + " a month";
  double part = plan.today.nano_per_month > 0 ? static_cast<double>(plan.saving()) / static_cast<double>(plan.today.nano_per_month) : 0;
  if (!plan.complete()) return "what it saves cannot be told: prices are missing";
  if (plan.saving() > 0) return "saves " + amount + " (" + percent(part) + ")";
  if (plan.saving() == 0) return "saves nothing";
  return "arm64 is dearer here: moving costs " + amount + " more (" + percent(-part) + ")";
}

std::string bill_text(const char* title, const Bill& bill) {
  std::string text = std::string(title) + ": $" + usd(bill.nano_per_month) + " a month\n";
  std::vector<Row> rows;
  for (const BillLine& line : bill.lines) {
    rows.push_back({std::to_string(line.count), line.type.empty() ? "(unknown type)" : line.type, line.architecture, line.region, line.spot ? "spot" : "",
                    line.price ? "$" + usd(static_cast<__int128_t>(*line.price) * static_cast<int64_t>(line.count) * kHoursPerMonth) : "no known price"});
  }
  return text + text_table(rows, "  ");
}

std::string workloads_text(const MigrationPlan& plan) {
  std::string text;
  auto section = [&](const char* title, const std::vector<PlanWorkload>& list, PlanWorkload::State state) {
    std::string part;
    for (const PlanWorkload& each : list) {
      if (each.state != state) continue;
      part += "  " + each.name + (each.pods > 0 ? " (" + std::to_string(each.pods) + (each.pods == 1 ? " pod)" : " pods)") : "") + "\n";
      for (const std::string& why : each.reasons) part += "      " + why + "\n";
      for (const std::string& caution : each.cautions) part += "      mind: " + caution + "\n";
    }
    if (!part.empty()) text += std::string(title) + "\n" + part;
  };
  section("can move now:", plan.workloads, PlanWorkload::State::Moves);
  section("on arm64 already:", plan.workloads, PlanWorkload::State::There);
  section("blocked by images:", plan.workloads, PlanWorkload::State::Blocked);
  section("stay:", plan.workloads, PlanWorkload::State::Stays);
  section("DaemonSets that follow:", plan.daemons, PlanWorkload::State::Moves);
  section("DaemonSets that cannot follow:", plan.daemons, PlanWorkload::State::Blocked);
  return text;
}

std::string steps_text(const MigrationPlan& plan) {
  std::string text;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const PlanStep& step = plan.steps[i];
    text += "\nstep " + std::to_string(i + 1) + ", " + step.name + ": " + step.what + "\n  $" + usd(step.before) + " -> $" + usd(step.after) + " a month\n";
    for (const PlanPatch& patch : step.patches) {
      if (patch.command.starts_with("kubectl -n")) {
        text += "    " + patch.command + "\n";
      } else {
        text += "    # " + patch.target + (patch.command.empty() ? "" : ": " + patch.command) + "\n    " + to_json(patch.patch) + "\n";
      }
    }
    for (const std::string& command : step.commands) text += "    " + command + "\n";
  }
  return text;
}

}  // namespace

Json plan_json(const MigrationPlan& plan) {
  Json groups = Json::array(), pairs = Json::array(), steps = Json::array(), problems = Json::array();
  for (const PlanGroup& group : plan.groups) {
    Json labels = Json::object(), tried = Json::array();
    for (const auto& [key, value] : group.labels) labels.set(key, value);
    for (const auto& [type, what] : group.others) tried.push(Json::object({{"type", type}, {"result", what}}));
    Json json = Json::object({{"name", group.name}, {"type", group.type}, {"nodes", group.count}, {"pods", group.pods}, {"zones", Json(group.zones)}, {"labels", std::move(labels)}});
    json.set("usdPerMonth", group.price ? Json(usd_number(static_cast<__int128_t>(*group.price) * group.count * kHoursPerMonth)) : Json());
    json.set("tried", std::move(tried));
    groups.push(std::move(json));
  }
  for (const PlanPair& pair : plan.pairs) {
    pairs.push(Json::object({{"type", pair.type}, {"usdPerHour", static_cast<double>(pair.price) / kNanoPerUsd}, {"arm64", pair.other},
                             {"arm64UsdPerHour", static_cast<double>(pair.other_price) / kNanoPerUsd}, {"saving", pair.saving()}, {"dearer", pair.other_price > pair.price}}));
  }
  for (const PlanStep& step : plan.steps) {
    Json patches = Json::array();
    for (const PlanPatch& patch : step.patches) patches.push(patch_json(patch));
    steps.push(Json::object({{"step", step.name}, {"what", step.what}, {"usdPerMonthBefore", usd_number(step.before)}, {"usdPerMonthAfter", usd_number(step.after)},
                             {"patches", std::move(patches)}, {"commands", Json(step.commands)}}));
  }
  for (const Problem& problem : plan.problems) problems.push(Json::object({{"object", problem.object}, {"message", problem.message}}));
  Json json = Json::object({{"verdict", verdict(plan)}, {"workloads", workloads_json(plan.workloads)}, {"daemonSets", workloads_json(plan.daemons)}, {"today", bill_json(plan.today)},
                            {"tomorrow", bill_json(plan.tomorrow)}, {"savingUsdPerMonth", plan.complete() ? Json(usd_number(plan.saving())) : Json()}, {"tidiedWithoutMovingUsdPerMonth", usd_number(plan.tidied)}});
  if (plan.blocked_saving && plan.complete()) json.set("blockedImagesSavingUsdPerMonth", usd_number(*plan.blocked_saving));
  json.set("nodeGroups", std::move(groups));
  json.set("removedNodes", Json(plan.removed_nodes));
  json.set("pairs", std::move(pairs));
  json.set("steps", std::move(steps));
  json.set("unplaced", Json(plan.unplaced));
  json.set("problems", std::move(problems));
  json.set("notes", Json(plan.notes));
  return json;
}

std::string plan_text(const MigrationPlan& plan) {
  std::string text = workloads_text(plan) + "\n" + bill_text("today", plan.today) + bill_text("after the last step", plan.tomorrow);
  for (const PlanGroup& group : plan.groups) {
    std::string needs = group.count > 0 ? std::to_string(group.count) + " x " + group.type : group.others.empty() ? "no new nodes: those that are there have room" : "no candidate type takes its pods";
    text += "node group " + group.name + ": " + needs + " for " + std::to_string(group.pods) + " pods" + (group.zones.empty() ? "" : " (" + join(group.zones, ", ") + ")") + "\n";
    for (size_t i = 0; i < group.others.size() && i < 5; ++i) text += "    tried " + group.others[i].first + ": " + group.others[i].second + "\n";
  }
  for (const PlanPair& pair : plan.pairs) {
    bool dearer = pair.other_price > pair.price;
    text += "list price of " + pair.other + " against " + pair.type + ": " + percent(dearer ? -pair.saving() : pair.saving()) + (dearer ? " more\n" : " less\n");
  }
  text += steps_text(plan) + "\n";
  for (const std::string& pod : plan.unplaced) text += "without a place: " + pod + "\n";
  for (const Problem& problem : plan.problems) text += "problem: " + problem.object + ": " + problem.message + "\n";
  for (const std::string& type : plan.today.unpriced) text += "no known price: " + type + "\n";
  for (const std::string& type : plan.tomorrow.unpriced) {
    if (std::find(plan.today.unpriced.begin(), plan.today.unpriced.end(), type) == plan.today.unpriced.end()) text += "no known price: " + type + "\n";
  }
  for (const std::string& note : plan.notes) text += "note: " + note + "\n";
  if (plan.tidied < plan.today.nano_per_month) text += "without moving anything, emptying what could be emptied would save $" + usd(plan.today.nano_per_month - plan.tidied) + " a month of that\n";
  if (plan.blocked_saving && plan.complete() && *plan.blocked_saving > 0) text += "images in the way hold back another $" + usd(*plan.blocked_saving) + " a month\n";
  return text + verdict(plan) + "\n";
}

}  // namespace archway::scheduler
