#include <dirent.h>

#include <algorithm>
#include <memory>

#include "audit/collect.h"
#include "audit/readers.h"
#include "base/fd.h"
#include "base/process.h"
#include "base/text.h"

namespace archway::audit {

namespace {

constexpr uint64_t kMaxChartFileBytes = 16 << 20;
constexpr size_t kMaxChartFiles = 10'000;

struct Chart {
  std::string folder, name, app_version;
};

Chart describe(const std::string& folder) {
  Chart chart{folder, folder.substr(folder.rfind('/') + 1), ""};
  auto text = read_file(folder + "/Chart.yaml", kMaxChartFileBytes);
  ValueArena arena;
  auto documents = text.ok() ? parse_value_trees(*text, arena) : Result<std::vector<ValueDocument>>(text.error());
  if (!documents.ok() || documents->empty()) return chart;
  const Value& root = *documents->front().root;
  if (!root["name"].scalar().empty()) chart.name = std::string(root["name"].scalar());
  chart.app_version = std::string(root["appVersion"].scalar());
  return chart;
}

// Files of a folder and those below, sorted.
void files_below(const std::string& folder, size_t depth, std::vector<std::string>& out) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (!dir || depth > kMaxFolderDepth) return;
  std::vector<std::pair<std::string, bool>> entries;
  while (const dirent* entry = ::readdir(dir.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") entries.emplace_back(folder + "/" + name, entry->d_type == DT_DIR);
  }
  std::sort(entries.begin(), entries.end());
  for (const auto& [path, folder_too] : entries) {
    if (out.size() >= kMaxChartFiles) return;
    if (folder_too) {
      files_below(path, depth + 1, out);
    } else {
      out.push_back(path);
    }
  }
}

// "# Source: chart/templates/web.yaml" above the document: where it comes from.
std::string source_of(std::string_view text, size_t begin, const std::string& folder) {
  size_t at = text.rfind("# Source: ", begin);
  if (at == text.npos) return folder;
  size_t between = text.find("\n---", at);
  if (between != text.npos && between < begin) return folder;
  std::string_view path = trim(text.substr(at + 10, text.find('\n', at) - at - 10));
  size_t slash = path.find('/');
  return slash == path.npos ? folder : folder + std::string(path.substr(slash));
}

Collection render(const Chart& chart, const CollectOptions& options) {
  Collection out;
  ProcessOptions process;
  process.output_limit_bytes = kMaxTextFileBytes;
  auto run = run_process({"helm", "template", chart.name, chart.folder, "--include-crds"}, process, options.stop);
  if (!run.ok() || run->exit_code != 0) {
    std::string why = run.ok() ? std::string(trim(run->err)) : run.error().message;
    out.unseen.push_back({chart.folder, "helm template failed: " + why.substr(0, why.find('\n'))});
    return out;
  }
  ValueArena arena;
  auto documents = parse_value_trees(run->out, arena);
  if (!documents.ok()) {
    out.unseen.push_back({chart.folder, "what helm template printed is no YAML: " + documents.error().message});
    return out;
  }
  for (size_t i = 0; i < documents->size(); ++i) {
    const Value* root = (*documents)[i].root;
    if (!root || !is_kubernetes_object(*root)) continue;
    Collection part;
    read_kubernetes(*root, Where{source_of(run->out, root->begin, chart.folder), i}, part);
    // Lines of what was rendered are nobody's lines.
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

Collection guess(const Chart& chart) {
  Collection out;
  out.skipped.push_back({chart.folder, "a Helm chart, and helm is not installed: its images are guessed from the names of its values"});
  std::vector<std::string> files;
  files_below(chart.folder + "/templates", 0, files);
  for (const std::string& file : files) {
    if (!file.ends_with(".yaml") && !file.ends_with(".yml") && !file.ends_with(".tpl")) continue;
    auto text = read_file(file, kMaxChartFileBytes);
    if (!text.ok()) {
      out.unseen.push_back({file, text.error().message});
      continue;
    }
    ++out.files;
    read_chart_template(*text, file, out);
  }
  auto text = read_file(chart.folder + "/values.yaml", kMaxChartFileBytes);
  if (!text.ok()) return out;
  ++out.files;
  ValueArena arena;
  auto documents = parse_value_trees(*text, arena);
  if (!documents.ok()) {
    out.unseen.push_back({chart.folder + "/values.yaml", documents.error().message});
    return out;
  }
  for (const ValueDocument& document : *documents) {
    if (document.root) read_values(*document.root, Where{chart.folder + "/values.yaml"}, chart.app_version, out);
  }
  return out;
}

}  // namespace

bool has_helm() { return find_program("helm").has_value(); }

Collection collect_chart(const std::string& folder, const CollectOptions& options) {
  Chart chart = describe(folder);
  if (options.run_helm && has_helm()) return render(chart, options);
  return guess(chart);
}

}  // namespace archway::audit
