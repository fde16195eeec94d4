#include "scheduler/report.h"

#include <algorithm>

#include "format/html.h"

namespace archway::scheduler {

namespace {

Json resources_json(const kube::Resources& resources) {
  Json json = Json::object({{"milliCPU", resources.milli_cpu}, {"memory", resources.memory}, {"pods", resources.pods}});
  if (resources.ephemeral_storage != 0) json.set("ephemeralStorage", resources.ephemeral_storage);
  for (const auto& [name, amount] : resources.scalars) json.set(name, amount);
  return json;
}

Json pod_json(const PodOutcome& pod) {
  Json json = Json::object({{"pod", pod.name}, {"fate", fate_name(pod.fate)}});
  auto put = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) json.set(key, value);
  };
  put("workload", pod.workload);
  put("before", pod.before);
  put("after", pod.after);
  put("reason", pod.reason);
  if (!pod.after.empty()) {
    json.set("runs", run_verdict_name(pod.run.verdict));
    put("image", pod.run.image);
    put("why", pod.run.why);
  }
  if (pod.is_new) json.set("new", true);
  if (!pod.preempted.empty()) json.set("preempted", Json(pod.preempted));
  return json;
}

std::string percent(int64_t used, int64_t of) { return of <= 0 ? "-" : std::to_string(used * 100 / of) + "%"; }

std::string pad(const std::string& text, size_t width) { return text + std::string(text.size() < width ? width - text.size() : 1, ' '); }

using Row = std::vector<std::string>;

std::string table(const std::vector<Row>& rows) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size() + 2);
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += i + 1 == row.size() ? row[i] : pad(row[i], widths[i]);
    while (line.ends_with(' ')) line.pop_back();
    text += line + "\n";
  }
  return text;
}

bool worth_a_line(const PodOutcome& pod) { return pod.fate != Fate::Stays || crashes(pod.run.verdict) || pod.run.verdict == RunVerdict::Fallback32; }

std::string explain_line(const PodOutcome& pod) {
  if (pod.after.empty()) return pod.reason;
  std::string text(run_verdict_name(pod.run.verdict));
  if (!pod.run.image.empty() && pod.run.verdict != RunVerdict::Unknown) text += ": " + pod.run.image + ", " + pod.run.why;
  if (!pod.preempted.empty()) text += " (preempted " + std::to_string(pod.preempted.size()) + ")";
  return text;
}

std::string summary(const SimulationResult& result) {
  std::map<std::string_view, size_t> counts;
  for (const PodOutcome& pod : result.pods) ++counts[fate_name(pod.fate)];
  std::string text;
  for (Fate fate : {Fate::Stays, Fate::Moved, Fate::Placed, Fate::Pending, Fate::Gated, Fate::Lost, Fate::Gone, Fate::Foreign}) {
    if (counts[fate_name(fate)] == 0) continue;
    text += (text.empty() ? "" : ", ") + std::to_string(counts[fate_name(fate)]) + " " + std::string(fate_name(fate));
  }
  if (text.empty()) text = "no pods";
  if (result.crashing() > 0) text += "; " + std::to_string(result.crashing()) + " would crash";
  return text;
}

std::string pod_class(const PodOutcome& pod) {
  if (!pod.after.empty() && crashes(pod.run.verdict)) return "crash";
  if (pod.after.empty()) return "stuck";
  return pod.fate == Fate::Stays ? "stays" : "moved";
}

std::string pod_box(const PodOutcome& pod) {
  std::string title = pod.name + (pod.before.empty() ? "" : " from " + pod.before) + ": " + explain_line(pod);
  return "<span class=\"pod " + pod_class(pod) + "\" title=\"" + html_text(title) + "\">" + html_text(pod.name) + "</span>\n";
}

constexpr std::string_view kStyle =
    "body{font:14px system-ui,sans-serif;margin:2em;color:#222;background:#fff}h1{font-size:1.4em}h2{font-size:1.1em;margin:1.5em 0 .5em}"
    ".zone{display:flex;flex-wrap:wrap;gap:1em}.node{border:1px solid #999;border-radius:6px;padding:.6em;width:24em}"
    ".node.gone{opacity:.45;border-style:dashed}.node.new{border-color:#06c;border-width:2px}.node h3{font-size:1em;margin:0 0 .3em}"
    ".node p{margin:.2em 0;color:#555;font-size:.9em}.pod{display:inline-block;border-radius:4px;padding:.1em .4em;margin:.15em;font-size:.85em;"
    "background:#e8e8e8}.moved{background:#cfe6ff}.stuck{background:#ffe3b3}.crash{background:#ffc9c9}";

}  // namespace

Json result_json(const SimulationResult& result) {
  Json nodes = Json::array(), pods = Json::array(), problems = Json::array();
  for (const NodeOutcome& node : result.nodes) {
    Json taints = Json::array();
    for (const kube::Taint& taint : node.taints) taints.push(taint.str());
    Json json = Json::object({{"node", node.name}, {"architecture", node.architecture}, {"type", node.type}, {"zone", node.zone},
                              {"before", node.existed}, {"after", node.exists}, {"taints", std::move(taints)},
                              {"allocatable", resources_json(node.allocatable)}, {"requested", resources_json(node.used)}});
    if (!node.source.empty()) json.set("allocatableFrom", node.source);
    nodes.push(std::move(json));
  }
  for (const PodOutcome& pod : result.pods) pods.push(pod_json(pod));
  for (const Problem& problem : result.problems) problems.push(Json::object({{"object", problem.object}, {"message", problem.message}}));
  return Json::object({{"nodes", std::move(nodes)}, {"pods", std::move(pods)}, {"unplaced", result.unplaced()}, {"wouldCrash", result.crashing()},
                       {"problems", std::move(problems)}, {"notes", Json(result.notes)}});
}

std::string result_table(const SimulationResult& result) {
  std::vector<Row> nodes = {{"NODE", "ARCH", "TYPE", "ZONE", "CPU", "MEMORY", "PODS", ""}};
  for (const NodeOutcome& node : result.nodes) {
    std::string note = !node.existed ? "new; size " + node.source : node.exists ? "" : "removed";
    nodes.push_back({node.name, node.architecture, node.type, node.zone, percent(node.used.milli_cpu, node.allocatable.milli_cpu),
                     percent(node.used.memory, node.allocatable.memory),
                     std::to_string(node.used.pods) + "/" + std::to_string(node.allocatable.pods), note});
  }
  std::vector<Row> pods = {{"POD", "FATE", "BEFORE", "AFTER", ""}};
  for (const PodOutcome& pod : result.pods) {
    if (worth_a_line(pod)) pods.push_back({pod.name, std::string(fate_name(pod.fate)), pod.before, pod.after, explain_line(pod)});
  }
  std::string text = table(nodes) + "\n";
  if (pods.size() > 1) text += table(pods) + "\n";
  for (const Problem& problem : result.problems) text += "problem: " + problem.object + ": " + problem.message + "\n";
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
  return text + summary(result) + "\n";
}

std::string result_html(const SimulationResult& result) {
  std::string html = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>archway simulate</title><style>" + std::string(kStyle) +
                     "</style></head><body>\n<h1>Tomorrow's cluster</h1>\n<p>" + html_text(summary(result)) + "</p>\n";
  std::map<std::string, std::vector<const PodOutcome*>> on_node;
  std::string stuck;
  for (const PodOutcome& pod : result.pods) {
    if (!pod.after.empty()) {
      on_node[pod.after].push_back(&pod);
    } else if (pod.fate != Fate::Gone) {
      stuck += "<li>" + pod_box(pod) + html_text(pod.reason) + "</li>\n";
    }
  }
  std::map<std::pair<std::string, std::string>, std::string> zones;
  for (const NodeOutcome& node : result.nodes) {
    std::string box = "<div class=\"node" + std::string(node.exists ? "" : " gone") + (node.existed ? "" : " new") + "\"><h3>" + html_text(node.name) + "</h3>\n<p>" +
                      html_text(node.type) + " · cpu " + percent(node.used.milli_cpu, node.allocatable.milli_cpu) + " · memory " +
                      percent(node.used.memory, node.allocatable.memory) + " · " + std::to_string(node.used.pods) + "/" + std::to_string(node.allocatable.pods) + " pods</p>\n";
    for (const kube::Taint& taint : node.taints) box += "<p>taint " + html_text(taint.str()) + "</p>\n";
    for (const PodOutcome* pod : on_node[node.name]) box += pod_box(*pod);
    zones[{node.architecture, node.zone}] += box + "</div>\n";
  }
  if (!stuck.empty()) html += "<h2>Without a place</h2>\n<ul>" + stuck + "</ul>\n";
  for (const auto& [where, boxes] : zones) {
    html += "<h2>" + html_text(where.first) + (where.second.empty() ? "" : ", " + html_text(where.second)) + "</h2>\n<div class=\"zone\">\n" + boxes + "</div>\n";
  }
  for (const Problem& problem : result.problems) html += "<p>problem: " + html_text(problem.object + ": " + problem.message) + "</p>\n";
  return html + "</body></html>\n";
}

}  // namespace archway::scheduler
