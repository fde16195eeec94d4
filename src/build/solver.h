#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/progress.h"
#include "build/copy_files.h"
#include "build/exec_mounts.h"
#include "build/file_source.h"
#include "build/graph.h"
#include "build/result_cache.h"
#include "image/content.h"
#include "runtime/runtime.h"
#include "snapshot/layer_store.h"

namespace archway::build {

struct SolverOptions {
  size_t jobs = 4;                          // nodes at once
  size_t compress_threads = 1;              // of one layer
  std::optional<Time> epoch = {};           // SOURCE_DATE_EPOCH: layers hold no later time
  std::function<Error(const dockerfile::Location&, Error)> place = {};  // says where in the Dockerfile an error belongs
};

// What a solver works with; all borrowed.
struct Workshop {
  LayerStore& layers;
  std::shared_ptr<BlobStore> blobs;
  ResultCache& cache;
  MountStore& mounts;
  const Confidences& confidences;
  RemoteFiles& remotes;
  std::map<std::string, std::shared_ptr<FileSource>> contexts;      // "context" and the named ones
  std::function<Result<Runtime*>()> runtime;                        // made when the first RUN needs it
  Progress& progress;
};

// Carries out a graph: each needed node once, those that do not wait for each other at the same time. A node's key is definite when its
// inputs are done: what it does, and the diff_ids or the content it works on. A known key is a result; nothing is run for it.
class Solver {
 public:
  Solver(const Graph& graph, Workshop workshop, SolverOptions options);
  ~Solver();
  // The states of `targets`, in order. On failure nothing else is begun and what runs is stopped.
  Result<std::vector<State>> solve(const std::vector<NodeId>& targets, std::stop_token stop);

 private:
  struct Run;
  const Graph& graph_;
  Workshop workshop_;
  SolverOptions options_;
};

}  // namespace archway::build
