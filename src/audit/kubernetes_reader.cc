#include "audit/kubernetes_reader.h"

#include <algorithm>
#include <array>

#include "audit/pod_reader.h"
#include "audit/written_image.h"
#include "base/text.h"
#include "kube/pod_images.h"

namespace archway::audit {

namespace {

constexpr size_t kMaxListDepth = 8;
constexpr size_t kUsualDepth = 16;

// Texts that many objects have in common ("apps/v1", "/spec/template/spec"), so that they are there once.
class Texts {
 public:
  SharedText shared(std::string_view text) {
    SharedText& slot = slots_[std::hash<std::string_view>()(text) % slots_.size()];
    if (slot != text) slot = SharedText(text);
    return slot;
  }

 private:
  std::array<SharedText, 512> slots_;
};

Texts& texts() {
  static thread_local Texts texts;
  return texts;
}

bool any_of(std::string_view key, std::initializer_list<std::string_view> names) { return std::find(names.begin(), names.end(), key) != names.end(); }

// Of several owners the one that the API marks so: controller: true.
const Value* controller_of(const Value& object) {
  const Value* found = nullptr;
  object["metadata"]["ownerReferences"].each_item([&](const Value& owner) {
    if (owner["controller"].scalar() == "true") found = &owner;
  });
  return found;
}

std::string hook_of(const Value& object) {
  const Value& notes = object["metadata"]["annotations"];
  if (const Value* hook = notes.find("helm.sh/hook")) return "Helm hook " + std::string(hook->scalar());
  if (const Value* hook = notes.find("argocd.argoproj.io/hook")) return "Argo CD hook " + std::string(hook->scalar());
  return {};
}

// Walks one document. Where a mapping has `containers`, it is a pod's spec, whoever's it is; the rest goes by the names of keys.
class Walk {
 public:
  Walk(const Where& where, Collection& out) : where_(where), out_(out) {
    base_.source = where.source;
    base_.document = where.document;
    path_.reserve(kUsualDepth);
  }

  void object(const Value& root, std::string_view list_kind, std::string_view list_version) {
    std::string_view kind = root["kind"].scalar(), version = root["apiVersion"].scalar();
    if (kind.empty()) kind = list_kind;
    if (version.empty()) version = list_version;
    if (kind.ends_with("List") && root.find("items")) return list(root, kind, version);
    ++out_.objects;
    if (kind == "CustomResourceDefinition") return;  // schemas speak of images and run none
    name(root, kind, version);
    if (kind == "Node") return node(root);
    if (kind == "Secret") return secret(root);
    if (kind == "ServiceAccount") out_.pull_notes.note_account(root);
    if (any_of(kind, {"Event", "Lease", "EndpointSlice", "ControllerRevision"})) return;
    if (kind == "Pod") ++out_.pods;
    if (const Value* owner = controller_of(root)) {
      owner_kind_ = owner->find("kind") ? std::string((*owner)["kind"].scalar()) : "";
      owner_name_ = std::string((*owner)["name"].scalar());
      if (kind != "Pod") out_.controllers[base_.object] = {owner_kind_, owner_name_};
    }
    hook_ = hook_of(root);
    config_map_ = kind == "ConfigMap";
    root_ = &root;
    find_misplaced(root, base_, out_.findings);
    annotations(root);
    members(root, 0);
  }

  void values(const Value& root, const std::string& default_tag) {
    default_tag_ = default_tag;
    only_values_ = true;
    if (const Value* registry = root["global"].find("imageRegistry")) global_registry_ = std::string(registry->scalar());
    root_ = &root;
    value(root, 0);
  }

 private:
  struct Segment {
    std::string_view key;
    size_t index = 0;
    bool is_index = false;
  };

  SharedText path() const {
    std::string text;
    for (const Segment& segment : path_) {
      text += '/';
      if (segment.is_index) {
        text += std::to_string(segment.index);
      } else if (segment.key.find_first_of("~/") == segment.key.npos) {
        text += segment.key;
      } else {
        text += replace_all(replace_all(std::string(segment.key), "~", "~0"), "/", "~1");
      }
    }
    return texts().shared(text);
  }

  void list(const Value& root, std::string_view kind, std::string_view version) {
    std::string_view item_kind = kind == "List" ? std::string_view() : kind.substr(0, kind.size() - 4);
    if (kind == "List") version = {};
    root["items"].each_item([&](const Value& item) {
      Walk walk(where_, out_);
      if (item.is_mapping() && depth_ < kMaxListDepth) {
        walk.depth_ = depth_ + 1;
        walk.object(item, item_kind, version);
      }
    });
  }

  void name(const Value& root, std::string_view kind, std::string_view version) {
    const Value& meta = root["metadata"];
    base_.kind = texts().shared(kind);
    base_.api_version = texts().shared(version);
    base_.name_space = texts().shared(meta["namespace"].scalar());
    base_.name = meta["name"].scalar();
    if (base_.name.empty()) {
      base_.name = meta["generateName"].scalar();
      if (!base_.name.empty()) base_.name += "*";
    }
    base_.object = object_name(kind, base_.name_space, base_.name);
  }

  void node(const Value& root) {
    auto read = kube::read_node(json_of_value(root));
    if (read.ok()) {
      out_.nodes.push_back(std::move(*read));
    } else {
      out_.unseen.push_back({base_.object, read.error().message});
    }
  }

  void secret(const Value& root) {
    std::string why = out_.pull_notes.note_secret(root);
    if (!why.empty()) out_.skipped.push_back({base_.object, why});
  }

  // What operators keep in annotations; the rest of metadata is memory of tools.
  void annotations(const Value& root) {
    const Value& notes = root["metadata"]["annotations"];
    for (std::string_view key : {"containerImage", "sidecar.istio.io/proxyImage"}) {
      if (const Value* value = notes.find(key)) {
        path_ = {{"metadata"}, {"annotations"}, {key}};
        mention(*value, value->scalar(), Confidence::Likely, key);
      }
    }
    path_.clear();
  }

  void members(const Value& root, size_t depth) {
    root.each_member([&](const Value& key, const Value& member) {
      std::string_view name = key.scalar();
      if (any_of(name, {"metadata", "apiVersion", "kind", "status", "managedFields"})) return;
      path_.push_back({name});
      keyed(key, member, depth + 1);
      path_.pop_back();
    });
  }

  bool spent(size_t depth) {
    if (depth > kMaxDepthWalked) return true;
    if (++walked_ <= kMaxValuesWalked) return false;
    if (walked_ == kMaxValuesWalked + 1) out_.unseen.push_back({where_.source, "aliases repeat more than " + std::to_string(kMaxValuesWalked) + " values: what follows was not looked at"});
    return true;
  }

  void value(const Value& at, size_t depth) {
    if (spent(depth)) return;
    const Value& self = at.followed();
    if (self.kind == Value::Kind::Mapping) return mapping(self, depth);
    if (self.kind == Value::Kind::Sequence) return sequence(self, depth);
  }

  void sequence(const Value& self, size_t depth) {
    size_t index = 0;
    self.each_item([&](const Value& item) {
      path_.push_back({{}, index++, true});
      value(item, depth + 1);
      path_.pop_back();
    });
  }

  // The members that say what a mapping is, found in one pass.
  struct Said {
    const Value* containers = nullptr;
    const Value* name = nullptr;
    const Value* repository = nullptr;
    const Value* image = nullptr;
    const Value* tag = nullptr;
    const Value* digest = nullptr;
    const Value* sha = nullptr;
  };

  static Said said_by(const Value& self) {
    Said said;
    bool merges = false;
    self.each_member([&](const Value& key, const Value& member) {
      std::string_view name = key.scalar();
      if (name == "containers") said.containers = &member;
      else if (name == "name") said.name = &member;
      else if (name == "repository") said.repository = &member;
      else if (name == "image") said.image = &member;
      else if (name == "tag") said.tag = &member;
      else if (name == "digest") said.digest = &member;
      else if (name == "sha") said.sha = &member;
      else if (name == "<<") merges = true;
    });
    if (!merges) return said;
    return {self.find("containers"), self.find("name"), self.find("repository"), self.find("image"), self.find("tag"), self.find("digest"), self.find("sha")};
  }

  void mapping(const Value& self, size_t depth) {
    const Said said = said_by(self);
    const Value* containers = only_values_ ? nullptr : said.containers;
    std::optional<size_t> before = workload_;
    const Value* named_before = named_;
    bool pod = containers && containers->is_sequence() && looks_like_containers(*containers);
    uint32_t note_before = pull_note_;
    if (pod) {
      workload_ = workload(self);
      pull_note_ = out_.pull_notes.note_pod(self, base_.name_space);
    }
    parts(self, said);
    const Value* merged = nullptr;
    self.each_member([&](const Value& key, const Value& member) {
      std::string_view name = key.scalar();
      if (name == "<<" && key.style == Value::Style::Plain) {
        merged = &member;
        return;
      }
      path_.push_back({name});
      if (pod && any_of(name, {"containers", "initContainers", "ephemeralContainers", "volumes"})) {
        pod_list(name, member, depth + 1);
      } else {
        keyed(key, member, depth + 1);
      }
      path_.pop_back();
    });
    if (merged && !spent(depth + 1)) merge(self, *merged, depth + 1);
    workload_ = before;
    pull_note_ = note_before;
    named_ = named_before;
  }

  // Members that come by "<<" and are not replaced here.
  void merge(const Value& self, const Value& merged, size_t depth) {
    auto one = [&](const Value& from) {
      from.each_member([&](const Value& key, const Value& member) {
        if (self.find(key.scalar()) != &member) return;
        path_.push_back({key.scalar()});
        keyed(key, member, depth + 1);
        path_.pop_back();
      });
    };
    if (merged.is_mapping()) one(merged);
    merged.each_item(one);
  }

  static bool looks_like_containers(const Value& containers) {
    bool found = false;
    containers.each_item([&](const Value& item) { found = found || (item.is_mapping() && (item.find("image") || item.find("name"))); });
    return found;
  }

  Place here(const Value& value) const {
    Place place = place_of(base_, value, path());
    return place;
  }

  size_t workload(const Value& spec) {
    Workload workload;
    workload.place = here(spec);
    workload.hook = hook_;
    workload.owner_kind = owner_kind_;
    workload.owner_name = owner_name_;
    workload.is_pod = base_.kind == "Pod";
    workload.placement = read_placement(spec, base_, path());
    workload.pods = 1;
    if (!workload.is_pod) {
      auto replicas = parse_uint((*root_)["spec"]["replicas"].scalar());
      workload.pods = replicas ? *replicas : base_.kind == "CronJob" ? 0 : 1;
      if (base_.kind == "DaemonSet") workload.pods = parse_uint((*root_)["status"]["desiredNumberScheduled"].scalar()).value_or(1);
    }
    out_.workloads.push_back(std::move(workload));
    return out_.workloads.size() - 1;
  }

  void pod_list(std::string_view list, const Value& items, size_t depth) {
    if (spent(depth)) return;
    size_t index = 0;
    items.each_item([&](const Value& item) {
      path_.push_back({{}, index++, true});
      if (list == "volumes") {
        image_volume(item);
      } else {
        container(list, item, depth + 1);
      }
      path_.pop_back();
    });
  }

  void image_volume(const Value& volume) {
    const Value* reference = volume["image"].find("reference");
    if (!reference) return;
    path_.push_back({"image"});
    path_.push_back({"reference"});
    add(*reference, std::string(reference->scalar()), ImageUse::Role::Volume, Confidence::Certain, volume["name"].scalar());
    path_.resize(path_.size() - 2);
  }

  void container(std::string_view list, const Value& item, size_t depth) {
    ImageUse::Role role = ImageUse::Role::Container;
    if (list == "initContainers") role = item["restartPolicy"].scalar() == "Always" ? ImageUse::Role::Sidecar : ImageUse::Role::Init;
    if (list == "ephemeralContainers") role = ImageUse::Role::Ephemeral;
    if (const Value* image = item.find("image"); image && image->is_scalar() && !image->is_null()) {
      path_.push_back({"image"});
      add(*image, std::string(image->scalar()), role, Confidence::Certain, item["name"].scalar());
      path_.pop_back();
    }
    item.each_member([&](const Value& key, const Value& member) {
      if (key.scalar() == "image" && member.is_scalar()) return;
      path_.push_back({key.scalar()});
      keyed(key, member, depth + 1);
      path_.pop_back();
    });
  }

  // A member by the name of its key.
  void keyed(const Value& key, const Value& member, size_t depth) {
    if (spent(depth)) return;
    std::string_view name = key.scalar();
    if (!member.is_scalar()) {
      if (any_of(name, {"args", "command"}) && member.is_sequence()) return arguments(member);
      if (config_map_ && any_of(name, {"data"}) && path_.size() == 1) return config(member);
      if (name == "images" && member.is_sequence()) replacements(member);
      if (any_of(name, {"matchLabels", "labels", "annotations", "openAPIV3Schema", "managedFields"})) return;
      return value(member, depth);
    }
    if (member.is_null()) return;
    std::string_view text = member.scalar();
    if (name == "image" || any_of(name, {"reference", "baseImage"})) {
      if (name == "reference" && (path_.size() < 2 || path_[path_.size() - 2].key != "image")) return;
      return image_member(member, text);
    }
    if (names_image(name)) return mention(member, text, Confidence::Likely, name);
    if (any_of(name, {"value", "default"})) return variable(member, text);
    if (member.followed().style == Value::Style::Literal || member.followed().style == Value::Style::Folded) return;
    if (only_values_) {
      if (auto found = loose_image(text, false)) mention(member, found->image, Confidence::Possible, name);
    }
  }

  // `image: x` in a custom resource or a step: an image by all conventions, if it is written like one.
  void image_member(const Value& member, std::string_view text) {
    WrittenImage written = read_image(text);
    if (!written.reference && !written.templated) return;
    if (std::find(assembled_.begin(), assembled_.end(), &member) != assembled_.end()) return;
    if (only_values_ && !loose_image(text, true)) return;
    bool run = any_of(parent_key(), {"container", "script", "stepTemplate"}) || list_key("steps") || list_key("sidecars") || list_key("containers") || list_key("initContainers");
    bool certain = run && !only_values_;
    ImageUse::Role role = list_key("sidecars") ? ImageUse::Role::Sidecar : run ? ImageUse::Role::Container : ImageUse::Role::Mention;
    add(member, std::string(text), role, certain ? Confidence::Certain : Confidence::Likely, named_ ? named_->scalar() : std::string_view());
  }

  std::string_view parent_key() const { return path_.size() < 2 ? std::string_view() : path_[path_.size() - 2].key; }
  bool list_key(std::string_view name) const { return path_.size() >= 3 && path_[path_.size() - 2].is_index && path_[path_.size() - 3].key == name; }

  void arguments(const Value& items) {
    std::string_view previous;
    size_t index = 0;
    items.each_item([&](const Value& item) {
      path_.push_back({{}, index++, true});
      if (item.is_scalar()) {
        std::string_view text = item.scalar();
        if (text.find('\n') != text.npos) {
          in_text(item, text);
        } else if (auto found = argument_image(text, previous)) {
          add_part(item, *found);
        } else if (text.find(' ') != text.npos) {
          in_text(item, text);
        }
        previous = text;
      }
      path_.pop_back();
    });
  }

  // Argo CD and Flux write kustomize's images as texts: "name=new:tag", or just "name:tag".
  void replacements(const Value& items) {
    size_t index = 0;
    items.each_item([&](const Value& item) {
      path_.push_back({{}, index++, true});
      if (item.is_scalar()) {
        std::string_view text = item.scalar();
        size_t equals = text.find('=');
        if (auto found = loose_image(text.substr(equals == text.npos ? 0 : equals + 1), true)) {
          found->offset += equals == text.npos ? 0 : equals + 1;
          add_part(item, *found);
        }
      }
      path_.pop_back();
    });
  }

  // env: {name, value}; params: {name, default}. The name beside it says what it is.
  void variable(const Value& member, std::string_view text) {
    if (text.find('\n') != text.npos) return in_text(member, text);
    bool hinted = false;
    if (const Value* name = named_) hinted = names_image(name->scalar());
    if (auto found = loose_image(text, hinted)) add_part(member, *found);
    else if (text.find('=') != text.npos) in_text(member, text);
  }

  void config(const Value& data) {
    data.each_member([&](const Value& key, const Value& member) {
      path_.push_back({key.scalar()});
      std::string_view text = member.scalar();
      if (text.find('\n') != text.npos) {
        in_text(member, text);
      } else if (auto found = loose_image(text, names_image(key.scalar()))) {
        add_part(member, *found);
      } else if (!text.empty()) {
        in_text(member, text);
      }
      path_.pop_back();
    });
  }

  void in_text(const Value& member, std::string_view text) {
    for (const LooseImage& found : images_in_text(text)) add_part(member, found, text);
  }

  void mention(const Value& member, std::string_view text, Confidence confidence, std::string_view name) {
    if (auto found = loose_image(text, true)) add(member, found->image, ImageUse::Role::Mention, confidence, name);
  }

  // An image that is only a part of the value. Its span is known where the value stands in the text as it is.
  void add_part(const Value& member, const LooseImage& found, std::string_view text = {}) {
    ImageUse& use = add(member, found.image, ImageUse::Role::Mention, found.confidence, named_ ? named_->scalar() : std::string_view());
    const Value& self = member.followed();
    if (self.line == 0) return;
    bool plain = self.style == Value::Style::Plain, quoted = self.style == Value::Style::SingleQuoted || self.style == Value::Style::DoubleQuoted;
    uint32_t written = self.end - self.begin;
    if ((plain && written == self.text.size()) || (quoted && written == self.text.size() + 2)) {
      uint32_t begin = self.begin + (quoted ? 1 : 0) + static_cast<uint32_t>(found.offset);
      if (found.image.size() == self.text.size()) return;  // the whole value, quotes included
      use.place.begin = begin;
      use.place.end = begin + static_cast<uint32_t>(found.image.size());
      use.place.column += use.place.begin - self.begin;
      return;
    }
    if (found.image.size() == self.text.size()) return;
    use.place.begin = use.place.end = 0;
    if (self.style == Value::Style::Literal) use.place.line += 1 + static_cast<uint32_t>(std::count(text.begin(), text.begin() + static_cast<long>(std::min(found.offset, text.size())), '\n'));
  }

  // {registry, repository, tag, digest}: what Helm's and operators' values have in place of one text.
  void parts(const Value& self, const Said& said) {
    named_ = said.name && said.name->is_scalar() ? said.name : nullptr;
    const Value* repository = said.repository;
    const Value* image = said.image;
    const Value* tag = said.tag;
    if (!repository && image && image->is_scalar() && tag && !said.containers) repository = image;
    const Value* digest = said.digest ? said.digest : said.sha;
    if (!repository || !repository->is_scalar() || (!tag && !digest && (!only_values_ || parent_image().empty()))) return;
    if (repository == image) image = nullptr;
    std::string reference = assembled(self, *repository, tag, digest);
    if (reference.empty()) return;
    bool tagged = tag && tag->is_scalar() && !tag->is_null() && !tag->scalar().empty();
    std::string_view key = tagged ? "tag" : "repository";
    path_.push_back({key});
    ImageUse& use = add(tagged ? *tag : *repository, reference, ImageUse::Role::Mention, Confidence::Likely, {});
    use.part = tagged ? ImageUse::Part::Tag : ImageUse::Part::Repository;
    path_.pop_back();
    assembled_.push_back(repository);
  }

  std::string_view parent_image() const { return !path_.empty() && names_image(path_.back().key) ? path_.back().key : std::string_view(); }

  std::string assembled(const Value& self, const Value& repository, const Value* tag, const Value* digest) const {
    std::string reference = std::string(repository.scalar());
    if (reference.empty()) return {};
    std::string registry(self["registry"].scalar());
    if (!global_registry_.empty()) registry = global_registry_;
    if (registry.empty()) registry = std::string(self["hub"].scalar());
    if (!registry.empty()) reference = registry + "/" + reference;
    std::string version = tag ? std::string(tag->scalar()) : "";
    if (tag && tag->is_null()) version.clear();
    if (version.empty() && (!digest || digest->scalar().empty())) version = default_tag_;
    if (!version.empty()) reference += ":" + version;
    if (digest && !digest->is_null() && !digest->scalar().empty()) {
      std::string hash(digest->scalar());
      reference += "@" + (hash.find(':') == hash.npos ? "sha256:" + hash : hash);
    }
    WrittenImage written = read_image(reference);
    return written.reference || written.templated ? reference : std::string();
  }

  ImageUse& add(const Value& at, std::string image, ImageUse::Role role, Confidence confidence, std::string_view name) {
    ImageUse use;
    std::string_view trimmed = trim(image);
    use.image = trimmed.size() == image.size() ? std::move(image) : std::string(trimmed);
    use.place = here(at.followed());
    use.role = role;
    use.confidence = confidence;
    use.name = std::string(name);
    use.workload = workload_;
    use.keychain = where_.keychain;
    use.pull_note = pull_note_;
    out_.uses.push_back(std::move(use));
    return out_.uses.back();
  }

  const Where& where_;
  Collection& out_;
  Place base_;
  std::string owner_kind_, owner_name_, hook_, default_tag_, global_registry_;
  bool config_map_ = false, only_values_ = false;
  const Value* root_ = nullptr;
  const Value* named_ = nullptr;      // `name` beside the member at hand
  std::vector<const Value*> assembled_;
  std::optional<size_t> workload_;
  uint32_t pull_note_ = 0;            // of the pod at hand
  std::vector<Segment> path_;
  size_t walked_ = 0, depth_ = 0;  // depth of Lists in Lists
};

}  // namespace

bool is_kubernetes_object(const Value& root) { return root.is_mapping() && root["apiVersion"].is_scalar() && !root["apiVersion"].scalar().empty() && !root["kind"].scalar().empty(); }

void read_kubernetes(const Value& root, const Where& where, Collection& out) { Walk(where, out).object(root, {}, {}); }

void read_values(const Value& root, const Where& where, const std::string& default_tag, Collection& out) { Walk(where, out).values(root, default_tag); }

}  // namespace archway::audit
