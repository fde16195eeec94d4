#include <algorithm>

#include "scheduler/plan.h"

namespace archway::scheduler {

namespace {

std::string first_label(const Node& node, std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys) {
    std::string value = node.label(key);
    if (!value.empty()) return value;
  }
  return "";
}

std::string cloud_of(const Node& node, const PriceTable& prices, const PlanFacts& facts, const PlanOptions& options, const std::string& type) {
  auto id = facts.provider_ids.find(node.name());
  if (id != facts.provider_ids.end()) {
    if (id->second.starts_with("aws:")) return "aws";
    if (id->second.starts_with("azure:")) return "azure";
    if (id->second.starts_with("gce:")) return "gcp";
  }
  if (const Price* price = prices.find_anywhere(type)) return price->cloud;
  return options.cloud.empty() ? cloud_of_type(type) : options.cloud;
}

bool is_spot(const Node& node) {
  return node.label("karpenter.sh/capacity-type") == "spot" || node.label("eks.amazonaws.com/capacityType") == "SPOT" || node.label("cloud.google.com/gke-spot") == "true" ||
         node.label("kubernetes.azure.com/scalesetpriority") == "spot" || node.label("node.kubernetes.io/lifecycle") == "spot";
}

}  // namespace

Bill bill_of(const std::vector<Node>& nodes, const PriceTable& prices, const PlanFacts& facts, const PlanOptions& options) {
  std::map<std::tuple<std::string, std::string, std::string, bool>, BillLine> lines;
  for (const Node& node : nodes) {
    BillLine line;
    line.type = first_label(node, {"node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"});
    line.cloud = cloud_of(node, prices, facts, options, line.type);
    line.region = first_label(node, {"topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"});
    std::string zone = first_label(node, {kZoneLabel, "failure-domain.beta.kubernetes.io/zone"});
    if (line.region.empty()) line.region = region_of_zone(line.cloud, zone);
    if (line.region.empty()) line.region = options.region;
    line.spot = is_spot(node);
    line.architecture = node.architecture();
    const Price* price = prices.find(line.cloud, line.region, line.type);
    if (price && !line.spot) line.price = price->on_demand;
    if (price && line.spot) line.price = price->spot;
    BillLine& known = lines.try_emplace({line.cloud, line.region, line.type, line.spot}, line).first->second;
    ++known.count;
  }
  Bill bill;
  for (auto& [key, line] : lines) {
    if (line.price) {
      bill.nano_per_month += static_cast<__int128_t>(*line.price) * static_cast<int64_t>(line.count) * kHoursPerMonth;
    } else {
      std::string type = line.type.empty() ? "nodes without the label node.kubernetes.io/instance-type" : line.type;
      std::string name = (line.cloud.empty() ? "" : line.cloud + " ") + (line.region.empty() ? "" : line.region + " ") + type;
      bill.unpriced.push_back(name + (line.spot ? " spot" : "") + " (" + std::to_string(line.count) + (line.count == 1 ? " node)" : " nodes)"));
    }
    bill.lines.push_back(std::move(line));
  }
  return bill;
}

}  // namespace archway::scheduler
