#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "audit/collect.h"
#include "audit/finding_id.h"
#include "audit/pod_reader.h"
#include "audit/readers.h"
#include "audit/written_image.h"
#include "base/fd.h"
#include "base/text.h"

namespace archway::audit {

namespace {

constexpr uint64_t kMaxKustomizationBytes = 8 << 20;
constexpr size_t kMaxKustomizations = 10'000;  // that one names, directly or through others

// An entry of `images:`.
struct Replacement {
  std::string name, new_name, new_tag, digest;
  Place tag_place, digest_place, name_place;
};

std::string folder_of(const std::string& file) {
  size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : file.substr(0, slash);
}

bool is_folder(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string kustomization_in(const std::string& folder) {
  for (std::string_view name : {"kustomization.yaml", "kustomization.yml", "Kustomization"}) {
    std::string file = folder + "/" + std::string(name);
    if (path_exists(file)) return file;
  }
  return {};
}

bool is_remote(std::string_view resource) {
  if (resource.find("://") != resource.npos || resource.starts_with("git@") || resource.find("?ref=") != resource.npos) return true;
  return resource.starts_with("github.com/");
}

// The name of an image as kustomize matches it: without tag and digest, otherwise to the letter.
std::string_view bare_name(std::string_view image) {
  image = image.substr(0, image.find('@'));
  size_t slash = image.rfind('/');
  size_t colon = image.find(':', slash == image.npos ? 0 : slash);
  return image.substr(0, colon);
}

void replace(ImageUse& use, const Replacement& with) {
  std::string_view name = bare_name(use.image);
  std::string rest = use.image.substr(name.size());
  std::string image = with.new_name.empty() ? std::string(name) : with.new_name;
  if (!with.new_tag.empty() || !with.digest.empty()) {
    rest = with.new_tag.empty() ? "" : ":" + with.new_tag;
    if (!with.digest.empty()) rest += "@" + with.digest;
  }
  Place object = use.place;
  auto stand = [&](const Place& at, ImageUse::Part part) {
    use.place.source = at.source;
    use.place.document = at.document;
    use.place.line = at.line;
    use.place.column = at.column;
    use.place.begin = at.begin;
    use.place.end = at.end;
    use.place.path = at.path;
    use.part = part;
  };
  if (!with.new_tag.empty() && with.digest.empty()) stand(with.tag_place, ImageUse::Part::Tag);
  else if (!with.digest.empty()) stand(with.digest_place, ImageUse::Part::Tag), use.place.begin = use.place.end = 0;
  else if (!with.new_name.empty()) stand(with.name_place, ImageUse::Part::Repository);
  use.image = image + rest;
}

class Reader {
 public:
  Reader(const CollectOptions& options, std::set<std::string>& used) : options_(options), used_(used) {}

  Collection read(const std::string& file) {
    Collection out;
    std::string plain = plain_path(file);
    if (std::find(stack_.begin(), stack_.end(), plain) != stack_.end()) {
      out.unseen.push_back({plain, "names itself, through " + join({stack_.begin(), stack_.end()}, ", ")});
      return out;
    }
    if (++read_ > kMaxKustomizations) {
      out.unseen.push_back({plain, "more than " + std::to_string(kMaxKustomizations) + " kustomizations: the rest was not looked at"});
      return out;
    }
    used_.insert(plain);
    auto text = read_file(file, kMaxKustomizationBytes);
    ValueArena arena;
    auto documents = text.ok() ? parse_value_trees(*text, arena) : Result<std::vector<ValueDocument>>(text.error());
    if (!documents.ok()) {
      out.unseen.push_back({plain, documents.error().message});
      return out;
    }
    out.files = 1;
    stack_.push_back(plain);
    for (const ValueDocument& document : *documents) {
      if (document.root && document.root->is_mapping()) this->document(*document.root, plain, out);
    }
    stack_.pop_back();
    return out;
  }

 private:
  void document(const Value& root, const std::string& file, Collection& out) {
    const std::string folder = folder_of(file);
    for (std::string_view list : {"resources", "bases", "components"}) {
      root[list].each_item([&](const Value& item) { resource(folder, std::string(item.scalar()), out); });
    }
    patches(root, folder, out);
    for (std::string_view list : {"helmCharts", "helmChartInflationGenerator"}) {
      root[list].each_item([&](const Value& item) { out.skipped.push_back({file, "Helm chart " + std::string(item["name"].scalar()) + " is not rendered: give its folder, or the output of kustomize build --enable-helm"}); });
    }
    transform(root, file, out);
  }

  void resource(const std::string& folder, const std::string& name, Collection& out) {
    if (name.empty()) return;
    if (is_remote(name)) {
      out.skipped.push_back({name, "is elsewhere: give the output of kustomize build to see it"});
      return;
    }
    std::string path = name.starts_with('/') ? name : folder + "/" + name;
    if (!is_folder(path)) {
      used_.insert(plain_path(path));
      if (path_exists(path)) {
        out.merge(collect_file(plain_path(path), options_));
      } else {
        out.unseen.push_back({plain_path(path), "named in " + stack_.back() + ", and not there"});
      }
      return;
    }
    std::string file = kustomization_in(path);
    if (file.empty()) {
      out.unseen.push_back({plain_path(path), "named in " + stack_.back() + ", and has no kustomization.yaml"});
      return;
    }
    out.merge(read(file));
  }

  // Patches may bring images: files are read as what they are, parts of objects; texts in place likewise.
  void patches(const Value& root, const std::string& folder, Collection& out) {
    for (std::string_view list : {"patches", "patchesStrategicMerge", "patchesJson6902"}) {
      root[list].each_item([&](const Value& item) {
        std::string text(item.is_scalar() ? item.scalar() : item["path"].scalar());
        if (text.empty() || text.find('\n') != text.npos) return;
        std::string path = plain_path(folder + "/" + text);
        used_.insert(path);
        if (path_exists(path)) out.merge(images_only(collect_file(path, options_)));
      });
    }
  }

  // A patch is no workload of its own, and says nothing of placement that the object does not.
  static Collection images_only(Collection patch) {
    patch.workloads.clear();
    for (ImageUse& use : patch.uses) use.workload.reset();
    return patch;
  }

  void transform(const Value& root, const std::string& file, Collection& out) {
    std::string name_space(root["namespace"].scalar());
    for (Workload& workload : out.workloads) {
      if (name_space.empty() || !workload.owner_kind.empty()) continue;
      workload.place.name_space = name_space;
      workload.place.object = object_name(workload.place.kind, name_space, workload.place.name);
    }
    Place base;
    base.source = file;
    size_t index = 0;
    root["images"].each_item([&](const Value& item) {
      std::string at = "/images/" + std::to_string(index++);
      Replacement with{std::string(item["name"].scalar()), std::string(item["newName"].scalar()), std::string(item["newTag"].scalar()), std::string(item["digest"].scalar()), {}, {}, {}};
      with.tag_place = place_of(base, item["newTag"], at + "/newTag");
      with.digest_place = place_of(base, item["digest"], at + "/digest");
      with.name_place = place_of(base, item["newName"], at + "/newName");
      for (ImageUse& use : out.uses) {
        if (bare_name(use.image) == with.name && !with.name.empty()) replace(use, with);
      }
    });
  }

  const CollectOptions& options_;
  std::set<std::string>& used_;
  std::vector<std::string> stack_;
  size_t read_ = 0;
};

}  // namespace

Collection collect_kustomization(const std::string& file, const CollectOptions& options, std::set<std::string>& used) { return Reader(options, used).read(file); }

}  // namespace archway::audit
