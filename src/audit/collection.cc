#include "audit/collection.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "audit/written_image.h"

namespace archway::audit {

namespace {

constexpr int kMaxOwners = 8;  // ReplicaSet, Deployment, and what operators put above them

// The name that a ReplicaSet of a Deployment has: the Deployment's, and a hash.
std::optional<std::string> deployment_of(const std::string& replica_set) {
  size_t dash = replica_set.rfind('-');
  if (dash == std::string::npos || dash == 0) return std::nullopt;
  std::string_view hash = std::string_view(replica_set).substr(dash + 1);
  // apimachinery's SafeEncodeString: no vowels, no 0, 1 and 3.
  bool encoded = hash.size() >= 5 && hash.size() <= 10 && hash.find_first_not_of("bcdfghjklmnpqrstvwxz2456789") == hash.npos;
  return encoded ? std::optional(replica_set.substr(0, dash)) : std::nullopt;
}

size_t mixed(size_t hash, size_t more) { return (hash ^ more) * 0x9e3779b97f4a7c15u + (hash >> 29); }

// A name as it is looked up. Dumps of one cluster come as several files; manifests of two folders may name equal objects and mean two
// clusters.
struct ObjectKey {
  std::string_view folder, object;
  size_t hash;
  ObjectKey(std::string_view in, std::string_view name) : folder(in), object(name), hash(mixed(std::hash<std::string_view>()(in), std::hash<std::string_view>()(name))) {}
  bool operator==(const ObjectKey&) const = default;
};

// Of keys that know their hash.
struct KnownHash {
  size_t operator()(const auto& key) const { return key.hash; }
};

std::string_view folder_of(std::string_view source) {
  size_t slash = source.rfind('/');
  return slash == source.npos ? std::string_view() : source.substr(0, slash);
}

class Joiner {
 public:
  explicit Joiner(Collection& all) : all_(all), first_(all.workloads.size()) {
    by_name_.reserve(all.workloads.size());
    for (size_t i = 0; i < all.workloads.size(); ++i) {
      const Place& place = all.workloads[i].place;
      first_[i] = place.object.empty() ? i : by_name_.try_emplace(ObjectKey(folder_of(place.source), place.object), i).first->second;
    }
  }

  // Which workload each becomes part of: itself, or the one at the top of what controls it.
  void join() {
    target_.resize(first_.size());
    for (size_t i = 0; i < target_.size(); ++i) target_[i] = top(i);
    std::vector<size_t> ends(target_.size());
    bool any = false;
    for (size_t i = 0; i < ends.size(); ++i) {
      ends[i] = end_of(i);
      any = any || ends[i] != i;
    }
    if (any) move(ends);
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  // What an owner's name leads to.
  struct Owner {
    size_t found = kNone;              // the topmost that we were given
    std::string kind, name, object;    // the topmost that is known by name
    size_t absent = kNone;             // the workload that stands for it, where it was not given
  };

  // What it becomes part of may itself become part of another. Of those that own each other in a circle, one stays.
  size_t end_of(size_t index) {
    size_t at = index;
    for (int step = 0; target_[at] != at; ++step) {
      if (step == kMaxOwners) {
        target_[index] = index;
        return index;
      }
      at = target_[at];
    }
    return at;
  }

  void move(const std::vector<size_t>& ends) {
    std::vector<uint64_t> seen_pods(ends.size());
    for (size_t i = 0; i < ends.size(); ++i) {
      if (ends[i] != i && all_.workloads[i].is_pod) seen_pods[ends[i]] += all_.workloads[i].pods;
    }
    std::vector<size_t> moved(ends.size());
    size_t kept = 0;
    for (size_t i = 0; i < ends.size(); ++i) {
      if (ends[i] != i) continue;
      if (kept != i) all_.workloads[kept] = std::move(all_.workloads[i]);
      all_.workloads[kept].pods = std::max(all_.workloads[kept].pods, seen_pods[i]);
      moved[i] = kept++;
    }
    all_.workloads.resize(kept);
    for (ImageUse& use : all_.uses) {
      if (use.workload) use.workload = moved[ends[*use.workload]];
    }
  }

  size_t top(size_t index) {
    const Workload& workload = all_.workloads[index];
    if (workload.owner_kind.empty()) return same(index);
    const std::string folder(folder_of(workload.place.source));
    const std::string named = object_name(workload.owner_kind, workload.place.name_space, workload.owner_name);
    auto [at, fresh] = owners_.try_emplace(folder + '\n' + named);
    Owner& owner = at->second;
    if (fresh) owner = climb(folder, workload);
    if (owner.found != kNone && owner.found != index) return owner.found;
    // The owner itself was not among what we were given: all of its pods are one workload, under its name.
    if (owner.absent == kNone) {
      auto [first, alone] = absent_.try_emplace(folder + '\n' + owner.object, index);
      if (alone) rename(all_.workloads[index], owner);
      owner.absent = first->second;
    }
    return owner.absent;
  }

  Owner climb(const std::string& folder, const Workload& workload) const {
    Owner owner;
    owner.kind = workload.owner_kind;
    owner.name = workload.owner_name;
    for (int step = 0; step < kMaxOwners && !owner.kind.empty(); ++step) {
      owner.object = object_name(owner.kind, workload.place.name_space, owner.name);
      if (auto at = by_name_.find({folder, owner.object}); at != by_name_.end()) owner.found = at->second;
      if (auto above = all_.controllers.find(owner.object); above != all_.controllers.end()) {
        std::tie(owner.kind, owner.name) = above->second;
      } else if (auto deployment = owner.kind == "ReplicaSet" ? deployment_of(owner.name) : std::nullopt) {
        owner.name = std::move(*deployment);
        owner.kind = "Deployment";
      } else {
        break;
      }
    }
    return owner;
  }

  // The same text read twice: a base that two overlays build on, and neither sends elsewhere than the other.
  size_t same(size_t index) const {
    if (first_[index] == index) return index;
    const Place& place = all_.workloads[index].place;
    const Place& first = all_.workloads[first_[index]].place;
    bool equal = first.source == place.source && first.document == place.document && first.begin == place.begin && first.path == place.path;
    const PodPlacement& one = all_.workloads[first_[index]].placement;
    const PodPlacement& other = all_.workloads[index].placement;
    equal = equal && one.node_selector == other.node_selector && one.affinity == other.affinity && one.tolerations == other.tolerations && one.node_name == other.node_name;
    return equal ? first_[index] : index;
  }

  void rename(Workload& workload, const Owner& owner) {
    old_names_.push_back(workload.place.object);  // by_name_ looks at it
    workload.place.object = owner.object;
    workload.place.kind = owner.kind;
    workload.place.name = owner.name;
  }

  Collection& all_;
  std::vector<size_t> first_, target_;                // the first of that name; what each becomes part of
  std::unordered_map<ObjectKey, size_t, KnownHash> by_name_;
  std::unordered_map<std::string, Owner> owners_;     // by folder and "ReplicaSet shop/web-6d4b75cb6d"
  std::unordered_map<std::string, size_t> absent_;    // by folder and object
  std::vector<SharedText> old_names_;
};

// A use by its place in a vector.
struct UseKey {
  const ImageUse* uses;
  size_t at, hash;
  UseKey(const std::vector<ImageUse>& all, size_t index) : uses(all.data()), at(index), hash(0) {
    const ImageUse& use = all[index];
    hash = mixed(mixed(std::hash<std::string_view>()(use.image), std::hash<std::string_view>()(use.name)), *use.workload * 64 + static_cast<size_t>(use.role) * 8 + static_cast<size_t>(use.confidence));
  }
  bool operator==(const UseKey& other) const {
    const ImageUse& a = uses[at];
    const ImageUse& b = uses[other.at];
    return hash == other.hash && a.workload == b.workload && a.role == b.role && a.confidence == b.confidence && a.image == b.image && a.name == b.name;
  }
};

// What a pod says that its Deployment says too is one use.
void fold_uses(std::vector<ImageUse>& uses) {
  std::unordered_set<UseKey, KnownHash> seen(uses.size());
  size_t kept = 0;
  for (size_t i = 0; i < uses.size(); ++i) {
    if (kept != i) uses[kept] = std::move(uses[i]);
    if (!uses[kept].workload) {
      ++kept;
      continue;
    }
    auto [at, fresh] = seen.emplace(uses, kept);
    if (fresh) {
      ++kept;
      continue;
    }
    ImageUse& first = uses[at->at];
    first.count += uses[kept].count;
    if (first.keychain == 0) first.keychain = uses[kept].keychain;
    // A template is where it is mended, not a pod.
    if (first.place.kind == "Pod" && uses[kept].place.kind != "Pod") first.place = std::move(uses[kept].place);
  }
  uses.resize(kept);
}

std::string why_skipped(const std::string& image, const std::set<std::string>& built) {
  WrittenImage written = read_image(image);
  if (written.templated) return written.why;
  return written.reference && built.contains(written.reference->name()) ? "built from what was given, not pulled" : "";
}

}  // namespace

std::string_view role_name(ImageUse::Role role) {
  switch (role) {
    case ImageUse::Role::Container: return "container";
    case ImageUse::Role::Init: return "init container";
    case ImageUse::Role::Sidecar: return "sidecar";
    case ImageUse::Role::Ephemeral: return "ephemeral container";
    case ImageUse::Role::Volume: return "volume";
    case ImageUse::Role::Stage: return "build stage";
    case ImageUse::Role::Job: return "job";
    case ImageUse::Role::Mention: return "mention";
  }
  return "";
}

std::string object_name(std::string_view kind, std::string_view name_space, std::string_view name) {
  std::string text(kind);
  text += ' ';
  if (!name_space.empty()) text += std::string(name_space) + "/";
  return text + std::string(name);
}

size_t Collection::keychain(Keychain keychain) {
  auto at = std::find(keychains.begin(), keychains.end(), keychain);
  if (at != keychains.end()) return static_cast<size_t>(at - keychains.begin());
  keychains.push_back(std::move(keychain));
  return keychains.size() - 1;
}

void Collection::merge(Collection other) {
  std::vector<Collection> one;
  one.push_back(std::move(other));
  merge(std::move(one));
}

void Collection::merge(std::vector<Collection> others) {
  // Half as much again at the least, where one is merged after the other.
  auto make_room = [&others](auto& list, auto of) {
    size_t count = list.size();
    for (Collection& other : others) count += of(other).size();
    if (count > list.capacity()) list.reserve(std::max(count, list.capacity() + list.capacity() / 2));
  };
  make_room(workloads, [](Collection& from) -> auto& { return from.workloads; });
  make_room(uses, [](Collection& from) -> auto& { return from.uses; });
  for (Collection& other : others) append(other);
}

void Collection::append(Collection& other) {
  size_t shift = workloads.size();
  std::vector<size_t> keys;
  for (Keychain& each : other.keychains) keys.push_back(keychain(std::move(each)));
  std::vector<uint32_t> notes = pull_notes.merge(std::move(other.pull_notes));
  auto append = [](auto& to, auto& from) {
    if (to.empty() && to.capacity() < from.size()) to = std::move(from);
    else to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  for (ImageUse& use : other.uses) {
    if (use.workload) *use.workload += shift;
    use.keychain = keys[use.keychain];
    use.pull_note = notes[use.pull_note];
  }
  append(uses, other.uses);
  append(workloads, other.workloads);
  append(findings, other.findings);
  append(unseen, other.unseen);
  append(skipped, other.skipped);
  append(nodes, other.nodes);
  built.merge(other.built);
  controllers.merge(other.controllers);
  files += other.files;
  objects += other.objects;
  pods += other.pods;
}

// What only now can be known: the secrets that pods ask for, wherever they were.
void Collection::resolve_pull_notes() {
  if (!pull_notes.has_secrets()) return;
  std::unordered_map<uint32_t, size_t> resolved;
  for (ImageUse& use : uses) {
    if (use.keychain != 0 || use.pull_note == 0) continue;
    auto [at, fresh] = resolved.try_emplace(use.pull_note);
    if (fresh) at->second = keychain(pull_notes.keychain(use.pull_note));
    use.keychain = at->second;
  }
}

void Collection::settle() {
  resolve_pull_notes();
  Joiner(*this).join();
  fold_uses(uses);
  std::unordered_map<std::string, std::string> reasons;   // by image; many uses are of few
  for (ImageUse& use : uses) {
    if (!use.skip.empty()) continue;
    auto [at, fresh] = reasons.try_emplace(use.image);
    if (fresh) at->second = why_skipped(use.image, built);
    if (!at->second.empty()) use.skip = at->second;
  }
}

}  // namespace archway::audit
