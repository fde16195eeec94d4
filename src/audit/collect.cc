#include "audit/collect.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "audit/chart.h"
#include "audit/compose_reader.h"
#include "audit/file_kind.h"
#include "audit/finding_id.h"
#include "audit/gitlab_reader.h"
#include "audit/kustomization_reader.h"
#include "base/fd.h"
#include "base/thread_pool.h"

namespace archway::audit {

namespace {

// What a folder holds, by name.
struct Found {
  std::vector<std::string> files, kustomizations, charts, projects;   // projects: compose files and GitLab's, which name others
  std::vector<Unseen> unseen;
};

bool is_hidden_away(const std::string& name) {
  static const std::set<std::string> kept = {".github", ".gitlab", ".circleci", ".woodpecker", ".tekton", ".argo", ".devcontainer", ".gitlab-ci.yml", ".drone.yml", ".woodpecker.yml"};
  if (name == "node_modules" || name == "__pycache__") return true;
  return name.starts_with('.') && !kept.contains(name) && !name.ends_with(".yml") && !name.ends_with(".yaml");
}

bool is_chart(const std::string& folder) { return path_exists(folder + "/Chart.yaml"); }

class Walk {
 public:
  explicit Walk(const CollectOptions& options) : options_(options) {}
  Found found;

  void folder(const std::string& path, size_t depth) {
    if (depth > kMaxFolderDepth) {
      found.unseen.push_back({path, "folders nested deeper than " + std::to_string(kMaxFolderDepth)});
      return;
    }
    if (is_chart(path)) {
      found.charts.push_back(path);
      // Beside the chart there may be what has nothing to do with it: the Dockerfile, say.
      return entries(path, depth, true);
    }
    entries(path, depth, false);
  }

 private:
  static bool is_of_chart(const std::string& name, bool folder) {
    if (folder) return name == "templates" || name == "charts" || name == "crds" || name == "ci";
    return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
  }

  void entries(const std::string& path, size_t depth, bool chart) {
    std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
    if (!dir) {
      if (errno != ENOENT) found.unseen.push_back({path, errno_error("cannot be listed").message});
      return;
    }
    std::vector<std::pair<std::string, bool>> names;
    while (const dirent* entry = ::readdir(dir.get())) {
      std::string name = entry->d_name;
      if (name == "." || name == ".." || is_hidden_away(name)) continue;
      bool folder = entry->d_type == DT_DIR;
      struct stat info = {};
      // A linked file is a file; a linked folder is looked at where it is, or is none of ours.
      if (entry->d_type == DT_UNKNOWN && ::lstat((path + "/" + name).c_str(), &info) == 0) folder = S_ISDIR(info.st_mode);
      names.emplace_back(std::move(name), folder);
    }
    dir.reset();
    std::sort(names.begin(), names.end());
    for (const auto& [name, folder] : names) {
      if (chart && is_of_chart(name, folder)) continue;
      std::string at = (path == "." ? "" : path.ends_with('/') ? path : path + "/") + name;
      if (folder) {
        this->folder(at, depth + 1);
      } else {
        file(at);
      }
    }
  }

  void file(const std::string& path) {
    FileKind kind = file_kind(path);
    if (path.ends_with(".tgz") && is_chart_archive(path)) found.charts.push_back(path);
    if (kind == FileKind::Other || kind == FileKind::Chart) return;
    if (found.files.size() >= kMaxFiles) {
      if (found.files.size() == kMaxFiles) found.unseen.push_back({path, "more than " + std::to_string(kMaxFiles) + " files: the rest was not looked at"});
      return;
    }
    bool project = kind == FileKind::Compose || (kind == FileKind::Pipeline && is_gitlab_pipeline(path));
    (kind == FileKind::Kustomization ? found.kustomizations : project ? found.projects : found.files).push_back(path);
  }

  const CollectOptions& options_;
};

// Every kustomization that no other builds on. Files that one of them names are not read a second time by themselves.
void kustomizations(const Found& found, const CollectOptions& options, std::set<std::string>& used, Collection& out) {
  std::vector<Collection> parts;
  std::set<std::string> inner;
  KustomizationReader reader(options);
  for (const std::string& file : found.kustomizations) {
    std::set<std::string> named;
    parts.push_back(reader.read(file, named));
    for (const std::string& each : named) {
      if (each != plain_path(file)) inner.insert(each);
    }
    used.merge(named);
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    // Where they name each other in a circle, all are inner: what was found out about that must not get lost.
    if (!inner.contains(plain_path(found.kustomizations[i])) || !parts[i].unseen.empty()) out.merge(std::move(parts[i]));
  }
}

Collection collect_project(const std::string& file, std::set<std::string>& used) { return is_gitlab_pipeline(file) ? collect_gitlab(file, used) : collect_compose(file, used); }

// Compose files and GitLab's pipelines, but for those that others take part of.
void projects(const Found& found, std::set<std::string>& used, Collection& out) {
  std::vector<Collection> parts;
  std::set<std::string> inner;
  for (const std::string& file : found.projects) {
    std::set<std::string> named;
    parts.push_back(collect_project(file, named));
    for (const std::string& each : named) {
      if (each != plain_path(file)) inner.insert(each);
    }
    used.merge(named);
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!inner.contains(plain_path(found.projects[i])) || !parts[i].unseen.empty()) out.merge(std::move(parts[i]));
  }
}

}  // namespace

Collection collect_path(const std::string& path, const CollectOptions& options) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) {
    Collection missing;
    missing.unseen.push_back({path, errno_error("cannot be opened").message});
    return missing;
  }
  if (!S_ISDIR(info.st_mode)) {
    if ((path.ends_with(".tgz") || path.ends_with(".tar.gz")) && is_chart_archive(path)) return collect_chart(path, options);
    FileKind kind = file_kind(path);
    std::set<std::string> used;
    if (kind == FileKind::Compose || (kind == FileKind::Pipeline && is_gitlab_pipeline(path))) return collect_project(path, used);
    if (kind != FileKind::Kustomization) return collect_file(path, options);
    return collect_kustomization(path, options, used);
  }
  Walk walk(options);
  walk.folder(path, 0);
  Collection out;
  std::set<std::string> used;
  kustomizations(walk.found, options, used, out);
  projects(walk.found, used, out);
  // What a kustomization inflates is not deployed by itself.
  std::erase_if(walk.found.charts, [&](const std::string& chart) { return used.contains(plain_path(chart + "/Chart.yaml")); });

  std::vector<std::string> files;
  for (std::string& file : walk.found.files) {
    if (used.empty() || !used.contains(plain_path(file))) files.push_back(std::move(file));
  }
  // Charts come first in the result, and begin first: helm takes its time.
  size_t charts = walk.found.charts.size();
  std::vector<Collection> parts(charts + files.size());
  size_t threads = options.threads == 0 ? processor_count() : options.threads;
  CollectOptions one = options;
  one.threads = 1;
  auto read = parallel_for(parts.size(), threads, [&](size_t i) -> Result<void> {
    if (options.stop.stop_requested()) return Error{Code::Cancelled, "stopped"};
    parts[i] = i < charts ? collect_chart(walk.found.charts[i], one) : collect_file(files[i - charts], one);
    return {};
  });
  if (!read.ok()) out.unseen.push_back({path, "stopped before everything was read"});
  out.merge(std::move(parts));
  for (Unseen& unseen : walk.found.unseen) out.unseen.push_back(std::move(unseen));
  return out;
}

}  // namespace archway::audit
