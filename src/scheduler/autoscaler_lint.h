#pragma once

#include <string>
#include <vector>

#include "format/json.h"
#include "scheduler/autoscaler_input.h"

// What in an autoscaler's configuration does not do what its author meant: dropped without a word, never matching, out of anybody's reach.
namespace archway::scheduler {

struct LintFinding {
  enum class Severity { Error, Warning } severity = Severity::Error;
  std::string rule;     // docs/autoscaler.md lists them
  SourcePlace place;
  std::string object;   // "Auto Scaling Group arm-1a", "ConfigMap kube-system/..."
  std::string message;  // a sentence
  std::string advice;   // what to do; may be empty
};

struct LintOptions {
  std::string name_space = "kube-system";  // of the autoscaler, where no Deployment tells
  std::string expanders;                   // as --expander; "" where not known
};

// By file, line and rule.
std::vector<LintFinding> lint(const AutoscalerInput& input, const PriceTable& prices, const LintOptions& options);

Json lint_json(const std::vector<LintFinding>& findings, const AutoscalerInput& input, const PriceTable& prices);
std::string lint_text(const std::vector<LintFinding>& findings);

// Parts of it, each in the file of its name.
void lint_groups(const AutoscalerInput& input, const PriceTable& prices, std::vector<LintFinding>& findings);
void lint_priorities(const AutoscalerInput& input, const PriceTable& prices, const LintOptions& options, std::vector<LintFinding>& findings);
void lint_karpenter(const AutoscalerInput& input, const PriceTable& prices, std::vector<LintFinding>& findings);

}  // namespace archway::scheduler
