#include "audit/compose_reader.h"

#include <algorithm>
#include <set>

#include "audit/collect.h"
#include "audit/finding_id.h"
#include "audit/kubernetes_reader.h"
#include "audit/merged_values.h"
#include "audit/readers.h"
#include "audit/written_image.h"
#include "base/fd.h"
#include "base/text.h"
#include "kustomize/trees.h"

namespace archway::audit {

namespace {

using kustomize::Member;
using kustomize::Trees;

constexpr size_t kMaxExtends = 32;          // services that extend services that extend...
constexpr size_t kMaxComposeFiles = 1000;   // that one includes, directly or through others
constexpr uint64_t kMaxEnvironmentBytes = 1 << 20;
constexpr long kMaxVariables = 100;         // in one value of an environment file
constexpr size_t kMaxValueBytes = 64 << 10;

std::string folder_of(const std::string& file) {
  size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : file.substr(0, slash);
}

std::string in_folder(const std::string& folder, std::string_view name) { return plain_path(name.starts_with('/') ? std::string(name) : folder + "/" + std::string(name)); }

// As compose merges files and services.
const Value* merged(const Value* below, const Value* above, Trees& trees) { return merged_values(below, above, trees, {.join_lists = true, .null_gives_way = true}); }

// One service with all that it extends.
class Services {
 public:
  using Load = std::function<const Value*(const std::string& file)>;
  Services(Trees& trees, Load load) : trees_(trees), load_(std::move(load)) {}

  // `file` is where the service is written; "" where there is none to find others from.
  const Value* whole(const Value& services, std::string_view name, const std::string& file, size_t depth = 0) {
    const Value* service = services.is_mapping() ? services.find(name) : nullptr;
    const Value* extends = service && service->is_mapping() ? service->find("extends") : nullptr;
    if (!extends || depth > kMaxExtends) return service;
    std::string_view base = extends->is_scalar() ? extends->scalar() : (*extends)["service"].scalar();
    const Value* other = extends->is_mapping() ? extends->find("file") : nullptr;
    if (!other) return merged(base == name ? nullptr : whole(services, base, file, depth + 1), service, trees_);
    if (file.empty()) return service;
    const std::string path = in_folder(folder_of(file), other->scalar());
    const Value* root = load_(path);
    return root ? merged(whole((*root)["services"], base, path, depth + 1), service, trees_) : service;
  }

 private:
  Trees& trees_;
  Load load_;
};

class Reader {
 public:
  Reader(const Locator& locate, const Variables& variables, Collection& out) : locate_(locate), variables_(variables), out_(out) {}

  void service(std::string_view name, const Value& service) {
    name_ = name;
    path_ = "/services/" + std::string(name);
    pinned_.clear();
    platform(service);
    placement(service);
    build(service["build"]);
    const Value* image = service.find("image");
    if (image && image->is_scalar() && !image->is_null()) this->image(service, *image);
  }

 private:
  Place place(const Value& at, const std::string& below) const {
    Place place = place_at(locate_(at), path_ + below);
    place.object = "service " + std::string(name_);
    place.kind = "service";
    place.name = std::string(name_);
    return place;
  }

  Finding begin(std::string rule, Place place) const {
    Finding finding;
    finding.rule = std::move(rule);
    finding.severity = Finding::Severity::Warning;
    finding.place = std::move(place);
    return finding;
  }

  void finish(Finding finding) {
    finding.id = finding_id(finding);
    out_.findings.push_back(std::move(finding));
  }

  void platform(const Value& service) {
    const Value* platform = service.find("platform");
    if (!platform || !platform->is_scalar() || platform->is_null()) return;
    auto parsed = parse_platform(expand_variables(platform->scalar(), variables_));
    if (!parsed.ok()) return;
    pinned_.push_back(*parsed);
    Finding finding = begin("compose-platform", place(*platform, "/platform"));
    finding.message = finding.place.object + " is pinned to " + parsed->str() + ": on any other machine it runs emulated, or not at all";
    finding.advice = "remove the line where its image is for other platforms too";
    finding.remedy.kind = Remedy::Kind::DropPlatform;
    finding.remedy.why = "the image is chosen for the machine by itself";
    finish(std::move(finding));
  }

  void placement(const Value& service) {
    size_t index = 0;
    for (const Value* item : Trees::items(service["deploy"]["placement"]["constraints"])) {
      std::string at = "/deploy/placement/constraints/" + std::to_string(index++);
      std::string_view text = item->scalar();
      if (text.find("node.platform.arch") == text.npos || text.find("==") == text.npos) continue;
      if (text.find("x86_64") == text.npos && text.find("amd64") == text.npos) continue;
      Finding finding = begin("arch-selector", place(*item, at));
      finding.message = finding.place.object + " may only run on x86-64 nodes (" + std::string(text) + ")";
      finding.advice = "remove the constraint where its image is for other platforms too";
      finding.remedy.kind = Remedy::Kind::DropArchSelector;
      finding.remedy.why = "the constraint keeps it off the new nodes";
      finish(std::move(finding));
    }
  }

  // Platforms that it is built for, images that the build starts from, and a Dockerfile in the file itself.
  void build(const Value& build) {
    if (!build.is_mapping()) return;
    std::vector<Platform> platforms;
    for (const Value* item : Trees::items(build["platforms"])) {
      auto parsed = parse_platform(expand_variables(item->scalar(), variables_));
      if (parsed.ok()) platforms.push_back(*parsed);
    }
    bool one = !platforms.empty() && std::all_of(platforms.begin(), platforms.end(), [&](const Platform& each) { return each.architecture == platforms[0].architecture; });
    if (one) {
      Finding finding = begin("compose-platform", place(build["platforms"], "/build/platforms"));
      finding.message = finding.place.object + " is built for " + platforms[0].str() + " only";
      finding.advice = "name the other platforms too";
      finish(std::move(finding));
    }
    for (const Member& member : Trees::members(build["additional_contexts"])) context(member.value->scalar(), *member.value, "/build/additional_contexts/" + std::string(member.key->scalar()));
    for (const Value* item : Trees::items(build["additional_contexts"])) {
      std::string_view text = item->scalar();
      context(text.substr(text.find('=') == text.npos ? text.size() : text.find('=') + 1), *item, "/build/additional_contexts");
    }
    if (const Value* text = build.find("dockerfile_inline"); text && text->is_scalar()) dockerfile(*text);
  }

  void context(std::string_view text, const Value& at, const std::string& below) {
    if (!text.starts_with("docker-image://")) return;
    ImageUse use;
    use.image = expand_variables(text.substr(15), variables_);
    use.place = place(at, below);
    use.place.begin = use.place.end = 0;
    use.role = ImageUse::Role::Stage;
    use.name = std::string(name_);
    out_.uses.push_back(std::move(use));
  }

  void dockerfile(const Value& text) {
    Collection part;
    const Place here = place(text, "/build/dockerfile_inline");
    read_dockerfile(text.scalar(), here.source, part);
    auto move = [&](Place& place) {
      place = here;
      place.begin = place.end = 0;
    };
    for (ImageUse& use : part.uses) move(use.place);
    for (Finding& finding : part.findings) {
      move(finding.place);
      finding.id = finding_id(finding);
    }
    out_.merge(std::move(part));
  }

  void image(const Value& service, const Value& image) {
    ImageUse use;
    use.image = expand_variables(image.scalar(), variables_);
    use.place = place(image, "/image");
    use.name = std::string(name_);
    use.pinned = pinned_;
    if (use.image != image.scalar()) use.place.begin = use.place.end = 0;
    if (const Value* build = service.find("build"); build && !build->is_null()) {
      use.skip = "built by this compose file";
      if (auto written = read_image(use.image); written.reference) out_.built.insert(written.reference->name());
    }
    out_.uses.push_back(std::move(use));
  }

  const Locator& locate_;
  const Variables& variables_;
  Collection& out_;
  std::string_view name_;
  std::string path_;
  std::vector<Platform> pinned_;
};

// KEY=value lines, as compose reads them: quotes, `export`, comments, and variables of lines before.
void read_environment(const std::string& file, std::map<std::string, std::string, std::less<>>& values) {
  auto text = read_file(file, kMaxEnvironmentBytes);
  auto known = [&](std::string_view name) -> std::optional<std::string> {
    auto at = values.find(name);
    return at == values.end() ? std::nullopt : std::optional(at->second);
  };
  for (const std::string& line : text.ok() ? split(*text, '\n') : std::vector<std::string>{}) {
    std::string_view rest = trim(line);
    if (rest.starts_with("export ")) rest = trim(rest.substr(7));
    auto [name, value] = cut(rest, '=');
    if (name.empty() || name.starts_with('#') || !value) continue;
    std::string_view bare = trim(*value);
    bool single = bare.starts_with('\''), quoted = single || bare.starts_with('"');
    size_t close = quoted ? bare.find(bare[0], 1) : bare.npos;
    if (quoted && close != bare.npos) {
      bare = bare.substr(1, close - 1);
    } else if (!quoted && bare.find(" #") != bare.npos) {
      bare = trim(bare.substr(0, bare.find(" #")));
    }
    // Values of values grow fast.
    bool expands = !single && std::count(bare.begin(), bare.end(), '$') <= kMaxVariables;
    std::string whole = expands ? expand_variables(bare, known) : std::string(bare);
    if (whole.size() <= kMaxValueBytes) values[std::string(trim(name))] = std::move(whole);
  }
}

// A project: the files that are merged, those that they include, and those that services are extended from.
class Project {
 public:
  Project(kustomize::Texts& texts, Trees& trees, std::set<std::string>& used, size_t& files, Collection& out)
      : texts_(texts), trees_(trees), used_(used), files_(files), out_(out) {}

  void read(std::vector<std::string> paths, const std::vector<std::string>& environments) {
    for (const std::string& file : environments) read_environment(file, values_);
    Variables variables = [this](std::string_view name) -> std::optional<std::string> {
      auto at = values_.find(name);
      return at == values_.end() ? std::nullopt : std::optional(at->second);
    };
    if (auto list = variables("COMPOSE_FILE"); list && paths.size() <= 2 && !paths.empty()) named_files(*list, paths);
    Services services(trees_, [this](const std::string& file) { return load(file); });
    // Each file's services with what they extend, and then one file over the other.
    const Value* all = nullptr;
    for (const std::string& path : paths) {
      const Value* root = load(path);
      if (!root) continue;
      std::vector<Member> whole;
      const Value& own = (*root)["services"];
      for (const Member& member : Trees::members(own)) {
        const Value* service = services.whole(own, member.key->scalar(), path);
        if (service) whole.push_back({member.key, service});
      }
      all = merged(all, trees_.mapping(&own, whole), trees_);
      includes(*root, path, variables);
    }
    if (!all) return;
    Locator locate = locator_of(texts_);
    Reader reader(locate, variables, out_);
    for (const Member& member : Trees::members(*all)) {
      if (member.value->is_mapping()) reader.service(member.key->scalar(), *member.value);
    }
  }

 private:
  // COMPOSE_FILE says which files are one project, and the first of them stands for it.
  void named_files(const std::string& list, std::vector<std::string>& paths) {
    auto separator = values_.find("COMPOSE_PATH_SEPARATOR");
    std::vector<std::string> named;
    for (const std::string& name : split(list, separator != values_.end() && separator->second.size() == 1 ? separator->second[0] : ':')) {
      if (!name.empty()) named.push_back(in_folder(folder_of(paths[0]), name));
    }
    if (!named.empty() && named[0] == paths[0]) paths = std::move(named);
  }

  const Value* load(const std::string& file) {
    used_.insert(file);
    auto documents = texts_.documents(file);
    if (!documents.ok()) {
      if (wrong_.insert(file).second) add_unread(file, documents.error(), out_);
      return nullptr;
    }
    return (*documents)->empty() ? nullptr : (*documents)->front().root;
  }

  // Each is a project of its own, with its folder's variables below these.
  void includes(const Value& root, const std::string& file, const Variables& variables) {
    for (const Value* item : Trees::items(root["include"])) {
      std::vector<std::string> paths, environments;
      auto add = [&](const Value& name) {
        std::string path = expand_variables(name.scalar(), variables);
        if (path.find("://") == path.npos && !path.starts_with("oci:")) return paths.push_back(in_folder(folder_of(file), path));
        out_.skipped.push_back({path, "is included by " + file + ", and elsewhere: it is not fetched"});
      };
      const Value& path = item->is_mapping() ? (*item)["path"] : *item;
      if (path.is_scalar() && !path.scalar().empty()) add(path);
      for (const Value* each : Trees::items(path)) add(*each);
      if (paths.empty() || ++files_ > kMaxComposeFiles) continue;
      const Value& given = (*item)["env_file"];
      if (given.is_scalar() && !given.scalar().empty()) environments.push_back(in_folder(folder_of(file), given.scalar()));
      for (const Value* each : Trees::items(given)) environments.push_back(in_folder(folder_of(file), each->scalar()));
      if (environments.empty()) environments.push_back(in_folder(folder_of(paths[0]), ".env"));
      if (used_.contains(paths[0])) continue;
      Project inner(texts_, trees_, used_, files_, out_);
      inner.read(paths, environments);
    }
  }

  kustomize::Texts& texts_;
  Trees& trees_;
  std::set<std::string>& used_;
  size_t& files_;
  Collection& out_;
  std::map<std::string, std::string, std::less<>> values_;
  std::set<std::string> wrong_;
};

}  // namespace

void add_unread(const std::string& file, const Error& error, Collection& out) {
  auto text = read_file(file, kMaxTextFileBytes);
  if (text.ok() && text->find("{{") != std::string::npos) {
    out.skipped.push_back({file, "a template that has to be rendered first (" + error.message + ")"});
  } else {
    out.unseen.push_back({file, error.message});
  }
}

std::string compose_override(const std::string& file) {
  for (std::string_view base : {"compose", "docker-compose"}) {
    for (std::string_view ending : {".yaml", ".yml"}) {
      std::string name = std::string(base) + std::string(ending);
      if (file != name && !file.ends_with("/" + name)) continue;
      for (std::string_view other : {".override.yaml", ".override.yml"}) {
        std::string path = file.substr(0, file.size() - ending.size()) + std::string(other);
        if (path_exists(path)) return path;
      }
    }
  }
  return {};
}

Collection collect_compose(const std::string& file, std::set<std::string>& used) {
  Collection out;
  out.files = 1;
  ValueArena arena;
  kustomize::Texts texts(arena);
  Trees trees(arena);
  size_t files = 0;
  std::vector<std::string> paths = {plain_path(file)};
  // A manifest may be called so, too.
  auto documents = texts.documents(paths[0]);
  if (documents.ok() && !(*documents)->empty() && is_kubernetes_object(*(*documents)->front().root)) return collect_file(paths[0], {.threads = 1});
  if (std::string more = compose_override(paths[0]); !more.empty()) paths.push_back(more);
  Project(texts, trees, used, files, out).read(paths, {in_folder(folder_of(paths[0]), ".env")});
  return out;
}

void read_compose(const Value& root, const Where& where, const Variables& variables, Collection& out) {
  ValueArena arena;
  Trees trees(arena);
  Services services(trees, [](const std::string&) { return nullptr; });
  Locator locate = locator_of(where.source, where.document);
  Reader reader(locate, variables, out);
  const Value& own = root["services"];
  for (const Member& member : Trees::members(own)) {
    const Value* service = services.whole(own, member.key->scalar(), "");
    if (service && service->is_mapping()) reader.service(member.key->scalar(), *service);
  }
}

}  // namespace archway::audit
