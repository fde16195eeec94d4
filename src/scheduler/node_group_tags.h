#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kube/labels.h"
#include "kube/resources.h"
#include "kube/taint.h"

// The tags of an Auto Scaling Group, read as Cluster Autoscaler reads them (cloudprovider/aws/aws_manager.go): what it takes from
// them, and what it drops without a word.
namespace archway::scheduler {

inline constexpr std::string_view kTemplatePrefix = "k8s.io/cluster-autoscaler/node-template/";
inline constexpr std::string_view kLabelTag = "k8s.io/cluster-autoscaler/node-template/label/";
inline constexpr std::string_view kTaintTag = "k8s.io/cluster-autoscaler/node-template/taint/";
inline constexpr std::string_view kResourceTag = "k8s.io/cluster-autoscaler/node-template/resources/";
inline constexpr std::string_view kOptionTag = "k8s.io/cluster-autoscaler/node-template/autoscaling-options/";
inline constexpr std::string_view kEnabledTag = "k8s.io/cluster-autoscaler/enabled";

struct SourcePlace {
  std::string file;
  uint32_t line = 0;  // from 1; 0: not known
  bool operator==(const SourcePlace&) const = default;
};

struct GroupTag {
  std::string key, value;
  SourcePlace place = {};
  bool operator==(const GroupTag&) const = default;
};

// Something about one tag that does not do what its author meant.
struct TagDefect {
  size_t tag = 0;       // index in the list
  std::string rule;     // of `archway autoscaler lint`
  std::string message;  // a sentence
  std::string advice;
};

struct TemplateTags {
  std::map<std::string, std::string> labels;
  std::vector<kube::Taint> taints;  // also such with effects that nothing knows: they are in the template, and repel nobody
  std::vector<std::pair<std::string, kube::Nanos>> resources;
  std::map<std::string, std::string> options;
  std::vector<TagDefect> defects;
};

TemplateTags read_template_tags(const std::vector<GroupTag>& tags);

}  // namespace archway::scheduler
