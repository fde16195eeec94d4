#include "kustomize/object_id.h"

#include <re2/re2.h>

#include "kustomize/merge_keys.h"
#include "kustomize/trees.h"

namespace archway::kustomize {

namespace {

constexpr size_t kMaxPatternBytes = 4096;
constexpr int64_t kMaxPatternMemory = 8 << 20;

kube::Labels labels_of(const Value& mapping) {
  std::vector<kube::Labels::Entry> entries;
  for (const Member& member : Trees::members(mapping)) entries.emplace_back(member.key->scalar(), member.value->scalar());
  return kube::Labels(std::move(entries));
}

}  // namespace

ObjectId ObjectId::of(const Value& object) {
  ObjectId id;
  std::string_view version = object["apiVersion"].scalar();
  size_t slash = version.find('/');
  if (slash != version.npos) id.group = std::string(version.substr(0, slash));
  id.version = std::string(version.substr(slash == version.npos ? 0 : slash + 1));
  id.kind = std::string(object["kind"].scalar());
  const Value& metadata = object["metadata"];
  id.name = std::string(metadata["name"].scalar());
  if (const Value* space = metadata.find("namespace"); space && !space->is_null()) id.name_space = std::string(space->scalar());
  return id;
}

std::string ObjectId::effective_namespace() const {
  if (is_cluster_scoped(api_version(), kind)) return "_non_namespaceable_";
  return name_space.empty() ? "default" : name_space;
}

std::string ObjectId::str() const { return kind + " " + (name_space.empty() ? "" : name_space + "/") + name; }

struct Pattern::Compiled {
  explicit Compiled(const std::string& text, const RE2::Options& options) : expression(text, options) {}
  RE2 expression;
};

Pattern::Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

Result<Pattern> Pattern::parse(std::string_view expression) {
  Pattern pattern;
  if (expression.empty()) return pattern;
  if (expression.size() > kMaxPatternBytes) return Error{Code::Invalid, "a regular expression of more than " + std::to_string(kMaxPatternBytes) + " bytes"};
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxPatternMemory);
  pattern.compiled_ = std::make_unique<Compiled>(std::string(expression), options);
  if (!pattern.compiled_->expression.ok()) return Error{Code::Invalid, "\"" + std::string(expression) + "\" is no regular expression: " + pattern.compiled_->expression.error()};
  return pattern;
}

bool Pattern::matches(std::string_view text) const { return !compiled_ || RE2::FullMatch(re2::StringPiece(text.data(), text.size()), compiled_->expression); }

Result<Target> Target::read(const Value& selector) {
  Target target;
  target.group_ = TRY(Pattern::parse(selector["group"].scalar()));
  target.version_ = TRY(Pattern::parse(selector["version"].scalar()));
  target.kind_ = TRY(Pattern::parse(selector["kind"].scalar()));
  target.name_ = TRY(Pattern::parse(selector["name"].scalar()));
  target.name_space_ = TRY(Pattern::parse(selector["namespace"].scalar()));
  target.names_id_ = !target.group_.empty() || !target.version_.empty() || !target.kind_.empty() || !target.name_.empty() || !target.name_space_.empty();
  if (std::string_view text = selector["labelSelector"].scalar(); !text.empty()) target.labels_ = TRY(kube::parse_selector(text).context("labelSelector"));
  if (std::string_view text = selector["annotationSelector"].scalar(); !text.empty()) target.annotations_ = TRY(kube::parse_selector(text).context("annotationSelector"));
  return target;
}

bool Target::matches(const Value& object, const ObjectId& first, const ObjectId& now) const {
  if (!group_.matches(now.group) || !version_.matches(now.version) || !kind_.matches(now.kind)) return false;
  if (!name_.matches(first.name) && !name_.matches(now.name)) return false;
  if (!name_space_.matches(first.effective_namespace()) && !name_space_.matches(now.effective_namespace())) return false;
  return matches_labels(object);
}

bool Target::matches_id(const ObjectId& id) const {
  return group_.matches(id.group) && version_.matches(id.version) && kind_.matches(id.kind) && name_.matches(id.name) && name_space_.matches(id.name_space);
}

bool Target::matches_labels(const Value& object) const {
  if (labels_.empty() && annotations_.empty()) return true;
  const Value& metadata = object["metadata"];
  return labels_.matches(labels_of(metadata["labels"])) && annotations_.matches(labels_of(metadata["annotations"]));
}

}  // namespace archway::kustomize
