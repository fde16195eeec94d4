#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/json.h"

namespace archway::kube {

// One image of a pod: where it stands, and what it is for.
struct PodImage {
  enum class Use { Container, Init, Sidecar, Ephemeral, Volume } use;
  std::string name;       // of the container or volume
  std::string image;      // as written; "" where it is missing
  std::string path;       // JSON pointer in the spec: "/containers/0/image"
  std::string pull_policy;
};
// Every image of a PodSpec (JSON): init containers and sidecars, containers, ephemeral containers, image volumes. In the API's order.
std::vector<PodImage> pod_images(const Json& pod_spec);

// Where an object of a built-in kind has its pod: JSON pointer to the object that holds "metadata" and "spec" of the pod: "" for a Pod,
// "/spec/template" for a Deployment, "/spec/jobTemplate/spec/template" for a CronJob. nullopt for kinds that have none.
std::optional<std::string> pod_template_path(std::string_view kind);

}  // namespace archway::kube
