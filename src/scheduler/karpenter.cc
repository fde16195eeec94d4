#include "scheduler/karpenter.h"

#include <algorithm>

#include "base/text.h"
#include "scheduler/instance_types.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kArch = "kubernetes.io/arch";

std::optional<kube::SelectorOperator> operator_of(const std::string& text) {
  using enum kube::SelectorOperator;
  for (auto op : {In, NotIn, Exists, DoesNotExist, Gt, Lt}) {
    if (kube::operator_name(op) == text) return op;
  }
  return std::nullopt;
}

PoolRequirement read_requirement(const Marked& item) {
  PoolRequirement each;
  each.place = item["key"].place();
  each.op = item["operator"]->string();
  each.requirement.key = item["key"]->string();
  for (const Json& value : item["values"]->items()) each.requirement.values.push_back(value.is_string() ? value.string() : to_json(value));
  std::sort(each.requirement.values.begin(), each.requirement.values.end());
  auto op = operator_of(each.op);
  each.requirement.op = op.value_or(kube::SelectorOperator::In);
  each.valid = op.has_value() && !kube::requirement_error(each.requirement);
  return each;
}

std::vector<kube::Taint> read_taints(const Marked& list, const std::string& pool, std::vector<std::pair<SourcePlace, std::string>>& problems) {
  std::vector<kube::Taint> taints;
  for (size_t i = 0; i < list.size(); ++i) {
    auto taint = kube::read_taint(list.item(i).json());
    if (taint.ok()) {
      taints.push_back(std::move(*taint));
    } else {
      problems.push_back({list.item(i).place(), "NodePool " + pool + ": taints[" + std::to_string(i) + "]: " + taint.error().message});
    }
  }
  return taints;
}

// The letters, number and size of "m7gd.2xlarge".
void set_aws_labels(const std::string& type, Labels& labels) {
  auto [family, size] = cut(type, '.');
  if (!size) return;
  labels.set("karpenter.k8s.aws/instance-family", family);
  labels.set("karpenter.k8s.aws/instance-size", *size);
  size_t digit = family.find_first_of("0123456789");
  if (digit == std::string_view::npos) return;
  size_t end = digit;
  while (end < family.size() && family[end] >= '0' && family[end] <= '9') ++end;
  labels.set("karpenter.k8s.aws/instance-category", family.substr(0, digit));
  labels.set("karpenter.k8s.aws/instance-generation", family.substr(digit, end - digit));
}

}  // namespace

const PoolRequirement* NodePool::find(std::string_view key) const {
  for (const PoolRequirement& each : requirements) {
    if (each.requirement.key == key) return &each;
  }
  return nullptr;
}

std::optional<NodePool> read_node_pool(const Marked& object, std::vector<std::pair<SourcePlace, std::string>>& problems) {
  NodePool pool;
  pool.name = object["metadata"]["name"]->string();
  pool.place = object["metadata"]["name"].place();
  pool.api_version = object["apiVersion"]->string();
  if (pool.name.empty()) {
    problems.push_back({object.place(), "a NodePool without metadata.name is left out"});
    return std::nullopt;
  }
  Marked spec = object["spec"]["template"]["spec"];
  pool.weight = object["spec"]["weight"]->integer(0);
  Marked requirements = spec["requirements"];
  for (size_t i = 0; i < requirements.size(); ++i) pool.requirements.push_back(read_requirement(requirements.item(i)));
  pool.taints = read_taints(spec["taints"], pool.name, problems);
  pool.startup_taints = read_taints(spec["startupTaints"], pool.name, problems);
  auto labels = kube::read_labels(object["spec"]["template"]["metadata"]["labels"].json());
  if (labels.ok()) {
    pool.labels = *labels;
  } else {
    problems.push_back({pool.place, "NodePool " + pool.name + ": " + labels.error().message});
  }
  pool.class_kind = spec["nodeClassRef"]["kind"]->string();
  pool.class_name = spec["nodeClassRef"]["name"]->string();
  auto limits = kube::read_resources(object["spec"]["limits"].json());
  if (!limits.ok()) {
    problems.push_back({pool.place, "NodePool " + pool.name + ": limits: " + limits.error().message});
    return pool;
  }
  if (const kube::Nanos* cpu = limits->find("cpu")) pool.limit_milli_cpu = kube::milli_units(*cpu);
  if (const kube::Nanos* memory = limits->find("memory")) pool.limit_memory = kube::whole_units(*memory);
  return pool;
}

NodeClass read_node_class(const Marked& object, const std::string& kind) {
  NodeClass result{kind, object["metadata"]["name"]->string(), object["metadata"]["name"].place(), {}, false};
  for (const Json& term : object["spec"]["amiSelectorTerms"]->items()) {
    if (!term["id"].string().empty()) result.ami_ids.push_back(term["id"].string());
    result.by_alias = result.by_alias || term.has("alias") || term.has("tags") || term.has("name");
  }
  return result;
}

std::vector<InstanceOffer> karpenter_offers(const PriceTable& prices, const std::string& cloud, const std::string& region, const std::vector<std::string>& zones) {
  std::vector<InstanceOffer> offers;
  for (const Price* price : prices.of_region(cloud, region)) {
    auto machine = find_machine(price->type, prices);
    if (!machine || machine->architecture.empty()) continue;
    InstanceOffer offer;
    offer.machine = *machine;
    offer.allocatable = estimated_allocatable(machine->vcpu, machine->memory_gib);
    Labels& labels = offer.labels;
    labels.set(kArch, machine->architecture);
    labels.set("kubernetes.io/os", "linux");
    labels.set("node.kubernetes.io/instance-type", machine->type);
    labels.set("topology.kubernetes.io/region", region);
    if (cloud == "aws") {
      set_aws_labels(machine->type, labels);
      labels.set("karpenter.k8s.aws/instance-cpu", std::to_string(machine->vcpu));
      labels.set("karpenter.k8s.aws/instance-memory", std::to_string(static_cast<int64_t>(machine->memory_gib * 1024)));
    }
    for (const std::string& zone : zones) {
      offer.zone = zone;
      labels.set(kZoneLabel, zone);
      for (const char* type : {"on-demand", "spot"}) {
        bool spot = std::string_view(type) == "spot";
        if (spot && !price->spot) continue;
        offer.price = spot ? *price->spot : price->on_demand;
        offer.capacity_type = type;
        labels.set("karpenter.sh/capacity-type", type);
        offers.push_back(offer);
      }
    }
  }
  std::stable_sort(offers.begin(), offers.end(), [](const InstanceOffer& a, const InstanceOffer& b) {
    return a.price != b.price ? a.price < b.price : a.machine.type < b.machine.type;
  });
  return offers;
}

bool offer_satisfies(const InstanceOffer& offer, const std::vector<kube::Requirement>& requirements) {
  return std::all_of(requirements.begin(), requirements.end(), [&](const kube::Requirement& each) { return each.matches(offer.labels); });
}

namespace {

// What a pod wants, in the form that Karpenter relaxes step by step (scheduling/preferences.go): the first of its required terms, and its
// heaviest preference as if that were required too.
struct Wishes {
  std::vector<std::vector<kube::Requirement>> required;  // alternatives
  std::vector<std::pair<int64_t, std::vector<kube::Requirement>>> preferred;  // heaviest first
  bool tolerates_preferred = false;

  explicit Wishes(const Pod& pod) {
    const kube::NodeAffinity& affinity = pod.spec->node_affinity;
    if (affinity.required) {
      for (const kube::NodeSelectorTerm& term : *affinity.required) required.push_back(term.expressions);
    }
    for (const kube::PreferredNodeTerm& term : affinity.preferred) preferred.push_back({term.weight, term.term.expressions});
    std::stable_sort(preferred.begin(), preferred.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  }

  std::vector<kube::Requirement> all(const Pod& pod) const {
    std::vector<kube::Requirement> list;
    for (const auto& [key, value] : pod.spec->node_selector) list.push_back({key, kube::SelectorOperator::In, {value}});
    if (!required.empty()) list.insert(list.end(), required[0].begin(), required[0].end());
    if (!preferred.empty()) list.insert(list.end(), preferred[0].second.begin(), preferred[0].second.end());
    return list;
  }

  // What was given up; "" where there is nothing left to give.
  std::string relax() {
    if (required.size() > 1) {
      required.erase(required.begin());
      return "the first of its required node affinity terms";
    }
    if (!preferred.empty()) {
      int64_t weight = preferred[0].first;
      preferred.erase(preferred.begin());
      return "its preferred node affinity of weight " + std::to_string(weight);
    }
    if (!tolerates_preferred) {
      tolerates_preferred = true;
      return "its dislike of PreferNoSchedule taints";
    }
    return "";
  }
};

// A node that is being planned.
struct Plan {
  const NodePool* pool = nullptr;
  std::vector<kube::Requirement> requirements;
  Labels fixed;                     // of the pool, and what pods asked for of keys that nothing defines
  std::vector<const InstanceOffer*> offers;
  kube::Resources requested;
  int64_t pods_used = 0;
  std::vector<kube::HostPort> ports;
  std::vector<const Pod*> pods;
};

bool fits_size(const InstanceOffer& offer, const kube::Resources& used, int64_t pods) {
  const kube::Resources& have = offer.allocatable;
  for (const auto& [name, amount] : used.scalars) {
    if (amount > have.scalar(name)) return false;
  }
  return used.milli_cpu <= have.milli_cpu && used.memory <= have.memory && used.ephemeral_storage <= have.ephemeral_storage && pods <= have.pods;
}

class Provisioner {
 public:
  Provisioner(World& world, const std::vector<NodePool>& pools, const std::vector<InstanceOffer>& offers, size_t named) : world_(world), offers_(offers), named_(named) {
    for (const NodePool& pool : pools) pools_.push_back(&pool);
    std::stable_sort(pools_.begin(), pools_.end(), [](const NodePool* a, const NodePool* b) { return a->weight != b->weight ? a->weight > b->weight : a->name > b->name; });
  }

  KarpenterResult run() {
    std::vector<const Pod*> queue = world_.pending();
    std::stable_sort(queue.begin(), queue.end(), [](const Pod* a, const Pod* b) {
      const kube::Resources &x = a->requests.real, &y = b->requests.real;
      if (x.milli_cpu != y.milli_cpu) return x.milli_cpu > y.milli_cpu;
      if (x.memory != y.memory) return x.memory > y.memory;
      if (a->meta.created && b->meta.created && *a->meta.created != *b->meta.created) return *a->meta.created < *b->meta.created;
      return a->meta.uid != b->meta.uid ? a->meta.uid < b->meta.uid : a->meta.key() < b->meta.key();
    });
    for (const Pod* pod : queue) place(*pod);
    for (const Plan& plan : plans_) finish(plan);
    return std::move(result_);
  }

 private:
  void place(const Pod& pod) {
    const kube::PodSpec& spec = *pod.spec;
    bool unmodelled = !spec.affinity.required.empty() || !spec.anti_affinity.required.empty() ||
                      std::any_of(spec.spread.begin(), spec.spread.end(), [](const kube::SpreadConstraint& each) { return each.required; }) || !spec.volumes.empty();
    if (unmodelled && !said_unmodelled_) {
      said_unmodelled_ = true;
      result_.notes.push_back("spreading, affinity to other pods and volumes are not modelled for Karpenter; such pods are placed as if they had none");
    }
    Wishes wishes(pod);
    std::string why;
    for (;;) {
      if (add_to_plans(pod, wishes) || add_new_plan(pod, wishes, why)) return;
      std::string given_up = wishes.relax();
      if (given_up.empty()) break;
      result_.relaxed.push_back({pod.meta.key(), given_up});
    }
    result_.unplaced.push_back({&pod, why});
  }

  bool tolerates(const Pod& pod, const Plan& plan, const Wishes& wishes, std::string& why) const {
    for (const kube::Taint& taint : plan.pool->taints) {
      bool soft = taint.effect == kube::kPreferNoSchedule;
      if ((soft && wishes.tolerates_preferred) || kube::tolerated(taint, pod.spec->tolerations)) continue;
      why = "it does not tolerate " + taint.str();
      return false;
    }
    return true;
  }

  // Keys that neither the pool nor any offer defines make a pod impossible to place, unless it only asks for their absence.
  bool try_add(Plan& plan, const Pod& pod, const Wishes& wishes, std::string& why) {
    if (!tolerates(pod, plan, wishes, why)) return false;
    if (ports_conflict(pod.spec->host_ports(), plan.ports)) {
      why = "its host ports are taken";
      return false;
    }
    std::vector<kube::Requirement> wanted;
    for (const kube::Requirement& each : wishes.all(pod)) {
      bool of_pool = plan.fixed.find(each.key) != nullptr;
      if (of_pool && !each.matches(plan.fixed)) {
        why = "the pool's label " + each.key + " is another";
        return false;
      }
      if (!of_pool) wanted.push_back(each);
    }
    kube::Resources used = plan.requested;
    used.add(pod.requests.real, 1);
    std::vector<const InstanceOffer*> left;
    bool matched = false;
    for (const InstanceOffer* offer : plan.offers) {
      if (!offer_satisfies(*offer, wanted)) continue;
      matched = true;
      if (fits_size(*offer, used, plan.pods_used + 1)) left.push_back(offer);
    }
    if (left.empty()) {
      why = matched ? "no type that the pool allows is large enough" : "no type that the pool allows is what it asks for";
      return false;
    }
    plan.offers = std::move(left);
    plan.requested = std::move(used);
    ++plan.pods_used;
    for (kube::HostPort& port : pod.spec->host_ports()) plan.ports.push_back(std::move(port));
    plan.pods.push_back(&pod);
    return true;
  }

  bool add_to_plans(const Pod& pod, const Wishes& wishes) {
    std::vector<size_t> order(plans_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return plans_[a].pods.size() < plans_[b].pods.size(); });
    std::string why;
    return std::any_of(order.begin(), order.end(), [&](size_t i) { return try_add(plans_[i], pod, wishes, why); });
  }

  bool add_new_plan(const Pod& pod, const Wishes& wishes, std::string& why) {
    why.clear();
    for (const NodePool* pool : pools_) {
      std::string reason;
      Plan plan = empty_plan(*pool);
      if (plan.offers.empty()) {
        const PoolRequirement* capacity = pool->find("karpenter.sh/capacity-type");
        bool only_spot = capacity && capacity->requirement.op == kube::SelectorOperator::In && capacity->requirement.values == std::vector<std::string>{"spot"};
        bool any_spot = std::any_of(offers_.begin(), offers_.end(), [](const InstanceOffer& offer) { return offer.capacity_type == "spot"; });
        reason = only_spot && !any_spot ? "it wants spot machines, and no spot price is known" : "its requirements and limits leave no type";
      } else if (try_add(plan, pod, wishes, reason)) {
        plans_.push_back(std::move(plan));
        return true;
      }
      why += (why.empty() ? "" : "; ") + pool->name + ": " + reason;
    }
    if (pools_.empty()) why = "there is no NodePool";
    return false;
  }

  Plan empty_plan(const NodePool& pool) {
    Plan plan;
    plan.pool = &pool;
    plan.fixed = pool.labels;
    plan.fixed.set("karpenter.sh/nodepool", pool.name);
    for (const PoolRequirement& each : pool.requirements) {
      if (each.valid) plan.requirements.push_back(each.requirement);
    }
    std::vector<kube::Requirement> of_offers;
    for (const kube::Requirement& each : plan.requirements) {
      // A requirement with one value on a key of one's own is a label.
      bool known = !offers_.empty() && (offers_[0].labels.find(each.key) != nullptr || each.key == "node.kubernetes.io/windows-build");
      if (known) {
        of_offers.push_back(each);
      } else if (each.op == kube::SelectorOperator::In && !each.values.empty()) {
        plan.fixed.set(each.key, each.values[0]);
      }
    }
    // Without a word about it, on-demand is what is started.
    bool names_capacity = pool.find("karpenter.sh/capacity-type") != nullptr;
    int64_t cpu_left = pool.limit_milli_cpu.value_or(INT64_MAX), memory_left = pool.limit_memory.value_or(INT64_MAX);
    for (const auto& [name, node] : world_.nodes()) {
      if (node.label("karpenter.sh/nodepool") != pool.name) continue;
      if (pool.limit_milli_cpu) cpu_left -= capacity_of(node).milli_cpu;
      if (pool.limit_memory) memory_left -= capacity_of(node).memory;
    }
    for (const Plan& other : plans_) {
      if (other.pool != &pool) continue;
      // Until it is started a claim counts with the largest that it may become.
      int64_t most_cpu = 0, most_memory = 0;
      for (const InstanceOffer* offer : other.offers) {
        most_cpu = std::max<int64_t>(most_cpu, offer->machine.vcpu * 1000LL);
        most_memory = std::max<int64_t>(most_memory, static_cast<int64_t>(offer->machine.memory_gib * 1024) << 20);
      }
      if (pool.limit_milli_cpu) cpu_left -= most_cpu;
      if (pool.limit_memory) memory_left -= most_memory;
    }
    for (const InstanceOffer& offer : offers_) {
      if (!names_capacity && offer.capacity_type != "on-demand") continue;
      if (offer.machine.vcpu * 1000LL > cpu_left || (static_cast<int64_t>(offer.machine.memory_gib * 1024) << 20) > memory_left) continue;
      if (offer_satisfies(offer, of_offers)) plan.offers.push_back(&offer);
    }
    add_daemons(plan);
    return plan;
  }

  // Of its type, where an offer has that.
  kube::Resources capacity_of(const Node& node) const {
    kube::Resources size = node.allocatable;
    for (const InstanceOffer& offer : offers_) {
      if (offer.machine.type != node.label("node.kubernetes.io/instance-type")) continue;
      size.milli_cpu = offer.machine.vcpu * 1000LL;
      size.memory = static_cast<int64_t>(offer.machine.memory_gib * 1024) << 20;
      break;
    }
    return size;
  }

  // Room for the DaemonSets' pods that such a node would get: those that tolerate the pool and match the first of its offers.
  void add_daemons(Plan& plan) {
    if (plan.offers.empty()) return;
    Node node;
    node.meta.name = "karpenter-" + plan.pool->name;
    node.meta.labels = plan.offers[0]->labels;
    for (const auto& [key, value] : plan.fixed) node.meta.labels.set(key, value);
    node.taints = plan.pool->taints;
    for (const Pod& pod : world_.daemons_for(node)) {
      plan.requested.add(pod.requests.real, 1);
      ++plan.pods_used;
    }
  }

  void finish(const Plan& plan) {
    NodeClaim claim;
    claim.pool = plan.pool->name;
    claim.name = plan.pool->name + "-" + std::to_string(named_ + result_.claims.size() + 1);
    claim.pods = plan.pods;
    claim.offer = *plan.offers[0];  // by price
    claim.offers = plan.offers.size();
    claim.labels = plan.fixed;
    claim.taints = plan.pool->taints;
    result_.claims.push_back(std::move(claim));
  }

  World& world_;
  const std::vector<InstanceOffer>& offers_;
  size_t named_;
  std::vector<const NodePool*> pools_;
  std::vector<Plan> plans_;
  bool said_unmodelled_ = false;
  KarpenterResult result_;
};

}  // namespace

KarpenterResult provision(World& world, const std::vector<NodePool>& pools, const std::vector<InstanceOffer>& offers, size_t named) {
  return Provisioner(world, pools, offers, named).run();
}

Node node_of(const NodeClaim& claim) {
  Node node;
  node.meta.name = claim.name;
  node.meta.labels = claim.offer.labels;
  for (const auto& [key, value] : claim.labels) node.meta.labels.set(key, value);
  node.meta.labels.set(kHostnameLabel, claim.name);
  node.allocatable = claim.offer.allocatable;
  node.taints = claim.taints;
  return node;
}

}  // namespace archway::scheduler
