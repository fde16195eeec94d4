#include "scheduler/expander.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace archway::scheduler {
namespace {

constexpr int64_t kGi = int64_t(1) << 30;

// Options made by hand: so many nodes of a size, for so many pods of 1 core and 2 GiB.
struct Bench {
  std::vector<NodeGroup> groups;
  std::vector<NodeTemplate> templates;
  std::vector<std::unique_ptr<Pod>> pods;
  std::vector<Option> options;

  void add(const std::string& name, int64_t nodes, int64_t cores, int64_t gib, size_t count, std::optional<int64_t> price = std::nullopt) {
    groups.reserve(8);
    templates.reserve(8);
    NodeGroup group;
    group.name = group.id = name;
    group.provider = "gcp";
    groups.push_back(group);
    NodeTemplate node;
    node.capacity.milli_cpu = cores * 1000;
    node.capacity.memory = gib * kGi;
    templates.push_back(node);
    Option option{&groups.back(), &templates.back(), nodes, {}, price};
    for (size_t i = 0; i < count; ++i) {
      pods.push_back(std::make_unique<Pod>());
      pods.back()->requests.real.milli_cpu = 1000;
      pods.back()->requests.real.memory = 2 * kGi;
      option.pods.push_back(pods.back().get());
    }
    options.push_back(std::move(option));
  }

  std::string choose(const std::string& chain, const PriorityConfig* config = nullptr, uint64_t seed = 0) {
    steps.clear();
    Expander expander(*parse_expanders(chain), config, "there is no ConfigMap", 10, seed);
    auto chosen = expander.choose(options, steps);
    return chosen ? options[*chosen].group->name : "";
  }
  std::vector<ExpanderStep> steps;
};

// a: 2 nodes of 4 cores and 16 GiB for 6 pods: (8-6)/8 + (32-12)/32 = 0.25 + 0.625 = 0.875 wasted.
// b: 1 node of 8 cores and 16 GiB for 6 pods: (8-6)/8 + (16-12)/16 = 0.25 + 0.25 = 0.5.
// c: 2 nodes of 4 cores and 8 GiB for 7 pods: (8-7)/8 + (16-14)/16 = 0.125 + 0.125 = 0.25.
Bench three() {
  Bench bench;
  bench.add("a", 2, 4, 16, 6, 134'000'000);
  bench.add("b", 1, 8, 16, 6, 200'000'000);
  bench.add("c", 2, 4, 8, 7, std::nullopt);
  return bench;
}

TEST(Expander, LeastWaste) {
  Bench bench = three();
  EXPECT_EQ(bench.choose("least-waste"), "c");
  EXPECT_EQ(bench.steps[0].scores[0].second, "waste 0.8750");
  EXPECT_EQ(bench.steps[0].scores[1].second, "waste 0.5000");
  EXPECT_EQ(bench.steps[0].scores[2].second, "waste 0.2500");
}

TEST(Expander, MostPodsAndLeastNodes) {
  Bench bench = three();
  EXPECT_EQ(bench.choose("most-pods"), "c");
  EXPECT_EQ(bench.choose("least-nodes"), "b");
}

TEST(Expander, AChainGoesOnAmongEquals) {
  Bench bench;
  bench.add("a", 2, 4, 16, 6);
  bench.add("b", 2, 4, 8, 6);
  bench.add("c", 1, 4, 8, 3);
  EXPECT_EQ(bench.choose("most-pods,least-waste"), "b");
  ASSERT_EQ(bench.steps.size(), 2u);
  EXPECT_EQ(bench.steps[0].kept, (std::vector<std::string>{"a", "b"}));
}

// Two nodes of 4 cores suit a cluster of 10 (4 cores): no unfitness. Stabilization 0.5 * 0.033174 + 500/1024 * 0.004446 = 0.018758.
// pods: 6 * 0.033174 + 12 * 0.004446 = 0.252396. a: (0.268 + 0.018758) / (0.252396 + 0.018758) = 1.0575.
// b: 8 cores, unfitness 2; one node: suppressed 2; (0.2 + 0.018758) / 0.271154 * 2 = 1.6135.
TEST(Expander, PriceByTheFormula) {
  Bench bench = three();
  EXPECT_EQ(bench.choose("price"), "a");
  EXPECT_EQ(bench.steps[0].scores[0].second, "score 1.0575");
  EXPECT_EQ(bench.steps[0].scores[1].second, "score 1.6135");
  EXPECT_EQ(bench.steps[0].scores[2].second, "no price is known for ; left out");
  bench.groups[0].provider = "aws";
  EXPECT_FALSE(check_provider({ExpanderKind::Price}, bench.groups).ok());
  EXPECT_TRUE(check_provider({ExpanderKind::LeastWaste}, bench.groups).ok());
}

TEST(Expander, PriorityShutsOutWhatNoPatternMatches) {
  Bench bench = three();
  auto config = PriorityConfig::parse("10: [a]\n20: [b]\n");
  EXPECT_EQ(bench.choose("priority", &*config), "b");
  EXPECT_EQ(bench.steps[0].note, "shut out, since no pattern matches: c");
}

TEST(Expander, PriorityLetsAllPassWhereItKnowsNone) {
  Bench bench = three();
  auto none = PriorityConfig::parse("10: [zzz]\n"), negative = PriorityConfig::parse("-2: [.*]\n"), least = PriorityConfig::parse("-1: [a]\n-2: [.*]\n");
  EXPECT_EQ(bench.choose("priority,most-pods", &*none), "c");
  EXPECT_EQ(bench.choose("priority,most-pods", &*negative), "c");
  EXPECT_EQ(bench.choose("priority,most-pods", nullptr), "c");
  EXPECT_EQ(bench.choose("priority,most-pods", &*least), "a");
}

TEST(Expander, ChanceIsSeeded) {
  Bench bench = three();
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::string chosen = bench.choose("random", nullptr, seed);
    EXPECT_EQ(chosen, bench.choose("random", nullptr, seed));
    seen.insert(chosen);
  }
  EXPECT_EQ(seen.size(), 3u);
}

TEST(Expander, ChainsThatTheAutoscalerRefuses) {
  EXPECT_FALSE(parse_expanders("random,priority").ok());
  EXPECT_FALSE(parse_expanders("priority,priority").ok());
  EXPECT_FALSE(parse_expanders("cheapest").ok());
  EXPECT_FALSE(parse_expanders("").ok());
  EXPECT_EQ(parse_expanders("grpc").error().code, Code::Unsupported);
  EXPECT_TRUE(parse_expanders("priority,least-waste,random").ok());
}

}  // namespace
}  // namespace archway::scheduler
