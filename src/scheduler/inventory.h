#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/stream.h"
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

  // Reading an object is most of the work, and may be done on any thread; adding it is for this one, in order.
  struct Object {
    std::string kind;
    std::optional<Pod> pod;  // one that could be read
    size_t spec_hash = 0;    // of the pod
    std::optional<Problem> problem;
    Json json;               // of other kinds
  };
  static Object read(Json object, std::string kind);
  void add(Object object);

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
  void add_pod(Pod pod, size_t spec_hash);

  // Pods of one workload share a specification, until settle().
  std::unordered_multimap<size_t, std::shared_ptr<const kube::PodSpec>> specs_;
};

// All objects of a stream of JSON (format/json_stream.h), read on all processors, without what placement does not ask
// for. What came before an error has been added.
Result<void> add_json(Inventory& inventory, Source& source);

// The pod with the priority that its class gives it, as the Priority admission plugin does.
Result<void> admit_priority(Pod& pod, const std::map<std::string, kube::PriorityClass, std::less<>>& classes);

}  // namespace archway::scheduler
