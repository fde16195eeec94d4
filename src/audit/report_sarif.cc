#include <map>

#include "audit/finding_id.h"
#include "audit/readers.h"
#include "audit/report.h"

namespace archway::audit {

namespace {

bool is_file(const std::string& source) { return !source.empty() && source != "-" && source != kCommandLine && !source.starts_with("cluster:"); }

// A path as a relative reference of RFC 3986.
std::string uri_of(const std::string& path) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : plain_path(path)) {
    auto byte = static_cast<unsigned char>(c);
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '_' || c == '-' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

Json location(const Place& place) {
  Json json = Json::object();
  if (is_file(place.source)) {
    Json physical = Json::object({{"artifactLocation", Json::object({{"uri", uri_of(place.source)}})}});
    if (place.line != 0) physical.set("region", Json::object({{"startLine", place.line}, {"startColumn", place.column}}));
    json.set("physicalLocation", std::move(physical));
  }
  std::string name = place.object.empty() ? (is_file(place.source) ? "" : place.source.str()) : place.object + place.path;
  if (!name.empty()) {
    Json logical = Json::array();
    logical.push(Json::object({{"fullyQualifiedName", name}}));
    json.set("logicalLocations", std::move(logical));
  }
  return json;
}

Json result(const Finding& finding, size_t rule, const Report& report) {
  Json json = Json::object({{"ruleId", finding.rule}, {"ruleIndex", rule}, {"level", severity_name(finding.severity)}});
  json.set("message", Json::object({{"text", finding.message + (finding.advice.empty() ? "" : ". " + finding.advice)}}));
  Json locations = Json::array();
  locations.push(location(finding.place));
  json.set("locations", std::move(locations));
  Json related = Json::array();
  for (const Place& place : finding.others) related.push(location(place));
  if (related.size() > 0) json.set("relatedLocations", std::move(related));
  json.set("partialFingerprints", Json::object({{"archwayFindingId/v1", finding.id}}));
  for (const Suppressed& each : report.suppressed) {
    if (each.id != finding.id) continue;
    Json suppressions = Json::array();
    suppressions.push(Json::object({{"kind", "external"}, {"justification", each.why}}));
    json.set("suppressions", std::move(suppressions));
  }
  return json;
}

}  // namespace

std::string sarif_report(const Report& report) {
  Json rules = Json::array(), results = Json::array();
  std::map<std::string, size_t> index;
  for (const Finding& finding : report.audit->findings) {
    auto [at, fresh] = index.try_emplace(finding.rule, index.size());
    if (fresh) rules.push(Json::object({{"id", finding.rule}, {"shortDescription", Json::object({{"text", rule_text(finding.rule)}})}}));
    results.push(result(finding, at->second, report));
  }
  Json notifications = Json::array();
  for (const Unseen& each : report.audit->collection.unseen) {
    notifications.push(Json::object({{"level", "error"}, {"message", Json::object({{"text", each.what + ": " + each.why}})}}));
  }
  Json invocation = Json::object({{"executionSuccessful", report.audit->collection.unseen.empty()}});
  invocation.set("toolExecutionNotifications", std::move(notifications));
  Json driver = Json::object({{"name", "archway"}});
  driver.set("rules", std::move(rules));
  Json run = Json::object({{"tool", Json::object({{"driver", std::move(driver)}})}, {"columnKind", "unicodeCodePoints"}});
  Json invocations = Json::array();
  invocations.push(std::move(invocation));
  run.set("invocations", std::move(invocations));
  run.set("results", std::move(results));
  Json runs = Json::array();
  runs.push(std::move(run));
  Json json = Json::object({{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"}, {"version", "2.1.0"}});
  json.set("runs", std::move(runs));
  return to_json(json, {.indent = 2}) + "\n";
}

}  // namespace archway::audit
