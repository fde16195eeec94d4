#pragma once

#include <string>
#include <vector>

#include "image/truth.h"
#include "scheduler/cluster.h"

namespace archway::scheduler {

// What happens once a pod's images meet its node's processor (containerd's matching), from good to bad.
enum class RunVerdict { Runs, Unknown, Fallback32, NoMatch, ExecFormatError };
std::string_view run_verdict_name(RunVerdict verdict);  // "runs", "unknown", "32-bit fallback", "no match for platform", "exec format error"
inline bool crashes(RunVerdict verdict) { return verdict == RunVerdict::NoMatch || verdict == RunVerdict::ExecFormatError; }

struct ImageKnowledge {
  ImageTruths truths;
  std::vector<Platform> assumed;  // of images that nothing is known of; empty: nothing is assumed
};

struct PodVerdict {
  RunVerdict verdict = RunVerdict::Runs;  // the worst of its images
  std::string image, why;                 // which image that is
};
PodVerdict run_verdict(const ImageKnowledge& images, const Pod& pod, const Node& node);

}  // namespace archway::scheduler
