#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "kustomize/texts.h"
#include "kustomize/transformers.h"

// kustomizations, built as `kustomize build` builds them, but for what decides nothing about images and nodes (name references, hashes,
// labels of templates and selectors), and every value keeps the place that it was written at. Where kustomize would give up, the rest
// is built all the same, and what went wrong is said. Nothing is fetched, and no plugin is run.
namespace archway::kustomize {

inline constexpr uint64_t kMaxKustomizationBytes = 8 << 20;
inline constexpr size_t kMaxKustomizations = 10'000;   // that one names, directly or through others

struct Note {
  std::string what, why;
};

// A chart that a kustomization inflates, with its folder on this machine.
struct ChartRequest {
  std::string folder, release, name_space, kube_version;
  std::vector<std::string> values_files, api_versions;
  std::string values;             // YAML, for after the files; "" where there are none
  bool crds = false, tests = true, hooks = true;
};

struct BuildOptions {
  // What `helm template` prints. None: charts are named, not rendered.
  std::function<Result<std::string>(const ChartRequest&)> render = {};
  std::stop_token stop = {};
};

struct Build {
  std::vector<const Value*> objects;
  std::vector<Note> unseen;       // what is broken: the build is not complete
  std::vector<Note> skipped;      // what is elsewhere or not for us
};

// kustomization.yaml, kustomization.yml or Kustomization in a folder; "" where there is none.
std::string kustomization_in(const std::string& folder);

// Files that several kustomizations name are read once. One thread at a time; values live as long as this.
class Builder {
 public:
  explicit Builder(BuildOptions options);
  ~Builder();
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  // `file` is a kustomization's. `named` gets every file and folder that takes part, this one too, as plain paths.
  Build build(const std::string& file, std::set<std::string>& named);
  // Where a value of a build stands.
  Span locate(uint32_t begin, uint32_t end, uint32_t line, uint32_t column) const;
  // What of an image stands there, where it is not the whole.
  std::optional<ImagePart> part_at(uint32_t begin) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace archway::kustomize
