// How fast pods are placed, with every node scored: scheduler_bench [NODES PODS KINDS [plain|noaffinity]]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "scheduler/random_cluster.h"
#include "scheduler/simulation.h"

using namespace archway::scheduler;

int main(int argc, char** argv) {
  RandomClusterOptions options;
  options.nodes = argc > 1 ? std::atoi(argv[1]) : 5000;
  options.running = 0;
  options.pending = argc > 2 ? std::atoi(argv[2]) : 150'000;
  options.kinds = argc > 3 ? std::atoi(argv[3]) : 300;
  options.request_steps = argc > 5 ? std::atoi(argv[5]) : 6;  // so that all of them find a place
  std::string mode = argc > 4 ? argv[4] : "";
  options.pod_affinity = mode != "noaffinity";
  Inventory inventory = random_cluster(options);
  auto begin = std::chrono::steady_clock::now();
  Simulation simulation(std::move(inventory), Profile(), {}, std::nullopt, mode == "plain" ? EngineKind::Plain : EngineKind::Quick);
  if (!simulation.run({"place", {}}).ok()) return 1;
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  SimulationResult result = simulation.result();
  std::printf("%d pods of %d kinds, %d nodes: %.2f s, %.0f pods/s, %zu unplaced\n", options.pending, options.kinds, options.nodes, seconds,
              options.pending / seconds, result.unplaced());
  return 0;
}
