#include "audit/collection.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

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

class Joiner {
 public:
  explicit Joiner(Collection& all) : all_(all) {
    for (size_t i = 0; i < all.workloads.size(); ++i) {
      const Place& place = all.workloads[i].place;
      if (!place.object.empty()) by_name_.try_emplace(source_group(place.source) + '\n' + place.object, i);
    }
  }

  // Which workload each becomes part of: itself, or the one at the top of what controls it.
  void join() {
    std::vector<size_t> target(all_.workloads.size());
    for (size_t i = 0; i < target.size(); ++i) target[i] = top(i);
    std::vector<size_t> moved(target.size());
    std::vector<Workload> kept;
    for (size_t i = 0; i < target.size(); ++i) {
      if (target[i] != i) continue;
      moved[i] = kept.size();
      kept.push_back(std::move(all_.workloads[i]));
    }
    for (size_t i = 0; i < target.size(); ++i) {
      if (target[i] != i && all_.workloads[i].is_pod) seen_pods_[moved[target[i]]] += all_.workloads[i].pods;
    }
    for (auto [workload, pods] : seen_pods_) kept[workload].pods = std::max(kept[workload].pods, pods);
    for (ImageUse& use : all_.uses) {
      if (use.workload) use.workload = moved[target[*use.workload]];
    }
    all_.workloads = std::move(kept);
  }

 private:
  // Dumps of one cluster come as several files; manifests of two folders may name equal objects and mean two clusters.
  static std::string source_group(const std::string& source) {
    size_t slash = source.rfind('/');
    return slash == std::string::npos ? "" : source.substr(0, slash);
  }

  const std::pair<std::string, std::string>* controller(const std::string& object) const {
    auto at = all_.controllers.find(object);
    return at == all_.controllers.end() ? nullptr : &at->second;
  }

  size_t top(size_t index) {
    const Workload& workload = all_.workloads[index];
    std::string kind = workload.owner_kind, name = workload.owner_name;
    if (kind.empty()) return same(index);
    const std::string group = source_group(workload.place.source);
    size_t found = index;
    std::string object;
    for (int step = 0; step < kMaxOwners && !kind.empty(); ++step) {
      object = object_name(kind, workload.place.name_space, name);
      if (auto at = by_name_.find(group + '\n' + object); at != by_name_.end()) found = at->second;
      if (const auto* above = controller(object)) {
        std::tie(kind, name) = *above;
      } else if (kind == "ReplicaSet" && deployment_of(name)) {
        name = *deployment_of(name);
        kind = "Deployment";
      } else {
        break;
      }
    }
    if (found != index) return found;
    // The owner itself was not among what we were given: all of its pods are one workload, under its name.
    auto [first, fresh] = absent_.try_emplace(group + "\n" + object, index);
    if (fresh) rename(all_.workloads[index], kind, name, object);
    return first->second;
  }

  // The same text read twice: a base that two overlays build on.
  size_t same(size_t index) const {
    const Place& place = all_.workloads[index].place;
    auto at = by_name_.find(source_group(place.source) + '\n' + place.object);
    if (place.object.empty() || at == by_name_.end()) return index;
    const Place& first = all_.workloads[at->second].place;
    bool equal = first.source == place.source && first.document == place.document && first.begin == place.begin && first.path == place.path;
    return equal ? at->second : index;
  }

  static void rename(Workload& workload, const std::string& kind, const std::string& name, const std::string& object) {
    workload.place.object = object;
    workload.place.kind = kind;
    workload.place.name = name;
  }

  Collection& all_;
  std::unordered_map<std::string, size_t> by_name_;   // "folder\nDeployment shop/web"
  std::unordered_map<std::string, size_t> absent_;
  std::map<size_t, uint64_t> seen_pods_;
};

// What a pod says that its Deployment says too is one use.
void fold_uses(std::vector<ImageUse>& uses) {
  std::unordered_map<std::string, size_t> seen;
  std::vector<ImageUse> kept;
  for (ImageUse& use : uses) {
    if (!use.workload) {
      kept.push_back(std::move(use));
      continue;
    }
    std::string key = std::to_string(*use.workload) + '\n' + use.image + '\n' + use.name + '\n' + std::to_string(static_cast<int>(use.role)) + std::to_string(static_cast<int>(use.confidence));
    auto [at, fresh] = seen.try_emplace(std::move(key), kept.size());
    if (fresh) {
      kept.push_back(std::move(use));
    } else {
      ImageUse& first = kept[at->second];
      first.count += use.count;
      // A template is where it is mended, not a pod.
      if (first.place.kind == "Pod" && use.place.kind != "Pod") first.place = std::move(use.place);
    }
  }
  uses = std::move(kept);
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
  size_t shift = workloads.size();
  std::vector<size_t> keys;
  for (Keychain& each : other.keychains) keys.push_back(keychain(std::move(each)));
  for (Workload& workload : other.workloads) workloads.push_back(std::move(workload));
  for (ImageUse& use : other.uses) {
    if (use.workload) *use.workload += shift;
    use.keychain = keys[use.keychain];
    uses.push_back(std::move(use));
  }
  auto append = [](auto& to, auto& from) { to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end())); };
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

void Collection::settle() {
  Joiner(*this).join();
  fold_uses(uses);
  std::unordered_map<std::string, std::string> reasons;   // by image; many uses are of few
  for (ImageUse& use : uses) {
    if (!use.skip.empty()) continue;
    auto [at, fresh] = reasons.try_emplace(use.image);
    if (fresh) at->second = why_skipped(use.image, built);
    use.skip = at->second;
  }
}

}  // namespace archway::audit
