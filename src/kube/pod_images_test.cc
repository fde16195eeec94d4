#include "kube/pod_images.h"

#include <gtest/gtest.h>

namespace archway::kube {
namespace {

std::vector<std::string> shown(std::string_view spec) {
  static constexpr const char* kUses[] = {"container", "init", "sidecar", "ephemeral", "volume"};
  std::vector<std::string> lines;
  for (const PodImage& image : pod_images(*parse_json(spec))) {
    lines.push_back(std::string(kUses[static_cast<int>(image.use)]) + " " + image.name + " " + image.image + " " + image.path + " " + image.pull_policy);
  }
  return lines;
}

TEST(PodImages, FindsEveryKindInOrder) {
  EXPECT_EQ(shown(R"({
    "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "model", "image": {"reference": "model:3", "pullPolicy": "Always"}}],
    "ephemeralContainers": [{"name": "debug", "image": "busybox"}],
    "containers": [{"name": "app", "image": "app:1", "imagePullPolicy": "IfNotPresent"}, {"name": "second"}],
    "initContainers": [{"name": "first", "image": "i:1"}, {"name": "mesh", "image": "m:1", "restartPolicy": "Always"}]})"),
            (std::vector<std::string>{"init first i:1 /initContainers/0/image ", "sidecar mesh m:1 /initContainers/1/image ",
                                      "container app app:1 /containers/0/image IfNotPresent", "container second  /containers/1/image ",
                                      "ephemeral debug busybox /ephemeralContainers/0/image ", "volume model model:3 /volumes/1/image/reference Always"}));
}

TEST(PodImages, IndicesCountWhatIsNoContainer) {
  EXPECT_EQ(shown(R"({"containers": [7, {"name": "a", "image": "a:1"}, null], "volumes": "none"})"),
            (std::vector<std::string>{"container a a:1 /containers/1/image "}));
  EXPECT_TRUE(shown("[]").empty());
  EXPECT_TRUE(shown("{}").empty());
}

TEST(PodImages, KnowsWhereEachKindKeepsItsPod) {
  EXPECT_EQ(pod_template_path("Pod"), "");
  EXPECT_EQ(pod_template_path("CronJob"), "/spec/jobTemplate/spec/template");
  EXPECT_EQ(pod_template_path("PodTemplate"), "/template");
  for (auto kind : {"Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job"}) EXPECT_EQ(pod_template_path(kind), "/spec/template") << kind;
  EXPECT_EQ(pod_template_path("ConfigMap"), std::nullopt);
}

}  // namespace
}  // namespace archway::kube
