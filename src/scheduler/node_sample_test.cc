#include "scheduler/node_sample.h"

#include <gtest/gtest.h>

namespace archway::scheduler {
namespace {

std::vector<Node> make_nodes(size_t count) {
  std::vector<Node> nodes(count);
  for (size_t i = 0; i < count; ++i) {
    nodes[i].meta.name = "node-" + std::to_string(i);
    nodes[i].meta.labels.set(kZoneLabel, i < 3 ? "a" : "b");
  }
  return nodes;
}

std::vector<uint32_t> search(NodeSample& sample, const std::function<bool(uint32_t)>& feasible) {
  std::vector<uint32_t> found;
  sample.search(feasible, [&](uint32_t node) { found.push_back(node); });
  return found;
}

TEST(NodeSample, ScoresAllOfASmallClusterAndAllWithoutAPercentage) {
  Profile profile;
  auto active = [&](size_t count, int percentage) {
    std::vector<Node> nodes = make_nodes(count);
    profile.percentage_of_nodes_to_score = percentage;
    return NodeSample(profile, Cluster(nodes, {})).active();
  };
  EXPECT_FALSE(active(99, 10));
  EXPECT_FALSE(active(100, 10));
  EXPECT_TRUE(active(101, 10));
  EXPECT_TRUE(active(1000, 99));
  EXPECT_FALSE(active(1000, 100));
}

TEST(NodeSample, TakesZonesInTurnAndGoesOnWhereItStopped) {
  std::vector<Node> nodes = make_nodes(150);
  Profile profile;
  profile.percentage_of_nodes_to_score = 5;
  Cluster cluster(nodes, {});
  NodeSample sample(profile, cluster);
  auto everywhere = [](uint32_t) { return true; };
  std::vector<uint32_t> first = search(sample, everywhere);
  ASSERT_EQ(first.size(), 100u);
  EXPECT_EQ(std::vector<uint32_t>(first.begin(), first.begin() + 8), (std::vector<uint32_t>{0, 3, 1, 4, 2, 5, 6, 7}));
  EXPECT_EQ(search(sample, everywhere).front(), 100u);
  // 50 and 100 nodes on; now fewer are found than wanted, and the search comes round to where it began.
  auto few = [](uint32_t node) { return node % 50 == 7; };
  EXPECT_EQ(search(sample, few), (std::vector<uint32_t>{57, 107, 7}));
  EXPECT_EQ(search(sample, everywhere).front(), 50u);
}

}  // namespace
}  // namespace archway::scheduler
