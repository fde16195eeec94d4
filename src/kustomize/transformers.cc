#include "kustomize/transformers.h"

#include <algorithm>
#include <unordered_map>

#include "kustomize/merge_keys.h"

namespace archway::kustomize {

namespace {

// An entry of `images:`.
struct ImageChange {
  Pattern name;
  std::string new_name, new_tag, digest, tag_suffix;
  const Value* place = nullptr;   // the part that counts most
  bool whole = false;             // `place` holds all that was chosen: an edit there is an edit of the image

  bool empty() const { return new_name.empty() && new_tag.empty() && digest.empty() && tag_suffix.empty(); }
  std::string applied(std::string_view image) const {
    ImageText text = ImageText::split(image);
    if (!new_name.empty()) text.name = new_name;
    if (!new_tag.empty() || !digest.empty()) {
      text.tag = new_tag;
      text.digest = digest;
    } else if (!tag_suffix.empty()) {
      text.tag += tag_suffix;
      text.digest.clear();
    }
    return text.str();
  }
};

// The bounds that kustomize sets to what follows the name.
constexpr std::string_view kTagAndDigest = "(:[a-zA-Z0-9_.{}-]*)?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:[a-zA-Z0-9_.{}-]*)?";

Result<ImageChange> read_change(const Value& entry, ImageParts& parts) {
  ImageChange change;
  std::string name(entry["name"].scalar());
  if (auto alone = Pattern::parse(name); !alone.ok()) return std::move(alone).error().within("images");
  change.name = TRY(Pattern::parse(name + std::string(kTagAndDigest)));
  auto text = [&](std::string_view key) { return entry[key].is_null() ? std::string() : std::string(entry[key].scalar()); };
  change.new_name = text("newName");
  change.new_tag = text("newTag");
  change.digest = text("digest");
  change.tag_suffix = text("tagSuffix");
  if (!change.digest.empty()) {
    change.place = entry.find("digest");
  } else if (!change.new_tag.empty()) {
    change.place = entry.find("newTag");
    change.whole = true;
    parts[change.place->followed().begin] = ImagePart::Tag;
  } else if (!change.new_name.empty()) {
    change.place = entry.find("newName");
    change.whole = true;
    parts[change.place->followed().begin] = ImagePart::Repository;
  } else {
    change.place = entry.find("tagSuffix");
  }
  return change;
}

class ImageWalk {
 public:
  ImageWalk(const ImageChange& change, Trees& trees) : change_(change), trees_(trees) {}

  // Null where nothing changes.
  const Value* scalar(const Value& at) const {
    if (!at.is_scalar() || !change_.name.matches(at.scalar())) return nullptr;
    const Value* made = trees_.string(change_.applied(at.scalar()), &change_.place->followed());
    return change_.whole ? made : trees_.blurred(*made);
  }

  // What an anchor names is looked at once, however many aliases name it.
  const Value* value(const Value& at, size_t depth) {
    if (!at.alias) return here(at, depth);
    auto [known, fresh] = aliased_.try_emplace(at.first, nullptr);
    if (!fresh) return known->second;
    const Value* made = here(at, depth);
    return aliased_[at.first] = made;
  }

 private:
  const Value* here(const Value& at, size_t depth) {
    if (depth > kMaxDepthMet) return nullptr;
    if (at.is_sequence()) {
      std::vector<const Value*> items = Trees::items(at);
      bool changed = false;
      for (const Value*& item : items) {
        if (const Value* made = value(*item, depth + 1)) item = made, changed = true;
      }
      return changed ? trees_.sequence(&at, items) : nullptr;
    }
    if (!at.is_mapping()) return nullptr;
    std::vector<Member> members = Trees::members(at);
    bool changed = false;
    for (Member& member : members) {
      std::string_view name = member.key->scalar();
      const Value* made = value(*member.value, depth + 1);
      if ((name == "containers" || name == "initContainers") && member.value->is_sequence()) {
        const Value* inner = containers(made ? *made : *member.value);
        if (inner) made = inner;
      }
      if (made) member.value = made, changed = true;
    }
    return changed ? trees_.mapping(&at, members) : nullptr;
  }

  const Value* containers(const Value& list) const {
    std::vector<const Value*> items = Trees::items(list);
    bool changed = false;
    for (const Value*& item : items) {
      const Value* image = item->is_mapping() ? item->find("image") : nullptr;
      const Value* made = image ? scalar(*image) : nullptr;
      if (made) item = trees_.with(*item, "image", made), changed = true;
    }
    return changed ? trees_.sequence(&list, items) : nullptr;
  }

  const ImageChange& change_;
  Trees& trees_;
  std::unordered_map<const Value*, const Value*> aliased_;
};

// metadata.NAME, made where it is not there.
const Value* with_metadata(const Value& object, std::string_view name, const Value* value, Trees& trees) {
  const Value* metadata = object.find("metadata");
  const Value* made = metadata && metadata->is_mapping() ? trees.with(*metadata, name, value) : trees.mapping(nullptr, {{trees.string(name, nullptr), value}});
  return trees.with(object, "metadata", made);
}

bool keeps_its_name(const ObjectId& id) {
  return id.kind == "CustomResourceDefinition" || id.kind == "Namespace" || (id.kind == "APIService" && id.group == "apiregistration.k8s.io");
}

template <class F>
void rename(std::vector<Resource>& resources, Trees& trees, const F& renamed) {
  for (Resource& resource : resources) {
    if (keeps_its_name(resource.first())) continue;
    resource.remember();
    const Value& name = (*resource.object)["metadata"]["name"];
    resource.set(with_metadata(*resource.object, "name", trees.string(renamed(name.scalar()), &name), trees));
  }
}

}  // namespace

ImageText ImageText::split(std::string_view image) {
  size_t slash = image.find('/');
  size_t from = slash == image.npos || slash == 0 ? 0 : slash;
  size_t at = image.find('@', from), colon = image.find(':', from);
  ImageText text;
  if (at != image.npos && (colon == image.npos || at < colon)) {
    text.name = std::string(image.substr(0, at));
    text.digest = std::string(image.substr(at + 1));
  } else if (colon != image.npos) {
    text.name = std::string(image.substr(0, colon));
    text.tag = std::string(image.substr(colon + 1, at == image.npos ? image.npos : at - colon - 1));
    if (at != image.npos) text.digest = std::string(image.substr(at + 1));
  } else {
    text.name = std::string(image);
  }
  return text;
}

std::string ImageText::str() const { return name + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest); }

bool Resource::ever_was(const ObjectId& id) const {
  return now.equals(id) || std::any_of(previous.begin(), previous.end(), [&](const ObjectId& each) { return each.equals(id); });
}

void Resource::set(const Value* changed) {
  object = changed;
  if (object) now = ObjectId::of(*object);
}

bool FieldSpec::selects(const ObjectId& id) const {
  return (group.empty() || group == id.group) && (version.empty() || version == id.version) && (kind.empty() || kind == id.kind);
}

namespace {

// kustomize looks twice, once by names and once by paths, and so a tagSuffix comes twice where both find it.
void change_image(const ImageChange& change, const std::vector<FieldSpec>& fields, Resource& resource, Trees& trees) {
  ImageWalk walk(change, trees);
  if (const Value* made = walk.value(*resource.object, 0)) resource.set(made);
  for (const FieldSpec& field : fields) {
    if (!field.selects(resource.now)) continue;
    trees.begin_change();
    const Value* made = change_field(*resource.object, field.path, trees, [&](const Value& at) { return walk.scalar(at); });
    if (made) resource.set(made);
  }
}

}  // namespace

void change_images(const Value& images, const std::vector<FieldSpec>& fields, std::vector<Resource>& resources, Trees& trees, ImageParts& parts, std::vector<std::string>& wrong) {
  for (const Value* entry : Trees::items(images)) {
    auto change = read_change(*entry, parts);
    if (!change.ok()) {
      wrong.push_back(change.error().message);
      continue;
    }
    for (Resource& resource : resources) {
      if (!change->empty() && resource.now.kind != "CustomResourceDefinition") change_image(*change, fields, resource, trees);
    }
  }
}

void change_replicas(const Value& replicas, std::vector<Resource>& resources, Trees& trees, std::vector<std::string>& wrong) {
  for (const Value* entry : Trees::items(replicas)) {
    std::string name((*entry)["name"].scalar());
    bool found = false;
    for (Resource& resource : resources) {
      bool scales = resource.now.kind == "Deployment" || resource.now.kind == "ReplicationController" || resource.now.kind == "ReplicaSet" || resource.now.kind == "StatefulSet";
      bool named = resource.now.name == name || std::any_of(resource.previous.begin(), resource.previous.end(), [&](const ObjectId& id) { return id.name == name; });
      const Value* spec = resource.object->find("spec");
      if (!scales || !named) continue;
      found = true;
      const Value* count = trees.number((*entry)["count"].scalar(), entry->find("count"));
      const Value* made = spec && spec->is_mapping() ? trees.with(*spec, "replicas", count) : trees.mapping(nullptr, {{trees.string("replicas", nullptr), count}});
      resource.set(trees.with(*resource.object, "spec", made));
    }
    if (!found) wrong.push_back("replicas: no object is named " + name);
  }
}

void set_namespace(const Value& name_space, std::vector<Resource>& resources, Trees& trees) {
  for (Resource& resource : resources) {
    resource.remember();
    const Value* value = trees.string(name_space.scalar(), &name_space);
    if (resource.now.kind == "Namespace" && resource.now.api_version() == "v1") resource.set(with_metadata(*resource.object, "name", value, trees));
    if (!is_cluster_scoped(resource.now.api_version(), resource.now.kind)) resource.set(with_metadata(*resource.object, "namespace", value, trees));
  }
}

void add_prefix(std::string_view prefix, std::vector<Resource>& resources, Trees& trees) {
  rename(resources, trees, [&](std::string_view name) { return std::string(prefix) + std::string(name); });
}

void add_suffix(std::string_view suffix, std::vector<Resource>& resources, Trees& trees) {
  rename(resources, trees, [&](std::string_view name) { return std::string(name) + std::string(suffix); });
}

void add_metadata(std::string_view member, const Value& pairs, std::vector<Resource>& resources, Trees& trees) {
  for (Resource& resource : resources) {
    const Value* have = (*resource.object)["metadata"].find(member);
    const Value* made = have && have->is_mapping() ? have : trees.mapping(nullptr, {});
    for (const Member& pair : Trees::members(pairs)) made = trees.with(*made, pair.key->scalar(), trees.string(pair.value->scalar(), &pair.value->followed()));
    resource.set(with_metadata(*resource.object, member, made, trees));
  }
}

}  // namespace archway::kustomize
