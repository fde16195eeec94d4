#include "scheduler/quick_engine.h"

#include <gtest/gtest.h>

#include "scheduler/random_cluster.h"
#include "scheduler/report.h"
#include "scheduler/simulation.h"

namespace archway::scheduler {
namespace {

std::string place(const RandomClusterOptions& options, EngineKind engine) {
  Simulation simulation(random_cluster(options), Profile(), {}, std::nullopt, engine);
  EXPECT_TRUE(simulation.run({"place", {}}).ok());
  EXPECT_TRUE(simulation.run({"remove", {RemoveNodes{*kube::parse_selector("disk=hdd,kubernetes.io/arch=amd64")}}}).ok());
  return to_json(result_json(simulation.result()));
}

// The quick way and the plain way give the same bytes, over clusters of every sort.
TEST(QuickEngine, EqualsThePlainWay) {
  for (uint64_t seed = 1; seed <= 250; ++seed) {
    RandomClusterOptions options;
    options.seed = seed;
    options.nodes = 2 + static_cast<int>(seed % 13);
    options.running = static_cast<int>(seed * 7 % 40);
    options.pending = 10 + static_cast<int>(seed * 3 % 60);
    options.kinds = static_cast<int>(seed % 9);
    options.priorities = seed % 3 == 0;
    options.pod_affinity = seed % 4 != 0;
    ASSERT_EQ(place(options, EngineKind::Quick), place(options, EngineKind::Plain)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace archway::scheduler
