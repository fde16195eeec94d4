#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>

#include "admission/place.h"
#include "base/sync.h"
#include "kube/client.h"

namespace archway::admission {

// What the cluster's nodes are, by name: a list that is watched. For pods that name their node themselves. Thread safe.
class NodePlaces {
 public:
  explicit NodePlaces(std::shared_ptr<kube::Client> client) : client_(std::move(client)) {}
  // Until stopped. Returns an error where nodes may not be watched; what is known then stays.
  Result<void> run(std::stop_token stop);
  std::optional<Place> find(const std::string& node) const;
  void note(const kube::WatchEvent& event);

 private:
  std::shared_ptr<kube::Client> client_;
  mutable Sync<std::unordered_map<std::string, Place>> places_;
};

// By its labels, as a pod's selectors see it; where they do not say it, as the kubelet does.
std::optional<Place> place_of_node(const Json& node);

inline constexpr size_t kMaxNodePlaces = 100'000;

}  // namespace archway::admission
