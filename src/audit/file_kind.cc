#include "audit/file_kind.h"

#include <algorithm>

#include "audit/kubernetes_reader.h"
#include "audit/written_image.h"
#include "base/text.h"

namespace archway::audit {

namespace {

bool is_yaml(std::string_view name) { return name.ends_with(".yaml") || name.ends_with(".yml"); }

bool is_dockerfile(std::string_view name) {
  for (std::string_view base : {"Dockerfile", "Containerfile", "dockerfile"}) {
    if (name == base || (name.starts_with(base) && name.size() > base.size() && (name[base.size()] == '.' || name[base.size()] == '-'))) return !name.ends_with(".dockerignore");
    if (name.ends_with("." + std::string(base))) return true;
  }
  return false;
}

bool is_compose(std::string_view name) {
  for (std::string_view base : {"compose", "docker-compose", "docker-stack"}) {
    if (name.starts_with(base) && (name.size() > base.size() && (name[base.size()] == '.' || name[base.size()] == '-'))) return true;
  }
  return false;
}

bool is_pipeline(std::string_view path, std::string_view name) {
  if (name == ".gitlab-ci.yml" || name.ends_with(".gitlab-ci.yml") || name == "azure-pipelines.yml" || name == "bitbucket-pipelines.yml") return true;
  if (name.starts_with(".drone.") || name.starts_with(".woodpecker.") || name == "action.yml" || name == "action.yaml") return true;
  for (std::string_view folder : {".github/workflows/", ".circleci/", ".woodpecker/", ".gitlab/"}) {
    if (path.find(folder) != path.npos) return true;
  }
  return false;
}

bool says_how_to_run(const Value& job) { return job.find("script") || job.find("stage") || job.find("steps") || job.find("docker") || job.find("runs-on"); }

bool is_dockerfile_text(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = trim(text.substr(at, end - at));
    at = end + 1;
    if (line.empty() || line.starts_with('#')) continue;
    std::string word = to_lower(line.substr(0, line.find(' ')));
    return (word == "from" || word == "arg") && line.find(' ') != line.npos;
  }
  return false;
}

// Every line is one word that can be an image.
bool is_list_text(std::string_view text) {
  size_t lines = 0;
  for (size_t at = 0; at < text.size() && lines < 100;) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = trim(text.substr(at, end - at));
    at = end + 1;
    if (line.empty() || line.starts_with('#')) continue;
    line = trim(line.substr(0, std::min(line.find(" #"), line.size())));
    if (!read_image(line).reference) return false;
    ++lines;
  }
  return lines > 0;
}

}  // namespace

FileKind file_kind(std::string_view path) {
  std::string_view name = path.substr(path.rfind('/') == path.npos ? 0 : path.rfind('/') + 1);
  if (is_dockerfile(name)) return FileKind::Dockerfile;
  if (name == "kustomization.yaml" || name == "kustomization.yml" || name == "Kustomization") return FileKind::Kustomization;
  if (name == "Chart.yaml") return FileKind::Chart;
  if (name == "Jenkinsfile" || name.starts_with("Jenkinsfile.") || name.ends_with(".jenkinsfile")) return FileKind::Jenkinsfile;
  if (is_yaml(name)) {
    if (is_pipeline(path, name)) return FileKind::Pipeline;
    return is_compose(name) ? FileKind::Compose : FileKind::Yaml;
  }
  if (name.ends_with(".json")) return FileKind::Json;
  if (name.ends_with(".txt") && name.find("image") != name.npos) return FileKind::List;
  return FileKind::Other;
}

FileKind text_kind(std::string_view path, std::string_view text) {
  FileKind kind = file_kind(path);
  if (kind != FileKind::Other && kind != FileKind::Chart) return kind;
  std::string_view begin = trim(text.substr(0, 4096));
  if (begin.starts_with("\xef\xbb\xbf")) begin.remove_prefix(3);
  if (begin.starts_with('{') || begin.starts_with('[')) return FileKind::Json;
  if (is_dockerfile_text(text)) return FileKind::Dockerfile;
  if (is_list_text(text)) return FileKind::List;
  return FileKind::Yaml;
}

DocumentKind document_kind(const Value& root) {
  if (root.is_sequence()) return DocumentKind::Objects;
  if (!root.is_mapping()) return DocumentKind::Empty;
  if (is_kubernetes_object(root)) return DocumentKind::Kubernetes;
  bool compose = false, pipeline = root["jobs"].is_mapping() && (root.find("on") || root.find("workflows") || root.find("orbs"));
  root["services"].each_member([&](const Value&, const Value& service) { compose = compose || service.find("image") || service.find("build"); });
  if (compose && !root.find("script")) return DocumentKind::Compose;
  root.each_member([&](const Value& key, const Value& member) { pipeline = pipeline || (key.scalar() != "services" && member.is_mapping() && says_how_to_run(member) && member.find("image")); });
  if (root.find("stages") && !root.find("image.repository")) pipeline = pipeline || root["stages"].is_sequence();
  return pipeline ? DocumentKind::Pipeline : DocumentKind::Values;
}

}  // namespace archway::audit
