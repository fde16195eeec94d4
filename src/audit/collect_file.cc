#include <fcntl.h>
#include <sys/stat.h>

#include "audit/collect.h"
#include "audit/file_kind.h"
#include "audit/readers.h"
#include "audit/written_image.h"
#include "audit/yaml_documents.h"
#include "base/fd.h"
#include "base/text.h"
#include "format/json_stream.h"

namespace archway::audit {

namespace {

// Members that hold no image, or none that anybody chose: most of a dump's bytes.
std::vector<JsonPath> unread_members() {
  std::vector<JsonPath> paths = {{"metadata", "managedFields"}, {"spec", "template", "metadata", "managedFields"}, {"status", "conditions"}, {"status", "containerStatuses"}, {"status", "initContainerStatuses"}, {"status", "images"}, {"status", "podIPs"}};
  return paths;
}

Variables variables_beside(const std::string& path) {
  std::map<std::string, std::string, std::less<>> values;
  size_t slash = path.rfind('/');
  auto text = read_file(slash == std::string::npos ? ".env" : path.substr(0, slash) + "/.env", 1 << 20);
  for (const std::string& line : text.ok() ? split(*text, '\n') : std::vector<std::string>{}) {
    auto [name, value] = cut(trim(line), '=');
    if (name.empty() || name.starts_with('#') || !value) continue;
    std::string_view bare = trim(*value);
    if (bare.size() > 1 && (bare[0] == '"' || bare[0] == '\'') && bare.back() == bare[0]) bare = bare.substr(1, bare.size() - 2);
    values[std::string(trim(name))] = std::string(bare);
  }
  return [values = std::move(values)](std::string_view name) -> std::optional<std::string> {
    auto at = values.find(name);
    return at == values.end() ? std::nullopt : std::optional(at->second);
  };
}

void read_document(const Value& root, FileKind kind, const Where& where, Collection& out);

void read_items(const Value& root, FileKind kind, const Where& where, Collection& out) {
  root.each_item([&](const Value& item) {
    if (is_kubernetes_object(item)) read_kubernetes(item, where, out);
    else if (item.is_mapping() && kind == FileKind::Yaml) read_values(item, where, "", out);
  });
}

// ECS task definitions and dev containers: JSON that is no Kubernetes object and names images.
bool json_of_interest(const Value& root) { return root.find("containerDefinitions") || root.find("image") || root.find("taskDefinition"); }

void read_document(const Value& root, FileKind kind, const Where& where, Collection& out) {
  if (kind == FileKind::Pipeline) return read_pipeline(root, where, out);
  DocumentKind document = document_kind(root);
  if (kind == FileKind::Compose && document != DocumentKind::Kubernetes) document = DocumentKind::Compose;
  switch (document) {
    case DocumentKind::Empty: return;
    case DocumentKind::Kubernetes:
      // A kustomization under another name builds nothing by itself.
      if (root["apiVersion"].scalar().starts_with("kustomize.config.k8s.io")) return;
      return read_kubernetes(root, where, out);
    case DocumentKind::Compose: return read_compose(root, where, variables_beside(where.source), out);
    case DocumentKind::Pipeline: return read_pipeline(root, where, out);
    case DocumentKind::Objects: return read_items(root, kind, where, out);
    case DocumentKind::Values:
      if (kind == FileKind::Json && !json_of_interest(root)) return;
      return read_values(root, where, "", out);
  }
}

// Values of one thread are made in one arena, file after file.
ValueArena& arena() {
  static thread_local ValueArena arena;
  arena.clear();
  return arena;
}

void read_json_text(std::string_view text, const std::string& source, Collection& out) {
  MemorySource from(text);
  JsonStreamOptions options;
  options.threads = 1;
  auto read = read_json_items(from, options, [&](JsonItem item) -> Result<void> {
    Where where{source};
    if (item.value["kind"].string().empty() && !item.list_kind.empty()) item.value.set("kind", item.kind());
    read_document(*value_of_json(item.value, arena()), FileKind::Json, where, out);
    return {};
  });
  if (!read.ok()) out.unseen.push_back({source, read.error().message});
}

// Why a text is no YAML: for a template, because it has to be rendered first.
void broken(std::string_view text, const std::string& source, const Error& error, Collection& out) {
  if (text.find("{{") != text.npos) {
    out.skipped.push_back({source, "a template that has to be rendered first (" + error.message + ")"});
  } else {
    out.unseen.push_back({source, error.message});
  }
}

// Could a document tell anything? Nodes have taints, ReplicaSets owners, and Secrets credentials, even where no image is.
bool of_interest(std::string_view text) { return may_hold_images(text) || text.find("Node") != text.npos || text.find("ReplicaSet") != text.npos || text.find(".dockerc") != text.npos; }

void read_values_text(std::string_view text, FileKind kind, const std::string& source, Collection& out) {
  bool may_skip = kind == FileKind::Yaml || kind == FileKind::Json;
  const SharedText shared(source);
  for (const DocumentText& part : split_documents(text)) {
    if (may_skip && !of_interest(part.text)) continue;
    auto documents = parse_value_trees(text, arena(), {part.begin, part.line, part.text.size()});
    if (!documents.ok()) {
      // JSON has escapes that libyaml refuses; then it is read without lines.
      if (part.begin == 0 && (kind == FileKind::Json || trim(text.substr(0, 64)).starts_with('{'))) return read_json_text(text, source, out);
      broken(part.text, source, documents.error(), out);
      continue;
    }
    for (size_t i = 0; i < documents->size(); ++i) {
      if ((*documents)[i].root) read_document(*(*documents)[i].root, kind, Where{shared, part.first_document + i}, out);
    }
  }
}

void read_text(std::string_view text, FileKind kind, const std::string& source, Collection& out) {
  switch (kind) {
    case FileKind::Dockerfile: return read_dockerfile(text, source, out);
    case FileKind::Jenkinsfile: return read_jenkinsfile(text, source, out);
    case FileKind::List: return read_list(text, source, out);
    case FileKind::Yaml:
    case FileKind::Json:
    case FileKind::Compose:
    case FileKind::Pipeline: return read_values_text(text, kind, source, out);
    case FileKind::Other:
    case FileKind::Chart:
    case FileKind::Kustomization: return;
  }
}

bool is_large_json(const std::string& path, FileKind kind, uint64_t size) { return size > kMaxPlacedJsonBytes && (kind == FileKind::Json || path.ends_with(".json")); }

// A dump of a cluster: one item at a time, several at once.
void stream_json(Source& from, const std::string& source, const CollectOptions& options, Collection& out) {
  JsonStreamOptions stream;
  stream.skip = unread_members();
  stream.threads = options.threads;
  auto read = read_json_batches(from, stream, [&](std::vector<JsonItem> items) -> JsonCommit {
    auto part = std::make_shared<Collection>();
    for (JsonItem& item : items) {
      if (item.value["kind"].string().empty() && !item.list_kind.empty()) item.value.set("kind", item.kind());
      if (item.value["apiVersion"].string().empty()) item.value.set("apiVersion", "v1");
      read_document(*value_of_json(item.value, arena()), FileKind::Json, Where{source}, *part);
    }
    return [part, &out]() -> Result<void> {
      out.merge(std::move(*part));
      return {};
    };
  });
  if (!read.ok()) out.unseen.push_back({source, read.error().message});
}

// What was read already, and then the rest.
class Joined final : public Source {
 public:
  Joined(Source& first, Source& second) : first_(first), second_(second) {}
  Result<size_t> read(std::span<std::byte> into) override {
    size_t count = TRY(first_.read(into));
    if (count > 0) return count;
    return second_.read(into);
  }

 private:
  Source& first_;
  Source& second_;
};

Collection collect_open_file(const std::string& path, FileKind kind, const CollectOptions& options) {
  Collection out;
  out.files = 1;
  auto fd = open_file(path, O_RDONLY | O_NONBLOCK);
  struct stat info = {};
  if (!fd.ok() || ::fstat(fd->get(), &info) != 0) {
    out.unseen.push_back({path, fd.ok() ? "cannot be read" : fd.error().message});
    return out;
  }
  if (!S_ISREG(info.st_mode)) {
    out.unseen.push_back({path, "is no regular file"});
    return out;
  }
  uint64_t size = static_cast<uint64_t>(info.st_size);
  FdSource source(std::move(*fd), path);
  if (is_large_json(path, kind, size)) {
    stream_json(source, path, options, out);
    return out;
  }
  auto text = read_all(source, kMaxTextFileBytes, path);
  if (!text.ok()) {
    out.unseen.push_back({path, text.error().message});
    return out;
  }
  if (kind == FileKind::Other) kind = text_kind(path, *text);
  read_text(*text, kind, path, out);
  return out;
}

}  // namespace

Collection collect_file(const std::string& path, const CollectOptions& options) { return collect_open_file(path, file_kind(path), options); }

Collection collect_source(Source& from, const std::string& source, const CollectOptions& options) {
  Collection out;
  out.files = 1;
  // A few megabytes tell what it is; only JSON can be read on without holding it.
  std::string text(kMaxPlacedJsonBytes + 1, '\0');
  auto begin = read_full(from, {reinterpret_cast<std::byte*>(text.data()), text.size()});
  if (!begin.ok()) {
    out.unseen.push_back({source, begin.error().message});
    return out;
  }
  text.resize(*begin);
  if (text.size() <= kMaxPlacedJsonBytes) return collect_text(text, source, options);
  if (text_kind(source, text) == FileKind::Json) {
    StringSource first(std::move(text));
    Joined both(first, from);
    stream_json(both, source, options, out);
    return out;
  }
  auto rest = read_all(from, kMaxTextFileBytes - text.size(), source);
  if (!rest.ok()) {
    out.unseen.push_back({source, rest.error().message});
    return out;
  }
  return collect_text(text + *rest, source, options);
}

Collection collect_text(std::string_view text, const std::string& source, const CollectOptions& options) {
  Collection out;
  out.files = 1;
  FileKind kind = text_kind(source, text);
  if (kind == FileKind::Json && text.size() > kMaxPlacedJsonBytes) {
    MemorySource from(text);
    stream_json(from, source, options, out);
    return out;
  }
  read_text(text, kind, source, out);
  return out;
}

}  // namespace archway::audit
