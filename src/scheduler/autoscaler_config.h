#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "kube/taint.h"

// Configuration for "arm64 first, amd64 as fallback", for the autoscaler that there is.
namespace archway::scheduler {

enum class ConfigTarget { Eks, Asg, Karpenter };
Result<ConfigTarget> parse_config_target(std::string_view text);  // "eks", "asg", "karpenter"

struct ConfigGroup {
  std::string name;
  std::vector<std::string> types;  // the first decides what the autoscaler expects; empty for Karpenter: any
};
// "arm=m7g.xlarge,m6g.xlarge", or for Karpenter "arm".
Result<ConfigGroup> parse_config_group(std::string_view text);

struct ConfigRequest {
  ConfigTarget target = ConfigTarget::Eks;
  std::string cluster = "cluster", region = "us-east-1", name_space = "kube-system", node_class = "default";
  std::vector<ConfigGroup> arm64, amd64;
  std::vector<std::string> zones;
  kube::Taint taint{"arch", "arm64", "NoSchedule"};
  int64_t min = 0, max = 10;
};

struct ConfigFile {
  std::string name, content;
};

// Invalid where a group is missing, named twice, or of types of another architecture than it stands for.
Result<std::vector<ConfigFile>> write_config(const ConfigRequest& request);

}  // namespace archway::scheduler
