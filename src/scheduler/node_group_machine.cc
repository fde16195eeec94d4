#include "scheduler/node_group_machine.h"

#include "base/text.h"
#include "scheduler/instance_types.h"

namespace archway::scheduler {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

// "m7gd.2xlarge": class m, generation 7, options gd, size 2xlarge.
struct AwsName {
  std::string_view family_class, options, size;
  int generation = 0;
};

std::optional<AwsName> parse_aws_name(std::string_view type) {
  auto [family, size] = cut(type, '.');
  if (!size || size->empty()) return std::nullopt;
  size_t letters = 0, digits = 0;
  while (letters < family.size() && is_lower(family[letters])) ++letters;
  while (letters + digits < family.size() && is_digit(family[letters + digits])) ++digits;
  if (letters == 0 || digits == 0 || digits > 2) return std::nullopt;
  AwsName name{family.substr(0, letters), family.substr(letters + digits), *size};
  for (char c : name.options) {
    if (!is_lower(c) && !is_digit(c) && c != '-') return std::nullopt;
  }
  name.generation = static_cast<int>(*parse_uint(family.substr(letters, digits)));
  return name;
}

std::string aws_architecture(std::string_view type) {
  auto name = parse_aws_name(type);
  if (!name) return "";
  if (name->family_class == "a" && name->generation == 1) return "arm64";
  if (name->family_class == "mac") return "";  // no Linux
  // Graviton is the g right behind the generation; Grace beside NVIDIA's gb200 likewise.
  bool graviton = name->options.starts_with('g') || name->options.find("-gb") != std::string_view::npos;
  return graviton ? "arm64" : "amd64";
}

// Standard_D4ps_v5: the letters behind the number are features, and p is an Arm processor.
std::string azure_architecture(std::string_view type) {
  type.remove_prefix(std::string_view("Standard_").size());
  size_t at = 0;
  while (at < type.size() && !is_digit(type[at])) ++at;
  while (at < type.size() && (is_digit(type[at]) || type[at] == '-')) ++at;
  if (at == 0 || at >= type.size()) return "";
  std::string_view features = type.substr(at, type.find('_', at) - at);
  return features.find('p') == std::string_view::npos ? "amd64" : "arm64";
}

std::string gcp_architecture(std::string_view type) {
  for (std::string_view family : {"t2a-", "c4a-", "n4a-", "a4x-"}) {
    if (type.starts_with(family)) return "arm64";
  }
  for (std::string_view family : {"e2-", "n1-", "n2-", "n2d-", "n4-", "n4d-", "c2-", "c2d-", "c3-", "c3d-", "c4-", "c4d-", "t2d-", "m1-", "m2-", "m3-", "a2-", "a3-", "g2-", "h3-", "z3-"}) {
    if (type.starts_with(family)) return "amd64";
  }
  return "";
}

// Sizes of the families whose memory goes by a fixed share per processor: 2 GiB for c, 4 for m, 8 for r, from the fifth generation on.
std::optional<Machine> aws_size(std::string_view type) {
  auto name = parse_aws_name(type);
  if (!name) return std::nullopt;
  double per_cpu = name->family_class == "c" ? 2 : name->family_class == "m" ? 4 : name->family_class == "r" ? 8 : 0;
  if (per_cpu == 0 || name->generation < 5 || type.starts_with("c5n.")) return std::nullopt;
  int vcpu = 0;
  if (name->size == "medium") {
    vcpu = 1;
  } else if (name->size == "large") {
    vcpu = 2;
  } else if (name->size == "xlarge") {
    vcpu = 4;
  } else if (name->size.ends_with("xlarge")) {
    auto factor = parse_uint(name->size.substr(0, name->size.size() - std::string_view("xlarge").size()));
    if (!factor || *factor < 2 || *factor > 96) return std::nullopt;
    vcpu = static_cast<int>(*factor) * 4;
  }
  if (vcpu == 0) return std::nullopt;
  return Machine{std::string(type), aws_architecture(type), vcpu, vcpu * per_cpu};
}

}  // namespace

std::optional<Machine> find_machine(std::string_view type, const PriceTable& prices) {
  const Price* price = prices.find_anywhere(type);
  if (price && price->vcpu > 0 && price->memory_gib > 0) {
    return Machine{std::string(type), price->architecture.empty() ? architecture_of_type(type, prices) : price->architecture, price->vcpu, price->memory_gib};
  }
  if (const InstanceType* known = find_instance_type(type)) {
    return Machine{std::string(type), std::string(known->architecture), known->vcpu, known->memory_gib};
  }
  return aws_size(type);
}

std::string architecture_of_type(std::string_view type, const PriceTable& prices) {
  const Price* price = prices.find_anywhere(type);
  if (price && !price->architecture.empty()) return price->architecture;
  if (const InstanceType* known = find_instance_type(type)) return std::string(known->architecture);
  std::string cloud = cloud_of_type(type);
  if (cloud == "aws") return aws_architecture(type);
  if (cloud == "azure") return azure_architecture(type);
  return cloud == "gcp" ? gcp_architecture(type) : "";
}

}  // namespace archway::scheduler
