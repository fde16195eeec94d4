#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "audit/finding_id.h"
#include "audit/ranges.h"
#include "audit/limits.h"
#include "audit/report.h"
#include "format/json.h"

namespace archway::audit {

namespace {

void put(Json& object, std::string_view key, const std::string& value) {
  if (!value.empty()) object.set(key, value);
}

Json place_json(const Place& place) {
  Json json = Json::object();
  put(json, "source", place.source);
  if (place.line != 0) {
    json.set("line", place.line);
    json.set("column", place.column);
  }
  put(json, "object", place.object);
  put(json, "kind", place.kind);
  put(json, "namespace", place.name_space);
  put(json, "name", place.name);
  put(json, "path", place.path);
  return json;
}

Json platforms_json(const std::vector<Platform>& platforms) {
  Json json = Json::array();
  for (const Platform& platform : platforms) json.push(platform.str());
  return json;
}

Json judgement_json(const Judgement& judgement) {
  Json json = Json::object({{"platform", judgement.platform.str()}, {"verdict", verdict_name(judgement.verdict)}});
  put(json, "reason", judgement.reason);
  put(json, "hint", judgement.hint);
  put(json, "newName", judgement.new_name);
  put(json, "newTag", judgement.new_tag);
  put(json, "newDigest", judgement.new_digest);
  put(json, "newestTag", judgement.newest_tag);
  return json;
}

Json use_json(const ImageUse& use) {
  Json json = place_json(use.place);
  json.set("image", use.image);
  json.set("role", role_name(use.role));
  json.set("confidence", confidence_name(use.confidence));
  put(json, "container", use.name);
  if (use.builder) json.set("builder", true);
  if (!use.pinned.empty()) json.set("pinnedTo", platforms_json(use.pinned));
  if (use.count > 1) json.set("count", use.count);
  return json;
}

Json image_json(const JudgedImage& image, const Audit& audit) {
  Json json = Json::object({{"image", image.image}, {"confidence", confidence_name(image.confidence)}});
  if (image.facts) {
    if (image.facts->truth.digest) json.set("digest", image.facts->truth.digest->str());
    json.set("index", image.facts->is_index);
    json.set("platforms", platforms_json(image.facts->truth.platforms));
    Json wrong = Json::array();
    for (const WrongPlatform& each : image.facts->truth.wrong) wrong.push(Json::object({{"platform", each.platform.str()}, {"why", each.why}}));
    if (wrong.size() > 0) json.set("wrong", std::move(wrong));
  }
  Json verdicts = Json::array();
  for (const Judgement& judgement : image.judgements) verdicts.push(judgement_json(judgement));
  json.set("verdicts", std::move(verdicts));
  json.set("workloads", image.workloads);
  json.set("soleBlockerOf", image.sole_blocker_of);
  if (!image.hints.empty()) json.set("hints", Json(image.hints));
  Json uses = Json::array();
  for (size_t use : image.uses) uses.push(use_json(audit.collection.uses[use]));
  json.set("uses", std::move(uses));
  return json;
}

Json workload_json(const Workload& workload, const JudgedWorkload& judged, const Audit& audit) {
  Json json = place_json(workload.place);
  put(json, "apiVersion", workload.place.api_version);
  json.set("pods", workload.pods);
  put(json, "hook", workload.hook);
  Json verdicts = Json::object();
  for (size_t p = 0; p < audit.platforms.size(); ++p) verdicts.set(audit.platforms[p].str(), verdict_name(judged.verdicts[p]));
  json.set("verdicts", std::move(verdicts));
  Json images = Json::array();
  for (size_t image : judged.images) images.push(audit.images[image].image);
  json.set("images", std::move(images));
  return json;
}

Json remedy_json(const Remedy& remedy) {
  static constexpr std::string_view kNames[] = {"none", "replace-image", "drop-arch-selector", "widen-arch-selector", "add-arch-affinity", "add-toleration", "drop-dockerfile-default",
                                                "drop-build-platform", "architecture-in-url", "rename-arch-label", "move-into-pod-spec", "drop-platform"};
  Json json = Json::object({{"kind", kNames[static_cast<size_t>(remedy.kind)]}});
  put(json, "replacement", remedy.replacement);
  if (!remedy.platforms.empty()) json.set("platforms", platforms_json(remedy.platforms));
  put(json, "why", remedy.why);
  return json;
}

using Reasons = std::unordered_map<std::string_view, std::string_view>;   // why a finding is suppressed, by its id

Json finding_json(const Finding& finding, const Reasons& suppressed) {
  Json json = Json::object({{"id", finding.id}, {"rule", finding.rule}, {"severity", severity_name(finding.severity)}});
  if (!finding.image.empty()) {
    json.set("verdict", verdict_name(finding.verdict));
    json.set("image", finding.image);
  }
  json.set("message", finding.message);
  put(json, "advice", finding.advice);
  if (!finding.platforms.empty()) json.set("platforms", platforms_json(finding.platforms));
  json.set("place", place_json(finding.place));
  Json others = Json::array();
  for (const Place& place : finding.others) others.push(place_json(place));
  if (others.size() > 0) json.set("others", std::move(others));
  if (finding.remedy.kind != Remedy::Kind::None) json.set("remedy", remedy_json(finding.remedy));
  if (auto at = suppressed.find(finding.id); at != suppressed.end()) json.set("suppressed", at->second);
  return json;
}

Json counts_json(const Counts& counts) {
  Json json = Json::object();
  for (size_t i = 0; i < std::size(counts.of); ++i) json.set(verdict_name(static_cast<Verdict>(i)), counts.of[i]);
  return json;
}

Json unseen_json(const std::vector<Unseen>& list) {
  Json json = Json::array();
  for (const Unseen& each : list) json.push(Json::object({{"what", each.what}, {"why", each.why}}));
  return json;
}

Json summary_json(const Audit& audit) {
  Json json = Json::object({{"files", audit.collection.files}, {"objects", audit.collection.objects}, {"pods", audit.collection.pods}});
  Json images = Json::object(), workloads = Json::object();
  for (size_t p = 0; p < audit.platforms.size(); ++p) {
    images.set(audit.platforms[p].str(), counts_json(image_counts(audit, p)));
    workloads.set(audit.platforms[p].str(), counts_json(workload_counts(audit, p)));
  }
  json.set("images", std::move(images));
  json.set("workloads", std::move(workloads));
  json.set("registryRequests", audit.counters.registry_requests);
  return json;
}

Json limits_json(const Audit& audit) {
  Json limits = Json::array();
  for (const auto& [host, limit] : audit.rate_limits) {
    Json each = Json::object({{"host", host}});
    if (limit.limit) each.set("limit", *limit.limit);
    if (limit.remaining) each.set("remaining", *limit.remaining);
    each.set("windowSeconds", limit.window_seconds);
    if (size_t count = not_looked_up(audit, host)) each.set("notLookedUp", count);
    limits.push(std::move(each));
  }
  return limits;
}

constexpr size_t kItemsAtOnce = 500;  // that one thread writes

// One object, member after member. Lists of many things are made on all processors: a report may have hundreds of megabytes.
class Text {
 public:
  void member(std::string_view key, const Json& value) {
    begin(key);
    write(value, "\n  ", out_);
  }

  template <class Make>
  void list(std::string_view key, size_t count, Make make) {
    begin(key);
    std::vector<std::string> parts((count + kItemsAtOnce - 1) / kItemsAtOnce);
    for_ranges(count, kItemsAtOnce, [&](size_t part, size_t from, size_t to) {
      for (size_t i = from; i < to; ++i) {
        parts[part] += i == 0 ? "\n    " : ",\n    ";
        write(make(i), "\n    ", parts[part]);
      }
    });
    out_ += '[';
    size_t size = out_.size();
    for (const std::string& part : parts) size += part.size();
    out_.reserve(size);
    for (std::string& part : parts) {
      out_ += part;
      part = std::string();
    }
    out_ += count > 0 ? "\n  ]" : "]";
  }

  std::string end() { return std::move(out_) + "\n}\n"; }

 private:
  // Its lines are indented as it stands in the whole; no string in it has a line end that is not escaped.
  static void write(const Json& value, std::string_view line, std::string& out) {
    const std::string text = to_json(value, {.indent = 2});
    for (size_t at = 0; at < text.size();) {
      size_t end = std::min(text.find('\n', at), text.size());
      out.append(text, at, end - at);
      if (end < text.size()) out += line;
      at = end + 1;
    }
  }

  void begin(std::string_view key) {
    out_ += out_.empty() ? "{\n  " : ",\n  ";
    out_ += json_quote(key) + ": ";
  }
  std::string out_;
};

}  // namespace

std::string json_report(const Report& report) {
  const Audit& audit = *report.audit;
  Reasons suppressed;
  for (const Suppressed& each : report.suppressed) suppressed[each.id] = each.why;
  Text text;
  text.member("schema", "archway-audit/1");
  if (!report.made_at.empty()) text.member("madeAt", report.made_at);
  text.member("for", platforms_json(audit.platforms));
  text.member("summary", summary_json(audit));
  text.list("findings", audit.findings.size(), [&](size_t i) { return finding_json(audit.findings[i], suppressed); });
  text.list("images", audit.images.size(), [&](size_t i) { return image_json(audit.images[i], audit); });
  text.list("workloads", audit.workloads.size(), [&](size_t i) { return workload_json(audit.collection.workloads[i], audit.workloads[i], audit); });
  text.member("unseen", unseen_json(audit.collection.unseen));
  text.member("skipped", unseen_json(audit.collection.skipped));
  text.member("rateLimits", limits_json(audit));
  if (!report.remarks.empty()) text.member("remarks", Json(report.remarks));
  return text.end();
}

}  // namespace archway::audit
