#pragma once

#include <memory>
#include <set>
#include <string>

#include "audit/collect.h"

namespace archway::audit {

// Kustomizations, built (kustomize/builder.h) and read: workloads as they would be deployed, each value with the place in the base, patch
// or kustomization that it was written at. Files that several of them name are read once. One thread at a time.
class KustomizationReader {
 public:
  explicit KustomizationReader(const CollectOptions& options);
  ~KustomizationReader();
  // `used` gets every file and folder that takes part, as plain paths.
  Collection read(const std::string& file, std::set<std::string>& used);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace archway::audit
