#include "scheduler/volumes.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace archway::scheduler {

namespace {

using kube::PersistentVolume;
using kube::PersistentVolumeClaim;

constexpr std::string_view kNoProvisioner = "kubernetes.io/no-provisioner";
constexpr std::string_view kBetaZone = "failure-domain.beta.kubernetes.io/zone";
constexpr std::string_view kBetaRegion = "failure-domain.beta.kubernetes.io/region";
constexpr std::string_view kRegionLabel = "topology.kubernetes.io/region";

Refusal refuse(Plugin plugin, Verdict verdict, std::string reason) { return {plugin, verdict, {std::move(reason)}}; }

Refusal unresolvable(Plugin plugin, std::string reason) {
  return refuse(plugin, Verdict::UnschedulableAndUnresolvable, std::move(reason));
}

const PersistentVolumeClaim* find_claim(const ClusterObjects& objects, const Pod& pod, const kube::PodVolume& volume) {
  auto at = objects.claims.find(pod.meta.name_space + "/" + volume.claim);
  return at == objects.claims.end() ? nullptr : &at->second;
}

bool volume_reaches(const PersistentVolume& volume, const Node& node) {
  return !volume.required || any_term_matches(*volume.required, node.name(), node.meta.labels);
}

bool has_modes(const PersistentVolume& volume, const PersistentVolumeClaim& claim) {
  return std::all_of(claim.access_modes.begin(), claim.access_modes.end(), [&](const std::string& mode) {
    return std::find(volume.access_modes.begin(), volume.access_modes.end(), mode) != volume.access_modes.end();
  });
}

// The smallest volume that satisfies the claim on this node; one reserved for the claim goes first.
const PersistentVolume* matching_volume(const ClusterObjects& objects, const PersistentVolumeClaim& claim, const Node& node,
                                        const std::set<const PersistentVolume*>& taken) {
  const PersistentVolume* best = nullptr;
  for (const auto& [name, volume] : objects.volumes) {
    bool reserved = volume.claim == claim.meta.key();
    if (taken.contains(&volume) || volume.capacity < claim.request || !has_modes(volume, claim) || !volume_reaches(volume, node)) continue;
    if (!reserved && (!volume.claim.empty() || volume.storage_class != claim.storage_class)) continue;
    if (!reserved && !volume.phase.empty() && volume.phase != "Available") continue;
    if (reserved) return &volume;
    if (!best || volume.capacity < best->capacity) best = &volume;
  }
  return best;
}

bool can_provision(const ClusterObjects& objects, const PersistentVolumeClaim& claim, const Node& node) {
  auto at = objects.storage_classes.find(claim.storage_class);
  if (at == objects.storage_classes.end()) return false;
  const kube::StorageClass& type = at->second;
  if (type.provisioner.empty() || type.provisioner == kNoProvisioner) return false;
  if (type.allowed_topologies.empty()) return true;
  return std::any_of(type.allowed_topologies.begin(), type.allowed_topologies.end(), [&](const std::vector<kube::Requirement>& term) {
    return !term.empty() && std::all_of(term.begin(), term.end(), [&](const kube::Requirement& each) { return each.matches(node.meta.labels); });
  });
}

// Which driver attaches a claim's volume: that of its volume, else of its class.
std::string driver_of(const ClusterObjects& objects, const PersistentVolumeClaim& claim) {
  auto volume = objects.volumes.find(claim.volume);
  if (volume != objects.volumes.end()) return volume->second.csi_driver;
  auto type = objects.storage_classes.find(claim.storage_class);
  return type == objects.storage_classes.end() ? std::string() : type->second.provisioner;
}

void collect_volumes(const ClusterObjects& objects, const Pod& pod, std::map<std::string, std::set<std::string>>& by_driver) {
  for (const kube::PodVolume& each : pod.spec->volumes) {
    const PersistentVolumeClaim* claim = each.claim.empty() ? nullptr : find_claim(objects, pod, each);
    if (!claim) continue;
    std::string driver = driver_of(objects, *claim);
    if (!driver.empty()) by_driver[driver].insert(claim->meta.key());
  }
}

}  // namespace

VolumeFilter::VolumeFilter(const Cluster& cluster, const Pod& pod) : cluster_(&cluster), pod_(&pod) {
  if (!active()) return;
  pre_filter_ = find_claims();
  if (!pre_filter_) pre_filter_ = find_zones();
  for (const std::string& key : exclusive_) exclusive_conflicts_ += cluster.claim_users(key) > 0;
}

std::optional<Refusal> VolumeFilter::find_claims() {
  const ClusterObjects& objects = cluster_->objects();
  for (const kube::PodVolume& each : pod_->spec->volumes) {
    if (each.claim.empty() || each.ephemeral) continue;
    const PersistentVolumeClaim* claim = find_claim(objects, *pod_, each);
    if (!claim) return unresolvable(Plugin::VolumeRestrictions, "persistentvolumeclaim \"" + each.claim + "\" not found");
    if (claim->read_write_once_pod()) exclusive_.push_back(claim->meta.key());
  }
  bool immediate = false;
  for (const kube::PodVolume& each : pod_->spec->volumes) {
    if (each.claim.empty()) continue;
    const PersistentVolumeClaim* claim = find_claim(objects, *pod_, each);
    auto refused = [](std::string why) { return unresolvable(Plugin::VolumeBinding, std::move(why)); };
    if (!claim) return refused("waiting for ephemeral volume controller to create the persistentvolumeclaim \"" + each.claim + "\"");
    if (claim->lost()) {
      return refused("persistentvolumeclaim \"" + claim->meta.name + "\" bound to non-existent persistentvolume \"" + claim->volume + "\"");
    }
    if (claim->meta.deleted) return refused("persistentvolumeclaim \"" + claim->meta.name + "\" is being deleted");
    auto type = objects.storage_classes.find(claim->storage_class);
    bool waits = type != objects.storage_classes.end() && type->second.wait_for_consumer;
    if (claim->bound) {
      bound_.push_back(claim);
    } else if (waits && claim->volume.empty()) {
      unbound_.push_back(claim);
    } else {
      immediate = true;
    }
  }
  if (immediate) return unresolvable(Plugin::VolumeBinding, "pod has unbound immediate PersistentVolumeClaims");
  return std::nullopt;
}

std::optional<Refusal> VolumeFilter::find_zones() {
  const ClusterObjects& objects = cluster_->objects();
  for (const PersistentVolumeClaim* claim : bound_) {
    auto at = objects.volumes.find(claim->volume);
    if (at == objects.volumes.end()) return unresolvable(Plugin::VolumeZone, "persistentvolume \"" + claim->volume + "\" not found");
    for (std::string_view key : {kBetaZone, kBetaRegion, kZoneLabel, kRegionLabel}) {
      const std::string* value = at->second.meta.labels.find(key);
      // A regional disk names its zones with "__" between.
      if (value) zones_.push_back({std::string(key), split(replace_all(*value, "__", ","), ',')});
    }
  }
  return std::nullopt;
}

void VolumeFilter::count_conflicts(const Pod& other, int64_t delta) {
  for (const kube::PodVolume& each : other.spec->volumes) {
    if (each.claim.empty()) continue;
    std::string key = other.meta.name_space + "/" + each.claim;
    if (std::find(exclusive_.begin(), exclusive_.end(), key) != exclusive_.end()) exclusive_conflicts_ += delta;
  }
}

bool VolumeFilter::disk_conflict(const NodeState& node) const {
  for (const kube::PodVolume& own : pod_->spec->volumes) {
    if (own.disk.empty()) continue;
    for (const Pod* pod : node.pods) {
      for (const kube::PodVolume& other : pod->spec->volumes) {
        bool both_read = own.disk_read_only && other.disk_read_only;
        if (own.disk == other.disk && !both_read) return true;
      }
    }
  }
  return false;
}

bool VolumeFilter::over_limit(const NodeState& node) const {
  const ClusterObjects& objects = cluster_->objects();
  auto limits = objects.csi_nodes.find(node.node->name());
  if (limits == objects.csi_nodes.end()) return false;
  std::map<std::string, std::set<std::string>> wanted, used;
  collect_volumes(objects, *pod_, wanted);
  if (wanted.empty()) return false;
  for (const Pod* pod : node.pods) collect_volumes(objects, *pod, used);
  for (const auto& [driver, limit] : limits->second.limits) {
    if (!wanted.contains(driver)) continue;
    size_t before = used[driver].size();
    used[driver].merge(wanted[driver]);
    if (used[driver].size() > before && static_cast<int64_t>(used[driver].size()) > limit) return true;
  }
  return false;
}

std::vector<std::string> VolumeFilter::binding_conflicts(const Node& node) const {
  const ClusterObjects& objects = cluster_->objects();
  bool bound_reach = true, all_exist = true, unbound_reach = true;
  for (const PersistentVolumeClaim* claim : bound_) {
    auto at = objects.volumes.find(claim->volume);
    if (at == objects.volumes.end()) {
      all_exist = false;
    } else if (!volume_reaches(at->second, node)) {
      bound_reach = false;
    }
  }
  std::set<const PersistentVolume*> taken;
  for (const PersistentVolumeClaim* claim : unbound_) {
    if (!claim->selected_node.empty()) {
      unbound_reach = unbound_reach && claim->selected_node == node.name();
    } else if (const PersistentVolume* volume = matching_volume(objects, *claim, node, taken)) {
      taken.insert(volume);
    } else if (!can_provision(objects, *claim, node)) {
      unbound_reach = false;
    }
  }
  std::vector<std::string> reasons;
  if (!bound_reach) reasons.push_back("node(s) didn't match PersistentVolume's node affinity");
  if (!unbound_reach) reasons.push_back("node(s) didn't find available persistent volumes to bind");
  if (!all_exist) reasons.push_back("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)");
  return reasons;
}

bool VolumeFilter::zone_matches(const Node& node) const {
  const Labels& labels = node.meta.labels;
  bool zoned = labels.find(kBetaZone) || labels.find(kBetaRegion) || labels.find(kZoneLabel) || labels.find(kRegionLabel);
  if (!zoned) return true;
  for (const Zone& zone : zones_) {
    const std::string* value = labels.find(zone.key);
    if (!value && zone.key == kBetaZone) value = labels.find(kZoneLabel);
    if (!value && zone.key == kBetaRegion) value = labels.find(kRegionLabel);
    if (!value || std::find(zone.values.begin(), zone.values.end(), *value) == zone.values.end()) return false;
  }
  return true;
}

std::optional<Refusal> VolumeFilter::check(const NodeState& node) const {
  if (!active()) return std::nullopt;
  if (disk_conflict(node)) return refuse(Plugin::VolumeRestrictions, Verdict::Unschedulable, "node(s) had no available disk");
  if (exclusive_conflicts_ > 0) {
    return refuse(Plugin::VolumeRestrictions, Verdict::Unschedulable,
                  "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod");
  }
  if (over_limit(node)) return refuse(Plugin::NodeVolumeLimits, Verdict::Unschedulable, "node(s) exceed max volume count");
  std::vector<std::string> conflicts = binding_conflicts(*node.node);
  if (!conflicts.empty()) return Refusal{Plugin::VolumeBinding, Verdict::UnschedulableAndUnresolvable, std::move(conflicts)};
  if (!zone_matches(*node.node)) return unresolvable(Plugin::VolumeZone, "node(s) had no available volume zone");
  return std::nullopt;
}

void bind_claims(ClusterObjects& objects, const Pod& pod, const Node& node) {
  for (const kube::PodVolume& each : pod.spec->volumes) {
    auto at = each.claim.empty() ? objects.claims.end() : objects.claims.find(pod.meta.name_space + "/" + each.claim);
    if (at == objects.claims.end() || at->second.bound) continue;
    PersistentVolumeClaim& claim = at->second;
    const PersistentVolume* volume = claim.selected_node.empty() ? matching_volume(objects, claim, node, {}) : nullptr;
    if (volume) {
      objects.volumes.find(volume->meta.name)->second.claim = claim.meta.key();
      claim.volume = volume->meta.name;
      claim.bound = true;
    } else {
      claim.selected_node = node.name();
    }
  }
}

}  // namespace archway::scheduler
