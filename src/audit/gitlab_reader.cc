#include "audit/gitlab_reader.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include "audit/finding_id.h"
#include "audit/merged_values.h"
#include "audit/readers.h"
#include "audit/written_image.h"
#include "base/fd.h"
#include "base/text.h"
#include "kustomize/object_id.h"
#include "kustomize/trees.h"

namespace archway::audit {

namespace {

using kustomize::Member;
using kustomize::Trees;

constexpr size_t kMaxIncludes = 150;        // GitLab's own limit
constexpr size_t kMaxExtends = 11;          // likewise
constexpr size_t kMaxReferences = 10;       // likewise
constexpr size_t kMaxVariableDepth = 8;
constexpr size_t kMaxVariables = 1000;      // put into one text, those in values among them
constexpr size_t kMaxVariableBytes = 4096;  // of a value that is put in
constexpr size_t kMaxMatrix = 200;          // jobs of one matrix, as GitLab has it
constexpr size_t kMaxGlobbed = 10'000;      // files looked at for one pattern

constexpr std::array<std::string_view, 12> kReserved = {"image", "services", "stages", "types", "before_script", "after_script", "variables", "cache", "include", "default", "workflow", "spec"};

bool is_job(std::string_view name, const Value& value, bool hidden) {
  return value.is_mapping() && (name.starts_with('.') == hidden) && std::find(kReserved.begin(), kReserved.end(), name) == kReserved.end();
}

// "*" is anything but a slash, "**" anything. As a regular expression, which takes no longer than the path.
std::string glob_expression(std::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.substr(i).starts_with("**/")) {
      out += "(?:.*/)?";
      i += 2;
    } else if (pattern.substr(i).starts_with("**")) {
      out += ".*";
      ++i;
    } else if (pattern[i] == '*') {
      out += "[^/]*";
    } else {
      bool plain = (pattern[i] >= 'a' && pattern[i] <= 'z') || (pattern[i] >= 'A' && pattern[i] <= 'Z') || (pattern[i] >= '0' && pattern[i] <= '9') || pattern[i] == '/' || pattern[i] == '_' || pattern[i] == '-' || static_cast<unsigned char>(pattern[i]) >= 0x80;
      out += plain ? std::string(1, pattern[i]) : std::string("\\") + pattern[i];
    }
  }
  return out;
}

const Value* merged(const Value* below, const Value* above, Trees& trees) { return merged_values(below, above, trees, {}); }

// Where a repository begins: where .git is, else where the pipeline's own file is.
std::string repository_of(const std::string& file) {
  std::filesystem::path folder = std::filesystem::path(file).parent_path();
  if (folder.empty()) folder = ".";
  for (std::filesystem::path at = folder;; at = at.parent_path()) {
    if (path_exists((at / ".git").string())) return at.string();
    if (at.empty() || at == at.parent_path()) break;
  }
  // A file below .gitlab/ belongs to the folder above that.
  const std::string text = folder.string();
  size_t own = text.rfind(".gitlab");
  return own == text.npos ? text : own == 0 ? "." : text.substr(0, own - 1);
}

class Pipeline {
 public:
  Pipeline(kustomize::Texts& texts, Trees& trees, std::set<std::string>& used, Collection& out) : texts_(texts), trees_(trees), used_(used), out_(out) {}

  void read(const std::string& file) {
    repository_ = repository_of(file);
    root_ = load(file);
    if (!root_) return;
    bool any = jobs(false);
    if (!any) jobs(true);  // templates that others extend
    defaults();
    std::vector<std::string> children;
    children.swap(children_);
    for (const std::string& child : children) {
      if (!used_.contains(child)) Pipeline(texts_, trees_, used_, out_).read(child);
    }
  }

 private:
  const Value* load(const std::string& file) {
    if (!used_.insert(file).second) return nullptr;
    if (used_.size() > kMaxIncludes + 1) {
      if (used_.size() == kMaxIncludes + 2) out_.unseen.push_back({file, "more than " + std::to_string(kMaxIncludes) + " files are included: the rest was not looked at"});
      return nullptr;
    }
    auto documents = texts_.documents(file);
    if (!documents.ok()) {
      add_unread(file, documents.error(), out_);
      return nullptr;
    }
    const Value* root = nullptr;
    for (const ValueDocument& each : **documents) {
      if (!each.root || !each.root->is_mapping()) continue;
      // A header of its own says what may be put in.
      for (const Member& input : Trees::members((*each.root)["spec"]["inputs"])) {
        if (const Value* value = (*input.value).find("default"); value && value->is_scalar()) inputs_.try_emplace(std::string(input.key->scalar()), value->scalar());
      }
      root = each.root;
    }
    if (!root) return nullptr;
    const Value* below = nullptr;
    const Value& include = (*root)["include"];
    std::vector<const Value*> items = Trees::items(include);
    if (!include.is_sequence() && !include.is_null()) items = {&include};
    for (const Value* item : items) below = merged(below, included(*item, file), trees_);
    return merged(below, root, trees_);
  }

  const Value* included(const Value& item, const std::string& file) {
    std::string_view name = item.is_scalar() ? item.scalar() : item["local"].scalar();
    for (std::string_view kind : {"remote", "project", "template", "component"}) {
      if (item.is_mapping() && item.find(kind)) elsewhere(std::string(kind) + " " + std::string(item[kind].scalar()), file);
    }
    if (name.empty()) return nullptr;
    if (name.find("://") != name.npos) {
      elsewhere(std::string(name), file);
      return nullptr;
    }
    for (const Member& input : Trees::members(item["inputs"])) inputs_[std::string(input.key->scalar())] = std::string(input.value->scalar());
    const Value* below = nullptr;
    for (const std::string& path : local_files(name)) below = merged(below, load(path), trees_);
    return below;
  }

  void elsewhere(const std::string& what, const std::string& file) { out_.skipped.push_back({what, "is included by " + file + ", and elsewhere: it is not fetched"}); }

  // Of the repository, whichever file names them.
  std::vector<std::string> local_files(std::string_view name) {
    while (name.starts_with('/')) name.remove_prefix(1);
    if (name.find('*') == name.npos) return {plain_path(repository_ + "/" + std::string(name))};
    std::vector<std::string> found;
    // Only below what stands before the first star.
    std::string_view fixed = name.substr(0, name.find('*'));
    fixed = fixed.substr(0, fixed.rfind('/') == fixed.npos ? 0 : fixed.rfind('/'));
    auto pattern = kustomize::Pattern::parse(glob_expression(name));
    if (!pattern.ok()) {
      out_.unseen.push_back({std::string(name), pattern.error().message});
      return {};
    }
    const std::string from = plain_path(repository_ + "/" + std::string(fixed));
    std::error_code error;
    size_t seen = 0;
    std::filesystem::recursive_directory_iterator at(from, std::filesystem::directory_options::skip_permission_denied, error), end;
    for (; !error && at != end; at.increment(error)) {
      if (++seen > kMaxGlobbed) {
        out_.unseen.push_back({std::string(name), "there are more than " + std::to_string(kMaxGlobbed) + " files below " + from + ": the rest was not looked at"});
        break;
      }
      if (at->path().filename() == ".git") at.disable_recursion_pending();
      std::string path = plain_path(at->path().string());
      std::string below = plain_path(std::filesystem::path(path).lexically_relative(repository_).string());
      // A link to nowhere is an error of its own, not of the walk.
      std::error_code gone;
      if (at->is_regular_file(gone) && pattern->matches(below)) found.push_back(std::move(path));
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  // False: there are none.
  bool jobs(bool hidden) {
    bool any = false;
    for (const Member& member : Trees::members(*root_)) {
      if (!is_job(member.key->scalar(), *member.value, hidden)) continue;
      any = true;
      job(member.key->scalar());
    }
    return any;
  }

  const Value* whole(std::string_view name, size_t depth) {
    const Value* own = root_->find(name);
    const Value* extends = own && own->is_mapping() ? own->find("extends") : nullptr;
    if (!extends || depth > kMaxExtends) return own;
    const Value* below = nullptr;
    if (extends->is_scalar()) below = whole(extends->scalar(), depth + 1);
    for (const Value* each : Trees::items(*extends)) below = merged(below, whole(each->scalar(), depth + 1), trees_);
    return merged(below, own, trees_);
  }

  // !reference [.job, image]: no image is a list, so a list of names is one.
  const Value& resolved(const Value& value, size_t depth = 0) const {
    if (!value.is_sequence() || depth > kMaxReferences) return value;
    const Value* at = root_;
    for (const Value* step : Trees::items(value)) at = at && step->is_scalar() && at->is_mapping() ? at->find(step->scalar()) : nullptr;
    return at && at != root_ ? resolved(*at, depth + 1) : value;
  }

  // What the job says, else what all jobs share.
  const Value* member_of(const Value& job, std::string_view name) const {
    if (const Value* own = job.find(name)) return own;
    if (job["inherit"]["default"].scalar() == "false") return nullptr;
    if (const Value* shared = (*root_)["default"].find(name)) return shared;
    return root_->find(name);
  }

  void job(std::string_view name) {
    const Value* job = whole(name, 0);
    if (!job || !job->is_mapping()) return;
    job_ = job;
    if (const Value* image = member_of(*job, "image")) reference(*image, "/" + std::string(name) + "/image");
    if (const Value* services = member_of(*job, "services")) {
      size_t index = 0;
      for (const Value* each : Trees::items(*services)) reference(*each, "/" + std::string(name) + "/services/" + std::to_string(index++));
    }
    const Value& child = (*job)["trigger"]["include"];
    auto follow = [&](const Value& item) {
      std::string_view local = item.is_scalar() ? item.scalar() : item["local"].scalar();
      if (!local.empty() && local.find("://") == local.npos) children_.push_back(plain_path(repository_ + "/" + std::string(local)));
    };
    if (!child.is_sequence() && !child.is_null()) follow(child);
    for (const Value* item : Trees::items(child)) follow(*item);
  }

  // Also those that no job takes today: the next one will.
  void defaults() {
    static const Value none;
    job_ = &none;
    for (std::string_view name : {"image", "services"}) {
      const Value* shared = (*root_)["default"].find(name);
      if (!shared) shared = root_->find(name);
      if (!shared) continue;
      if (name == "image") reference(*shared, "/default/image");
      for (const Value* each : name == "services" ? Trees::items(*shared) : std::vector<const Value*>{}) reference(*each, "/default/services");
    }
  }

  // A text, or {name, docker: {platform}}.
  void reference(const Value& given, const std::string& path) {
    const Value& value = resolved(given);
    const Value* name = value.is_mapping() ? value.find("name") : &value;
    if (!name) return;
    const Value& text = resolved(*name);
    if (!text.is_scalar() || text.is_null() || text.scalar().empty()) return;
    std::vector<Platform> pinned;
    auto platform = parse_platform(expand(value["docker"]["platform"].scalar(), {}));
    if (platform.ok() && value.is_mapping() && value["docker"].find("platform")) pinned.push_back(*platform);
    for (const std::string& image : expanded(text.scalar())) use(text, image, path, pinned);
  }

  void use(const Value& at, const std::string& image, const std::string& path, const std::vector<Platform>& pinned) {
    if (!known_.emplace(at.followed().begin, image).second) return;
    ImageUse use;
    use.image = image;
    use.place = place_at(locate_(at), path);
    use.role = ImageUse::Role::Job;
    use.pinned = pinned;
    if (image != at.scalar()) use.place.begin = use.place.end = 0;  // what stands there is not the whole of it
    out_.uses.push_back(std::move(use));
  }

  using Values = std::map<std::string, std::string, std::less<>>;

  static std::optional<std::string> variable_in(const Value& variables, std::string_view name) {
    const Value* found = variables.is_mapping() ? variables.find(name) : nullptr;
    if (!found) return std::nullopt;
    return std::string(found->is_mapping() ? (*found)["value"].scalar() : found->scalar());
  }

  std::string expand(std::string_view text, const Values& matrix, size_t depth = 0) const {
    return expand_variables(with_inputs(text), [&](std::string_view name) -> std::optional<std::string> {
      std::optional<std::string> found;
      if (auto at = matrix.find(name); at != matrix.end()) found = at->second;
      if (!found) found = variable_in((*job_)["variables"], name);
      if (!found && (*job_)["inherit"]["variables"].scalar() != "false") found = variable_in((*root_)["variables"], name);
      if (!found || depth > kMaxVariableDepth || ++put_in_ > kMaxVariables || found->size() > kMaxVariableBytes) return std::nullopt;
      return expand(*found, matrix, depth + 1);
    });
  }

  // $[[ inputs.name ]]
  std::string with_inputs(std::string_view text) const {
    std::string out;
    for (size_t at = 0; at < text.size();) {
      size_t open = text.find("$[[", at), close = open == text.npos ? text.npos : text.find("]]", open);
      if (close == text.npos) return out + std::string(text.substr(at));
      out += text.substr(at, open - at);
      std::string_view name = trim(text.substr(open + 3, close - open - 3));
      auto value = name.starts_with("inputs.") ? inputs_.find(trim(name.substr(7, name.find('|') == name.npos ? name.npos : name.find('|') - 7))) : inputs_.end();
      out += value == inputs_.end() ? std::string(text.substr(open, close + 2 - open)) : value->second;
      at = close + 2;
    }
    return out;
  }

  // One text for each job of a matrix that the text differs for.
  std::vector<std::string> expanded(std::string_view text) const {
    std::vector<std::string> found;
    auto add = [&](const Values& values) {
      put_in_ = 0;
      std::string image = expand(text, values);
      if (std::find(found.begin(), found.end(), image) == found.end()) found.push_back(std::move(image));
    };
    for (const Value* entry : Trees::items((*job_)["parallel"]["matrix"])) {
      std::vector<Values> jobs = {Values{}};
      for (const Member& member : Trees::members(*entry)) {
        std::vector<const Value*> choices = Trees::items(*member.value);
        if (member.value->is_scalar()) choices = {member.value};
        std::vector<Values> more;
        for (const Values& before : jobs) {
          for (const Value* choice : choices) {
            if (more.size() >= kMaxMatrix) break;
            more.push_back(before);
            more.back()[std::string(member.key->scalar())] = std::string(choice->scalar());
          }
        }
        if (!more.empty()) jobs = std::move(more);
      }
      for (const Values& values : jobs) add(values);
    }
    if (found.empty()) add({});
    return found;
  }

  kustomize::Texts& texts_;
  Trees& trees_;
  std::set<std::string>& used_;
  Collection& out_;
  Locator locate_ = locator_of(texts_);
  std::string repository_;
  const Value* root_ = nullptr;
  const Value* job_ = nullptr;
  std::map<std::string, std::string, std::less<>> inputs_;
  std::set<std::pair<uint32_t, std::string>> known_;
  std::vector<std::string> children_;
  mutable size_t put_in_ = 0;
};

}  // namespace

Collection collect_gitlab(const std::string& file, std::set<std::string>& used) {
  Collection out;
  out.files = 1;
  ValueArena arena;
  kustomize::Texts texts(arena);
  Trees trees(arena);
  Pipeline(texts, trees, used, out).read(plain_path(file));
  return out;
}

bool is_gitlab_pipeline(std::string_view path) { return path.ends_with(".gitlab-ci.yml") || path.ends_with(".gitlab-ci.yaml") || path.starts_with(".gitlab/") || path.find("/.gitlab/") != path.npos; }

}  // namespace archway::audit
