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
  pod.requests = kube::count_requests(*spec, {}, false);
  pod.spec = std::move(spec);
  return pod;
}

}  // namespace

Inventory random_cluster(const RandomClusterOptions& options) {
  Random random(options.seed);
  Inventory inventory;
  for (int i = 0; i < options.nodes; ++i) inventory.nodes.push_back(random_node(random, i));
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

}  // namespace archway::scheduler
