#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kube/resources.h"

namespace archway::scheduler {

// A machine that clouds rent out.
struct InstanceType {
  std::string_view name, architecture;
  int vcpu = 0;
  double memory_gib = 0;
};

const InstanceType* find_instance_type(std::string_view name);  // null where the table lacks it

// What such a machine leaves to pods: its size less what the kubelet keeps for system and eviction, by the formula
// that EKS nodes use, and 110 pods.
kube::Resources estimated_allocatable(int vcpu, double memory_gib);

}  // namespace archway::scheduler
