// How fast pods are placed, with every node scored, and whether quick is the same as plain:
//   scheduler_bench [NODES PODS KINDS [quick|plain]]     one measurement; KINDS 0: no two pods alike
//   scheduler_bench compare [FROM TO]                     random clusters, placed both ways: the bytes must be equal
//   scheduler_bench curve FILE.svg                        pods/s over cluster size, beside the plain way and the peer
// The peer is cluster-capacity where CLUSTER_CAPACITY names a program that, given a number of nodes, prints how many pods per second
// it places on so many.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string>

#include "base/fd.h"
#include "scheduler/random_cluster.h"
#include "scheduler/report.h"
#include "scheduler/simulation.h"

using namespace archway;
using namespace archway::scheduler;

namespace {

struct Measured {
  double seconds = 0, processor_seconds = 0;
  size_t unplaced = 0;
};

// Requests such that seven tenths of all processors are asked for at most: all pods find a place.
int request_steps(int nodes, int pods) {
  double per_pod = 0.7 * 9253 * nodes / pods;
  return std::clamp(static_cast<int>(per_pod / 25) - 1, 1, 6);
}

std::optional<Measured> measure(int nodes, int pods, int kinds, EngineKind engine) {
  RandomClusterOptions options;
  options.nodes = nodes;
  options.running = 0;
  options.pending = pods;
  options.kinds = kinds;
  options.request_steps = request_steps(nodes, pods);
  Inventory inventory = random_cluster(options);
  auto begin = std::chrono::steady_clock::now();
  std::clock_t worked = std::clock();
  Simulation simulation(std::move(inventory), Profile(), {}, std::nullopt, engine);
  if (!simulation.run({"place", {}}).ok()) return std::nullopt;
  Measured measured;
  measured.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  measured.processor_seconds = static_cast<double>(std::clock() - worked) / CLOCKS_PER_SEC;
  measured.unplaced = simulation.result().unplaced();
  return measured;
}

int measure_once(int argc, char** argv) {
  int nodes = argc > 1 ? std::atoi(argv[1]) : 5000, pods = argc > 2 ? std::atoi(argv[2]) : 150'000, kinds = argc > 3 ? std::atoi(argv[3]) : 300;
  bool plain = argc > 4 && std::string(argv[4]) == "plain";
  auto measured = measure(nodes, pods, kinds, plain ? EngineKind::Plain : EngineKind::Quick);
  if (!measured) return 1;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%d pods of %d kinds, %d nodes: %.2f s (%.2f s of a processor), %.0f pods/s, %zu unplaced, %ld MB\n", pods, kinds, nodes, measured->seconds,
              measured->processor_seconds, pods / measured->seconds, measured->unplaced, usage.ru_maxrss / 1024);
  return 0;
}

std::string place(const RandomRun& run, EngineKind engine) {
  Simulation simulation(random_cluster(run.cluster), run.profile, {}, run.seed, engine);
  auto selector = kube::parse_selector("disk=hdd,kubernetes.io/arch=amd64");
  if (!simulation.run({"place", {}}).ok() || !simulation.run({"remove", {RemoveNodes{*selector}}}).ok()) return "failed";
  return to_json(result_json(simulation.result()));
}

int compare(uint64_t from, uint64_t to) {
  size_t different = 0;
  for (uint64_t number = from; number <= to; ++number) {
    RandomRun run = random_run(number);
    if (place(run, EngineKind::Quick) == place(run, EngineKind::Plain)) continue;
    ++different;
    std::printf("random run %llu differs\n", static_cast<unsigned long long>(number));
  }
  std::printf("%llu clusters, %zu differ\n", static_cast<unsigned long long>(to - from + 1), different);
  return different == 0 ? 0 : 1;
}

std::optional<double> peer(int nodes) {
  const char* program = std::getenv("CLUSTER_CAPACITY");
  if (!program) return std::nullopt;
  FILE* pipe = popen((std::string(program) + " " + std::to_string(nodes)).c_str(), "r");
  if (!pipe) return std::nullopt;
  double rate = 0;
  bool ok = std::fscanf(pipe, "%lf", &rate) == 1;
  return pclose(pipe) == 0 && ok && rate > 0 ? std::optional<double>(rate) : std::nullopt;
}

constexpr int kSizes[] = {100, 200, 500, 1000, 2000, 5000};
constexpr int kWidth = 640, kHeight = 360, kMargin = 50;

// Both axes are logarithmic: 100 to 5,000 nodes, 10 to a million pods per second.
std::string point(int nodes, double rate) {
  double x = kMargin + (kWidth - 2 * kMargin) * std::log(nodes / 100.0) / std::log(50.0);
  double y = kHeight - kMargin - (kHeight - 2 * kMargin) * std::log10(std::max(rate, 10.0) / 10) / 5;
  return std::to_string(static_cast<int>(x)) + "," + std::to_string(static_cast<int>(y));
}

struct Curve {
  std::string name, colour, points, last = {};
  void add(int nodes, double rate) {
    last = point(nodes, rate);
    points += last + " ";
  }
  std::string svg() const {
    if (last.empty()) return {};
    size_t comma = last.find(',');
    return "<polyline fill='none' stroke-width='2' stroke='" + colour + "' points='" + points + "'/>\n<text fill='" + colour + "' text-anchor='end' x='" +
           last.substr(0, comma) + "' y='" + std::to_string(std::stoi(last.substr(comma + 1)) - 8) + "'>" + name + "</text>\n";
  }
};

int draw(const std::string& path) {
  Curve alike{"quick, 300 kinds", "#1a7f37", {}}, different{"quick, no two alike", "#0969da", {}}, plain{"plain", "#9a6700", {}}, other{"cluster-capacity", "#cf222e", {}};
  std::printf("%8s %16s %16s %10s %16s\n", "nodes", "300 kinds", "no two alike", "plain", "cluster-capacity");
  for (int nodes : kSizes) {
    int pods = nodes * 30, few = std::min(pods, 600'000 / nodes);
    auto first = measure(nodes, pods, 300, EngineKind::Quick), second = measure(nodes, pods, 0, EngineKind::Quick), third = measure(nodes, few, 300, EngineKind::Plain);
    auto fourth = peer(nodes);
    if (!first || !second || !third) return 1;
    alike.add(nodes, pods / first->seconds);
    different.add(nodes, pods / second->seconds);
    plain.add(nodes, few / third->seconds);
    if (fourth) other.add(nodes, *fourth);
    std::printf("%8d %9.0f pods/s %9.0f pods/s %10.0f %16s\n", nodes, pods / first->seconds, pods / second->seconds, few / third->seconds,
                fourth ? std::to_string(static_cast<int>(*fourth)).c_str() : "peer absent");
  }
  std::string svg = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 " + std::to_string(kWidth) + " " + std::to_string(kHeight) +
                    "' font-family='sans-serif' font-size='11'>\n<rect width='100%' height='100%' fill='white'/>\n<text x='50' y='24' font-size='14'>Pods placed per second, all nodes scored</text>\n";
  for (double rate = 10; rate <= 1e6; rate *= 10) {
    std::string y = point(100, rate).substr(point(100, rate).find(',') + 1);
    svg += "<line x1='50' x2='590' stroke='#ddd' y1='" + y + "' y2='" + y + "'/><text x='46' text-anchor='end' y='" + y + "'>" + std::to_string(static_cast<int>(rate)) + "</text>\n";
  }
  for (int nodes : kSizes) svg += "<text text-anchor='middle' y='328' x='" + point(nodes, 10).substr(0, point(nodes, 10).find(',')) + "'>" + std::to_string(nodes) + "</text>\n";
  svg += "<text x='320' y='348' text-anchor='middle'>nodes</text>\n" + alike.svg() + different.svg() + plain.svg() + other.svg() + "</svg>\n";
  return write_file_atomic(path, svg).ok() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "compare") return compare(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1, argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 10'000);
  if (mode == "curve") return argc > 2 ? draw(argv[2]) : 64;
  return measure_once(argc, argv);
}
