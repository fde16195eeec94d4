#include "kube/pod_images.h"

namespace archway::kube {
namespace {

void add_containers(const Json& pod_spec, std::string_view list, PodImage::Use use, std::vector<PodImage>& images) {
  size_t index = 0;
  for (const Json& container : pod_spec[list].items()) {
    std::string path = "/" + std::string(list) + "/" + std::to_string(index++) + "/image";
    if (!container.is_object()) continue;
    // An init container that is always restarted is a sidecar (KEP-753).
    bool sidecar = use == PodImage::Use::Init && container["restartPolicy"].string() == "Always";
    images.push_back({sidecar ? PodImage::Use::Sidecar : use, container["name"].string(), container["image"].string(), std::move(path),
                      container["imagePullPolicy"].string()});
  }
}

void add_volumes(const Json& pod_spec, std::vector<PodImage>& images) {
  size_t index = 0;
  for (const Json& volume : pod_spec["volumes"].items()) {
    std::string path = "/volumes/" + std::to_string(index++) + "/image/reference";
    const Json& image = volume["image"];
    if (!image.is_object()) continue;
    images.push_back({PodImage::Use::Volume, volume["name"].string(), image["reference"].string(), std::move(path), image["pullPolicy"].string()});
  }
}

}  // namespace

std::vector<PodImage> pod_images(const Json& pod_spec) {
  std::vector<PodImage> images;
  add_containers(pod_spec, "initContainers", PodImage::Use::Init, images);
  add_containers(pod_spec, "containers", PodImage::Use::Container, images);
  add_containers(pod_spec, "ephemeralContainers", PodImage::Use::Ephemeral, images);
  add_volumes(pod_spec, images);
  return images;
}

std::optional<std::string> pod_template_path(std::string_view kind) {
  if (kind == "Pod") return "";
  if (kind == "CronJob") return "/spec/jobTemplate/spec/template";
  if (kind == "PodTemplate") return "/template";
  for (std::string_view known : {"Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job"}) {
    if (kind == known) return "/spec/template";
  }
  return std::nullopt;
}

}  // namespace archway::kube
