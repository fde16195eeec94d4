#include <algorithm>

#include "scheduler/node_group_reader.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kKind = "NodeGroups";
constexpr std::string_view kMembers[] = {"name", "id", "provider", "region", "min", "max", "current", "type", "types", "zones", "spot", "labels",
                                         "taints", "cpu", "memory", "pods", "resources", "price", "nodes", "template", "tags"};

class GroupReader {
 public:
  GroupReader(const Marked& from, GroupReading& reading) : from_(from), reading_(reading) {}

  NodeGroup read() {
    group_.name = from_["name"]->string();
    group_.id = from_["id"]->string().empty() ? group_.name : from_["id"]->string();
    group_.place = from_.place();
    for (size_t i = 0; i < from_.size(); ++i) {
      const std::string& key = from_.member(i).first;
      if (std::find(std::begin(kMembers), std::end(kMembers), key) == std::end(kMembers)) complain(from_.member(i).second, "\"" + key + "\" is no member of a node group");
    }
    group_.types = from_["types"]->strings();
    if (!from_["type"]->string().empty()) group_.types.insert(group_.types.begin(), from_["type"]->string());
    group_.provider = from_["provider"]->string_or(cloud_of_type(group_.first_type()));
    group_.region = from_["region"]->string();
    group_.min = size("min", 0);
    group_.max = size("max", 0);
    group_.current = size("current", group_.min);
    group_.zones = from_["zones"]->strings();
    group_.spot = from_["spot"]->boolean();
    group_.declares_nodes = true;
    group_.labels = labels(from_["labels"]);
    group_.taints = taints(from_["taints"]);
    if (auto cpu = quantity("cpu")) group_.milli_cpu = cpu->milli_value();
    if (auto memory = quantity("memory")) group_.memory = memory->value();
    if (auto pods = quantity("pods")) group_.pods = pods->value();
    extended();
    price();
    nodes();
    Marked believed = from_["template"];
    for (size_t i = 0; i < believed.size(); ++i) {
      const std::string& key = believed.member(i).first;
      if (key != "labels" && key != "taints") complain(believed.member(i).second, "\"" + key + "\" is no member of a template: labels and taints are");
    }
    if (believed["labels"]->is_object()) group_.template_labels = labels(believed["labels"]);
    if (believed["taints"]->is_array()) group_.template_taints = taints(believed["taints"]);
    Marked tags = from_["tags"];
    for (size_t i = 0; i < tags.size(); ++i) group_.tags.push_back({tags.member(i).first, tags.member(i).second->string(), tags.member(i).second.place()});
    return std::move(group_);
  }

 private:
  void complain(const Marked& at, const std::string& what) { reading_.problems.push_back({at.place(), "node group " + group_.name + ": " + what}); }

  int64_t size(std::string_view key, int64_t fallback) {
    Marked value = from_[key];
    if (value->is_null()) return fallback;
    int64_t number = value->integer(-1);
    if (number >= 0 && number <= kMaxGroupSize) return number;
    complain(value, std::string(key) + " must be a whole number from 0 to " + std::to_string(kMaxGroupSize));
    return fallback;
  }

  std::optional<kube::Quantity> quantity(std::string_view key) {
    Marked value = from_[key];
    if (value->is_null()) return std::nullopt;
    auto parsed = kube::Quantity::parse(value->is_string() ? value->string() : to_json(value.json()));
    if (parsed.ok() && parsed->nanos() > 0) return *parsed;
    complain(value, std::string(key) + " must be an amount over zero");
    return std::nullopt;
  }

  void extended() {
    Marked all = from_["resources"];
    for (size_t i = 0; i < all.size(); ++i) {
      const auto& [name, value] = all.member(i);
      auto parsed = kube::Quantity::parse(value->is_string() ? value->string() : to_json(value.json()));
      if (!kube::is_scalar_resource(name)) complain(value, name + " is no extended resource, as nvidia.com/gpu is");
      else if (!parsed.ok() || parsed->value() < 0) complain(value, name + " must be an amount");
      else group_.extended.push_back({name, parsed->value()});
    }
    std::sort(group_.extended.begin(), group_.extended.end());
  }

  Labels labels(const Marked& value) {
    auto read = kube::read_labels(value.json());
    if (read.ok()) return *read;
    complain(value, "labels: " + read.error().message);
    return {};
  }

  std::vector<kube::Taint> taints(const Marked& list) {
    std::vector<kube::Taint> all;
    for (size_t i = 0; i < list.size(); ++i) {
      Marked each = list.item(i);
      auto taint = each->is_string() ? kube::parse_taint(each->string()) : kube::read_taint(each.json());
      if (taint.ok()) {
        all.push_back(std::move(*taint));
      } else {
        complain(each, "taints[" + std::to_string(i) + "]: " + taint.error().message);
      }
    }
    return all;
  }

  void price() {
    Marked value = from_["price"];
    if (value->is_null()) return;
    group_.price = parse_usd(value->is_string() ? value->string() : to_json(value.json()));
    if (!group_.price) complain(value, "price must be dollars per hour, such as 0.154");
  }

  void nodes() {
    Marked value = from_["nodes"];
    if (value->is_null()) return;
    auto selector = kube::parse_selector(value->string());
    if (selector.ok()) {
      group_.nodes = std::move(*selector);
    } else {
      complain(value, "nodes: " + selector.error().message);
    }
  }

  Marked from_;
  GroupReading& reading_;
  NodeGroup group_;
};

}  // namespace

bool is_own_document(const Json& document) { return document["kind"].string() == kKind && document["nodeGroups"].is_array(); }

GroupReading read_own_document(const Marked& document) {
  GroupReading reading;
  Marked list = document["nodeGroups"];
  for (size_t i = 0; i < list.size() && i < kMaxGroups; ++i) {
    NodeGroup group = GroupReader(list.item(i), reading).read();
    if (group.name.empty()) {
      reading.problems.push_back({list.item(i).place(), "nodeGroups[" + std::to_string(i) + "]: name is missing; the group is left out"});
      continue;
    }
    reading.groups.push_back(std::move(group));
  }
  return reading;
}

}  // namespace archway::scheduler
