#include <dirent.h>

#include <algorithm>
#include <memory>

#include "audit/chart.h"
#include "audit/collect.h"
#include "audit/readers.h"
#include "base/fd.h"

namespace archway::audit {

namespace {

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

void values_of(const Chart& chart, Collection& out) {
  const std::string shown = chart.shown + "/values.yaml";
  auto text = read_file(chart.folder + "/values.yaml", kMaxChartFileBytes);
  if (!text.ok()) return;
  ++out.files;
  ValueArena arena;
  auto documents = parse_value_trees(*text, arena);
  if (!documents.ok()) {
    out.unseen.push_back({shown, documents.error().message});
    return;
  }
  for (const ValueDocument& document : *documents) {
    if (document.root) read_values(*document.root, Where{shown}, chart.app_version, out);
  }
}

void guess_at(const Chart& chart, size_t depth, Collection& out) {
  if (depth > kMaxChartDepth || out.files > kMaxChartFiles) return;
  for (const std::string& file : chart_files(chart.folder + "/templates")) {
    if (!file.ends_with(".yaml") && !file.ends_with(".yml") && !file.ends_with(".tpl")) continue;
    const std::string shown = chart.shown + file.substr(chart.folder.size());
    auto text = read_file(file, kMaxChartFileBytes);
    if (!text.ok()) {
      out.unseen.push_back({shown, text.error().message});
      continue;
    }
    ++out.files;
    read_chart_template(*text, shown, out);
  }
  values_of(chart, out);
  // What it builds on, in folders and archives.
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir((chart.folder + "/charts").c_str()), ::closedir);
  std::vector<std::string> names;
  for (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr; entry; entry = ::readdir(dir.get())) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string path = chart.folder + "/charts/" + name, shown = chart.shown + "/charts/" + name;
    if (name != "." && name != ".." && path_exists(path + "/Chart.yaml")) guess_at(describe_chart(path, shown), depth + 1, out);
    if (!name.ends_with(".tgz")) continue;
    auto room = TempDir::create("/tmp", "archway-chart-");
    auto unpacked = room.ok() ? unpack_chart(path, room->path()) : Result<std::string>(room.error());
    if (unpacked.ok()) {
      guess_at(describe_chart(*unpacked, shown), depth + 1, out);
    } else {
      out.unseen.push_back({shown, unpacked.error().message});
    }
  }
}

}  // namespace

std::vector<std::string> chart_files(const std::string& folder) {
  std::vector<std::string> files;
  files_below(folder, 0, files);
  return files;
}

void guess_chart(const Chart& chart, Collection& out) { guess_at(chart, 0, out); }

}  // namespace archway::audit
