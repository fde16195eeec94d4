#include "scheduler/node_group_tags.h"

#include <gtest/gtest.h>

namespace archway::scheduler {
namespace {

struct Case {
  const char *key, *value, *rule;  // rule "": nothing wrong
  const char* taint;               // what the template gets, or ""
};

// By cloudprovider/aws/aws_manager.go.
TEST(TemplateTags, AreReadAsTheAutoscalerReadsThem) {
  const std::string taint = "k8s.io/cluster-autoscaler/node-template/taint/";
  const Case cases[] = {
      {"arch", "arm64:NoSchedule", "", "arch=arm64:NoSchedule"},
      {"arch", ":NoSchedule", "", "arch:NoSchedule"},
      {"arch", "NoSchedule", "taint-malformed", ""},
      {"arch", "arm64", "taint-malformed", ""},
      {"arch", "", "taint-malformed", ""},
      {"arch", "arm64:noschedule", "taint-effect-unknown", ""},
      {"arch", "v:NoScheduleX", "taint-effect-unknown", "arch=v:NoScheduleX"},
      {"arch", "a:b:NoSchedule", "taint-effect-unknown", "arch=a:b:NoSchedule"},
      {"bad key", "v:NoExecute", "taint-key-invalid", "bad key=v:NoExecute"},
      {"arch", "v v:PreferNoSchedule", "taint-value-invalid", "arch=v v:PreferNoSchedule"},
  };
  for (const Case& each : cases) {
    TemplateTags read = read_template_tags({{taint + each.key, each.value}});
    EXPECT_EQ(read.defects.empty() ? "" : read.defects[0].rule, each.rule) << each.value;
    EXPECT_EQ(read.taints.empty() ? "" : read.taints[0].str(), each.taint) << each.value;
  }
}

TEST(TemplateTags, LabelsResourcesAndOptions) {
  TemplateTags read = read_template_tags({{"k8s.io/cluster-autoscaler/node-template/label/a/b", "c"},
                                          {"eks:nodegroup-name", "arm"},
                                          {"k8s.io/cluster-autoscaler/node-template/resources/cpu", "3500m"},
                                          {"k8s.io/cluster-autoscaler/node-template/autoscaling-options/scaledownunneededtime", "1h30m"}});
  EXPECT_TRUE(read.defects.empty());
  EXPECT_EQ(read.labels.at("a/b"), "c");
  EXPECT_EQ(read.labels.at("nodegroup-name"), "arm");
  EXPECT_EQ(kube::milli_units(read.resources.at(0).second), 3500);
  EXPECT_EQ(read.options.at("scaledownunneededtime"), "1h30m");
}

TEST(TemplateTags, WhatIsDroppedIsNamed) {
  const Case cases[] = {
      {"k8s.io/cluster-autoscaler/node-template/label/", "x", "label-key-empty", ""},
      {"k8s.io/cluster-autoscaler/node-template/label/a b", "x", "label-key-invalid", ""},
      {"k8s.io/cluster-autoscaler/node-template/label/a", "x y", "label-value-invalid", ""},
      {"k8s.io/cluster-autoscaler/node-template/resources/cpu", "four", "resource-unparsable", ""},
      {"k8s.io/cluster-autoscaler/node-template/resources/", "4", "resource-name-empty", ""},
      {"k8s.io/cluster-autoscaler/node-template/labels/a", "b", "tag-prefix", ""},
      {"k8s.io/cluster-autoscaler/taint/arch", "arm64:NoSchedule", "tag-prefix", ""},
      {"cluster-autoscaler/node-template/label/a", "b", "tag-prefix", ""},
      {"k8s.io/cluster-autoscaler/Node-Template/label/a", "b", "tag-prefix", ""},
      {"my-eks:thing", "x", "eks-tag-label", ""},
      {"k8s.io/cluster-autoscaler/node-template/autoscaling-options/scaledownunneededtime", "ten", "option-unparsable", ""},
      {"k8s.io/cluster-autoscaler/node-template/autoscaling-options/scaledownutilizationthreshold", "half", "option-unparsable", ""},
      {"k8s.io/cluster-autoscaler/node-template/autoscaling-options/scaleDown", "1", "option-unknown", ""},
      {"k8s.io/cluster-autoscaler/enabled", "true", "", ""},
      {"Name", "web", "", ""},
  };
  for (const Case& each : cases) {
    TemplateTags read = read_template_tags({{each.key, each.value}});
    EXPECT_EQ(read.defects.empty() ? "" : read.defects[0].rule, each.rule) << each.key;
  }
  EXPECT_EQ(read_template_tags({{"a", "1"}, {"a", "2"}}).defects.at(0).rule, "tag-duplicate");
}

}  // namespace
}  // namespace archway::scheduler
