#include "kustomize/builder.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "base/fd.h"
#include "base/text.h"
#include "format/yaml.h"
#include "kustomize/generators.h"
#include "kustomize/json_patch.h"
#include "kustomize/replacements.h"
#include "kustomize/strategic_merge.h"

namespace archway::kustomize {

namespace {

constexpr size_t kMaxListDepth = 8;  // Lists in Lists

std::string plain_path(const std::string& path) { return std::filesystem::path(path).lexically_normal().string(); }

std::string folder_of(const std::string& file) {
  size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : file.substr(0, slash);
}

bool is_folder(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool is_remote(std::string_view resource) {
  if (resource.find("://") != resource.npos || resource.starts_with("git@") || resource.find("?ref=") != resource.npos) return true;
  return resource.starts_with("github.com/");
}

std::string in_folder(const std::string& folder, std::string_view name) {
  return plain_path(name.starts_with('/') ? std::string(name) : folder + "/" + std::string(name));
}

// Where kustomize looks for images without being told.
const std::vector<FieldSpec>& own_image_fields() {
  static const std::vector<FieldSpec> fields = [] {
    std::vector<FieldSpec> all;
    for (const char* spec : {"spec/", "spec/template/spec/"}) {
      for (const char* list : {"containers[]/image", "initContainers[]/image", "volumes[]/image/reference"}) all.push_back({"", "", "", std::string(spec) + list});
    }
    return all;
  }();
  return fields;
}

// What comes together on the way up: objects, and what belongs to all of them until the end.
struct Accumulated {
  std::vector<Resource> resources;
  std::vector<FieldSpec> image_fields = own_image_fields();
  std::vector<FieldSpec> variable_fields;
  std::vector<const Value*> variables;
  bool incomplete = false;        // something is elsewhere: who names it is not wrong

  void add(Accumulated other) {
    auto append = [](auto& to, auto& from) { to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end())); };
    append(resources, other.resources);
    image_fields.insert(image_fields.end(), other.image_fields.begin() + static_cast<ptrdiff_t>(own_image_fields().size()), other.image_fields.end());
    append(variable_fields, other.variable_fields);
    append(variables, other.variables);
    incomplete = incomplete || other.incomplete;
  }
};

}  // namespace

struct Builder::State {
  BuildOptions options;
  ValueArena arena;
  Texts texts{arena};
  Trees trees{arena};
  ImageParts parts;
  std::vector<std::string> stack;
  size_t read = 0;
  Build out;
  std::set<std::string>* named = nullptr;

  explicit State(BuildOptions with) : options(std::move(with)) {}

  void wrong(const std::string& what, std::string why) { out.unseen.push_back({what, std::move(why)}); }
  // What goes amiss because something is elsewhere is no fault of anybody's.
  void amiss(const Accumulated& all, const std::string& what, std::string why) { (all.incomplete ? out.skipped : out.unseen).push_back({what, std::move(why)}); }

  // `into` has what a component is applied to; of a kustomization it is empty.
  void kustomization(const std::string& path, Accumulated& into);
  void document(const Value& root, const std::string& file, Accumulated& all);

  void resources(const Value& root, const std::string& folder, Accumulated& all);
  void resource(const std::string& folder, std::string_view name, Accumulated& all);
  void object(const Value& root, const std::string& file, Accumulated& all, size_t depth);
  void configurations(const Value& root, const std::string& folder, Accumulated& all);
  void generators(const Value& root, const std::string& file, Accumulated& all);
  void charts(const Value& root, const std::string& file, Accumulated& all);
  void chart(const Value& entry, const std::string& home, const Value& root, const std::string& file, Accumulated& all);
  void components(const Value& root, const std::string& folder, Accumulated& all);
  void transformers(const Value& root, const std::string& file, Accumulated& all);
  void replacements(const Value& root, const std::string& folder, const std::string& file, Accumulated& all);

  void strategic_patches(const Value& list, const std::string& file, Accumulated& all);
  void patches(const Value& list, const std::string& file, Accumulated& all);
  void patch(const Value& entry, const std::string& file, Accumulated& all);
  void merge_documents(const std::vector<ValueDocument>& documents, const std::string& source, Accumulated& all);
  Result<void> merge_into(Resource& resource, const Value& patch, bool new_name, bool new_kind);
  void unused(const Value& root, const std::string& file);
};

void Builder::State::kustomization(const std::string& path, Accumulated& into) {
  std::string file = plain_path(path);
  if (std::find(stack.begin(), stack.end(), file) != stack.end()) return wrong(file, "names itself, through " + join(stack, ", "));
  if (++read > kMaxKustomizations) return wrong(file, "more than " + std::to_string(kMaxKustomizations) + " kustomizations: the rest was not looked at");
  named->insert(file);
  struct stat info = {};
  if (::stat(file.c_str(), &info) == 0 && static_cast<uint64_t>(info.st_size) > kMaxKustomizationBytes) return wrong(file, "a kustomization of more than " + std::to_string(kMaxKustomizationBytes >> 20) + " MB");
  auto documents = texts.documents(file);
  if (!documents.ok()) return wrong(file, documents.error().message);
  stack.push_back(file);
  for (const ValueDocument& each : **documents) {
    if (each.root && each.root->is_mapping()) document(*each.root, file, into);
  }
  stack.pop_back();
}

// The order is kustomize's: what there is, then what is made of it, then what components and this file change.
void Builder::State::document(const Value& root, const std::string& file, Accumulated& all) {
  const std::string folder = folder_of(file);
  resources(root, folder, all);
  configurations(root, folder, all);
  generators(root, file, all);
  charts(root, file, all);
  components(root, folder, all);
  transformers(root, file, all);
  unused(root, file);
  for (const Value* variable : Trees::items(root["vars"])) all.variables.push_back(variable);
}

void Builder::State::resources(const Value& root, const std::string& folder, Accumulated& all) {
  for (std::string_view list : {"resources", "bases"}) {
    for (const Value* item : Trees::items(root[list])) resource(folder, item->scalar(), all);
  }
}

void Builder::State::resource(const std::string& folder, std::string_view name, Accumulated& all) {
  if (name.empty() || options.stop.stop_requested()) return;
  std::string path = in_folder(folder, name);
  if (is_remote(name) && !path_exists(path)) {
    all.incomplete = true;
    out.skipped.push_back({std::string(name), "is elsewhere: give the output of kustomize build to see it"});
    return;
  }
  if (is_folder(path)) {
    std::string file = kustomization_in(path);
    if (file.empty()) return wrong(path, "named in " + stack.back() + ", and has no kustomization.yaml");
    Accumulated base;
    kustomization(file, base);
    return all.add(std::move(base));
  }
  named->insert(path);
  if (!path_exists(path)) return wrong(path, "named in " + stack.back() + ", and not there");
  auto documents = texts.documents(path);
  if (!documents.ok()) return wrong(path, documents.error().message);
  for (const ValueDocument& each : **documents) {
    if (each.root && !each.root->is_null()) object(*each.root, path, all, 0);
  }
}

void Builder::State::object(const Value& root, const std::string& file, Accumulated& all, size_t depth) {
  if (root.is_sequence()) {
    for (const Value* item : Trees::items(root)) object(*item, file, all, depth + 1);
    return;
  }
  std::string_view kind = root["kind"].scalar();
  if (kind.ends_with("List") && root["items"].is_sequence() && depth < kMaxListDepth) {
    for (const Value* item : Trees::items(root["items"])) object(*item, file, all, depth + 1);
    return;
  }
  if (kind.empty() || root["apiVersion"].scalar().empty()) return wrong(file, "named in " + stack.back() + ", and holds something at line " + std::to_string(root.line) + " that is no Kubernetes object");
  all.resources.emplace_back(root.followed());
}

// Fields of custom resources that hold images or variables; other fields decide nothing here.
void Builder::State::configurations(const Value& root, const std::string& folder, Accumulated& all) {
  for (const Value* item : Trees::items(root["configurations"])) {
    std::string path = in_folder(folder, item->scalar());
    named->insert(path);
    auto documents = texts.documents(path);
    if (!documents.ok()) {
      wrong(path, documents.error().message);
      continue;
    }
    auto add_fields = [&](const Value& list, std::vector<FieldSpec>& to) {
      for (const Value* spec : Trees::items(list)) {
        auto text = [&](std::string_view key) { return std::string((*spec)[key].scalar()); };
        to.push_back({text("group"), text("version"), text("kind"), text("path")});
      }
    };
    for (const ValueDocument& each : **documents) {
      if (!each.root) continue;
      add_fields((*each.root)["images"], all.image_fields);
      add_fields((*each.root)["varReference"], all.variable_fields);
    }
  }
}

void Builder::State::generators(const Value& root, const std::string& file, Accumulated& all) {
  const std::string folder = folder_of(file);
  for (const Value* entry : Trees::items(root["configMapGenerator"])) {
    Generated made = generate_config_map(*entry, [&](std::string_view name) { return in_folder(folder, name); }, texts, trees);
    for (const std::string& why : made.wrong) wrong(file, "configMapGenerator: " + why);
    if (auto done = absorb(std::move(made), all.resources, trees); !done.ok()) amiss(all, file, "configMapGenerator: " + done.error().message);
  }
}

void Builder::State::charts(const Value& root, const std::string& file, Accumulated& all) {
  std::string_view home = root["helmGlobals"]["chartHome"].scalar();
  for (const Value* entry : Trees::items(root["helmCharts"])) chart(*entry, std::string(home.empty() ? "charts" : home), root, file, all);
  for (const Value* entry : Trees::items(root["helmChartInflationGenerator"])) {
    all.incomplete = true;
    out.skipped.push_back({file, "Helm chart " + std::string((*entry)["chartName"].scalar()) + " is not rendered: give its folder, or the output of kustomize build --enable-helm"});
  }
}

void Builder::State::chart(const Value& entry, const std::string& home, const Value& root, const std::string& file, Accumulated& all) {
  const std::string folder = folder_of(file), name(entry["name"].scalar());
  ChartRequest request;
  request.folder = in_folder(folder, home + "/" + name);
  // kustomize keeps charts of one version in a folder that tells it.
  std::string versioned = in_folder(folder, home + "/" + name + "-" + std::string(entry["version"].scalar()) + "/" + name);
  if (!path_exists(request.folder + "/Chart.yaml") && path_exists(versioned + "/Chart.yaml")) request.folder = versioned;
  auto skip = [&](const std::string& why) {
    all.incomplete = true;
    out.skipped.push_back({file, "Helm chart " + name + " is not rendered" + why + ": give its folder, or the output of kustomize build --enable-helm"});
  };
  if (!path_exists(request.folder + "/Chart.yaml")) return skip(entry["repo"].scalar().empty() ? "" : " (it is in " + std::string(entry["repo"].scalar()) + ")");
  named->insert(request.folder + "/Chart.yaml");
  if (!options.render) return skip(" (there is no helm)");
  request.release = std::string(entry["releaseName"].scalar());
  if (request.release.empty()) request.release = "release-name";
  request.name_space = std::string(entry["namespace"].scalar());
  if (request.name_space.empty()) request.name_space = std::string(root["namespace"].scalar());
  request.kube_version = std::string(entry["kubeVersion"].scalar());
  request.crds = entry["includeCRDs"].scalar() == "true";
  request.tests = entry["skipTests"].scalar() != "true";
  request.hooks = entry["skipHooks"].scalar() != "true";
  std::vector<const Value*> files = Trees::items(entry["additionalValuesFiles"]);
  if (const Value* first = entry.find("valuesFile")) files.insert(files.begin(), first);
  for (const Value* each : files) {
    request.values_files.push_back(in_folder(folder, each->scalar()));
    named->insert(request.values_files.back());
  }
  for (const Value* each : Trees::items(entry["apiVersions"])) request.api_versions.emplace_back(each->scalar());
  if (const Value* values = entry.find("valuesInline")) request.values = to_yaml(json_of_value(*values));
  auto printed = options.render(request);
  if (!printed.ok()) return wrong(request.folder, printed.error().message);
  auto documents = texts.printed(std::move(*printed), request.folder);
  if (!documents.ok()) return wrong(request.folder, "what helm printed is no YAML: " + documents.error().message);
  for (const ValueDocument& each : **documents) {
    if (each.root && each.root->is_mapping()) object(*each.root, request.folder, all, 0);
  }
}

void Builder::State::components(const Value& root, const std::string& folder, Accumulated& all) {
  for (const Value* item : Trees::items(root["components"])) {
    std::string path = in_folder(folder, item->scalar());
    if (is_remote(item->scalar()) && !path_exists(path)) {
      all.incomplete = true;
      out.skipped.push_back({std::string(item->scalar()), "is elsewhere: give the output of kustomize build to see it"});
      continue;
    }
    std::string file = is_folder(path) ? kustomization_in(path) : "";
    if (file.empty()) {
      wrong(path, "named in " + stack.back() + ", and has no kustomization.yaml");
      continue;
    }
    kustomization(file, all);
  }
}

void Builder::State::transformers(const Value& root, const std::string& file, Accumulated& all) {
  std::vector<std::string> faults;
  strategic_patches(root["patchesStrategicMerge"], file, all);
  patches(root["patches"], file, all);
  if (const Value* space = root.find("namespace"); space && !space->scalar().empty()) set_namespace(*space, all.resources, trees);
  if (std::string_view prefix = root["namePrefix"].scalar(); !prefix.empty()) add_prefix(prefix, all.resources, trees);
  if (std::string_view suffix = root["nameSuffix"].scalar(); !suffix.empty()) add_suffix(suffix, all.resources, trees);
  for (const Value* label : Trees::items(root["labels"])) add_metadata("labels", (*label)["pairs"], all.resources, trees);
  if (const Value* labels = root.find("commonLabels")) add_metadata("labels", *labels, all.resources, trees);
  if (const Value* notes = root.find("commonAnnotations")) add_metadata("annotations", *notes, all.resources, trees);
  patches(root["patchesJson6902"], file, all);
  change_replicas(root["replicas"], all.resources, trees, faults);
  for (std::string_view list : {"images", "imageTags"}) change_images(root[list], all.image_fields, all.resources, trees, parts, faults);
  for (std::string& fault : faults) amiss(all, file, std::move(fault));
  replacements(root, folder_of(file), file, all);
}

void Builder::State::replacements(const Value& root, const std::string& folder, const std::string& file, Accumulated& all) {
  auto one = [&](const Value& entry, const std::string& source) {
    if (auto done = replace_fields(entry, all.resources, trees); !done.ok()) amiss(all, source, "replacements: " + done.error().message);
  };
  for (const Value* entry : Trees::items(root["replacements"])) {
    const Value* name = entry->find("path");
    if (!name) {
      one(*entry, file);
      continue;
    }
    std::string path = in_folder(folder, name->scalar());
    named->insert(path);
    auto documents = texts.documents(path);
    if (!documents.ok()) {
      wrong(path, documents.error().message);
      continue;
    }
    for (const ValueDocument& each : **documents) {
      if (!each.root) continue;
      if (each.root->is_mapping()) one(*each.root, path);
      for (const Value* item : Trees::items(*each.root)) one(*item, path);
    }
  }
}

// Each is a file's name, or the text of a patch.
void Builder::State::strategic_patches(const Value& list, const std::string& file, Accumulated& all) {
  for (const Value* item : Trees::items(list)) {
    std::string_view text = item->scalar();
    bool here = text.find('\n') != text.npos || text.find(": ") != text.npos;
    std::string path = here ? file : in_folder(folder_of(file), text);
    if (!here) named->insert(path);
    auto documents = here ? texts.documents(*item) : texts.documents(path);
    if (!documents.ok()) {
      wrong(path, "patchesStrategicMerge: " + documents.error().message);
      continue;
    }
    merge_documents(**documents, path, all);
  }
}

void Builder::State::patches(const Value& list, const std::string& file, Accumulated& all) {
  for (const Value* entry : Trees::items(list)) patch(*entry, file, all);
}

// `patches` and patchesJson6902: {path or patch, target, options}.
void Builder::State::patch(const Value& entry, const std::string& file, Accumulated& all) {
  const Value* text = entry.find("patch");
  std::string path = text ? file : in_folder(folder_of(file), entry["path"].scalar());
  if (!text && entry["path"].scalar().empty()) return wrong(file, "a patch without text or path");
  if (!text) named->insert(path);
  auto documents = text ? texts.documents(*text) : texts.documents(path);
  if (!documents.ok()) return wrong(path, "the patch cannot be read: " + documents.error().message);
  std::vector<const Value*> roots;
  for (const ValueDocument& each : **documents) {
    if (each.root && !each.root->is_null()) roots.push_back(each.root);
  }
  if (roots.empty()) return wrong(path, "the patch is empty");
  if (!entry.find("target")) {
    if (is_json_patch(*roots[0])) return wrong(path, "a JSON patch without a target");
    return merge_documents(**documents, path, all);
  }
  auto target = Target::read(entry["target"]);
  if (!target.ok()) return wrong(file, "a patch's target: " + target.error().message);
  bool json = is_json_patch(*roots[0]);
  if (!json && roots.size() > 1) return wrong(path, "several patches with one target: kustomize refuses them");
  const Value& allowed = entry["options"];
  for (Resource& resource : all.resources) {
    if (!target->matches(*resource.object, resource.first(), resource.now)) continue;
    Result<void> done;
    if (json) {
      resource.remember();
      auto made = json_patch(*resource.object, *roots[0], trees);
      if (made.ok()) resource.set(*made);
      else done = std::move(made).error();
    } else {
      done = merge_into(resource, *roots[0], allowed["allowNameChange"].scalar() == "true", allowed["allowKindChange"].scalar() == "true");
    }
    if (!done.ok()) wrong(path, "the patch does not fit " + resource.now.str() + ": " + done.error().message);
  }
  std::erase_if(all.resources, [](const Resource& resource) { return !resource.object; });
}

// Patches that say themselves what they are for.
void Builder::State::merge_documents(const std::vector<ValueDocument>& documents, const std::string& source, Accumulated& all) {
  for (const ValueDocument& each : documents) {
    if (!each.root || !each.root->is_mapping()) continue;
    ObjectId id = ObjectId::of(*each.root);
    std::vector<Resource*> found;
    for (Resource& resource : all.resources) {
      if (resource.ever_was(id)) found.push_back(&resource);
    }
    if (found.size() != 1) {
      amiss(all, source, "the patch of " + id.str() + (found.empty() ? " matches no object" : " matches several objects") + ": kustomize build refuses it");
      continue;
    }
    auto done = merge_into(*found[0], *each.root, false, false);
    if (!done.ok()) wrong(source, "the patch does not fit " + id.str() + ": " + done.error().message);
    std::erase_if(all.resources, [](const Resource& resource) { return !resource.object; });
  }
}

// What the object is called is not the patch's to change, unless it is told so.
Result<void> Builder::State::merge_into(Resource& resource, const Value& patch, bool new_name, bool new_kind) {
  const Value& before = *resource.object;
  const Value* made = TRY(strategic_merge(before, patch, trees));
  if (!made || Trees::members(*made).empty()) {
    resource.set(nullptr);
    return {};
  }
  if (new_name || new_kind) resource.remember();
  made = trees.with(*made, "apiVersion", before.find("apiVersion"));
  if (!new_kind) made = trees.with(*made, "kind", before.find("kind"));
  if (const Value* metadata = made->find("metadata"); metadata && metadata->is_mapping()) {
    const Value* kept = metadata;
    if (!new_name) kept = trees.with(*kept, "name", before["metadata"].find("name"));
    kept = trees.with(*kept, "namespace", before["metadata"].find("namespace"));
    made = trees.with(*made, "metadata", kept);
  }
  resource.set(made);
  return {};
}

// What would be run, or is not known here.
void Builder::State::unused(const Value& root, const std::string& file) {
  for (std::string_view list : {"generators", "transformers"}) {
    for (const Value* item : Trees::items(root[list])) {
      std::string_view name = item->scalar();
      bool text = name.find('\n') != name.npos;
      if (!text && !is_remote(name)) named->insert(in_folder(folder_of(file), name));
      out.skipped.push_back({file, std::string(list) + ": " + (text ? "a plugin" : std::string(name)) + " is not run: give the output of kustomize build to see what it does"});
    }
  }
  if (root.find("openapi")) out.skipped.push_back({file, "openapi: the schema is not read, and lists of custom resources are replaced, not merged"});
  for (std::string_view list : {"crds", "validators"}) {
    for (const Value* item : Trees::items(root[list])) named->insert(in_folder(folder_of(file), item->scalar()));
  }
}

std::string kustomization_in(const std::string& folder) {
  for (std::string_view name : {"kustomization.yaml", "kustomization.yml", "Kustomization"}) {
    std::string file = folder + "/" + std::string(name);
    if (path_exists(file)) return file;
  }
  return {};
}

Builder::Builder(BuildOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Builder::~Builder() = default;

namespace {

// kustomize's own: objects that are there for tools only are not deployed.
bool is_local(const Value& object) {
  const Value* note = object["metadata"]["annotations"].find("config.kubernetes.io/local-config");
  return note && note->scalar() != "false";
}

bool is_component(const std::vector<ValueDocument>& documents) {
  return std::any_of(documents.begin(), documents.end(), [](const ValueDocument& each) { return each.root && (*each.root)["kind"].scalar() == "Component"; });
}

}  // namespace

Build Builder::build(const std::string& file, std::set<std::string>& named) {
  State& state = *state_;
  state.out = {};
  state.named = &named;
  state.stack.clear();
  state.read = 0;
  state.trees.begin_build();
  Accumulated all;
  // A component that nobody names has nothing to work on.
  if (auto documents = state.texts.documents(plain_path(file)); documents.ok()) all.incomplete = is_component(**documents);
  state.kustomization(file, all);
  std::vector<Variable> variables;
  for (const Value* entry : all.variables) {
    auto variable = read_variable(*entry, all.resources);
    if (variable.ok()) variables.push_back(std::move(*variable));
    else state.amiss(all, plain_path(file), variable.error().message);
  }
  expand_variables(variables, all.variable_fields, all.resources, state.trees);
  if (state.trees.spent()) state.wrong(plain_path(file), "its patches meet more than " + std::to_string(kMaxValuesMetTogether) + " values: the last ones were not applied");
  for (const Resource& resource : all.resources) {
    if (!is_local(*resource.object)) state.out.objects.push_back(resource.object);
  }
  return std::move(state.out);
}

Span Builder::locate(uint32_t begin, uint32_t end, uint32_t line, uint32_t column) const { return state_->texts.locate(begin, end, line, column); }

std::optional<ImagePart> Builder::part_at(uint32_t begin) const {
  auto at = state_->parts.find(begin);
  return at == state_->parts.end() ? std::nullopt : std::optional(at->second);
}

}  // namespace archway::kustomize
