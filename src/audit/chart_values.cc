#include "audit/chart_values.h"

#include <algorithm>
#include <map>

#include "audit/pod_reader.h"
#include "audit/value_places.h"
#include "audit/written_image.h"
#include "base/fd.h"
#include "base/text.h"
#include "format/yaml.h"

namespace archway::audit {

namespace {

constexpr size_t kMaxValuesDepth = 16;
constexpr size_t kDigestDigits = 64;
constexpr size_t kMaxChartsLookedAt = 200;   // that a chart builds on
constexpr std::string_view kMark = "archway";

bool ends_in_tag(std::string_view key) {
  std::string lower = to_lower(key);
  return lower.ends_with("tag");
}

class Finder {
 public:
  Finder(std::string shown, std::string default_tag, std::vector<ChartValue>& found) : shown_(std::move(shown)), default_tag_(std::move(default_tag)), found_(found) {}

  void mapping(const Value& at, std::vector<std::string> path) {
    if (path.size() > kMaxValuesDepth) return;
    at.each_member([&](const Value& key, const Value& value) {
      // A dot in a name, a merge key, an alias: values that others share are not one place.
      std::string_view name = key.scalar();
      if (value.alias || name == "<<" || name.empty()) return;
      path.emplace_back(name);
      if (value.is_mapping()) mapping(value, path);
      if (value.is_scalar()) scalar(key, value, path);
      path.pop_back();
    });
  }

 private:
  void scalar(const Value& key, const Value& value, const std::vector<std::string>& path) {
    std::string_view name = key.scalar();
    std::string text(value.is_null() ? "" : value.scalar());
    if (text.find("{{") != text.npos || text.find('\n') != text.npos) return;
    if (name == "kubernetes.io/arch" || name == "beta.kubernetes.io/arch") return add(ChartValue::Kind::Label, path, text, key, value);
    if (ends_in_tag(name)) return add(ChartValue::Kind::Tag, path, text, value, value);
    if ((name == "digest" || name == "sha") && !text.empty()) return add(ChartValue::Kind::Digest, path, text, value, value);
    bool image = names_image(name) || name == "image";
    if (text.find('@') == text.npos && loose_image(text, image)) add(ChartValue::Kind::Image, path, text, value, value);
  }

  void add(ChartValue::Kind kind, const std::vector<std::string>& path, std::string text, const Value& from, const Value& to) {
    // What stands further down the list of files outranks what was found before.
    std::erase_if(found_, [&](const ChartValue& each) { return each.path == path; });
    if (found_.size() >= kMaxChartValues) return;
    ChartValue value;
    value.kind = kind;
    value.path = path;
    value.text = std::move(text);
    Place base;
    base.source = shown_;
    value.place = place_of(base, from, {});
    value.place.end = to.end;
    value.mark = value.text.empty() ? (default_tag_.empty() ? "0.0.0" : default_tag_) : value.text;
    found_.push_back(std::move(value));
  }

  std::string shown_, default_tag_;
  std::vector<ChartValue>& found_;
};

void read_values_file(const std::string& file, const std::string& shown, const Chart& chart, const std::vector<std::string>& prefix, std::vector<ChartValue>& found) {
  auto text = read_file(file, kMaxChartFileBytes);
  ValueArena arena;
  auto documents = text.ok() ? parse_value_trees(*text, arena) : Result<std::vector<ValueDocument>>(text.error());
  if (!documents.ok() || documents->empty() || !documents->front().root) return;
  Finder(shown, chart.app_version, found).mapping(*documents->front().root, prefix);
}

// The deepest first: a chart's values outrank those of the charts in it.
void chart_and_below(const Chart& chart, const std::vector<std::string>& prefix, size_t& charts, std::vector<ChartValue>& found) {
  if (++charts > kMaxChartsLookedAt) return;
  for (const ChartDependency& dependency : chart.dependencies) {
    const std::string folder = chart.folder + "/charts/" + dependency.name;
    if (prefix.size() >= kMaxChartDepth || !path_exists(folder + "/Chart.yaml")) continue;
    std::vector<std::string> below = prefix;
    below.push_back(dependency.called());
    chart_and_below(describe_chart(folder, chart.shown + "/charts/" + dependency.name), below, charts, found);
  }
  read_values_file(chart.folder + "/values.yaml", chart.shown + "/values.yaml", chart, prefix, found);
}

// A mark of its own for each, that is what it was as far as anybody can tell: a version with a suffix, another digest.
void mark(ChartValue& value, size_t number) {
  const std::string name = std::string(kMark) + std::to_string(number);
  if (value.kind == ChartValue::Kind::Label) {
    value.mark = name;
  } else if (value.kind == ChartValue::Kind::Digest) {
    std::string digits = std::to_string(number);
    std::string_view algorithm = value.text.find(':') == value.text.npos ? "" : "sha256:";
    value.mark = std::string(algorithm) + "a" + std::string(kDigestDigits - 2 - digits.size(), '0') + digits + "a";
  } else {
    value.mark += (value.kind == ChartValue::Kind::Image && value.text.find(':', value.text.rfind('/') == value.text.npos ? 0 : value.text.rfind('/')) == value.text.npos ? ":" : "-") + name;
  }
}

std::string key_of(const Place& place, std::string_view more) { return place.source + "\n" + std::to_string(place.document) + "\n" + place.object + "\n" + place.path + "\n" + std::string(more); }

// The value whose mark a rendered text shows.
const ChartValue* marked_by(const std::vector<ChartValue>& values, std::string_view text) {
  size_t at = text.rfind(kMark);
  if (at != text.npos) {
    auto number = parse_uint(text.substr(at + kMark.size(), text.find('@', at) == text.npos ? text.npos : text.find('@', at) - at - kMark.size()));
    return number && *number >= 1 && *number <= values.size() ? &values[*number - 1] : nullptr;
  }
  auto digest = std::find_if(values.begin(), values.end(), [&](const ChartValue& value) { return value.kind == ChartValue::Kind::Digest && text.ends_with(value.mark); });
  return digest == values.end() ? nullptr : &*digest;
}

}  // namespace

std::vector<ChartValue> find_chart_values(const Chart& chart, const HelmOptions& options) {
  std::vector<ChartValue> found;
  size_t charts = 0;
  chart_and_below(chart, {}, charts, found);
  for (const std::string& file : options.values_files) read_values_file(file, file, chart, {}, found);
  for (size_t i = 0; i < found.size(); ++i) mark(found[i], i + 1);
  return found;
}

std::string marked_values(const std::vector<ChartValue>& values) {
  Json root = Json::object();
  for (const ChartValue& value : values) {
    Json* at = &root;
    for (const std::string& step : value.path) {
      Json* next = at->is_object() ? at->find(step) : nullptr;
      if (!next) next = &at->set(step, Json::object());
      at = next;
    }
    *at = Json(value.mark);
  }
  return to_yaml(root);
}

void place_by_values(const std::vector<ChartValue>& values, const Collection& marked, Collection& rendered) {
  std::map<std::string, std::string> after;
  for (const ImageUse& use : marked.uses) after.emplace(key_of(use.place, use.name), use.image);
  std::map<std::string, std::string> labels;
  for (const Workload& workload : marked.workloads) {
    for (const ArchClause& clause : workload.placement.clauses) {
      if (clause.requirement.values.size() == 1) labels.emplace(key_of(clause.place, clause.requirement.key), clause.requirement.values[0]);
    }
  }
  for (ImageUse& use : rendered.uses) {
    auto image = after.find(key_of(use.place, use.name));
    if (image == after.end()) continue;
    const ChartValue* value = marked_by(values, image->second);
    if (!value) continue;
    const ChartValue& decides = *value;
    bool whole = decides.kind == ChartValue::Kind::Image && decides.text == use.image;
    bool tag = decides.kind == ChartValue::Kind::Tag && use.image.ends_with(":" + (decides.text.empty() ? "\n" : decides.text));
    move_place(use.place, decides.place);
    if (tag) use.part = ImageUse::Part::Tag;
    // A part of it comes from elsewhere: the line is right, an edit of it is not.
    if (!whole && !tag) use.place.begin = use.place.end = 0;
  }
  for (Workload& workload : rendered.workloads) {
    for (ArchClause& clause : workload.placement.clauses) {
      auto label = labels.find(key_of(clause.place, clause.requirement.key));
      const ChartValue* value = label == labels.end() ? nullptr : marked_by(values, label->second);
      if (!value) continue;
      move_place(clause.place, value->place);
      move_place(clause.key, value->place);
    }
  }
}

}  // namespace archway::audit
