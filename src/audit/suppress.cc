#include "audit/suppress.h"

#include <algorithm>
#include <set>

#include "audit/finding_id.h"
#include "base/text.h"
#include "format/value_tree.h"

namespace archway::audit {

namespace {

// `*` stands for any text. Linear but for the stars, of which the last is the only one that is gone back to.
bool glob(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = pattern.npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// YYYY-MM-DD. Years are compared as text, so that any is good.
bool is_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  auto year = parse_uint(text.substr(0, 4)), month = parse_uint(text.substr(5, 2)), day = parse_uint(text.substr(8, 2));
  return year && month && day && *month >= 1 && *month <= 12 && *day >= 1 && *day <= 31;
}

Error at_line(uint32_t line, const std::string& what) { return {Code::Invalid, "line " + std::to_string(line) + ": " + what}; }

Result<Ignore> read_ignore(const Value& item) {
  Ignore ignore;
  ignore.line = item.line;
  std::string unknown;
  item.each_member([&](const Value& key, const Value& value) {
    std::string text(value.scalar());
    std::string_view name = key.scalar();
    if (name == "id") ignore.id = text;
    else if (name == "rule") ignore.rule = text;
    else if (name == "image") ignore.image = text;
    else if (name == "object") ignore.object = text;
    else if (name == "source") ignore.source = text;
    else if (name == "reason") ignore.reason = text;
    else if (name == "until") ignore.until = text;
    else unknown = std::string(name);
  });
  if (!unknown.empty()) return at_line(ignore.line, "unknown member " + unknown + "; there are id, rule, image, object, source, reason and until");
  if (ignore.id.empty() && ignore.rule.empty() && ignore.image.empty() && ignore.object.empty() && ignore.source.empty()) return at_line(ignore.line, "what is to be ignored? Give an id, rule, image, object or source");
  if (trim(ignore.reason).empty()) return at_line(ignore.line, "a reason is missing");
  if (!ignore.until.empty() && !is_date(ignore.until)) return at_line(ignore.line, "until: \"" + ignore.until + "\" is no date such as 2027-03-31");
  return ignore;
}

bool one(const std::string& pattern, const std::string& text) { return pattern.empty() || glob(pattern, text); }

}  // namespace

Result<std::vector<std::string>> parse_baseline(std::string_view text) {
  Json json = TRY(parse_json(text));
  if (json["schema"].string() != "archway-audit-baseline/1") return Error{Code::Invalid, "no baseline: expected \"schema\": \"archway-audit-baseline/1\"", "archway audit --write-baseline FILE makes one"};
  std::vector<std::string> ids;
  for (const Json& item : json["findings"].items()) ids.push_back(item.is_string() ? item.string() : item["id"].string());
  if (std::find(ids.begin(), ids.end(), "") != ids.end()) return Error{Code::Invalid, "a finding without id"};
  return ids;
}

std::string write_baseline(const std::vector<Finding>& findings) {
  Json list = Json::array();
  std::set<std::string> seen;
  for (const Finding& finding : findings) {
    if (seen.insert(finding.id).second) list.push(Json::object({{"id", finding.id}, {"rule", finding.rule}, {"message", finding.message}}));
  }
  Json json = Json::object({{"schema", "archway-audit-baseline/1"}});
  json.set("findings", std::move(list));
  return to_json(json, {.indent = 2}) + "\n";
}

Result<std::vector<Ignore>> parse_ignores(std::string_view text) {
  ValueArena arena;
  auto documents = TRY(parse_value_trees(text, arena));
  std::vector<Ignore> ignores;
  for (const ValueDocument& document : documents) {
    if (!document.root || document.root->is_null()) continue;
    const Value* list = document.root->find("ignore");
    if (!list || !list->is_sequence() || document.root->size != 1) return Error{Code::Invalid, "line " + std::to_string(document.root->line) + ": expected one list, `ignore:`"};
    std::optional<Error> failed;
    list->each_item([&](const Value& item) {
      if (failed) return;
      auto read = read_ignore(item);
      if (!read.ok()) failed = read.error();
      else if (ignores.size() >= kMaxIgnores) failed = at_line(item.line, "more than " + std::to_string(kMaxIgnores) + " entries");
      else ignores.push_back(std::move(*read));
    });
    if (failed) return std::move(*failed);
  }
  return ignores;
}

bool matches(const Ignore& ignore, const Finding& finding) {
  return one(ignore.id, finding.id) && one(ignore.rule, finding.rule) && one(ignore.image, finding.image) && one(ignore.object, finding.place.object) &&
         one(ignore.source, plain_path(finding.place.source));
}

void suppress(Report& report, const std::vector<std::string>& baseline, const std::vector<Ignore>& ignores, Time now) {
  std::set<std::string> known(baseline.begin(), baseline.end()), present;
  std::vector<bool> used(ignores.size());
  const std::string today = format_rfc3339(now).substr(0, 10);
  for (const Finding& finding : report.audit->findings) {
    present.insert(finding.id);
    std::string why = known.contains(finding.id) ? "in the baseline" : "";
    for (size_t i = 0; i < ignores.size(); ++i) {
      if (!matches(ignores[i], finding)) continue;
      used[i] = true;
      bool expired = !ignores[i].until.empty() && ignores[i].until < today;
      if (why.empty() && !expired) why = "ignored" + (ignores[i].until.empty() ? "" : " until " + ignores[i].until) + ": " + ignores[i].reason;
    }
    if (!why.empty()) report.suppressed.push_back({finding.id, why});
  }
  std::stable_sort(report.suppressed.begin(), report.suppressed.end(), [](const Suppressed& a, const Suppressed& b) { return a.id < b.id; });
  for (size_t i = 0; i < ignores.size(); ++i) {
    std::string name = "ignore list, line " + std::to_string(ignores[i].line) + " (" + ignores[i].reason + ")";
    if (!ignores[i].until.empty() && ignores[i].until < today) report.remarks.push_back(name + ": expired on " + ignores[i].until + (used[i] ? "; what it ignored counts again" : ""));
    else if (!used[i]) report.remarks.push_back(name + ": matches nothing any more");
  }
  size_t gone = static_cast<size_t>(std::count_if(known.begin(), known.end(), [&](const std::string& id) { return !present.contains(id); }));
  if (gone > 0) report.remarks.push_back(std::to_string(gone) + " findings of the baseline are gone: --write-baseline writes it anew");
}

}  // namespace archway::audit
