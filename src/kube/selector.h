#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kube/labels.h"

namespace archway::kube {

enum class SelectorOperator { In, NotIn, Exists, DoesNotExist, Gt, Lt };
std::string_view operator_name(SelectorOperator op);

// One condition on a label (k8s.io/apimachinery/pkg/labels). A missing label satisfies NotIn and DoesNotExist only.
struct Requirement {
  std::string key;
  SelectorOperator op = SelectorOperator::In;
  std::vector<std::string> values;  // sorted; for Gt and Lt one whole number

  bool matches(const Labels& labels) const;
  bool operator==(const Requirement&) const = default;
};

// All requirements must hold. Default: everything.
class Selector {
 public:
  Selector() = default;
  static Selector nothing();
  static Selector from_labels(const Labels& labels);  // each key equal to its value

  void add(Requirement requirement) { requirements_.push_back(std::move(requirement)); }
  bool matches(const Labels& labels) const;
  bool is_nothing() const { return nothing_; }
  bool empty() const { return !nothing_ && requirements_.empty(); }  // everything
  const std::vector<Requirement>& requirements() const { return requirements_; }
  bool operator==(const Selector&) const = default;

 private:
  bool nothing_ = false;
  std::vector<Requirement> requirements_;
};

// A LabelSelector of the API: absent selects nothing, empty selects everything. Invalid where the API server refuses.
Result<Selector> read_label_selector(const Json& object);

// What kubectl's -l takes: "a=b,c!=d,e in (f,g),h notin (i),j,!k".
Result<Selector> parse_selector(std::string_view text);

// Why the API's own NewRequirement would refuse, if it would.
std::optional<std::string> requirement_error(const Requirement& requirement);

}  // namespace archway::kube
