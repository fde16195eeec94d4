#include "audit/chart.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "audit/chart_values.h"
#include "audit/collect.h"
#include "audit/finding_id.h"
#include "audit/helm.h"
#include "audit/kubernetes_reader.h"
#include "base/fd.h"
#include "base/text.h"
#include "format/yaml.h"

namespace archway::audit {

namespace {

constexpr size_t kMaxReleaseBytes = 53;   // helm's own limit
constexpr size_t kMaxVersionsTried = 3;

// helm's rule for the names of releases.
std::string release_name(const std::string& chart) {
  bool plain = !chart.empty() && chart.size() <= kMaxReleaseBytes && chart.front() != '-' && chart.back() != '-';
  plain = plain && std::all_of(chart.begin(), chart.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
  return plain ? chart : "release-name";
}

std::string text_of(const Value& value) { return value.is_null() ? "" : std::string(value.scalar()); }

std::string name_in(const std::string& folder) {
  auto text = read_file(folder + "/Chart.yaml", kMaxChartFileBytes);
  ValueArena arena;
  auto documents = text.ok() ? parse_value_trees(*text, arena) : Result<std::vector<ValueDocument>>(text.error());
  return documents.ok() && !documents->empty() && documents->front().root ? text_of((*documents->front().root)["name"]) : "";
}

// charts/NAME, charts/NAME-1.2.3.tgz; or a folder of which Chart.yaml says the name.
bool is_in_charts(const std::string& folder, const std::string& name) {
  if (path_exists(folder + "/charts/" + name + "/Chart.yaml")) return true;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/charts", error)) {
    std::string file = entry.path().filename().string();
    if (file.starts_with(name + "-") && file.ends_with(".tgz") && file.size() > name.size() + 1 && file[name.size() + 1] >= '0' && file[name.size() + 1] <= '9') return true;
    if (entry.is_directory(error) && name_in(entry.path().string()) == name) return true;
  }
  return false;
}

void read_dependencies(const Value& list, Chart& chart) {
  list.each_item([&](const Value& item) {
    ChartDependency dependency{text_of(item["name"]), text_of(item["alias"]), text_of(item["version"]), text_of(item["repository"]), text_of(item["condition"]), false};
    dependency.present = is_in_charts(chart.folder, dependency.name);
    chart.dependencies.push_back(std::move(dependency));
  });
}

Result<Json> yaml_of(const std::string& file) {
  std::string text = TRY(read_file(file, kMaxChartFileBytes));
  return parse_yaml(text);
}

// Is it switched off by the chart's own values? Of the paths of a condition the first that is there counts.
bool is_switched_off(const Chart& chart, const ChartDependency& dependency) {
  auto values = yaml_of(chart.folder + "/values.yaml");
  if (!values.ok()) return false;
  for (const std::string& path : split(dependency.condition, ',')) {
    const Json* at = &*values;
    for (const std::string& step : split(trim(path), '.')) at = at && at->is_object() ? at->find(step) : nullptr;
    if (at && at->is_bool()) return !at->boolean();
  }
  return false;
}

// "# Source: chart/templates/web.yaml" above the document: where it comes from.
std::string source_of(std::string_view text, size_t begin, const Chart& chart) {
  size_t at = text.rfind("# Source: ", begin);
  if (at == text.npos) return chart.shown;
  size_t between = text.find("\n---", at);
  if (between != text.npos && between < begin) return chart.shown;
  std::string_view path = trim(text.substr(at + 10, text.find('\n', at) - at - 10));
  size_t slash = path.find('/');
  if (slash == path.npos) return chart.shown;
  std::string below(path.substr(slash));
  // A chart in this one may be called otherwise than its folder, or be in an archive.
  for (const ChartDependency& dependency : chart.dependencies) {
    const std::string called = "/charts/" + dependency.called() + "/";
    if (below.starts_with(called) && !path_exists(chart.folder + below)) below = "/charts/" + dependency.name + "/" + below.substr(called.size());
  }
  return chart.shown + below;
}

// What was rendered, read. Lines of it are nobody's lines; the number of the document tells objects of one name apart.
Result<Collection> read_rendered(const std::string& text, const Chart& chart) {
  Collection out;
  ValueArena arena;
  auto documents = TRY(parse_value_trees(text, arena).context("what helm template printed is no YAML"));
  for (size_t i = 0; i < documents.size(); ++i) {
    const Value* root = documents[i].root;
    if (!root || !is_kubernetes_object(*root)) continue;
    Collection part;
    read_kubernetes(*root, Where{source_of(text, root->begin, chart), i}, part);
    auto blur = [](Place& place) { place.line = place.column = place.begin = place.end = 0; };
    for (ImageUse& use : part.uses) blur(use.place);
    for (Workload& workload : part.workloads) {
      blur(workload.place);
      for (ArchClause& clause : workload.placement.clauses) blur(clause.place), blur(clause.key);
    }
    for (Finding& finding : part.findings) blur(finding.place);
    out.merge(std::move(part));
  }
  return out;
}

// Versions that a constraint names: ">=1.99.0-0 <2" is 1.99.0-0 and 2.
std::vector<std::string> versions_in(const std::string& constraint) {
  std::vector<std::string> versions;
  std::string one;
  for (char c : constraint + " ") {
    bool part = (c >= '0' && c <= '9') || (!one.empty() && (c == '.' || c == '-' || (c >= 'a' && c <= 'z')));
    if (part) {
      one += c;
    } else if (!one.empty()) {
      // helm wants three numbers.
      for (size_t dots = static_cast<size_t>(std::count(one.begin(), one.begin() + static_cast<long>(std::min(one.find('-'), one.size())), '.')); dots < 2; ++dots) one.insert(std::min(one.find('-'), one.size()), ".0");
      versions.push_back(std::move(one));
      one.clear();
    }
  }
  if (versions.size() > kMaxVersionsTried) versions.resize(kMaxVersionsTried);
  return versions;
}

// One chart on its way through helm.
class Rendering {
 public:
  Rendering(Chart chart, const CollectOptions& options, Collection& out) : chart_(std::move(chart)), options_(options), out_(out) { request_.folder = chart_.folder; }

  // False: it could not be rendered, and why is said.
  bool run() {
    request_.release = release_name(chart_.name);
    request_.options = options_.helm;
    auto text = prepared() ? rendered() : Result<std::string>(Error{Code::Io, "its copy could not be made"});
    auto read = text.ok() ? read_rendered(*text, chart_) : Result<Collection>(text.error());
    if (!read.ok()) {
      out_.unseen.push_back({chart_.shown, "helm template failed: " + read.error().message + "; its images are guessed from the names of its values"});
      return false;
    }
    place(*read);
    out_.merge(std::move(*read));
    return true;
  }

 private:
  // helm refuses charts whose dependencies are not there. Without them the rest can be looked at.
  bool prepared() {
    std::vector<std::string> missing;
    for (const ChartDependency& dependency : chart_.dependencies) {
      if (dependency.present) continue;
      std::string local = dependency.repository.starts_with("file://") ? chart_.folder + "/" + dependency.repository.substr(7) : "";
      if (!local.empty() && path_exists(local + "/Chart.yaml")) {
        copied_.emplace_back(dependency.name, local);
        continue;
      }
      missing.push_back(dependency.name);
      std::string what = "the chart " + dependency.name + (dependency.version.empty() ? "" : " " + dependency.version) + " that it builds on is not in charts/";
      if (is_switched_off(chart_, dependency)) {
        out_.skipped.push_back({chart_.shown, what + ", and is switched off (" + dependency.condition + ")"});
      } else {
        out_.unseen.push_back({chart_.shown, what + ": run helm dependency build" + (dependency.repository.empty() ? "" : " (it is in " + dependency.repository + ")")});
      }
    }
    return (missing.empty() && copied_.empty()) || copy_without(missing).ok();
  }

  Result<void> copy_without(const std::vector<std::string>& missing) {
    TempDir room = TRY(TempDir::create("/tmp", "archway-chart-"));
    const std::string copy = room / "chart";
    TRY(copy_folder(chart_.folder, copy));
    for (const auto& [name, local] : copied_) TRY(copy_folder(local, copy + "/charts/" + name));
    Json chart = TRY(yaml_of(copy + "/Chart.yaml"));
    Json kept = Json::array();
    for (const Json& each : chart["dependencies"].items()) {
      if (std::find(missing.begin(), missing.end(), each["name"].string()) == missing.end()) kept.push(each);
    }
    chart.set("dependencies", std::move(kept));
    TRY(write_file_atomic(copy + "/Chart.yaml", to_yaml(chart)));
    (void)remove_tree(copy + "/Chart.lock").ok();
    request_.folder = copy;
    room_.emplace(std::move(room));
    return {};
  }

  static Result<void> copy_folder(const std::string& from, const std::string& to) {
    for (const std::string& file : chart_files(from)) {
      const std::string target = to + file.substr(from.size());
      TRY(make_directories(target.substr(0, target.rfind('/'))));
      std::string text = TRY(read_file(file, kMaxChartFileBytes));
      TRY(write_file_atomic(target, text));
    }
    return {};
  }

  Result<std::string> rendered() {
    auto text = helm_template(request_, options_.stop);
    bool version = !text.ok() && text.error().message.find("incompatible with Kubernetes") != std::string::npos && options_.helm.kube_version.empty();
    if (!version) return text;
    for (const std::string& each : versions_in(chart_.kube_version)) {
      request_.options.kube_version = each;
      auto again = helm_template(request_, options_.stop);
      if (again.ok()) return again;
    }
    request_.options.kube_version.clear();
    return text;
  }

  // Once more, with marks in place of what values decide.
  void place(Collection& found) {
    std::vector<ChartValue> values = find_chart_values(chart_, options_.helm);
    if (values.empty() || (found.uses.empty() && found.workloads.empty())) return;
    HelmRequest marked = request_;
    marked.more_values = marked_values(values);
    auto text = helm_template(marked, options_.stop);
    auto read = text.ok() ? read_rendered(*text, chart_) : Result<Collection>(text.error());
    if (read.ok()) place_by_values(values, *read, found);
  }

  Chart chart_;
  const CollectOptions& options_;
  Collection& out_;
  HelmRequest request_;
  std::vector<std::pair<std::string, std::string>> copied_;  // names, and folders beside the chart
  std::optional<TempDir> room_;
};

Collection collect(Chart chart, const CollectOptions& options) {
  Collection out;
  if (chart.is_library) {
    out.skipped.push_back({chart.shown, "a library chart: it makes no objects by itself"});
    return out;
  }
  if (!options.run_helm || !has_helm()) {
    out.skipped.push_back({chart.shown, std::string("a Helm chart, and helm is not ") + (options.run_helm ? "installed" : "to be run") + ": its images are guessed from the names of its values"});
    guess_chart(chart, out);
    return out;
  }
  if (!Rendering(chart, options, out).run()) guess_chart(chart, out);
  return out;
}

}  // namespace

Chart describe_chart(const std::string& folder, const std::string& shown) {
  Chart chart;
  chart.folder = folder;
  chart.shown = shown;
  chart.name = folder.substr(folder.rfind('/') + 1);
  auto text = read_file(folder + "/Chart.yaml", kMaxChartFileBytes);
  ValueArena arena;
  auto documents = text.ok() ? parse_value_trees(*text, arena) : Result<std::vector<ValueDocument>>(text.error());
  if (!documents.ok() || documents->empty() || !documents->front().root) return chart;
  const Value& root = *documents->front().root;
  if (!text_of(root["name"]).empty()) chart.name = text_of(root["name"]);
  chart.app_version = text_of(root["appVersion"]);
  chart.kube_version = text_of(root["kubeVersion"]);
  chart.is_library = text_of(root["type"]) == "library";
  read_dependencies(root["dependencies"], chart);
  // Charts of version 1 have them in a file of their own.
  auto requirements = read_file(folder + "/requirements.yaml", kMaxChartFileBytes);
  auto more = requirements.ok() ? parse_value_trees(*requirements, arena) : Result<std::vector<ValueDocument>>(requirements.error());
  if (more.ok() && !more->empty() && more->front().root) read_dependencies((*more->front().root)["dependencies"], chart);
  return chart;
}

Collection collect_chart(const std::string& path, const CollectOptions& options) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return collect(describe_chart(path, path), options);
  Collection out;
  auto room = TempDir::create("/tmp", "archway-chart-");
  auto folder = room.ok() ? unpack_chart(path, room->path()) : Result<std::string>(room.error());
  if (!folder.ok()) {
    out.unseen.push_back({path, folder.error().message});
    return out;
  }
  out = collect(describe_chart(*folder, path), options);
  // Nobody edits what is in an archive.
  for (ImageUse& use : out.uses) use.place.begin = use.place.end = 0;
  for (Workload& workload : out.workloads) {
    for (ArchClause& clause : workload.placement.clauses) clause.place.begin = clause.place.end = clause.key.begin = clause.key.end = 0;
  }
  return out;
}

}  // namespace archway::audit
