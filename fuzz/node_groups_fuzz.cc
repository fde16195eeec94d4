#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "format/yaml.h"
#include "scheduler/autoscaler_lint.h"

// Every form of node group, ConfigMap and NodePool, through to lint.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway::scheduler;
  static const PriceTable prices;
  auto documents = archway::parse_yaml_documents({reinterpret_cast<const char*>(data), size});
  if (!documents.ok()) return 0;
  AutoscalerInput input;
  for (const archway::YamlDocument& document : *documents) input.add(document.value, &document.marks, "f");
  input.settle(prices);
  for (const NodeGroup& group : input.groups) {
    CHECK(!group.name.empty() && group.max >= 0 && group.max <= kMaxGroupSize);
    (void)autoscaler_template(group, prices).ok();
    (void)real_node(group, prices, 1).ok();
  }
  for (const LintFinding& each : lint(input, prices, {})) CHECK(!each.rule.empty() && !each.message.empty());
  return 0;
}
