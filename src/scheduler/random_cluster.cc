#include "scheduler/random_cluster.h"

namespace archway::scheduler {

namespace {

// SplitMix64: small, seeded, the same on every processor.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }
  int below(int bound) { return static_cast<int>(next() % static_cast<uint64_t>(bound)); }
  bool percent(int chance) { return below(100) < chance; }

 private:
  uint64_t state_;
};

constexpr kube::Nanos kMilli = 1'000'000, kMiB = kube::Nanos(1024) * 1024 * 1'000'000'000;
constexpr const char* kZones[] = {"zone-a", "zone-b", "zone-c"};

Node random_node(Random& random, int index) {
  Node node;
  node.meta.name = "node-" + std::to_string(index);
  bool arm = random.percent(33);
  Labels& labels = node.meta.labels;
  labels.set("kubernetes.io/arch", arm ? "arm64" : "amd64");
  labels.set("kubernetes.io/os", "linux");
  labels.set(kHostnameLabel, node.meta.name);
  if (!random.percent(5)) labels.set(kZoneLabel, kZones[random.below(3)]);
  labels.set("disk", random.percent(50) ? "ssd" : "hdd");
  if (arm && random.percent(50)) node.taints.push_back({"arch", "arm64", random.percent(30) ? "PreferNoSchedule" : "NoSchedule"});
  if (random.percent(3)) node.unschedulable = true;
  int size = 1 << random.below(3);
  node.allocatable.milli_cpu = 4000 * size - 80;
  node.allocatable.memory = (int64_t(16384) * size - 1024) * 1024 * 1024;
  node.allocatable.pods = 110;
  return node;
}

kube::NodeSelectorTerm arch_term(std::vector<std::string> values) {
  return {{{"kubernetes.io/arch", kube::SelectorOperator::In, std::move(values)}}, {}, true};
}

kube::Selector app_selector(const std::string& app) { return kube::Selector::from_labels(Labels({{"app", app}})); }

void add_pod_affinity(Random& random, kube::PodSpec& spec, const std::string& name_space, const std::string& app) {
  kube::PodAffinityTerm term;
  term.namespaces = {name_space};
  term.selector = app_selector(app);
  term.topology_key = random.percent(50) ? kHostnameLabel : kZoneLabel;
  bool anti = random.percent(60);
  kube::PodAffinity& affinity = anti ? spec.anti_affinity : spec.affinity;
  affinity.present = true;
  if (anti && term.topology_key == kHostnameLabel && random.percent(40)) {
    affinity.required.push_back(term);
  } else {
    term.weight = 1 + random.below(100);
    affinity.preferred.push_back(term);
  }
}

// What few pods have.
void add_rarities(Random& random, const RandomClusterOptions& options, Pod& pod, kube::PodSpec& spec) {
  std::string node = "node-" + std::to_string(random.below(options.nodes));
  auto term = [&] {
    kube::PodAffinityTerm made;
    made.namespaces = {random.percent(70) ? pod.meta.name_space : "prod"};
    constexpr const char* tiers[] = {"front", "back"};
    made.selector.add({"tier", random.percent(70) ? kube::SelectorOperator::In : kube::SelectorOperator::NotIn, {tiers[random.below(2)]}});
    constexpr const char* keys[] = {"kubernetes.io/hostname", "topology.kubernetes.io/zone", "disk", "rack", "serial"};
    made.topology_key = keys[random.below(5)];
    made.weight = 1 + random.below(100);
    if (random.percent(30)) {
      made.namespace_selector = kube::Selector();
      made.namespace_selector.add({"team", random.percent(50) ? kube::SelectorOperator::In : kube::SelectorOperator::NotIn, {"a"}});
    }
    return made;
  };
  pod.meta.labels.set("tier", random.percent(50) ? "front" : "back");
  if (random.percent(6)) spec.node_affinity.required = std::vector<kube::NodeSelectorTerm>{{{}, {{"metadata.name", kube::SelectorOperator::In, {node}}}, true}};
  if (random.percent(6)) spec.node_selector.set(kHostnameLabel, node);
  if (random.percent(6)) spec.node_affinity.preferred.push_back({1 + random.below(100), {{{kHostnameLabel.data(), kube::SelectorOperator::In, {node}}}, {}, true}});
  if (random.percent(10)) spec.containers[0].requests.set("example.org/gpu", kube::Nanos(1 + random.below(2)) * 1'000'000'000);
  if (random.percent(10)) spec.containers[0].requests.set("ephemeral-storage", kMiB * (1 + random.below(2000)));
  if (random.percent(15)) spec.affinity.required.push_back(term());
  if (random.percent(5)) spec.affinity.required.push_back(term());
  if (random.percent(15)) spec.anti_affinity.required.push_back(term());
  if (random.percent(20)) spec.affinity.preferred.push_back(term());
  if (random.percent(20)) spec.anti_affinity.preferred.push_back(term());
  spec.affinity.present = !spec.affinity.required.empty() || !spec.affinity.preferred.empty();
  spec.anti_affinity.present = !spec.anti_affinity.required.empty() || !spec.anti_affinity.preferred.empty();
  for (int i = random.below(6); i < 2; ++i) {
    kube::SpreadConstraint spread;
    kube::PodAffinityTerm like = term();
    spread.topology_key = like.topology_key;
    spread.selector = random.percent(10) ? kube::Selector() : like.selector;
    spread.max_skew = 1 + random.below(3);
    spread.min_domains = random.percent(20) ? 1 + random.below(5) : 1;
    spread.required = random.percent(40);
    spread.honor_affinity = random.percent(70);
    spread.honor_taints = random.percent(30);
    spec.spread.push_back(std::move(spread));
  }
  if (random.percent(5)) spec.scheduling_gates.push_back("wait");
  if (random.percent(10)) spec.never_preempts = true;
  if (random.percent(8)) spec.volumes.push_back({"data", "claim-" + std::to_string(random.below(4)), false, "", false});
  if (random.percent(4)) spec.volumes.push_back({"disk", "", false, "gce-pd shared", random.percent(50)});
}

// What few nodes have.
void add_rarities(Random& random, Node& node) {
  if (random.percent(50)) node.meta.labels.set("rack", random.percent(20) ? "" : "rack-" + std::to_string(random.below(4)));
  if (random.percent(80)) node.meta.labels.set("serial", "serial-" + node.meta.name);
  if (random.percent(5)) node.meta.labels.erase(kHostnameLabel);
  if (random.percent(5)) node.meta.labels.set(kHostnameLabel, "node-0");
  if (random.percent(3)) node.allocatable.milli_cpu = 0;
  if (random.percent(30)) node.allocatable.scalars.emplace_back("example.org/gpu", 4);
  if (random.percent(70)) node.allocatable.ephemeral_storage = int64_t(8) << 30;
  for (int i = 0; i < 50; ++i) {
    if (random.percent(10)) node.images.push_back({{"image-" + std::to_string(i) + ":latest"}, int64_t(1 + random.below(900)) << 20});
  }
}

void add_rarities(Random& random, Inventory& inventory) {
  inventory.objects.namespaces["prod"].set("team", random.percent(50) ? "a" : "b");
  for (const char* name_space : {"default", "prod"}) {
    for (int i = 0; i < 4; ++i) {
      kube::PersistentVolumeClaim claim;
      claim.meta.name = "claim-" + std::to_string(i);
      claim.meta.name_space = name_space;
      claim.volume = "volume-" + std::to_string(i);
      claim.bound = true;
      claim.access_modes = {random.percent(30) ? "ReadWriteOncePod" : "ReadWriteOnce"};
      inventory.objects.claims[claim.meta.key()] = claim;
      kube::PersistentVolume volume;
      volume.meta.name = claim.volume;
      volume.claim = claim.meta.key();
      if (random.percent(50)) volume.meta.labels.set(kZoneLabel, kZones[random.below(3)]);
      inventory.objects.volumes[volume.meta.name] = volume;
    }
    kube::Service service;
    service.meta.name = "front";
    service.meta.name_space = name_space;
    service.selector.emplace().set("tier", "front");
    if (random.percent(50)) inventory.objects.services[name_space].push_back(std::move(service));
  }
}

Pod random_kind(Random& random, const RandomClusterOptions& options, int index) {
  Pod pod;
  std::string app = "app-" + std::to_string(index);
  pod.meta.name_space = random.percent(50) ? "default" : "prod";
  pod.meta.labels.set("app", app);
  auto spec = std::make_shared<kube::PodSpec>();
  kube::Container container;
  container.name = "c";
  container.image = "image-" + std::to_string(index % 50);
  if (!random.percent(10)) container.requests.set("cpu", kMilli * (50 + 50 * random.below(options.request_steps)));
  if (!random.percent(10)) container.requests.set("memory", kMiB * (64 + 64 * random.below(options.request_steps)));
  if (options.kinds == 0) container.requests.set("cpu", kMilli * (50 + random.below(50 * options.request_steps)));
  if (random.percent(2)) container.ports.push_back({"0.0.0.0", "TCP", 9000 + random.below(3)});
  spec->containers.push_back(std::move(container));
  spec->scheduler_name = "default-scheduler";
  if (random.percent(40)) {
    spec->node_affinity.required.emplace();
    spec->node_affinity.required->push_back(random.percent(50) ? arch_term({"amd64"}) : arch_term({"amd64", "arm64"}));
  }
  if (random.percent(20)) spec->tolerations.push_back({"arch", "Equal", "arm64", ""});
  if (random.percent(20)) {
    kube::SpreadConstraint spread;
    spread.topology_key = random.percent(50) ? kHostnameLabel : kZoneLabel;
    spread.max_skew = 1 + random.below(4);
    spread.required = random.percent(40);
    spread.selector = app_selector(app);
    spread.honor_taints = random.percent(30);
    spec->spread.push_back(std::move(spread));
  }
  if (options.pod_affinity && random.percent(10)) add_pod_affinity(random, *spec, pod.meta.name_space, app);
  if (random.percent(10)) spec->node_affinity.preferred.push_back({1 + random.below(100), {{{"disk", kube::SelectorOperator::In, {"ssd"}}}, {}, true}});
  if (options.priorities) spec->priority = random.below(4) * 100;
  // Half belong to ReplicaSets, which spread by default.
  pod.meta.owners.push_back({random.percent(50) ? "apps/v1" : "batch/v1", "ReplicaSet", app, "uid-" + app, true});
  if (options.variety) add_rarities(random, options, pod, *spec);
  pod.requests = kube::count_requests(*spec, {}, false);
  pod.spec = std::move(spec);
  return pod;
}

}  // namespace

Inventory random_cluster(const RandomClusterOptions& options) {
  Random random(options.seed);
  Inventory inventory;
  for (int i = 0; i < options.nodes; ++i) {
    inventory.nodes.push_back(random_node(random, i));
    if (options.variety) add_rarities(random, inventory.nodes.back());
  }
  if (options.variety) add_rarities(random, inventory);
  std::vector<Pod> kinds;
  for (int i = 0; i < options.kinds; ++i) kinds.push_back(random_kind(random, options, i));
  int total = options.running + options.pending;
  inventory.pods.reserve(static_cast<size_t>(total));
  for (int i = 0; i < total; ++i) {
    Pod pod = kinds.empty() ? random_kind(random, options, i) : kinds[static_cast<size_t>(random.below(options.kinds))];
    pod.meta.name = "pod-" + std::to_string(i);
    if (i < options.running) {
      pod.node_name = inventory.nodes[static_cast<size_t>(random.below(options.nodes))].name();
      pod.started = Time::from_seconds(1'700'000'000 + random.below(1000));
      if (random.percent(3)) pod.meta.deleted = Time::from_seconds(1'700'001'000);
    } else if (options.variety && random.percent(1)) {
      pod.nominated_node = inventory.nodes[static_cast<size_t>(random.below(options.nodes))].name();
    }
    inventory.pods.push_back(std::move(pod));
  }
  for (const Pod& kind : kinds) {
    inventory.objects.owner_selectors["ReplicaSet " + kind.meta.name_space + "/" + kind.meta.owners[0].name] =
        kube::Selector::from_labels(kind.meta.labels);
    if (!options.priorities || !random.percent(30)) continue;
    kube::PodDisruptionBudget budget;
    budget.meta.name = kind.meta.owners[0].name;
    budget.meta.name_space = kind.meta.name_space;
    budget.selector = kube::Selector::from_labels(kind.meta.labels);
    budget.disruptions_allowed = random.below(2);
    inventory.objects.budgets.push_back(std::move(budget));
  }
  inventory.settle();
  return inventory;
}

RandomRun random_run(uint64_t number) {
  RandomRun run;
  RandomClusterOptions& cluster = run.cluster;
  cluster.seed = number;
  cluster.nodes = 2 + static_cast<int>(number % 13);
  cluster.running = static_cast<int>(number * 7 % 40);
  cluster.pending = 10 + static_cast<int>(number * 3 % 60);
  cluster.kinds = static_cast<int>(number % 9);
  cluster.priorities = number % 3 == 0;
  cluster.pod_affinity = number % 4 != 0;
  cluster.variety = number % 2 == 0;
  if (number % 25 == 7) {
    cluster.nodes = 160;
    run.profile.percentage_of_nodes_to_score = 10;
  }
  Random random(number);
  if (random.percent(20)) run.seed = random.next();
  if (random.percent(20)) run.profile.version_minor = 36;
  if (random.percent(10)) run.profile.strategy = Profile::Strategy::MostAllocated;
  if (random.percent(10)) run.profile.fit_resources = {{"cpu", 2}, {"memory", 1}, {"example.org/gpu", 3}};
  if (random.percent(10)) run.profile.ignore_preferred_terms_of_existing_pods = true;
  if (random.percent(10)) run.profile.hard_pod_affinity_weight = random.below(3) * 50;
  if (random.percent(10)) run.profile.default_spread = {};
  if (random.percent(10)) run.profile.system_default_spread = false;
  if (random.percent(10)) run.profile.filters[static_cast<size_t>(random.below(static_cast<int>(kPluginCount)))] = false;
  if (random.percent(20)) run.profile.weights[static_cast<size_t>(kScorers[static_cast<size_t>(random.below(7))])] = random.below(4);
  return run;
}

}  // namespace archway::scheduler
