#include "scheduler/image_locality.h"

#include <algorithm>

namespace archway::scheduler {

namespace {
constexpr int64_t kMiB = 1024 * 1024;
// Nine of ten images on Docker Hub lie between these.
constexpr int64_t kLeast = 23 * kMiB, kMostPerContainer = 1000 * kMiB;
}  // namespace

std::string image_name_on_node(const std::string& image) {
  size_t colon = image.rfind(':'), slash = image.rfind('/');
  bool tagged = colon != std::string::npos && (slash == std::string::npos || colon > slash);
  return tagged ? image : image + ":latest";
}

// An image that is on few nodes counts less, or all its pods would heap up there.
int64_t scaled_image_size(const ImageState& image, size_t total_nodes) {
  double spread = static_cast<double>(image.nodes.size()) / static_cast<double>(total_nodes);
  return static_cast<int64_t>(static_cast<double>(image.size_bytes) * spread);
}

int64_t image_points(int64_t sum, size_t containers) {
  int64_t most = kMostPerContainer * static_cast<int64_t>(containers);
  if (sum < kLeast) {
    sum = kLeast;
  } else if (sum > most) {
    sum = most;
  }
  return kMaxNodeScore * (sum - kLeast) / (most - kLeast);
}

int64_t image_score(const Cluster& cluster, const Pod& pod, const NodeState& node) {
  int64_t sum = 0;
  auto count = [&](const std::vector<kube::Container>& containers) {
    for (const kube::Container& each : containers) {
      const ImageState* image = cluster.image(node.index, image_name_on_node(each.image));
      if (image) sum += scaled_image_size(*image, cluster.nodes().size());
    }
  };
  count(pod.spec->init_containers);
  count(pod.spec->containers);
  return image_points(sum, pod.spec->init_containers.size() + pod.spec->containers.size());
}

}  // namespace archway::scheduler
