#include "scheduler/quick_engine.h"

#include <gtest/gtest.h>

#include "scheduler/random_cluster.h"
#include "scheduler/report.h"
#include "scheduler/simulation.h"

namespace archway::scheduler {
namespace {

std::string place(const RandomRun& run, EngineKind engine) {
  Simulation simulation(random_cluster(run.cluster), run.profile, {}, run.seed, engine);
  EXPECT_TRUE(simulation.run({"place", {}}).ok());
  EXPECT_TRUE(simulation.run({"remove", {RemoveNodes{*kube::parse_selector("disk=hdd,kubernetes.io/arch=amd64")}}}).ok());
  return to_json(result_json(simulation.result()));
}

// The quick way and the plain way give the same bytes, over clusters of every sort. bench/scheduler_bench compares more of them.
TEST(QuickEngine, EqualsThePlainWay) {
  for (uint64_t number = 1; number <= 100; ++number) {
    RandomRun run = random_run(number);
    ASSERT_EQ(place(run, EngineKind::Quick), place(run, EngineKind::Plain)) << "random run " << number;
  }
}

}  // namespace
}  // namespace archway::scheduler
