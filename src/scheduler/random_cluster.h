#pragma once

#include <cstdint>
#include <optional>

#include "scheduler/inventory.h"
#include "scheduler/profile.h"

namespace archway::scheduler {

// What a made-up cluster is like. The same options and seed give the same cluster everywhere.
struct RandomClusterOptions {
  uint64_t seed = 1;
  int nodes = 10;
  int running = 20, pending = 20;
  int kinds = 10;            // of pods; 0: no two alike
  bool priorities = false;   // and disruption budgets
  int request_steps = 20;    // the largest request, in steps of 50m and 64Mi
  bool pod_affinity = true;  // a tenth of the kinds
  bool variety = false;      // also what is rare: images, claims, pods that name a node, namespace selectors, promised places, ...
};

// For tests and measurements: 40 % of the kinds have node affinity, 20 % tolerations, 20 % a spread constraint, 10 %
// pod affinity, 10 % preferences; a third of the nodes is arm64, some of them tainted.
Inventory random_cluster(const RandomClusterOptions& options);

// The number-th of the small clusters over which the quick way is held against the plain one, and what is to be done there.
struct RandomRun {
  RandomClusterOptions cluster;
  Profile profile;
  std::optional<uint64_t> seed;
};
RandomRun random_run(uint64_t number);

}  // namespace archway::scheduler
