#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "scheduler/prices.h"

namespace archway::scheduler {

// What is known of a type of machine: from a price list, from the table that ships, or by how the cloud builds the family.
struct Machine {
  std::string type, architecture;
  int vcpu = 0;
  double memory_gib = 0;
};

// nullopt where the size is not known.
std::optional<Machine> find_machine(std::string_view type, const PriceTable& prices);

// "arm64" or "amd64", by list or by the cloud's way of naming (the g of m7g, the p of D4ps_v5, t2a, c4a, n4a); "" where neither tells.
std::string architecture_of_type(std::string_view type, const PriceTable& prices);

}  // namespace archway::scheduler
