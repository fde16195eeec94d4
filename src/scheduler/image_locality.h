#pragma once

#include "scheduler/cluster.h"
#include "scheduler/profile.h"

namespace archway::scheduler {

// ImageLocality: 0..100 for images of the pod that the node has already. Keyed by name, whatever the architecture.
int64_t image_score(const Cluster& cluster, const Pod& pod, const NodeState& node);
// The name under which a node reports an image: with ":latest" where the pod names no tag.
std::string image_name_on_node(const std::string& image);
// The last steps, shared with the quick engine.
int64_t scaled_image_size(const ImageState& image, size_t total_nodes);
int64_t image_points(int64_t sum, size_t containers);

}  // namespace archway::scheduler
