#pragma once

#include <map>
#include <string>
#include <vector>

#include "scheduler/cluster.h"

namespace archway::scheduler {

// Something wrong in the user's data, by kind, namespace/name and field. What it is about is left out; the rest counts.
struct Problem {
  std::string object, message;
};

// A cluster as files describe it: what `kubectl get -o json|yaml` writes, lists of one kind or of mixed kinds.
// Of two objects with one kind and name the later counts.
class Inventory {
 public:
  // One object, or a list of them. Kinds that placement does not read are passed over.
  void add(const Json& document);

  std::vector<Node> nodes;
  std::vector<Pod> pods;
  std::vector<kube::Workload> workloads;
  std::map<std::string, kube::PriorityClass, std::less<>> priority_classes;
  ClusterObjects objects;
  std::vector<Problem> problems;

  // The workload that controls a pod, through the ReplicaSet of a Deployment; null where none is known.
  const kube::Workload* find_workload(std::string_view kind, std::string_view key) const;
  // Fills in what admission would: priorities by class, the namespace itself where nobody listed it. Finds what
  // points to nothing. Call once after everything is added.
  void settle();

 private:
  void add_object(const Json& object, const std::string& kind);
  void report(const Json& object, const std::string& kind, const Error& error);
};

// The pod with the priority that its class gives it, as the Priority admission plugin does.
Result<void> admit_priority(Pod& pod, const std::map<std::string, kube::PriorityClass, std::less<>>& classes);

}  // namespace archway::scheduler
