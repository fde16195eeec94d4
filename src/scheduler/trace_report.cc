#include <algorithm>
#include <cstdio>

#include "scheduler/text_table.h"
#include "scheduler/trace_run.h"

namespace archway::scheduler {

namespace {

std::string clock_text(int64_t seconds) {
  char text[48];
  std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", static_cast<long long>(seconds / 3600), static_cast<long long>(seconds / 60 % 60), static_cast<long long>(seconds % 60));
  return text;
}

std::string hours_text(int64_t seconds) {
  char text[48];
  std::snprintf(text, sizeof text, "%.1f", static_cast<double>(seconds) / 3600);
  return text;
}

using Row = std::vector<std::string>;

}  // namespace

Json trace_json(const TraceResult& result) {
  Json rows = Json::array(), groups = Json::array(), never = Json::array();
  for (const TraceRow& row : result.rows) {
    Json nodes = Json::object();
    for (const auto& [name, count] : row.nodes) nodes.set(name, count);
    rows.push(Json::object({{"at", row.at}, {"nodes", std::move(nodes)}, {"pending", row.pending}, {"running", row.running}, {"usd", usd_number(row.nano_usd)}}));
  }
  for (const TraceResult::GroupTotal& each : result.groups) {
    Json json = Json::object({{"group", each.name}, {"architecture", each.architecture}, {"type", each.type}, {"peak", each.peak}, {"nodeSeconds", each.node_seconds},
                              {"started", each.started}, {"removed", each.removed}});
    json.set("usd", each.price ? Json(usd_number(each.nano_usd)) : Json());
    groups.push(std::move(json));
  }
  for (const auto& [pod, why] : result.never) never.push(Json::object({{"pod", pod}, {"why", why}}));
  Json wait = Json::object({{"mean", result.wait_mean_s}, {"median", result.wait_median_s}, {"p95", result.wait_p95_s}, {"max", result.wait_max_s}});
  return Json::object({{"timeline", std::move(rows)}, {"groups", std::move(groups)}, {"pods", result.pods}, {"placed", result.placed}, {"moved", result.evicted}, {"gaveUp", result.gave_up},
                       {"stillPending", result.never_count}, {"pending", std::move(never)}, {"waitSeconds", std::move(wait)}, {"endSeconds", result.end_s}, {"usd", usd_number(result.nano_usd)},
                       {"withoutPrice", Json(result.unpriced)}, {"notes", Json(result.notes)}});
}

std::string trace_text(const TraceResult& result) {
  std::vector<Row> rows = {{"TIME"}};
  for (const TraceResult::GroupTotal& each : result.groups) rows[0].push_back(each.name);
  for (const char* title : {"PENDING", "RUNNING", "$"}) rows[0].push_back(title);
  for (size_t i = 0; i < result.rows.size(); ++i) {
    const TraceRow& row = result.rows[i];
    // Hours in which nothing happened are left out.
    bool same = i > 0 && i + 1 < result.rows.size() && row.nodes == result.rows[i - 1].nodes && row.pending == result.rows[i - 1].pending && row.running == result.rows[i - 1].running;
    if (same) continue;
    Row line = {clock_text(row.at)};
    for (const TraceResult::GroupTotal& each : result.groups) line.push_back(std::to_string(row.nodes.at(each.name)));
    line.push_back(std::to_string(row.pending));
    line.push_back(std::to_string(row.running));
    line.push_back(usd(row.nano_usd));
    rows.push_back(std::move(line));
  }
  std::vector<Row> totals = {{"GROUP", "ARCH", "TYPE", "PEAK", "STARTED", "REMOVED", "NODE HOURS", "$"}};
  for (const TraceResult::GroupTotal& each : result.groups) {
    totals.push_back({each.name, each.architecture, each.type, std::to_string(each.peak), std::to_string(each.started), std::to_string(each.removed), hours_text(each.node_seconds),
                      each.price ? usd(each.nano_usd) : "no known price"});
  }
  std::string text = text_table(rows) + "\n" + text_table(totals) + "\n";
  text += std::to_string(result.placed) + " of " + std::to_string(result.pods) + " pods were placed; they waited " + std::to_string(result.wait_mean_s) + " s on average, half of them up to " +
          std::to_string(result.wait_median_s) + " s, 95 % up to " + std::to_string(result.wait_p95_s) + " s, one " + std::to_string(result.wait_max_s) + " s\n";
  if (result.evicted > 0) text += std::to_string(result.evicted) + " pods were moved when their node went\n";
  if (result.gave_up > 0) text += std::to_string(result.gave_up) + " pods were gone before they had a place\n";
  for (const auto& [pod, why] : result.never) text += "pending: " + pod + ": " + why + "\n";
  if (result.never_count > result.never.size()) text += "pending: " + std::to_string(result.never_count - result.never.size()) + " more\n";
  for (const std::string& group : result.unpriced) text += "no known price: " + group + "\n";
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
  return text + "$" + usd(result.nano_usd) + " in " + clock_text(result.end_s) + "\n";
}

}  // namespace archway::scheduler
