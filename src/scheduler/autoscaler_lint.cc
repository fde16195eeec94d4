#include "scheduler/autoscaler_lint.h"

#include <algorithm>
#include <tuple>

namespace archway::scheduler {

namespace {

std::string where(const SourcePlace& place) {
  if (place.file.empty()) return "";
  return place.file + (place.line > 0 ? ":" + std::to_string(place.line) : "");
}

std::string_view severity_name(LintFinding::Severity severity) { return severity == LintFinding::Severity::Error ? "error" : "warning"; }

}  // namespace

std::vector<LintFinding> lint(const AutoscalerInput& input, const PriceTable& prices, const LintOptions& options) {
  std::vector<LintFinding> findings;
  for (const auto& [place, message] : input.problems) findings.push_back({LintFinding::Severity::Error, "unreadable", place, "", message, ""});
  lint_groups(input, prices, findings);
  lint_priorities(input, prices, options, findings);
  lint_karpenter(input, prices, findings);
  std::stable_sort(findings.begin(), findings.end(), [](const LintFinding& a, const LintFinding& b) {
    return std::tie(a.place.file, a.place.line, a.rule, a.object, a.message) < std::tie(b.place.file, b.place.line, b.rule, b.object, b.message);
  });
  return findings;
}

Json lint_json(const std::vector<LintFinding>& findings, const AutoscalerInput& input, const PriceTable& prices) {
  Json list = Json::array(), groups = Json::array();
  for (const LintFinding& each : findings) {
    Json json = Json::object({{"rule", each.rule}, {"severity", severity_name(each.severity)}, {"message", each.message}});
    if (!each.place.file.empty()) json.set("file", each.place.file);
    if (each.place.line > 0) json.set("line", each.place.line);
    if (!each.object.empty()) json.set("object", each.object);
    if (!each.advice.empty()) json.set("advice", each.advice);
    list.push(std::move(json));
  }
  for (const NodeGroup& group : input.groups) {
    groups.push(Json::object({{"name", group.name}, {"form", group_form_name(group.form)}, {"architecture", architecture_of(group, prices)},
                              {"types", Json(group.types)}, {"min", group.min}, {"max", group.max}, {"current", group.current}}));
  }
  for (const NodePool& pool : input.node_pools) groups.push(Json::object({{"name", pool.name}, {"form", "NodePool"}, {"weight", pool.weight}}));
  return Json::object({{"findings", std::move(list)}, {"groups", std::move(groups)}});
}

std::string lint_text(const std::vector<LintFinding>& findings) {
  std::string text;
  size_t errors = 0;
  for (const LintFinding& each : findings) {
    std::string at = where(each.place);
    errors += each.severity == LintFinding::Severity::Error;
    text += (at.empty() ? "" : at + ": ") + std::string(severity_name(each.severity)) + ": " + (each.object.empty() ? "" : each.object + ": ") + each.message + " [" + each.rule + "]\n";
    if (!each.advice.empty()) text += "    " + each.advice + "\n";
  }
  if (findings.empty()) return "nothing found\n";
  return text + std::to_string(errors) + (errors == 1 ? " error, " : " errors, ") + std::to_string(findings.size() - errors) + (findings.size() - errors == 1 ? " warning\n" : " warnings\n");
}

}  // namespace archway::scheduler
